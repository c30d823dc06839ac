"""The answer of a query whose filter stands: who leaves may come back, at the end, and nothing of it is inexact."""

from __future__ import annotations

import pytest

from backplane.wire.messages import End
from tests.unit.reduce.test_answer_resume import Asked

NO = "its filter says no"


def left() -> Asked:
    """It had ten lines applied, and left at 150 since its filter says no."""
    asked = Asked("exact", endless=True)
    asked.start()
    asked.opened(b"0")
    asked.cut(b"0", b"10", ("k", 10), lines=10)
    asked.state("running", NO, again=True)
    asked.now = 150.0
    asked.told(End(job=1, epoch=1, seq=1, state="done", drained=True, counters={"lines": 10, "bytes": 50}))
    assert not asked.answer.ended()
    asked.state("left", NO, again=True)
    return asked


def test_leaving_is_not_the_end_of_the_query() -> None:
    """What it had stays, and the answer is complete without it; it ends when that is said for good."""
    asked = left()
    assert (asked.row.state, asked.row.reason, asked.row.left_at) == ("left", NO, 150.0)
    snapshot = asked.answer.snapshot()
    assert snapshot.coverage.complete and not snapshot.inexact and not asked.answer.ended()
    asked.state("left", NO)
    assert asked.answer.finished and asked.rows == [("k", 10)]


@pytest.mark.parametrize("reason", ["rejoined", "ready"])
def test_it_begins_at_the_end_and_says_how_long_it_was_away(reason: str) -> None:
    """Without positions, also for a coordinator that knows nothing of before; its lines count on."""
    asked = left()
    asked.now = 190.0
    if reason == "ready":
        asked.state("pending")
        asked.state("connecting")
        assert asked.row.state == "left"
    begin = asked.start(reason)
    assert (begin.epoch, begin.positions, begin.at_end) == (2, (), True)
    assert (asked.row.away_s, asked.row.left_at) == (40.0, None)
    asked.opened(b"500")
    asked.cut(b"500", b"501", ("k", 1), lines=1)
    asked.beat(1)
    assert asked.rows == [("k", 11)] and asked.row.counters.lines == 11 and asked.inexact == ()


def test_who_joins_late_begins_where_the_query_does() -> None:
    """It was filtered out and has never run: its beginning is the query's, and it was not away."""
    asked = Asked("exact", endless=True)
    asked.state("filtering")
    asked.state("filtered_out", again=True)
    assert not asked.answer.finished
    asked.now = 200.0
    begin = asked.start("rejoined")
    assert not begin.at_end and not begin.resumed
    assert (asked.row.state, asked.row.away_s, asked.row.joined_at) == ("running", 0.0, 200.0)


def test_one_that_is_outside_is_not_lost_with_its_coordinator() -> None:
    """Whatever keeps the next one from reaching it, it stays what it was."""
    asked = left()
    asked.state("refused", "its host key has changed")
    assert (asked.row.state, asked.row.reason) == ("left", NO) and asked.answer.finished
