"""Which output: by the format that the user asked for, and by whether a terminal is there to see it.

Knows every output. `backplane.cli` decides what stdout is, and asks here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final, TextIO

from backplane.client.outputs.base import Output, Size
from backplane.client.outputs.csv_ import Csv
from backplane.client.outputs.json_ import Json, JsonLines
from backplane.client.outputs.nothing import NothingOutput
from backplane.client.outputs.table import LiveTable, PlainTable
from backplane.client.outputs.text import Text
from backplane.wire.errors import UsageError

FORMATS: Final = ("table", "json", "jsonl", "csv", "parquet")


def make(
    name: str | None,
    out: TextIO,
    *,
    isatty: bool = False,
    size: Size = lambda: (80, 24),
    color: bool = True,
    streams: bool = False,
    title: str = "",
    sought: re.Pattern[str] | None = None,
    keys: Iterable[str] | None = None,
) -> Output:
    """An output.

    Args:
        name: one of `FORMATS`, or ``parquet=FILE``; None for the one that fits: a table, or lines for a query that
            streams; ``none`` for one that nobody looks at.
        out: where data goes.
        isatty: ``out`` is a terminal.
        size: its columns and lines.
        color: False where the user wants none.
        streams: the query has no reduce, so its rows are lines in the order of arrival.
        title: what is asked, for people.
        sought: what lines were found by, which is marked in them.
        keys: columns that name a row, where that is known.

    Raises:
        UsageError: there is no such format, or it cannot be had here.
    """
    if name == "none":
        return NothingOutput()
    if name is None and streams:
        return Text(out, isatty=isatty, sought=sought if color else None)
    name = name or "table"
    if name == "json":
        return Json(out, isatty=isatty)
    if name == "jsonl":
        return JsonLines(out)
    if name == "csv":
        return Csv(out, isatty=isatty)
    if name.partition("=")[0] == "parquet":
        from backplane.client.outputs.parquet import Parquet

        return Parquet(out, name.partition("=")[2] if "=" in name else None, isatty=isatty)
    if name == "table":
        return LiveTable(out, size, color=color, title=title, keys=keys) if isatty else PlainTable(out)
    raise UsageError(f"there is no output {name!r}; there are {', '.join(FORMATS)}")
