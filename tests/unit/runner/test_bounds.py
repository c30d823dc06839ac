"""What keeps a runner small and polite: lease, rate, outbox, notes, feed, and orders that are checked."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from provider.runner import frames, spawn
from provider.runner.bucket import Bucket
from provider.runner.feed import WINDOW_BYTES, Feed
from provider.runner.lease import LEASE_S, MOST_S, Lease
from provider.runner.notes import RATE_BYTES, Notes
from provider.runner.orders import Limits, OrderError, parse
from provider.runner.outbox import MOST_BYTES, Outbox


def test_a_lease_ends_with_silence() -> None:
    """Any word renews it; its length can be changed, within bounds, by numbers only."""
    lease = Lease(100.0)
    assert lease.left(100.0) == LEASE_S
    lease.heard(105.0)
    assert lease.left(114.0) == 1.0
    assert lease.left(115.0) <= 0
    for said, seconds in ((2, 2.0), (1e9, MOST_S), ("x", MOST_S), (float("nan"), MOST_S), (0, 1.0)):
        lease.extend(said)
        assert lease.seconds == seconds


def test_a_bucket_holds_a_rate() -> None:
    """What is overdrawn is waited for, and a pause saves up no more than the burst."""
    bucket = Bucket(rate=100.0, burst=50.0, now=0.0)
    bucket.spend(150)
    assert bucket.level(0.5) <= 0
    assert bucket.wait_s(0.5) == pytest.approx(0.51)
    assert bucket.level(1.5) == 50.0
    assert bucket.level(1000.0) == 50.0
    assert bucket.wait_s(1000.0) == 0.0


@pytest.fixture
def pipe() -> Iterator[list[int]]:
    """A pipe whose ends are closed by whoever has them."""
    ends = list(os.pipe())
    for end in ends:
        os.set_blocking(end, False)
    yield ends
    for end in ends:
        try:
            os.close(end)
        except OSError:
            continue


def drain(fd: int) -> bytes:
    """All that is in a pipe."""
    found = b""
    while True:
        try:
            data = os.read(fd, 1 << 16)
        except BlockingIOError:
            return found
        if not data:
            return found
        found += data


def test_beats_overtake_data_and_only_the_newest_goes(pipe: list[int]) -> None:
    """Behind a full pipe, a beat goes before data that waited longer, whole frames only, and once."""
    outbox = Outbox(pipe[1])
    body = frames.encode(frames.CUT, 1, {}, bytes(50_000))
    while not outbox.full:
        outbox.put(body)
    assert outbox.size < MOST_BYTES + len(body) + 4
    outbox.write()
    for now in (1.0, 2.0):
        outbox.urgent(frames.BEAT, 0, {"now": now})
    outbox.urgent(frames.BEAT, 1, {"now": 3.0})
    outbox.forget(1)
    splitter = frames.Splitter()
    seen = []
    while outbox.pending:
        seen += [frames.decode(each) for each in splitter.feed(drain(pipe[0]))]
        outbox.write()
    seen += [frames.decode(each) for each in splitter.feed(drain(pipe[0]))]
    beats = [(at, frame.header) for at, frame in enumerate(seen) if frame.kind == frames.BEAT]
    assert [header for _, header in beats] == [{"now": 2.0}]
    assert beats[0][0] < len(seen) - 1
    assert sum(len(frame.payload) for frame in seen) == 50_000 * (len(seen) - 1)
    assert outbox.size == 0


def test_an_outbox_that_nobody_reads_says_so(pipe: list[int]) -> None:
    """A closed reader is an error, not a wait."""
    outbox = Outbox(pipe[1])
    outbox.put(frames.encode(frames.BEAT, 0, {}))
    os.close(pipe[0])
    with pytest.raises(BrokenPipeError):
        outbox.write()


def test_notes_are_whole_lines() -> None:
    """A line waits for its end, unless it is long; what has none is given in the end."""
    notes = Notes(0.0)
    assert notes.add(b"one\ntw", 0.0) == b"one\n"
    assert notes.add(b"o\n", 0.0) == b"two\n"
    assert notes.add(b"x" * 9000, 0.0) == b"x" * 9000
    assert notes.add(b"rest", 0.0) == b""
    assert notes.rest(0.0) == b"rest"
    assert notes.dropped == 0


def test_notes_over_the_rate_are_counted_by_lines() -> None:
    """What does not travel is dropped and counted, and after a second there is room again."""
    notes = Notes(0.0)
    line = b"x" * 1023 + b"\n"
    sent = sum(len(notes.add(line * 10, 0.0)) for _ in range(100))
    assert RATE_BYTES - 10 * len(line) < sent <= RATE_BYTES
    assert notes.dropped == 1000 - sent // len(line)
    assert notes.add(line, 1.0) == line


def test_a_feed_never_holds_more_than_its_window(pipe: list[int]) -> None:
    """Bytes wait for the pipe; grants follow what it took; more than was granted is noticed; the end closes it."""
    feed = Feed(pipe[1])
    assert feed.grant() == 0
    assert feed.add(bytes(WINDOW_BYTES), end=False)
    taken, waits = b"", 0
    while feed.wants_write:
        waits += 1
        taken += drain(pipe[0])
        feed.write()
    assert waits > 0
    assert feed.grant() == 2 * WINDOW_BYTES
    taken += drain(pipe[0])
    assert feed.add(b"last", end=True)
    taken += drain(pipe[0])
    assert len(taken) == WINDOW_BYTES + 4
    assert feed.fd == -1
    assert not feed.add(bytes(WINDOW_BYTES), end=False)
    assert feed.grant() == 0


def test_a_feed_whose_job_stopped_reading_is_dropped(pipe: list[int]) -> None:
    """A closed stdin of the job ends the feed without an error."""
    feed = Feed(pipe[1])
    os.close(pipe[0])
    assert feed.add(b"data", end=False)
    assert (feed.fd, feed.wants_write) == (-1, False)


START = {"epoch": 1, "granted": 10}


def test_an_order_has_defaults_and_limits() -> None:
    """What START leaves out is the documented default; unknown limits are a newer version's."""
    order = parse(START, b"payload")
    assert (order.limits, order.feed, order.filter_s) == (Limits(256, 256, 64, 10_000_000), False, None)
    assert parse({**START, "limits": {"memory_mb": 64, "beauty": 3}}, b"").limits.memory_mb == 64


