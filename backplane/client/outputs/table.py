"""The answer as a table: aligned text in a file, growing in place on a terminal.

Knows cells and the size that it is told. rich is imported when a live table is shown, and only then: most runs do not
need it, and it takes longer to load than a small question takes to answer.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, TextIO

from backplane.client.outputs.base import Size
from backplane.client.outputs.cells import cells, numeric, short, width
from backplane.client.outputs.coverage import coverage_lines
from backplane.client.outputs.harmless import harmless
from backplane.client.outputs.writing import write
from backplane.reduce.snapshot import Snapshot

if TYPE_CHECKING:
    from rich.console import Console, ConsoleDimensions, Group
    from rich.live import Live
    from rich.table import Table as RichTable

#: Lines of a live table that hold no row: title, header, rule, coverage, the cursor.
_FRAME_LINES = 6


class PlainTable:
    """The final snapshot, once; coverage is the caller's to say, on stderr."""

    live = False

    def __init__(self, out: TextIO) -> None:
        self._out = out

    def show(self, snapshot: Snapshot) -> None:
        """Write the final snapshot."""
        if snapshot.final:
            write(self._out, "".join(line + "\n" for line in aligned(snapshot)))
            self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


def aligned(snapshot: Snapshot) -> list[str]:
    """A header and the rows, columns two blanks apart, numbers at the right."""
    table = [list(map(harmless, row)) for row in [list(snapshot.columns), *cells(snapshot, short)]]
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
    """

    live = True

    def __init__(self, out: TextIO, size: Size, *, color: bool = True, title: str = "") -> None:
        self._out = out
        self._size = size
        self._color = color
        self._title = harmless(title)
        self._display: Live | None = None

    def show(self, snapshot: Snapshot) -> None:
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
        self._display.update(self._rendered(snapshot, self._fitting(snapshot, columns, lines)), refresh=True)

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

    def _rendered(self, snapshot: Snapshot, most: int) -> Group:
        from rich.console import Group
        from rich.text import Text

        parts: list[RichTable | Text] = [Text(self._title, style="bold")] if self._title else []
        if snapshot.columns:
            parts.append(_table(snapshot, most))
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


def _table(snapshot: Snapshot, most: int) -> RichTable:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    for name, right in zip(snapshot.columns, numeric(snapshot), strict=True):
        # Rich narrows the columns that may wrap, and numbers are what was asked for. The texts themselves do not wrap.
        table.add_column(Text(harmless(name)), justify="right" if right else "left", no_wrap=right, overflow="ellipsis")
    shown = cells(snapshot, short)[:most]
    for row in shown:
        table.add_row(*(Text(harmless(text), no_wrap=True, overflow="ellipsis") for text in row))
    return table
