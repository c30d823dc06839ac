"""Times of an answer: seconds inside, times outside, and numbers where no calendar has a day for them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest

from backplane.client.named import told
from backplane.client.outputs.cells import cell, numeric, short
from backplane.client.outputs.trend import Trends
from backplane.reduce.coverage import Coverage
from backplane.reduce.finishing import Finishing
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot, plain
from backplane.reduce.times import aware, shown, written

AT = 1431857103.0
TIME = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)


def finished(kinds: tuple[tuple[str, str], ...], *rows: tuple[Any, ...], steps: tuple[Any, ...] = ()) -> Rows:
    finishing = Finishing(("path",), ("max", "min"), steps, kinds)
    return finishing.finish(Rows(("path", "max", "min"), rows))


@pytest.mark.parametrize(
    "odd", [float("nan"), float("inf"), float("-inf"), 1e12, -1e12, 1 << 70, 1e300, None, True, "x", b"x", [AT]]
)
def test_what_is_no_time_stays_as_it_is(odd: Any) -> None:
    """Years that no calendar has, what is no number, and nothing at all: nothing of it breaks an answer."""
    assert aware(odd) is odd
    assert shown(("at",), [(odd,)], {"at": "time"})[0][0] is odd


@pytest.mark.parametrize(
    ("at", "text"),
    [
        (AT, "2015-05-17T10:05:03Z"),
        (1431857103, "2015-05-17T10:05:03Z"),
        (AT + 0.25, "2015-05-17T10:05:03.25Z"),
        (AT + 0.000001, "2015-05-17T10:05:03.000001Z"),
        (-0.5, "1969-12-31T23:59:59.5Z"),
        (0, "1970-01-01T00:00:00Z"),
        (253402300799.0, "9999-12-31T23:59:59Z"),
        (-62135596800.0, "0001-01-01T00:00:00Z"),
    ],
)
def test_a_time_is_written_alike_everywhere(at: float, text: str) -> None:
    """RFC 3339 in UTC, a fraction where there is one and as short as it is: in cells, for people and in JSON."""
    time = aware(at)
    assert [cell(time), short(time), plain(time), written(time)] == 4 * [text]
    assert plain({"a": [time]}) == {"a": [text]}
    assert json.loads(cell([time])) == [text]


def test_another_zone_is_written_in_utc() -> None:
    """Nobody has to compute to compare two answers."""
    assert written(TIME.astimezone(timezone(timedelta(hours=5, minutes=30)))) == "2015-05-17T10:05:03Z"


def test_steps_compute_with_seconds() -> None:
    """Rows are kept, computed and sorted as numbers; what a difference gives is a number, and its column unknown."""
    field, value = ["field", "max"], ["field", "min"]
    steps = (
        ("where", [">", field, ["value", AT]]),
        ("let", "took", ["-", field, value]),
        ("sort", ((field, True),)),
    )
    found = finished(
        (("max", "time"), ("min", "time"), ("gone", "time")),
        ("a", AT, AT),
        ("b", AT + 1, AT),
        ("c", AT + 2, None),
        steps=steps,
    )
    assert found.rows == (("c", aware(AT + 2), None, None), ("b", aware(AT + 1), TIME, 1.0))
    assert found.kinds == (("max", "time"), ("min", "time"))


def test_lists_of_times_are_times() -> None:
    """Of those that are collected each, of those that are counted the first of each pair."""
    kinds = (("max", "times"), ("min", "counted times"))
    (row,) = finished(kinds, ("a", [AT, None], [[AT, 3]])).rows
    assert row == ("a", [TIME, None], [[TIME, 3]])
    assert finished(kinds, ("a", None, [AT])).rows == (("a", None, [AT]),)


def _snapshot(table: Rows) -> Snapshot:
    return Snapshot("q", "1", 1, True, AT, table, Coverage({}, True, ()))


def test_a_snapshot_says_its_types_and_survives_a_socket() -> None:
    """Whoever attaches to a named query gets times, to the microsecond; one that says no types is one all the same."""
    kinds = (("max", "time"), ("min", "times"))
    rows = [("a", AT + 0.123457, [AT]), ("b", 253402300799.0, None), ("c", float("inf"), [])]
    snapshot = _snapshot(finished(kinds, *rows))
    again = told.unpack(told.pack(snapshot))
    assert again.rows == snapshot.rows
    assert again.kinds == {"max": "time", "min": "times"}
    old = _snapshot(Rows(("max",), ((AT,),)))
    assert told.unpack(told.pack(old)).rows == ((AT,),)
    assert "kinds" not in snapshot.to_dict()
    assert snapshot.to_dict()["rows"][0] == {
        "path": "a",
        "max": "2015-05-17T10:05:03.123457Z",
        "min": ["2015-05-17T10:05:03Z"],
    }


def test_a_time_is_no_number_of_a_table() -> None:
    """It stands at the left, and how it has moved is not drawn: the next number is."""
    snapshot = _snapshot(Rows(("path", "max", "count"), (("a", TIME, 1),), (), (("max", "time"),)))
    assert numeric(snapshot) == [False, False, True]
    trends = Trends(["path"])
    assert trends.see(snapshot) is None
    grown = _snapshot(Rows(("path", "max", "count"), (("a", TIME + timedelta(seconds=1), 5),), (), (("max", "time"),)))
    assert trends.see(grown) == ["▁█"]