@pytest.mark.parametrize(
    "wrong",
    [
        {"body": "sql"},
        {"profile": "sealed"},
        {"epoch": None},
        {"granted": True},
        {"filter_s": 0},
        {"filter_s": "10"},
        {"limits": []},
        {"limits": {"files": 0}},
        {"limits": {"memory_mb": -1}},
    ],
)
def test_a_wrong_order_is_refused(wrong: dict[str, Any]) -> None:
    """Nonsense and what this version does not have is one sentence, not a crash."""
    with pytest.raises(OrderError):
        parse(START | wrong, b"")


@pytest.mark.linux
def test_a_fork_that_fails_leaves_no_descriptor(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where there is no process to be had, or no third pipe, nothing stays open for it."""
    before = sorted(os.listdir("/proc/self/fd"))
    for name, fails_at in (("fork", 1), ("pipe", 3)):
        real, calls = getattr(os, name), [0]

        def failing(real: Callable[[], object] = real, calls: list[int] = calls, at: int = fails_at) -> object:
            calls[0] += 1
            if calls[0] == at:
                raise OSError(11, "Resource temporarily unavailable")
            return real()

        monkeypatch.setattr(os, name, failing)
        with pytest.raises(OSError, match="temporarily"):
            spawn.spawn(Limits(), False, lambda: None)
        monkeypatch.undo()
        assert sorted(os.listdir("/proc/self/fd")) == before
