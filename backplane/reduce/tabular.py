"""An answer's rows as tables of other packages: pandas, polars, Arrow. Each is an extra, imported when it is asked for.

Knows which values these cannot hold, what they get instead, and that a column of times is one even where all of it is
null. Does not know snapshots.
"""

from __future__ import annotations

import importlib
import shlex
import sys
from typing import Any

from backplane.reduce import times
from backplane.reduce.rows import Rows
from backplane.wire.errors import UsageError


def pandas(table: Rows) -> Any:
    """A ``pandas.DataFrame``.

    Raises:
        UsageError: pandas is not installed.
    """
    made = _package("pandas")
    names = list(map(_text, table.columns))
    frame = made.DataFrame([[_plain(value) for value in row] for row in table.rows], columns=names)
    for at, timed in enumerate(times.columns(table)):
        if timed:
            frame.isetitem(at, made.Series([row[at] for row in table.rows], dtype="datetime64[us, UTC]"))
    return frame


def polars(table: Rows) -> Any:
    """A ``polars.DataFrame``.

    Raises:
        UsageError: polars is not installed, or values of a column are of kinds that no column of it holds.
    """
    made = _package("polars")
    moment = made.Datetime("us", "UTC")
    found = [
        made.Series(name, values, dtype=moment) if timed else _column(name, values, made.Series)
        for (name, values), timed in zip(_columns(table), times.columns(table), strict=True)
    ]
    return made.DataFrame(found)


def arrow(table: Rows) -> Any:
    """A ``pyarrow.Table``.

    Raises:
        UsageError: pyarrow is not installed, or values of a column are of kinds that no column of it holds.
    """
    made = _package("pyarrow")
    moment = made.timestamp("us", tz="UTC")
    found = [
        made.array(values, type=moment) if timed else _column(name, values, lambda _, each: made.array(each))
        for (name, values), timed in zip(_columns(table), times.columns(table), strict=True)
    ]
    return made.Table.from_arrays(found, names=list(map(_text, table.columns)))


def how_to_get(package: str) -> str:
    """What brings a package into this very environment."""
    return f"`{shlex.quote(sys.executable)} -m pip install {package}` brings it"


def _package(name: str) -> Any:
    try:
        return importlib.import_module(name)
    except ImportError:
        raise UsageError(f"{name} is not installed: {how_to_get(name)}") from None


def _columns(table: Rows) -> list[tuple[str, list[Any]]]:
    return [(_text(name), [_plain(row[at]) for row in table.rows]) for at, name in enumerate(table.columns)]


def _plain(value: Any) -> Any:
    """Text that can be encoded, and lists for tuples."""
    if isinstance(value, str):
        return _text(value)
    return [_plain(each) for each in value] if isinstance(value, (list, tuple)) else value


def _text(text: str) -> str:
    """A text with what is no UTF-8 in it shown as it is in Python: ``\\xff``."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace")
    return text


def _column(name: str, values: list[Any], make: Any) -> Any:
    if {bool, int, float} >= {type(value) for value in values if value is not None} >= {int, float}:
        values = [float(value) if type(value) is int else value for value in values]
    try:
        return make(name, values)
    except (TypeError, ValueError, OverflowError, NotImplementedError) as exc:
        reason = str(exc).partition("\n")[0]
        kinds = sorted({type(value).__name__ for value in values if value is not None})
        raise UsageError(
            f"column {name!r} holds values of {', '.join(kinds)}, which make no column of one type: {reason}"
        ) from None
