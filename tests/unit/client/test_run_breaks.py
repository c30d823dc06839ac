"""A run whose coordinator, or one of whose jobs, breaks: what it sends, and what it does not."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from backplane.client.run import Run
from backplane.client.spec import Options, Ready, Work
from backplane.reduce.answer import Restart, Stop
from backplane.reduce.folds import FunctionFold
from backplane.wire import codec, limits
from backplane.wire.messages import Cancel, End, Message, NeedStart, Start, State, Submit, Targets
from provider.runner import frames


@dataclass
class Asks:
    """A question of nothing, whose jobs resume as they are told to."""

    work: Work
    name: str = "q"
    title: str = "q"
    endless: bool = True
    streams: bool = False
    feed: bool = False
    began: list[Any] = field(default_factory=list)

    def fold(self) -> FunctionFold:
        return FunctionFold(lambda a, b: a + b)

    def body(self, ready: Ready, positions: object) -> dict[str, object]:
        self.began.append(positions)
        return {}


class Rig:
    def __init__(self, run: Run, sent: list[Message]) -> None:
        self.run = run
        self.sent = sent

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.sent if isinstance(message, kind)]

    async def started(self, count: int) -> Start:
        async with asyncio.timeout(30):
            while len(self.of(Start)) < count:  # noqa: ASYNC110 - the reducer's thread comes in between
                await asyncio.sleep(0.01)
        found: Start = self.of(Start)[-1]
        return found

    async def runs(self, job: int, reason: str = "ready") -> Start:
        """The coordinator asks for a start, gets it, and says that the job runs."""
        count = len(self.of(Start)) + 1
        self.run.arrived(job, frames.NEED_START, NeedStart(job=job, query="1", provider="a", reason=reason), 0)
        start = await self.started(count)
        for state in ("filtering", "running"):
            self.run.about(State(query="1", provider="a", state=state))
        return start

    async def final(self) -> Any:
        async with asyncio.timeout(30):
            async for snapshot in self.run.snapshots():
                last = snapshot
        return last


@contextlib.asynccontextmanager
async def running(resume: str, *, effects: bool = False, options: Options | None = None) -> AsyncIterator[Rig]:
    """A run whose one provider runs job 1."""
    sent: list[Message] = []
    question = Asks(Work(resume=resume, resume_why="why", effects=effects))
    async with asyncio.TaskGroup() as tasks:
        run = Run("1", question, options or Options(), sent.append, lambda job: None, tasks)
        run.submit([{"name": "a"}], {})
        rig = Rig(run, sent)
        run.about(Targets(query="1", payload=codec.pack(["a"])))
        try:
            await rig.runs(1)
            yield rig
        finally:
            run.lose("the test is over")
            await run.close(10)


@pytest.mark.parametrize(("resume", "wire"), [("exact", "exact"), ("inexact", "gap"), ("gap", "gap"), ("never", "")])
async def test_the_coordinator_is_told_whether_jobs_may_follow(resume: str, wire: str) -> None:
    """In the submit, and in each that follows it."""
    async with running(resume) as rig:
        assert [message.resume for message in rig.of(Submit)] == [wire]
        rig.run.broken("gone")
        rig.run.again()
        assert [message.resume for message in rig.of(Submit)] == ([wire] * 2 if wire else [""])


async def test_another_coordinator_is_asked_for_those_that_had_started() -> None:
    """A start of the next epoch; its filter is not asked again, and the old job's number may come again."""
    async with running("exact") as rig:
        rig.run.broken("gone")
        rig.run.again()
        start = await rig.runs(1)
        assert (start.epoch, start.kept) == (2, True)
        assert codec.unpack(rig.of(Submit)[-1].payload)["without"] == []


async def test_a_job_that_may_not_follow_is_lost_with_its_coordinator() -> None:
    """And nobody is asked again."""
    async with running("never") as rig:
        rig.run.broken("gone")
        rig.run.again()
        answer = await rig.final()
        assert answer.coverage.states == {"lost": 1} and len(rig.of(Submit)) == 1


