"""Starts that wait for a verdict: what goes down and up, byte by byte, for two queries of one client or of two."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, cast

import pytest

from backplane.wire import codec
from backplane.wire.messages import Credit, End, Message, Start, Verdict
from coordinator import held as held_module
from coordinator.links import Key, Link, key_of
from coordinator.relay import Client, Job, Relay
from coordinator.table import Provider, ReachOptions
from provider.runner import frames
from provider.runner.jobs import COUNTERS
from tests.unit.coordinator.test_relay import Line as PlainLine
from tests.unit.coordinator.test_relay import Owner

WEB1 = key_of(Provider("web1"), ReachOptions(user="logs"))


class Line(PlainLine):
    """A link of this login."""

    def __init__(self, key: Key = WEB1) -> None:
        super().__init__()
        self.key = key


class Rig:
    """Jobs of one provider over one link; each its own query's."""

    def __init__(self) -> None:
        self.relay = Relay()
        self.line = Line()
        self.owners: dict[int, Owner] = {}
        self.sent: dict[int, list[bytes]] = {}

    def job(self, number: int, key: str | None = None, line: Line | None = None) -> Job:
        sent = self.sent[number] = []

        def send(_: bytes, bodies: Sequence[bytes]) -> bool:
            sent.extend(bodies)
            return True

        client = Client(b"peer%d" % number, send, key=key)
        client.reserved = 1 << 30
        owner = self.owners[number] = Owner()
        job = Job(number, owner, client, cast(Link, line or self.line))
        self.relay.add(job)
        return job

    def start(self, number: int, *, named: str = "f", size: int = 10, **extra: Any) -> Job:
        job = self.job(number, **extra)
        self.down(job, Start(job=number, epoch=7, query="q", granted=1000, filter=named, payload=b"x" * size))
        return job

    def down(self, job: Job, message: Message) -> None:
        for body in codec.encode(message):
            self.relay.down(job.client, *frames.peek(body), body)

    def up(self, message: Message) -> None:
        self.relay.up(cast(Link, self.line), list(codec.encode(message)))

    def gone_down(self, number: int) -> list[Message | None]:
        inbox = codec.Inbox()
        found = [inbox.add(body) for body in self.line.written if frames.peek(body)[1] == number]
        return [message for message in found if message]

    def heard(self, job: Job) -> list[Message | None]:
        job.client.flush()
        return [codec.decode(body) for body in self.sent[job.number]]

    def told(self, number: int) -> list[tuple[Any, ...]]:
        return [each for each in self.owners[number].told if each[0] != "noted"]


async def test_a_start_waits_and_then_goes_down_whole_with_its_filter_marked() -> None:
    """Fragments and the credit that came meanwhile too, in order; the runner is told that the filter said yes."""
    rig = Rig()
    rig.start(1)
    second = rig.start(2, size=200_000)
    rig.down(second, Credit(job=2, granted=5000))
    assert rig.gone_down(2) == []
    assert rig.told(2) == [("started", 2, "open")]
    rig.up(Verdict(job=1, epoch=7, keep=True))
    start, credit = rig.gone_down(2)
    assert isinstance(start, Start) and (start.kept, start.payload) == (True, b"x" * 200_000)
    assert isinstance(credit, Credit) and credit.granted == 5000
    assert rig.relay.statistics()["held_bytes"] == 0
    (first,) = rig.gone_down(1)
    assert isinstance(first, Start) and not first.kept
    third = rig.start(3)
    assert isinstance(found := rig.gone_down(third.number)[0], Start) and found.kept


async def test_a_no_ends_a_job_as_its_runner_would() -> None:
    """Verdict, then end, then its query hears of both; nothing goes down and the job is forgotten."""
    rig = Rig()
    rig.start(1)
    waiting = rig.start(2)
    rig.up(Verdict(job=1, epoch=7, keep=False))
    late = rig.start(3)
    for job in (waiting, late):
        verdict, end = rig.heard(job)
        assert verdict == Verdict(job=job.number, epoch=7, keep=False)
        assert isinstance(end, End) and (end.state, end.reason, end.drained, end.seq) == (
            "filtered_out",
            None,
            False,
            0,
        )
        assert set(end.counters) == set(COUNTERS)
        assert rig.told(job.number) == [
            ("started", job.number, "open"),
            ("decided", job.number, False),
            ("ended", job.number, "filtered_out", None, False),
        ]
        assert rig.gone_down(job.number) == []
    assert rig.relay.statistics()["jobs"] == 1
    rig.down(late, Credit(job=3, granted=9000))
    assert rig.gone_down(3) == []


