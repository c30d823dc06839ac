"""A reducer that is too slow, beside fast queries in the same session: bounded, complete, and in nobody's way."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from backplane.client.question import QueryQuestion
from backplane.client.run import Run
from backplane.client.session import Session, open_session
from backplane.client.spec import Options
from backplane.query.load import load
from backplane.reduce.snapshot import Snapshot
from backplane.wire import limits
from provider.runner import frames
from provider.runner.cuts import PART_BYTES
from tests.rigs.program import coordinator_of

pytestmark = [pytest.mark.linux, pytest.mark.timeout(180)]

PROVIDERS = 3
VALUES = 400_000
FAST_ASKED = 5
SLOW = f'''
"""Far more values than are under way at a time, each of which takes ten times as long to reduce as to emit."""
import os
import time

opened = set()


def runner():
    with open("/proc/%%d/stat" %% os.getppid()) as stat:  # of the guard, which stands between the two
        return int(stat.read().rpartition(")")[2].split()[1])


def map():
    yield ("runner", runner()), 1
    for n in range({VALUES}):
        yield ("sum", 0), n * 1000003 %% 99991


def reduce(a, b):
    # Slower still, ten minutes for all values, until the fast queries have answered, however long that takes them.
    if not opened:
        time.sleep(0.0005)
        if os.path.exists("%(gate)s"):
            opened.add(True)
    for _ in range(100):
        pass
    return a + b
'''
FAST = '''
"""A thousand values from the same runners."""
import os


def runner():
    with open("/proc/%d/stat" % os.getppid()) as stat:  # of the guard, which stands between the two
        return int(stat.read().rpartition(")")[2].split()[1])


def map():
    pid = runner()
    for n in range(1000):
        yield ("runner", pid), 1


def reduce(a, b):
    return a + b
'''
EXPECTED = PROVIDERS * sum(n * 1000003 % 99991 for n in range(VALUES))


@dataclass
class _Seen:
    slow: Snapshot
    fast: list[Snapshot] = field(default_factory=list)
    #: Fast answers that were there before the slow one.
    meanwhile: int = 0
    staged_bytes: int = 0
    coordinator_kb: int = 0
    runners_kb: list[int] = field(default_factory=list)


def _question(tmp_path: Path, name: str, source: str) -> QueryQuestion:
    path = tmp_path / f"{name}.py"
    path.write_text(source)
    return QueryQuestion(load(str(path), {}, None))


def _peak_kb(pid: int) -> int:
    """The most that a process has ever held."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def _runners(snapshot: Snapshot) -> set[int]:
    return {pid for what, pid, _ in snapshot.rows if what == "runner"}


async def _answer(session: Session, run: Run) -> Snapshot:
    async for snapshot in run.snapshots():
        last = snapshot
    return last


async def _both(slow_question: QueryQuestion, fast_question: QueryQuestion, gate: Path) -> _Seen:
    """Ask the slow one, and fast ones one after the other while it runs."""
    entries = [
        {"name": f"here{i}", "reach": "command", "via": "env", "python": sys.executable} for i in range(PROVIDERS)
    ]
    async with open_session() as session:
        run = session.ask(slow_question, entries, {}, Options())
        slow = asyncio.create_task(_answer(session, run))
        fast, meanwhile = [], 0
        for _ in range(FAST_ASKED):
            fast.append(await _answer(session, session.ask(fast_question, entries, {}, Options())))
            meanwhile += not slow.done()
        gate.touch()
        seen = _Seen(await slow, fast, meanwhile, run.reducing.statistics()["peak_bytes"])
        await asyncio.to_thread(_measure, seen)
    return seen


def _measure(seen: _Seen) -> None:
    seen.coordinator_kb = _peak_kb(coordinator_of(os.getpid()))
    seen.runners_kb = [_peak_kb(pid) for pid in _runners(seen.slow)]


def test_slow_and_fast_share_a_session(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    """No value is lost, every hop keeps its bound, the fast ones answer meanwhile, and each provider has one runner."""
    gate = tmp_path / "gate"
    slow_question = _question(tmp_path, "slow", SLOW % {"gate": gate})
    seen = asyncio.run(_both(slow_question, _question(tmp_path, "fast", FAST), gate))
    assert seen.slow.complete
    assert [value for what, _, value in seen.slow.rows if what == "sum"] == [EXPECTED]

    assert seen.meanwhile == FAST_ASKED
    for fast in seen.fast:
        assert fast.complete
        assert [value for *_, value in fast.rows] == [1000] * PROVIDERS
        assert _runners(fast) == _runners(seen.slow), "one runner a provider serves every query"
    assert len(_runners(seen.slow)) == PROVIDERS

    # One body a job may go over its credit, so that a frame is never stuck; and a part counts when it is whole.
    under_way = PROVIDERS * (limits.job_credit(PROVIDERS) + frames.MAX_FRAME_BYTES + PART_BYTES)
    record_property("staged_bytes", seen.staged_bytes)
    record_property("peak_kb", {"coordinator": seen.coordinator_kb, "runners": seen.runners_kb})
    assert 0 < seen.staged_bytes <= limits.STAGING_BYTES + under_way
    assert seen.coordinator_kb < 64 * 1024 + under_way // 1024
    assert max(seen.runners_kb) < 32 * 1024