async def test_effects_are_asked_for_again_when_the_old_job_is_surely_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease and two seconds after the break; and once, however often it breaks meanwhile."""
    monkeypatch.setattr(limits, "LEASE_S", -1.8)
    async with running("exact", effects=True) as rig:
        assert rig.of(Submit)[0].effects
        for _ in range(2):
            rig.run.broken("gone")
            rig.run.again()
            assert len(rig.of(Submit)) == 1, "at once"
        async with asyncio.timeout(30):
            while len(rig.of(Submit)) < 2:  # noqa: ASYNC110 - nothing tells of it
                await asyncio.sleep(0.01)
        await asyncio.sleep(0.3)
        assert len(rig.of(Submit)) == 2


async def test_what_is_drained_while_its_coordinator_is_away_ends_at_once() -> None:
    """With what it has; whoever had started is lost."""
    async with running("exact") as rig:
        rig.run.broken("gone")
        rig.run.drain()
        answer = await rig.final()
        (row,) = answer.coverage.providers.values()
        assert row.state == "lost" and str(row.reason).startswith("gone; ")
        rig.run.again()
        assert len(rig.of(Submit)) == 1


async def test_a_run_for_so_long_ends_while_its_coordinator_is_away() -> None:
    """`--for` waits for nobody."""
    async with running("exact", options=Options(for_s=0.2)) as rig:
        rig.run.broken("gone")
        assert (await rig.final()).coverage.states == {"lost": 1}


async def test_a_restart_is_asked_for_under_the_number_of_a_job_that_goes() -> None:
    """Not where no job may follow, where it is aborted; and never of a number that another job has by now."""
    for resume, mode in (("exact", "restart"), ("never", "abort")):
        async with running(resume) as rig:
            rig.run._obey(Restart("a", 1, "missing"))
            assert [(message.job, message.mode) for message in rig.of(Cancel)] == [(1, mode)]
            rig.run._obey(Stop("a", 1, "nonsense"))
            assert rig.of(Cancel)[-1].mode == "abort"
    async with running("exact") as rig:
        rig.run.broken("gone")
        rig.run.again()
        rig.run.arrived(1, frames.NEED_START, NeedStart(job=1, query="1", provider="a"), 0)
        rig.run._obey(Restart("a", 1, "what came of it is late"))
        assert rig.of(Cancel) == []


async def test_an_end_whose_state_was_lost_on_the_way_counts_unless_it_was_a_break() -> None:
    """The coordinator died between the two: done is done, and a process that was killed comes back."""
    for broken, states in ((False, {"killed": 1}), (True, {"lost": 1})):
        async with running("exact") as rig:
            rig.run.arrived(1, frames.END, End(job=1, epoch=1, state="killed", reason="signal 9", broken=broken), 0)
            rig.run.broken("gone")
            assert (await rig.run.reducing.snapshot(final=True)).coverage.states == states
            rig.run.again()
            assert len(rig.of(Submit)) == 1 + broken


async def test_the_end_of_a_job_that_is_restarted_is_not_its_providers() -> None:
    """The coordinator died before it could say so: the next one is asked for it again."""
    async with running("exact") as rig:
        rig.run._obey(Restart("a", 1, "a cut is missing"))
        rig.run.arrived(1, frames.END, End(job=1, epoch=1, state="killed", reason="cancelled"), 0)
        rig.run.broken("gone")
        rig.run.again()
        assert [codec.unpack(message.payload)["without"] for message in rig.of(Submit)] == [[], []]
        assert (await rig.runs(1)).epoch == 2


async def test_breaks_are_told_to_whoever_wants_to_know() -> None:
    """Who is lost for now, why, and who is back."""
    said: list[str] = []
    async with running("exact", options=Options(on_break=said.append)) as rig:
        rig.run.about(State(query="1", provider="a", state="lost", reason="its runner ended", again=True))
        await rig.runs(2, "resumed")
    assert said == ["a is lost for now: its runner ended", "a is back: its job 2 begins"]
