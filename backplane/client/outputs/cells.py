"""Values as the text of a cell, and how wide that is.

Knows types and character widths. Does not know where a cell goes; what it shows may still be anything (see `harmless`).
"""

from __future__ import annotations

import json
import math
import unicodedata
from collections.abc import Callable
from datetime import datetime
from typing import Any, Final

from backplane.reduce.snapshot import Snapshot, moment, plain
from backplane.reduce.times import written

#: A number that is written in so many characters is short enough.
_FIGURES: Final = 8
#: What is said of a column that is so near, and how many digits of it are true then.
RELATIVE: Final = "within 1 %"
_TRUE: Final = 3
#: Seconds since the epoch, of which three digits would say nothing.
_A_TIME: Final = 1e9


def cell(value: Any) -> str:
    """One value: text and bytes as they are (what is undecodable kept as surrogates), times in UTC, containers as JSON.

    >>> cell(None), cell(True), cell(b"caf\\xc3\\xa9"), cell([1, "a"])
    ('', 'true', 'café', '[1, "a"]')
    """
    if isinstance(value, str):
        return value
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, datetime):
        return written(value)
    if isinstance(value, (list, dict)):
        return json.dumps(plain(value), ensure_ascii=False)
    return str(value)


def short(value: Any) -> str:
    """The same for people to read: of a number with a fraction no more digits than matter.

    >>> short(1975.9676113360322), short(0.30000000000000004), short(1795046400.123), short(560.0), short(1e300)
    ('1975.968', '0.3', '1795046400.123', '560.0', '1e+300')
    """
    text = cell(value)
    if type(value) is not float or len(text) <= _FIGURES or not 1e-4 <= abs(value) < 1e15:
        return text
    return f"{value:.3f}" if abs(value) >= 1000 else f"{value:.6g}"


def rough(value: Any) -> str:
    """The same of a number that is known within a per cent: three digits of it are true.

    >>> rough(587.973), rough(12.5), rough(0.0123456), rough(123456), rough(560.0), rough(0.0), rough("a")
    ('588', '12.5', '0.0123', '123000', '560', '0.0', 'a')
    """
    if type(value) not in (int, float) or not 1e-4 <= abs(value) < _A_TIME:
        return short(value)
    digits = _TRUE - 1 - math.floor(math.log10(abs(value)))
    text = f"{round(value, digits):.{max(0, digits)}f}"
    return text.rstrip("0").rstrip(".") if digits > 0 else text


def people(snapshot: Snapshot) -> list[list[str]]:
    """The table's rows as people read them: of a number no more digits than matter, or than are known."""
    roughly = {at for at, name in enumerate(snapshot.columns) if snapshot.errors.get(name) == RELATIVE}
    found = cells(snapshot, short)
    for row, values in zip(found, snapshot.rows, strict=True) if roughly else ():
        for at in roughly:
            row[at] = rough(values[at])
    return found


def cells(snapshot: Snapshot, said: Callable[[Any], str] = cell) -> list[list[str]]:
    """The table's rows; a window by its beginning, any other value by ``said``."""
    at = snapshot.columns.index("window") if "window" in snapshot.columns else -1
    return [
        [_window(value) if number == at else said(value) for number, value in enumerate(row)] for row in snapshot.rows
    ]


def _window(value: Any) -> str:
    is_one = isinstance(value, list) and len(value) == 2 and all(isinstance(each, float) for each in value)
    return moment(value[0]) if is_one else cell(value)


def numeric(snapshot: Snapshot) -> list[bool]:
    """For each column, whether it holds numbers only, so that they stand at the right."""
    columns = zip(*snapshot.rows, strict=True) if snapshot.rows else [()] * len(snapshot.columns)
    return [bool(column) and all(type(value) in (int, float) for value in column) for column in columns]


def width(text: str) -> int:
    """Columns of a terminal that a printable text takes.

    >>> width("abc"), width("日本"), width("e\\u0301")
    (3, 4, 1)
    """
    if text.isascii():
        return len(text)
    return sum(
        0 if unicodedata.combining(each) else 2 if unicodedata.east_asian_width(each) in "WF" else 1 for each in text
    )
