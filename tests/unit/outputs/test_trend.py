"""The trend of a growing table: which number, of which row, and only where there is room."""

from __future__ import annotations

import io
import re
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backplane.client.outputs.table import LiveTable
from backplane.client.outputs.trend import _MOST_ROWS, BARS, WIDTH, Trends, drawn
from backplane.reduce.coverage import coverage
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot


def snapshot(columns: tuple[str, ...], *rows: tuple[Any, ...], final: bool = False) -> Snapshot:
    found = coverage({}, endless=False, final=final, inexact=[], late={})
    return Snapshot("q", "id", 1, final, 0.0, Rows(columns, rows), found)


def bars(trends: Trends, columns: tuple[str, ...], *snapshots: list[tuple[Any, ...]]) -> list[str] | None:
    found = None
    for rows in snapshots:
        found = trends.see(snapshot(columns, *rows))
    return found


def test_each_row_has_its_own_wherever_it_stands() -> None:
    """Rows are known by their keys, as the order changes; one that is new begins with one bar."""
    found = bars(
        Trends(["path"]),
        ("path", "count"),
        [("/a", 1), ("/b", 9)],
        [("/b", 9), ("/a", 2)],
        [("/b", 5), ("/a", 8), ("/c", 1)],
    )
    assert found == ["██▁", "▁▂█", "▁"]


def test_a_key_that_is_a_number_is_no_trend() -> None:
    """Of `count by status` the count is told, also while there is one row; without keys the only row has one."""
    assert bars(Trends(["status"]), ("status", "count"), [(200, 1)], [(200, 5)]) == ["▁█"]
    assert bars(Trends([]), ("count", "avg"), [(1, 3.0)], [(4, 3.0)]) == ["▁█"]
    assert bars(Trends([]), ("key", "sum"), [(1, 3)], [(1, 2)]) == ["█▁"]
    assert bars(Trends(), ("status", "count"), [(200, 1), (500, 2)], [(200, 5), (500, 2)]) == ["▁█", "▁▁"]


def test_where_there_is_none() -> None:
    """One snapshot has no trend, nor have texts, nor rows that nothing tells apart."""
    assert bars(Trends(["path"]), ("path", "count"), [("/a", 1)]) is None
    assert bars(Trends(["path"]), ("path", "last"), [("/a", "x")], [("/a", "y")]) is None
    assert bars(Trends([]), ("path", "count"), [("/a", 1), ("/b", 2)], [("/a", 1), ("/b", 3)]) is None
    assert bars(Trends([]), ("count",), [(None,)], [(None,)]) is None


def test_little_is_remembered() -> None:
    """So many snapshots of so many rows; a row that is gone is forgotten."""
    trends = Trends(["path"])
    for number in range(WIDTH * 3):
        trends.see(snapshot(("path", "count"), *[(f"/{at}", number) for at in range(_MOST_ROWS * 2)]))
    assert len(trends._seen) == _MOST_ROWS
    assert {len(each) for each in trends._seen.values()} == {WIDTH}
    trends.see(snapshot(("path", "count"), ("/new", 1)))
    assert len(trends._seen) == 1


@given(st.lists(st.one_of(st.integers(-(10**30), 10**30), st.floats(-1e299, 1e299)), min_size=1, max_size=WIDTH))
def test_any_numbers_can_be_drawn(numbers: list[float]) -> None:
    """A bar for each, the lowest and the highest among them as such."""
    found = drawn(numbers)
    assert len(found) == len(numbers)
    assert set(found) <= set(BARS)
    assert found[numbers.index(min(numbers))] == BARS[0]
    if min(numbers) < max(numbers):
        assert found[numbers.index(max(numbers))] == BARS[-1]


def live(columns: int) -> str:
    """What a terminal of this width is shown of two snapshots, and of the final one."""
    out = io.StringIO()
    table = LiveTable(out, lambda: (columns, 24), color=False, keys=["path"])
    for count, final in ((1, False), (9, False), (9, True)):
        table.show(snapshot(("path", "count"), ("/a", count), final=final))
    table.close()
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", out.getvalue())


def test_a_terminal_that_is_wide_enough_shows_it() -> None:
    """Beside the rows while the table grows, not where columns would have to give way, and not in what stays."""
    wide, narrow = live(80), live(20)
    assert "trend" in wide
    assert "▁█" in wide
    assert "trend" not in wide.rpartition("path")[2]
    assert "█" not in wide.rpartition("path")[2]
    assert "trend" not in narrow
    assert "count" in narrow


def test_a_terminal_without_bars_has_no_trend() -> None:
    """An encoding that cannot say them is not asked to."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="latin-1", errors="strict")
    table = LiveTable(out, lambda: (80, 24), color=False, keys=["path"])
    assert table._trends is None
