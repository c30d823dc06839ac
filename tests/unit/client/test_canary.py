"""Canaries: which they are, and when they are well."""

from __future__ import annotations

import pytest

from backplane.client.canary import SETTLE_S, Canary, chosen
from backplane.reduce.coverage import Counters, Coverage, Row


def coverage(**states: str | tuple[str, Counters]) -> Coverage:
    """A coverage of providers in these states, with these counters."""
    rows = {}
    for name, said in states.items():
        state, counters = (said, Counters()) if isinstance(said, str) else said
        rows[name] = Row(state, "why", None, None, counters, None, 0.0, None, None, 0.0)
    return Coverage(rows, False, ())


@pytest.mark.parametrize("count", range(1, 8))
@pytest.mark.parametrize("total", range(1, 8))
def test_as_many_as_were_asked_for_and_each_once(total: int, count: int) -> None:
    """Never the same one twice, always the same ones, whatever the order in which names come."""
    names = [f"p{number}" for number in range(total)]
    found = chosen(names, count)
    assert len(set(found)) == min(total, count)
    assert set(found) <= set(names)
    assert chosen(names[::-1], count) == found


@pytest.mark.parametrize("state", ["failed", "killed", "lost", "refused", "unreachable"])
def test_one_that_is_not_well_stops_it(state: str) -> None:
    """Whatever the other one does: the sentence names it with its state and reason."""
    canary = Canary(("a", "b"), endless=False)
    assert not canary.judge(coverage(a=state, b="done", c="pending"))
    assert canary.stopped == f"a is not well: {state} (why)"


def test_others_do_not_count() -> None:
    """Only the canaries are judged."""
    canary = Canary(("a",), endless=False)
    assert canary.judge(coverage(a="done", b="failed"))
    assert canary.stopped is None


@pytest.mark.parametrize("state", ["pending", "connecting", "filtering", "running", "stalled"])
def test_one_with_an_end_is_waited_for(state: str) -> None:
    """A query that ends is judged by its ends."""
    canary = Canary(("a", "b"), endless=False)
    assert not canary.judge(coverage(a="done", b=state))
    assert canary.stopped is None
    assert canary.judge(coverage(a="done", b="filtered_out"))


def test_one_without_an_end_is_judged_by_what_it_read_or_after_a_moment() -> None:
    """The first bytes are enough; silence is, when it has lasted, and a break begins that anew."""
    now = 100.0
    canary = Canary(("a",), endless=True, clock=lambda: now)
    assert not canary.judge(coverage(a="running"))
    now += SETTLE_S / 2
    assert not canary.judge(coverage(a="stalled"))
    now += SETTLE_S
    assert not canary.judge(coverage(a="running"))
    now += SETTLE_S
    assert canary.judge(coverage(a="running"))
    assert Canary(("a",), endless=True).judge(coverage(a=("running", Counters(bytes=1))))


@pytest.mark.parametrize(("odd", "well"), [(0, True), (49, True), (50, False), (100, False)])
def test_half_of_the_lines_have_to_parse(odd: int, well: bool) -> None:
    """Who has come to its end with fewer is not well."""
    canary = Canary(("a",), endless=False)
    assert canary.judge(coverage(a=("done", Counters(lines=100, bytes=1, parse_errors=odd)))) is well
    assert canary.stopped == (None if well else f"a is not well: {odd} of 100 lines do not parse")


def test_many_odd_lines_are_not_waited_for() -> None:
    """A large log of another format is known by its first thousand lines."""
    canary = Canary(("a",), endless=False)
    assert not canary.judge(coverage(a=("running", Counters(lines=999, bytes=1, parse_errors=999))))
    assert canary.stopped is None
    assert not canary.judge(coverage(a=("running", Counters(lines=1000, bytes=1, parse_errors=1000))))
    assert canary.stopped is not None


def test_canaries_that_are_targets_no_more_stop_it() -> None:
    """Nobody would ever admit the others; before the targets are known nothing is said."""
    canary = Canary(("a",), endless=True)
    assert not canary.judge(coverage())
    assert canary.stopped is None
    assert not canary.judge(coverage(b="pending"))
    assert canary.stopped is not None
