"""Event time on the provider: panes and windows, watermarks, and what is counted instead."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.query.formats import format_data
from provider.runner.aggregates import chosen
from provider.runner.folding import Scan
from provider.runner.plan import Plan, PlanError
from provider.runner.windows import Window, Windows

NOW = 1_795_165_200.0


def windows(size_s: float = 60, every_s: float = 60, lateness_s: float = 0) -> Windows:
    return Windows(Window("time", size_s, every_s, lateness_s), clock=lambda: NOW)


def scanned(lines: list[str], size_s: float = 60, every_s: float = 60, **plan: Any) -> Scan:
    data = {"version": 1, "format": format_data("common"), "aggregates": [["count", None]], **plan}
    scan = Scan(Plan.of({**data, "window": ["time", size_s, every_s, 0]}))
    assert scan.windows is not None
    scan.windows.turn("/log")
    log = "".join(line + "\n" for line in lines).encode()
    scan.feed(log, 0, len(log))
    return scan


def line(second: int, status: int = 200) -> str:
    """A line of 09:00:00 UTC and so many seconds on the 17th of May 2015."""
    at = f"{9 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f'h - - [17/May/2015:{at} +0000] "GET / HTTP/1.1" {status} 1'


NINE = 1_431_853_200.0


@pytest.mark.parametrize(
    ("size_s", "every_s", "pane_s", "at", "begins"),
    [
        (60, 60, 60, 119.9, [60]),
        (300, 60, 60, 299, [0, 60, 120, 180, 240]),
        (90, 60, 30, 60, [0, 60]),
        (90, 60, 30, 95, [60]),
        (60, 60, 60, -1, [-60]),
        (0.5, 0.25, 0.25, 1.1, [0.75, 1.0]),
    ],
)
def test_a_time_is_in_the_windows_that_hold_it(
    size_s: float, every_s: float, pane_s: float, at: float, begins: list[float]
) -> None:
    """A pane is the longest span that no window begins or ends in, and is in just those that hold all of it."""
    these = windows(size_s, every_s)
    assert these.pane_s == pane_s
    assert these.of(at // these.pane_s) == [[begin, begin + size_s] for begin in begins]


def test_windows_that_slide_are_made_of_panes() -> None:
    """Each window has what its panes have, and another window does not change with it."""
    scan = scanned([line(0), line(61), line(61, 404), line(125)], 120, 60, keys=[["status", ["field", "status"]]])
    found = [(window[0] - NINE, records, states[0]) for window, records, states in scan.taken() if window]
    assert found == [
        (-60, 1, {200: 1}),
        (0, 3, {200: 2, 404: 1}),
        (60, 3, {200: 2, 404: 1}),
        (120, 1, {200: 1}),
    ]
    assert scan.taken() == []


def test_states_of_two_windows_are_not_one() -> None:
    """A state that grows when it is merged is made anew for each window."""
    scan = scanned([line(0), line(61, 404), line(125, 500)], 120, 60, aggregates=[["p50", ["field", "status"]]])
    (p50,) = chosen(["p50"])
    found = [p50.results(states[0][()])[0] for _, _, states in scan.taken()]
    assert found == [200, pytest.approx(200, rel=0.01), pytest.approx(404, rel=0.01), 500]


def test_a_watermark_is_the_latest_time_of_a_source_that_was_seen() -> None:
    """Each source has its own; a mark is told once, and again when it has moved."""
    these = windows()
    these.known("/b")
    these.turn("/a")
    these.saw(100.0)
    these.saw(70.0)
    assert (these.marks(), these.watermark) == ([["/b", None], ["/a", 100.0]], None)
    these.turn("/b")
    these.saw(50.0)
    assert (these.marks(), these.watermark) == ([["/b", 50.0]], 50.0)
    these.turn("/a")
    these.saw(101.0)
    assert these.marks() == [["/a", 101.0]]


def test_records_that_do_not_match_move_the_watermark_too() -> None:
    """A question about what is rare must not hold its windows open: the last record of a block says how far it is."""
    where = [">=", ["field", "status"], ["value", 500]]
    scan = scanned([line(0, 500), line(60), line(600), "odd"], where=where)
    assert scan.windows is not None
    assert scan.windows.marks() == [["/log", NINE + 600]]


def test_what_has_no_time_and_what_is_far_ahead_is_counted() -> None:
    """Whatever a JSON document holds as its time: such a record is in no window, and does not move the watermark."""
    plan = Plan.of(
        {"version": 1, "format": format_data("json"), "aggregates": [["count", None]], "window": ["t", 60, 60, 0]}
    )
    scan = Scan(plan)
    assert scan.windows is not None
    scan.windows.turn("/a")
    lines = b'{"t": 61}\n{"t": "61"}\n{"t": null}\n{"t": 1e15}\n{"t": 60.5}\n{"u": 1}\n{"t": true}\n'
    scan.feed(lines, 0, len(lines))
    assert [(window, records, states) for window, records, states in scan.taken()] == [([60, 120], 2, [{(): 2}])]
    assert scan.windows.dropped() == {"no_time": 4, "future": 1}
    assert scan.windows.marks() == [["/a", 61]]


def test_an_idle_source_follows_the_clock() -> None:
    """Read to its end, a source holds nothing up for longer than the lateness; a new line makes it as it was."""
    now = NOW
    these = Windows(Window("time", 60, 60, 5), clock=lambda: now)
    these.turn("/a")
    these.saw(NOW - 100)
    these.rest()
    assert these.marks() == [["/a", NOW - 100]]
    now += 4
    these.rest()
    assert these.marks() == []
    now += 1
    assert these.marks() == [["/a", NOW]]
    these.turn("/a")
    these.saw(NOW + 1)
    now += 100
    assert these.marks() == [["/a", NOW + 1]]
    these.rest()
    now -= 50  # a clock that is put back moves nothing
    assert these.marks() == []


def test_a_job_that_joins_is_told_all_marks() -> None:
    """Marks are told anew when home is another."""
    these = windows()
    these.turn("/a")
    these.saw(1.0)
    assert these.marks() == [["/a", 1.0]]
    assert these.marks() == []
    these.anew()
    assert these.marks() == [["/a", 1.0]]


def test_a_window_is_bounded() -> None:
    """A plan that would put a record into thousands of windows, or into parts of milliseconds, is refused."""
    data = {"version": 1, "format": format_data("common"), "aggregates": [["count", None]]}
    with pytest.raises(PlanError, match="more than 100 windows"):
        Plan.of({**data, "window": ["time", 3600, 1, 0]})
    with pytest.raises(PlanError, match="whole milliseconds"):
        Plan.of({**data, "window": ["time", 0.0005, 0.0005, 0]})


def test_an_hour_ahead_is_believed() -> None:
    """Clocks and zones are wrong by that much, and by no more."""
    these = windows()
    these.turn("/a")
    for at in (NOW + 3600, NOW + 3601, float("nan"), float("inf"), None, "x"):
        these.saw(at)
    assert these.marks() == [["/a", NOW + 3600]]
