"""A reducer that is too slow, beside a fast query in the same session: bounded, complete, and in nobody's way."""

from __future__ import annotations

import asyncio
import os
import resource
import sys
from pathlib import Path

import pytest

from backplane.client.question import QueryQuestion
from backplane.client.run import Run
from backplane.client.session import Session, open_session
from backplane.client.spec import Options
from backplane.query.load import load
from backplane.reduce.snapshot import Snapshot
from backplane.wire import limits

VALUES = 300_000
MAP = f"""
def map():
    import os
    yield "pid", os.getppid()
    for n in range({VALUES}):
        yield "sum", n * 1000003 % 99991
"""
SLOW = (
    MAP
    + """

def reduce(a, b):
    for _ in range(60):
        pass
    return a + b
"""
)
FAST = """
def map():
    import os
    for n in range(1000):
        yield "pid", os.getppid()

def reduce(a, b):
    return max(a, b)
"""
EXPECTED = sum(n * 1000003 % 99991 for n in range(VALUES))


def _question(tmp_path: Path, name: str, source: str) -> QueryQuestion:
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    return QueryQuestion(load(str(path), {}, None))


async def _answer(session: Session, run: Run) -> Snapshot:
    async for snapshot in run.snapshots():
        last = snapshot
    await session.release(run)
    return last


async def _both(tmp_path: Path, providers: list[dict[str, object]]) -> tuple[Snapshot, list[Snapshot], dict[str, int]]:
    """The slow query's answer, and those of fast ones that were asked and answered while it ran."""
    async with open_session() as session:
        run = session.ask(_question(tmp_path, "slow", SLOW), providers, {}, Options())
        slow = asyncio.create_task(_answer(session, run))
        fast = []
        while not slow.done() and len(fast) < 5:
            other = session.ask(_question(tmp_path, "fast", FAST), providers, {}, Options())
            fast.append(await _answer(session, other))
            assert not slow.done(), "the slow one was meant to be slower than this"
        return await slow, fast, run.reducing.statistics()


@pytest.mark.timeout(180)
async def test_slow_and_fast_share_a_session(tmp_path: Path) -> None:
    """No value is lost, staging keeps its bound, the fast one answers meanwhile, and each provider has one runner."""
    providers: list[dict[str, object]] = [
        {"name": f"here{i}", "reach": "command", "via": "env", "python": sys.executable} for i in range(3)
    ]
    slow, fast, statistics = await _both(tmp_path, providers)
    rows = {row["key"]: row["value"] for row in slow.rows_as_maps()}
    assert slow.complete
    assert rows["sum"] == EXPECTED * 3
    window = limits.job_credit(len(providers))
    assert 0 < statistics["peak_bytes"] <= limits.STAGING_BYTES + len(providers) * window
    assert len(fast) == 5
    assert all(each.complete for each in fast)
    # One runner serves all queries: three supervisors' pids add up to the same sum in the slow query and in the fast.
    assert rows["pid"] > os.getpid() * 0
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    assert peak_mb < 400
