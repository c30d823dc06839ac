"""Parts of a question of one line by themselves: for whoever puts one together, and wants mistakes pointed at in them.

Knows what a part has to be, and how a text is written so that it is read back. Does not know what it is a part of.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from backplane.query.oneline import lexer
from backplane.query.oneline.mistakes import Mistake, OneLineError
from backplane.query.oneline.parser import STAGES
from backplane.query.oneline.reading import Reader, shown
from backplane.query.oneline.tree import Column
from backplane.wire.errors import UsageError

Kind = Literal["where", "fields", "sort", "timeslice"]
_AFTER: Final = {
    "where": "one condition stands here, joined by `and` or `or`",
    "fields": "expressions stand here, with commas between",
    "sort": "columns stand here, with commas between, as in -count, path",
    "timeslice": "one duration stands here, as in 1m, or 5m/1m",
}


def columns(kind: Kind, text: str) -> Sequence[Column]:
    """Read what stands behind the name of a stage, which has to be all of the text.

    Returns:
        Its columns, of a kind that has any.

    Raises:
        OneLineError: it is not; it points into this text.
    """
    reader = Reader(text)
    try:
        if not text.strip():
            raise Mistake(f"nothing stands here: {_AFTER[kind]}", 0, 1)
        stage = STAGES[kind](reader, 0)
        if lexer.skipped(text, reader.at) < len(text):
            found = reader.peek()
            raise Mistake(f"{_AFTER[kind]}, and not {shown(found)}", found.start, found.end)
    except Mistake as exc:
        raise OneLineError(exc.reason, text, min(exc.start, len(text)), exc.end) from None
    return stage.columns


def quoted(value: str | int | float | bool | None) -> str:
    r"""A value as an expression writes it, whatever it holds.

    Raises:
        UsageError: no number of an expression is like it.

    >>> quoted("it's"), quoted(7), quoted(True), quoted(None)
    ("'it\\'s'", '7', 'true', 'null')
    """
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, (int, float)):
        if not abs(value) < 1 << 63:
            raise UsageError(f"{value!r} is no number that an expression can hold")
        return repr(value)
    return "'" + value.replace("\\", "\\\\").replace("'", "\\'") + "'"
