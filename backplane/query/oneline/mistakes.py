"""What is wrong in a question of one line: a sentence and its place, shown as the text with a caret below it.

Knows places and sentences. Does not know what a question is. A `Mistake` knows its place only; whoever has the whole
text makes a `OneLineError` of it.
"""

from __future__ import annotations

from typing import Final

from backplane.wire.errors import UsageError

#: More of the text around a place would wrap on most terminals.
_SHOWN: Final = 100


class Mistake(Exception):
    """Something wrong between two places of the text. ``reason`` is one sentence that says what to do."""

    def __init__(self, reason: str, start: int, end: int) -> None:
        super().__init__(reason)
        self.reason = reason
        self.start = start
        self.end = max(end, start + 1)


class OneLineError(UsageError):
    """A question of one line is wrong.

    Attributes:
        reason: the sentence.
        text: the question.
        column: the place, from 1.
    """

    points = True

    def __init__(self, reason: str, text: str, start: int, end: int) -> None:
        reason = " ".join(reason.split("\n"))
        super().__init__(f"{reason}\n{pointed(text, start, end)}")
        self.reason = reason
        self.text = text
        self.column = start + 1


def pointed(text: str, start: int, end: int) -> str:
    """The part of the text around a place, and carets below the place.

    >>> print(pointed("nginx f | wherr x", 10, 15))
      nginx f | wherr x
                ^^^^^
    """
    flat = "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
    first = max(0, start - _SHOWN // 2) if len(flat) > _SHOWN else 0
    shown = flat[first : first + _SHOWN]
    head = "..." if first else ""
    tail = "..." if first + _SHOWN < len(flat) else ""
    carets = "^" * max(1, min(end, first + _SHOWN) - start)
    return f"  {head}{shown}{tail}\n  {' ' * (len(head) + start - first)}{carets}"