async def test_an_error_is_not_kept_and_the_next_one_tries() -> None:
    """Nor is a broken link, which drops the job; each runs the filter itself."""
    rig = Rig()
    rig.start(1)
    second, third = rig.start(2), rig.start(3)
    rig.up(End(job=1, epoch=7, state="failed"))
    (start,) = rig.gone_down(2)
    assert isinstance(start, Start) and not start.kept
    assert rig.gone_down(3) == []
    rig.relay.drop(second.number)
    assert len(rig.gone_down(3)) == 1
    rig.relay.drop(third.number)
    rig.start(4)
    assert isinstance(found := rig.gone_down(4)[0], Start) and not found.kept


@pytest.mark.parametrize(("mode", "state"), [("drain", "done"), ("abort", "killed")])
async def test_a_job_that_waits_can_be_cancelled(mode: str, state: str) -> None:
    """Its runner has never heard of it, so we say what that would; the verdict then starts nothing."""
    rig = Rig()
    rig.start(1)
    job = rig.start(2)
    rig.relay.cancel(job, mode)
    (end,) = rig.heard(job)
    assert isinstance(end, End) and (end.state, end.drained) == (state, mode == "drain")
    rig.up(Verdict(job=1, epoch=7, keep=True))
    assert rig.gone_down(2) == []
    running = rig.start(3)
    rig.relay.cancel(running, mode)
    assert frames.peek(rig.line.written[-1]) == (frames.CANCEL, 3)


async def test_verdicts_are_kept_by_user_provider_and_filter() -> None:
    """Another client's key, another login, or another filter asks for itself; one without a name always does."""
    rig = Rig()
    rig.start(1)
    other = Line(key_of(Provider("web1"), ReachOptions(user="root")))
    rig.start(2, key="alice")
    rig.start(3, line=other)
    rig.start(4, named="g")
    rig.start(5, named="")
    assert rig.relay.statistics()["waiting"] == 0
    assert len(rig.line.written) == 4 and len(other.written) == 1
    same = Line(key_of(Provider("web1", labels={"a": "b"}), ReachOptions(user="logs", fanout=3)))
    rig.start(6, line=same)
    assert same.written == []


async def test_who_has_waited_for_the_filters_deadline_runs_it_himself() -> None:
    """The runner that does not answer may be the other's fault."""
    rig = Rig()
    rig.start(1)
    job = rig.job(2)
    rig.down(job, Start(job=2, epoch=1, query="q", granted=1, filter="f", filter_s=0.01))
    async with asyncio.timeout(30):
        while not rig.gone_down(2):  # noqa: ASYNC110 - it is the event loop's own timer
            await asyncio.sleep(0.005)


async def test_what_waits_is_bounded_in_bytes(monkeypatch: pytest.MonkeyPatch) -> None:
    """One start too many is not held."""
    monkeypatch.setattr(held_module, "HELD_BYTES", 1000)
    rig = Rig()
    rig.start(1)
    rig.start(2, size=800)
    assert rig.gone_down(2) == []
    rig.start(3, size=800)
    assert len(rig.gone_down(3)) == 1 and rig.gone_down(2) == []


async def test_what_a_client_says_of_kept_is_its_own_business() -> None:
    """A start that claims it, or that has no room for it, neither waits nor makes others wait."""
    rig = Rig()
    first = rig.job(1)
    rig.down(first, Start(job=1, epoch=1, query="q", granted=1, filter="f", kept=True))
    job = rig.job(2)
    body = frames.encode(frames.START, 2, {"epoch": 1, "query": "q", "granted": 1, "profile": "open", "filter": "f"})
    rig.relay.down(job.client, *frames.peek(body), body)
    assert len(rig.line.written) == 2
    rig.start(3)
    assert len(rig.gone_down(3)) == 1
