"""Windows of event time: when they close, for whom they wait, what is said of those who come late."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.reduce.coverage import iso
from backplane.reduce.folds import AggregateFold
from backplane.reduce.rows import Rows
from backplane.reduce.saving import Saved, packed
from backplane.reduce.windowed import WindowedFold
from backplane.reduce.windows import MOST_UNSHOWN, Expected, Windows
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider.runner.aggregates import Combiner, tag
from provider.runner.aggregates.combiner import partials_payload

RUNS = Expected(True, False, 0.0, "")
OVER = Expected(False, True, 0.0, "")
AWAY = Expected(False, False, 0.0, "lost")
GONE = Expected(False, True, 0.0, "lost")
A, B, C = (0.0, 60.0), (60.0, 120.0), (120.0, 180.0)


def closed(windows: Windows) -> list[tuple[tuple[float, float], int]]:
    return [(each.window, each.revision) for each in windows.tell()]


def filled(*some: tuple[float, float], **how: Any) -> Windows:
    windows = Windows(**how)
    for window in some:
        assert windows.place("a", window, 1)
    return windows


def test_a_window_closes_when_the_slowest_source_is_past_it_by_the_lateness() -> None:
    """The watermark is the least of all sources of all providers, and a window outlasts its end by the lateness."""
    windows = filled(A, B, lateness_s=10)
    both = {"a": RUNS, "b": RUNS}
    windows.marked("a", [("/x", 500.0), ("/y", 69.0)])
    windows.marked("b", [("/x", 200.0)])
    windows.advance(both, 0)
    assert closed(windows) == []
    windows.marked("a", [("/y", 70.0)])
    windows.advance(both, 0)
    assert closed(windows) == [(A, 0)]
    windows.marked("a", [("/y", 200.0)])
    windows.advance(both, 0)
    assert closed(windows) == [(A, 0), (B, 0)]


@pytest.mark.parametrize("slow", [[], [("/x", None)], [("/x", 500.0), ("/y", None)]])
def test_who_has_told_no_time_yet_holds_all_windows(slow: list[tuple[str, float | None]]) -> None:
    """A provider that has just begun, or a source that nothing is known of, may have anything."""
    windows = filled(A)
    windows.marked("a", [("/x", 500.0)])
    windows.marked("b", slow)
    windows.advance({"a": RUNS, "b": RUNS}, 1e9)
    assert closed(windows) == []
    windows.advance({"a": RUNS, "b": OVER}, 1e9)
    assert closed(windows) == [(A, 0)]


def test_who_is_not_there_is_waited_for_so_long() -> None:
    """A lost provider holds its windows until the wait is over; then they close without it, and say so."""
    windows = filled(A, B, hold_s=10)
    windows.marked("a", [("/x", 500.0)])
    windows.marked("b", [("/x", 60.0)])
    windows.advance({"a": RUNS, "b": AWAY}, 9.9)
    assert [(each.window, each.missing) for each in windows.tell()] == [(A, ())]
    windows.advance({"a": RUNS, "b": AWAY}, 10)
    told = {each.window: each.missing for each in windows.tell()}
    assert told == {A: (), B: ("b: lost, and this window closed without",)}


def test_who_was_lost_for_good_is_said_in_each_window_that_lacks_it() -> None:
    """A provider that ended badly holds nothing up; what it had told of is whole."""
    windows = filled(A, B)
    windows.marked("a", [("/x", 500.0)])
    windows.marked("b", [("/x", 100.0)])
    windows.advance({"a": RUNS, "b": GONE}, 0)
    assert [len(each.missing) for each in windows.tell()] == [0, 1]


def test_what_comes_for_a_closed_window_repeats_it() -> None:
    """The revision grows by one each time that it is shown with something new, and the serial says that it is news."""
    windows = filled(A)
    windows.advance({"a": OVER}, 0)
    (first,) = windows.tell()
    assert windows.tell() == (first,)
    assert windows.place("a", A, 1)
    assert windows.place("a", A, 1)
    (second,) = windows.tell()
    assert (first.revision, second.revision) == (0, 1)
    assert second.serial > first.serial


def test_a_watermark_never_goes_back() -> None:
    """Not with a mark that is lower, not with a source or a provider that comes later."""
    windows = filled(B)
    windows.marked("a", [("/x", 100.0)])
    windows.advance({"a": RUNS}, 0)
    windows.marked("a", [("/x", 50.0), ("/new", 10.0)])
    windows.advance({"a": RUNS, "b": RUNS}, 0)
    assert windows.watermark == 100.0


def test_closed_windows_are_forgotten_and_what_comes_for_them_is_late() -> None:
    """Those that were shown are kept up to a number, the newest; records for older ones are dropped and counted."""
    windows = filled(A, B, C, keeps=1)
    windows.advance({"a": OVER}, 0)
    assert len(windows.tell()) == 3
    assert windows.forgotten(shown=False) == []
    assert windows.forgotten(shown=True) == [A, B]
    assert not windows.place("a", A, 7)
    assert windows.place("a", C, 1)
    assert windows.late == {"a": 7}
    assert closed(windows) == [(C, 1)]


def test_what_nobody_looks_at_is_bounded_too() -> None:
    """Windows that close while nobody is shown any are forgotten above a number."""
    windows = filled(*((each, each + 1.0) for each in map(float, range(MOST_UNSHOWN + 2))), keeps=1)
    windows.advance({"a": OVER}, 0)
    assert len(windows.forgotten(shown=False)) == 2


def test_an_answer_that_ends_keeps_all_windows() -> None:
    """Its final snapshot has every one of them."""
    windows = filled(*((each, each + 1.0) for each in map(float, range(500))))
    windows.advance({"a": OVER}, 0)
    assert windows.forgotten(shown=True) == []


# --- with values


def fold(**how: Any) -> WindowedFold:
    return WindowedFold(AggregateFold(["count"]), Windows(**how))


def partials(combiner: Combiner, window: tuple[float, float], groups: dict[Any, int]) -> list[Saved]:
    told = combiner.tell([dict(groups)], 1 << 20, list(window), sum(groups.values()))
    return [Saved("a", "partials", payload) for payload in told]


def take(into: WindowedFold, pieces: list[Saved]) -> None:
    for piece in pieces:
        into.restore(piece)


def rows(of: WindowedFold) -> list[tuple[float, str, int]]:
    return [(row[0][0], row[1], row[2]) for row in of.rows().rows]


def test_keys_of_late_values_are_known_all_the_same() -> None:
    """A key that is told with what is dropped is meant by its number later on."""
    combiner = Combiner(["count"], tag("a", 1))
    of = fold(keeps=0)
    take(of, partials(combiner, A, {"x": 1}))
    of.windows.advance({"a": OVER}, 0)
    of.windows.tell()
    of.forget(of.windows.forgotten(shown=True))
    take(of, partials(combiner, A, {"late": 3}))
    take(of, partials(combiner, B, {"x": 1, "late": 1}))
    assert rows(of) == [(60.0, "late", 1), (60.0, "x", 1)]
    assert of.windows.late == {"a": 3}
    assert of.inexact() == ["a: 3 records came when the window was forgotten already"]


def test_a_window_that_is_forgotten_gives_its_memory_back() -> None:
    """No group of it is held any more."""
    of = fold(keeps=0)
    take(of, partials(Combiner(["count"], tag("a", 1)), A, {str(each): 1 for each in range(2000)}))
    assert of.groups == 2000
    of.windows.advance({"a": OVER}, 0)
    of.forget(of.windows.forgotten(shown=True))
    assert of.groups == 0


def test_what_is_done_with_rows_is_done_with_each_window() -> None:
    """The first row of each window, not of all."""
    of = WindowedFold(AggregateFold(["count"]), Windows(), lambda table: table._replace(rows=table.rows[:1]))
    assert of.rows() == Rows(("window", "key", "count"), ())
    combiner = Combiner(["count"], tag("a", 1))
    take(of, partials(combiner, A, {"x": 1, "y": 2}) + partials(combiner, B, {"y": 3}))
    assert rows(of) == [(0.0, "x", 1), (60.0, "y", 3)]


def test_windows_outlive_the_process() -> None:
    """Values, revisions and watermarks are as they were; what comes after is news, and nothing else is."""
    combiner = Combiner(["count"], tag("a", 1))
    of = fold(keeps=2)
    take(of, partials(combiner, A, {"x": 1}) + partials(combiner, B, {"x": 2}))
    take(of, [Saved("a", "marks", codec.pack([["/x", 130.0]]))])
    of.windows.advance({"a": RUNS}, 0)
    of.windows.tell()
    take(of, partials(combiner, A, {"y": 1}))
    assert closed(of.windows) == [(A, 1), (B, 0)]
    other = fold(keeps=2)
    take(other, list(of.saved()))
    assert (rows(other), other.windows.tell()) == (rows(of), of.windows.tell())
    assert other.windows.watermark == 130.0
    take(other, partials(combiner, B, {"y": 1}) + partials(combiner, C, {"x": 1}))
    assert closed(other.windows) == [(A, 1), (B, 1)]
    other.windows.advance({"a": OVER}, 0)
    assert closed(other.windows) == [(A, 1), (B, 1), (C, 0)]


def test_what_is_no_window_is_refused() -> None:
    """Partials of all time, raw values and a state that is none end their provider's job, not the query."""
    of = fold()
    with pytest.raises(RemoteProtocolError, match="no window"):
        take(of, [Saved("a", "partials", partials_payload(["count"], ["x"], [[1]]))])
    for span in ([0.0, float("inf")], [-1e300, 0.0], [60.0, 0.0], [float("nan"), 1.0]):
        with pytest.raises(RemoteProtocolError, match="a window of"):
            take(of, [Saved("a", "partials", partials_payload(["count"], ["x"], [[1]], span))])
    with pytest.raises(RemoteProtocolError, match="raw values"):
        of.values("a", None, [1])
    with pytest.raises(RemoteProtocolError, match="saved windows that are none"):
        take(of, [Saved("", "state", packed(3))])


def test_marks_that_lie_spoil_nothing() -> None:
    """A watermark that is no time moves nothing, and one that no calendar can say is not shown."""
    windows = filled(A)
    windows.marked("a", [("/x", float("nan"))])
    windows.advance({"a": RUNS}, 0)
    assert (closed(windows), iso(1e300), iso(float("inf"))) == ([], None, None)
