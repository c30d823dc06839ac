"""The answer across breaks: what goes on, what counts, and what is said of it."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.reduce import folds
from backplane.reduce.answer import Answer, Begin, Instruction, Restart
from backplane.reduce.coverage import Row
from backplane.wire import codec
from backplane.wire.messages import Beat, Cut, End, NeedStart, Open, State, Targets
from provider.runner.columns import values_payload


class Asked:
    """One provider, a clock, and jobs in a row."""

    def __init__(self, resume: str, why: str = "why", *, endless: bool = False) -> None:
        self.now = 100.0
        fold = folds.FunctionFold(lambda a, b: a + b)
        self.answer = Answer(
            query="q", query_id="1", fold=fold, targets=(), endless=endless, clock=lambda: self.now,
            resume=resume, resume_why=why,
        )  # fmt: skip
        self.answer.handle("", Targets(query="1", payload=codec.pack(["web1"])))
        self.job = 0

    def start(self, reason: str = "ready") -> Begin:
        """The next job is asked for, and begins."""
        self.job += 1
        (begin,) = self.told(NeedStart(job=self.job, query="1", provider="web1", reason=reason))
        assert isinstance(begin, Begin)
        self.state("filtering")
        self.state("running")
        return begin

    def told(self, *messages: Any) -> list[Instruction]:
        return [order for message in messages for order in self.answer.handle("web1", message)]

    def state(self, name: str, reason: str | None = None, *, again: bool = False) -> None:
        self.told(State(query="1", provider="web1", state=name, reason=reason, again=again, at=self.now))

    def opened(self, at: bytes, *, last: bool = True, reason: str = "begin") -> None:
        self.told(Open(job=self.job, epoch=self.job, source="/a", reason=reason, last=last, payload=at))

    def cut(self, begin: bytes, end: bytes, *values: Any, seq: int = 1, lines: int = 0) -> list[Instruction]:
        head: dict[str, Any] = {"job": self.job, "epoch": self.job, "seq": seq}
        counters = {"lines": lines, "bytes": lines * 5}
        moves = codec.pack([["/a", begin, end]])
        return self.told(
            Cut(**head, part=0, content="values", payload=values_payload(list(values))),
            Cut(**head, part=1, last=True, content="moves", payload=moves, counters=counters),
        )

    def beat(self, lines: int) -> None:
        self.told(Beat(job=self.job, lines=lines, bytes=lines * 5))

    def end(self, state: str = "done", *, seq: int, lines: int, **fields: Any) -> None:
        counters = {"lines": lines, "bytes": lines * 5}
        self.told(End(job=self.job, epoch=self.job, seq=seq, state=state, counters=counters, **fields))
        self.state(state)

    @property
    def row(self) -> Row:
        return self.answer.snapshot().coverage.providers["web1"]

    @property
    def rows(self) -> list[tuple[Any, ...]]:
        return list(self.answer.snapshot().rows)

    @property
    def inexact(self) -> tuple[str, ...]:
        return self.answer.snapshot().inexact


def broken(resume: str, why: str = "why") -> Asked:
    """A job that had ten lines applied and forty read, and then broke off."""
    asked = Asked(resume, why)
    assert asked.start() == Begin(NeedStart(job=1, query="1", provider="web1"), 1, ())
    asked.opened(b"0")
    asked.cut(b"0", b"10", ("k", 10), lines=10)
    asked.beat(40)
    asked.state("lost", "its runner ended", again=True)
    return asked


def test_while_it_is_away_it_is_lost_and_the_answer_waits() -> None:
    """Named with what counts of it, to the line, and not the end of anything."""
    asked = broken("exact")
    assert (asked.row.state, asked.row.reason) == ("lost", "its runner ended")
    assert (asked.row.counters.lines, asked.row.counters.bytes) == (10, 50)
    assert asked.inexact == ("web1: lost after having contributed",)
    assert not asked.answer.finished
    asked.state("lost", "its runner ended; it has not come back")
    assert asked.answer.finished


def test_what_goes_on_exactly_leaves_no_trace_but_the_time_away() -> None:
    """Each value and each line counts once; the state is `done`, the answer complete, `inexact` empty."""
    asked = broken("exact")
    asked.now = 103.0
    begin = asked.start("resumed")
    assert (begin.epoch, begin.positions, begin.resumed) == (2, (("/a", b"10"),), True)
    asked.opened(b"10", reason="resume")
    asked.cut(b"10", b"50", ("k", 40), lines=40)
    asked.end(seq=1, lines=40)
    assert asked.rows == [("k", 50)]
    assert (asked.row.state, asked.row.counters.lines, asked.row.counters.bytes) == ("done", 50, 250)
    assert asked.row.away_s == 3.0 and asked.row.left_at is None
    snapshot = asked.answer.snapshot(final=True)
    assert (snapshot.complete, snapshot.inexact, snapshot.exit_status) == (True, (), 0)


def test_a_break_before_the_first_cut_counts_nothing() -> None:
    """Lines that were read and not applied are read again."""
    asked = Asked("exact")
    asked.start()
    asked.opened(b"0", last=False)
    asked.beat(30)
    asked.state("lost", "gone", again=True)
    assert asked.row.counters.lines == 0
    begin = asked.start("resumed")
    assert begin.positions == (("/a", b"0"),) and not begin.resumed
    asked.cut(b"0", b"30", ("k", 30), lines=30)
    asked.end(seq=1, lines=30)
    assert asked.row.counters.lines == 30


def test_three_breaks_add_up() -> None:
    """The counters of each job until its last cut, and of the last until its end."""
    asked = Asked("exact")
    for n in range(3):
        asked.start("resumed" if n else "ready")
        asked.opened(b"%d" % (10 * n), reason="resume" if n else "begin")
        asked.cut(b"%d" % (10 * n), b"%d" % (10 * n + 10), ("k", 10), lines=10)
        asked.beat(17)
        asked.now += 1
        asked.state("lost", "again", again=True)
        asked.now += 2
    asked.start("resumed")
    asked.state("lost", "before it had applied anything", again=True)
    assert asked.row.counters.lines == 30
    asked.start("resumed")
    asked.end(seq=0, lines=0)
    assert (asked.rows, asked.row.counters.lines, asked.row.away_s) == ([("k", 30)], 30, 6.0)


def test_what_may_not_be_exact_says_so_once() -> None:
    """It goes on where it was; the sentence has the name and the reason, however often it breaks."""
    asked = broken("inexact", "it uses `SEEN`")
    for _ in range(2):
        assert asked.start("resumed").positions
        asked.state("lost", "again", again=True)
    asked.start("resumed")
    assert asked.inexact == ("web1: broke off and went on where it was, which may not be exact: it uses `SEEN`",)


def test_what_begins_anew_names_each_gap() -> None:
    """No positions, and everything that was read counts, since nothing is read again."""
    asked = broken("gap", "a command has no position")
    asked.now = 104.5
    begin = asked.start("resumed")
    assert (begin.positions, begin.resumed) == ((), False)
    assert asked.inexact == ("web1: away for 4.5 s (its runner ended), and then begun anew: a command has no position",)
    asked.opened(b"77")
    asked.cut(b"77", b"80", ("k", 3), lines=3)
    asked.end(seq=1, lines=3)
    assert asked.rows == [("k", 13)] and asked.row.state == "done"


def test_what_was_asked_for_and_never_started_has_not_broken() -> None:
    """A need that was not answered in time costs nothing."""
    for resume in ("gap", "inexact"):
        asked = Asked(resume)
        asked.told(NeedStart(job=1, query="1", provider="web1"))
        asked.told(NeedStart(job=2, query="1", provider="web1"))
        assert asked.inexact == ()


def test_who_left_and_rejoined_has_not_broken() -> None:
    """It opens where it begins, and nothing is said of a break."""
    asked = Asked("inexact")
    asked.start()
    asked.opened(b"0")
    asked.cut(b"0", b"9", ("k", 1), lines=9)
    asked.end("left", seq=1, lines=9, drained=True)
    begin = asked.start("rejoined")
    assert (begin.positions, asked.inexact, asked.row.counters.lines) == ((), (), 9)


def test_for_another_coordinator_it_is_new_and_here_it_is_lost() -> None:
    """Pending and connecting are of no news; and if nobody reaches it, it is lost with both reasons."""
    asked = broken("exact")
    for state in ("pending", "connecting"):
        asked.state(state)
        assert (asked.row.state, asked.row.reason) == ("lost", "its runner ended")
    asked.state("unreachable", "no route")
    assert (asked.row.state, asked.row.reason) == ("lost", "its runner ended; no route")
    assert asked.answer.finished and asked.answer.snapshot(final=True).exit_status == 3


def test_a_filter_that_says_no_after_a_break_takes_back_nothing_unsaid() -> None:
    """What it had contributed stays, and is named."""
    asked = broken("exact")
    asked.start("resumed")
    asked.end("filtered_out", seq=0, lines=0)
    assert asked.inexact == ("web1: filtered_out after having contributed",)


@pytest.mark.parametrize("resume", ["exact", "never"])
def test_a_cut_from_elsewhere_asks_for_another_job(resume: str) -> None:
    """The answer waits for it where one may follow, and has lost the provider where none may."""
    asked = Asked(resume)
    asked.start()
    asked.opened(b"0")
    (order,) = asked.cut(b"5", b"10", ("k", 10), lines=10)
    assert isinstance(order, Restart)
    assert asked.answer.finished == (resume == "never")
    asked.state("lost", "cancelled", again=resume != "never")
    assert asked.row.state == "lost" and "does not start where" in str(asked.row.reason)
    if resume == "exact":
        assert asked.start("resumed").positions == (("/a", b"0"),)
        asked.cut(b"0", b"10", ("k", 10), lines=10)
        asked.end(seq=1, lines=10)
        assert (asked.rows, asked.inexact) == ([("k", 10)], ())


def test_a_job_that_has_ended_cannot_be_restarted() -> None:
    """Its last cut is missing, and it will not say it again: lost for good."""
    asked = Asked("exact")
    asked.start()
    asked.opened(b"0")
    asked.end(seq=1, lines=10)
    assert (asked.row.state, asked.answer.finished) == ("lost", True)


def test_what_was_read_without_positions_counts() -> None:
    """Nobody reads it again: the last count that was heard stays, and the next job's is added."""
    asked = Asked("gap")
    asked.start()
    asked.told(Cut(job=1, epoch=1, seq=1, last=True, content="values", payload=values_payload([("k", 10)])))
    asked.beat(40)
    asked.state("lost", "gone", again=True)
    assert asked.row.counters.lines == 40
    asked.start("resumed")
    asked.end(seq=0, lines=2)
    assert asked.row.counters.lines == 42
