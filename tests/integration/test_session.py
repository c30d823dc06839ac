"""A session with a coordinator of its own: what the client holds while providers send more than it can take."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path

import pytest

from backplane.client.begun import Begun
from backplane.client.private import Private, private_coordinator
from backplane.client.question import QueryQuestion
from backplane.client.run import Run
from backplane.client.session import open_session
from backplane.client.spec import Options
from backplane.query.load import load
from backplane.wire import limits
from backplane.wire.errors import NoCoordinator

PROVIDERS = 4
VALUE_BYTES = 6 << 20
WINDOW = limits.CREDIT_JOB_LEAST_BYTES
QUERY = f"""
def map():
    for n in range(2):
        yield n, "x" * {VALUE_BYTES}


class Reduce:
    def __init__(self):
        self.sizes = []

    def add(self, key, value):
        self.sizes.append((key, len(value)))

    def rows(self):
        return [(key, size) for key, size in sorted(self.sizes)]
"""


async def test_values_larger_than_a_window_come_in_one_after_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No job starves, and together the incomplete ones hold one value, the bound, and what was granted before it."""
    monkeypatch.setattr(limits, "FRAGMENTS_BYTES", 1 << 20)
    monkeypatch.setattr(limits, "job_credit", lambda targets: WINDOW)
    peak = 0
    arrived = Run.arrived

    def watched(run: Run, *args: object) -> None:
        nonlocal peak
        arrived(run, *args)  # type: ignore[arg-type]  # handed on as it came
        peak = max(peak, run.fragments.total)

    monkeypatch.setattr(Run, "arrived", watched)
    path = tmp_path / "large.py"
    path.write_text(QUERY)
    names = [f"p{n}" for n in range(PROVIDERS)]
    providers = [{"name": name, "reach": "command", "via": "env"} for name in names]
    question = QueryQuestion(await asyncio.to_thread(load, str(path), {}, None))
    async with open_session() as session:
        run = session.ask(question, providers, {}, Options())
        async for snapshot in run.snapshots():
            last = snapshot
    assert last.complete, last.coverage.states
    assert last.rows == tuple((n, VALUE_BYTES) for n in (0, 1) for _ in names)
    assert (1 << 20) < peak <= VALUE_BYTES + (1 << 20) + PROVIDERS * (WINDOW + (64 << 10))
    assert run.fragments.total == 0


async def test_a_private_coordinator_that_crashes_is_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """One that ends between being ready and answering is an error then, and not when a deadline has passed."""
    monkeypatch.setattr(limits, "HELLO_S", 3600.0)
    begun = await asyncio.to_thread(Begun)
    async with private_coordinator(begun) as private:
        await private.ready()
        begun.process.send_signal(signal.SIGSTOP)  # it will not answer
        asyncio.get_running_loop().call_later(0.1, begun.process.kill)
        async with asyncio.timeout(30):
            with pytest.raises(NoCoordinator, match="the private coordinator ended by signal 9"):
                await _opened(_Ready(begun, private))


class _Ready(Private):
    """One of which it is known that it was ready."""

    def __init__(self, begun: Begun, private: Private) -> None:
        super().__init__(begun, private._said)

    async def ready(self) -> None:
        """It was."""


async def _opened(private: Private) -> None:
    async with open_session(private):
        pytest.fail("nobody is there")


async def test_nothing_outlives_a_session_that_could_not_be_opened() -> None:
    """What it reads while it connects ends with it."""
    with pytest.raises(NoCoordinator, match="is no coordinator's address"):
        async with open_session("bogus://x"):
            pass
    await asyncio.sleep(0)
    assert asyncio.all_tasks() == {asyncio.current_task()}
