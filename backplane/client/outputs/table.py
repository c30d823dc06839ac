"""The answer as a table: aligned text in a file, growing in place on a terminal.

Knows cells and the size that it is told. rich is imported when a live table is shown, and only then: most runs do not
need it, and it takes longer to load than a small question takes to answer.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from backplane.client.outputs.base import Size
from backplane.client.outputs.cells import numeric, people, width
from backplane.client.outputs.coverage import coverage_lines
from backplane.client.outputs.harmless import harmless
from backplane.client.outputs.trend import BARS, WIDTH, Trends
from backplane.client.outputs.writing import write
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot

if TYPE_CHECKING:
    from rich.console import Console, ConsoleDimensions, Group
    from rich.live import Live
    from rich.table import Table as RichTable

#: Lines of a live table that hold no row: title, header, rule, coverage, the cursor.
_FRAME_LINES = 6
#: Columns of a terminal between two of the table.
_BETWEEN = 3


class PlainTable:
    """The final snapshot, once; coverage is the caller's to say, on stderr."""

    live = False

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write the final snapshot."""
        if snapshot.final or last:
            write(self._out, "".join(line + "\n" for line in aligned(snapshot)))
            self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


def aligned(snapshot: Snapshot) -> list[str]:
    """A header and the rows, columns two blanks apart, numbers at the right."""
    table = [list(map(harmless, row)) for row in [list(snapshot.columns), *people(snapshot)]]
    widths = [max(map(width, column)) for column in zip(*table, strict=True)]
    right = numeric(snapshot)
    lines = []
    for row in table:
        padded = [
            " " * (room - width(text)) + text if number else text + " " * (room - width(text))
            for text, room, number in zip(row, widths, right, strict=True)
        ]
        lines.append("  ".join(padded).rstrip())
    return lines


class LiveTable:
    """Grows in place, cut to the terminal while it does; the final table is whole.

    Args:
        out: the terminal.
        size: its columns and lines.
        color: False where the user wants none (NO_COLOR).
        title: stands above the table while it grows, and above the final one.
        keys: columns that name a row, besides the reducer's own; None where that is not known. While the table grows,
            a terminal that is wide enough shows how the first number of each row has moved.
    """

    live = True

    def __init__(
        self, out: TextIO, size: Size, *, color: bool = True, title: str = "", keys: Iterable[str] | None = None
    ) -> None:
        self._out = out
        self._trends = Trends(keys) if _has_bars(out) else None
        self._size = size
        self._color = color
        self._title = harmless(title)
        self._display: Live | None = None

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Replace what is shown; the final snapshot stays, with every row, when the display is closed."""
        if snapshot.final:
            self.close()
            self._console().print(self._rendered(snapshot, len(snapshot.rows)))
            return
        if self._display is None:
            from rich.live import Live

            self._display = Live(console=self._console(), auto_refresh=False, transient=True)
            self._display.start()
        columns, lines = self._size()
        self._display.console.size = _dimensions(columns, lines)
        if snapshot.windows is not None:
            snapshot = newest_first(snapshot)
        most = self._fitting(snapshot, columns, lines)
        trends = self._trends.see(snapshot) if self._trends else None
        if trends is not None and not _has_room(snapshot, most, columns):
            trends = None
        self._display.update(self._rendered(snapshot, most, trends), refresh=True)

    def close(self) -> None:
        """Take the growing table away and give the cursor back."""
        if self._display is not None:
            self._display.stop()
            self._display = None

    def _fitting(self, snapshot: Snapshot, columns: int, lines: int) -> int:
        """Rows that leave room for the frame and for coverage, which may need several lines."""
        said = sum(1 + width(line) // max(1, columns) for line in coverage_lines(snapshot))
        room = max(1, lines - _FRAME_LINES - said)
        return len(snapshot.rows) if len(snapshot.rows) <= room else max(1, room - 1)

    def _console(self) -> Console:
        from rich.console import Console

        columns, lines = self._size()
        return Console(
            file=self._out,
            force_terminal=True,
            no_color=not self._color,
            highlight=False,
            emoji=False,
            markup=False,
            width=columns,
            height=lines,
        )

    def _rendered(self, snapshot: Snapshot, most: int, trends: Sequence[str] | None = None) -> Group:
        from rich.console import Group
        from rich.text import Text

        parts: list[RichTable | Text] = [Text(self._title, style="bold")] if self._title else []
        if snapshot.columns:
            parts.append(_table(snapshot, most, trends))
        if len(snapshot.rows) > most:
            parts.append(Text(f"... {len(snapshot.rows) - most} more rows", style="dim"))
        style = "green" if snapshot.complete and not snapshot.inexact else "yellow" if snapshot.final else "dim"
        parts += [Text(line, style=style) for line in coverage_lines(snapshot)]
        return Group(*parts)


def newest_first(snapshot: Snapshot) -> Snapshot:
    """The same with its newest window at the top: that is where something happens."""
    if "window" not in snapshot.columns:
        return snapshot
    at = snapshot.columns.index("window")
    rows = sorted(snapshot.rows, key=lambda row: row[at], reverse=True)  # stable: rows of a window stay in order
    return replace(snapshot, table=snapshot.table._replace(rows=tuple(rows)))


def _dimensions(columns: int, lines: int) -> ConsoleDimensions:
    from rich.console import ConsoleDimensions

    return ConsoleDimensions(columns, lines)


def _has_bars(out: TextIO) -> bool:
    """The terminal's encoding has them."""
    try:
        BARS.encode(getattr(out, "encoding", None) or "utf-8")
    except (UnicodeEncodeError, LookupError):
        return False
    return True


def _has_room(snapshot: Snapshot, most: int, columns: int) -> bool:
    """Trends fit beside the rows that are shown: no column has to be narrower for them."""
    shown = [list(snapshot.columns), *people(replace(snapshot, table=_first(snapshot, most)))]
    widths = [max(width(harmless(text)) for text in column) for column in zip(*shown, strict=True)]
    return sum(widths) + _BETWEEN * len(widths) + WIDTH <= columns


def _first(snapshot: Snapshot, most: int) -> Rows:
    return snapshot.table._replace(rows=snapshot.rows[:most])


def _table(snapshot: Snapshot, most: int, trends: Sequence[str] | None) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, right in zip(snapshot.columns, numeric(snapshot), strict=True):
        # Rich narrows the columns that may wrap, and numbers and times are what was asked for. The texts themselves do
        # not wrap.
        whole = right or snapshot.kinds.get(name) == "time"
        table.add_column(Text(harmless(name)), justify="right" if right else "left", no_wrap=whole, overflow="ellipsis")
    shown = people(snapshot)[:most]
    if trends is not None:
        table.add_column(Text("trend", style="dim"), justify="right", no_wrap=True, min_width=WIDTH)
    for at, row in enumerate(shown):
        texts = [Text(harmless(text), no_wrap=True, overflow="ellipsis") for text in row]
        if trends is not None:
            texts.append(Text(trends[at] if at < len(trends) else "", style="dim"))
        table.add_row(*texts)
    return table
