"""The part of a module that some of its names reach, as text: everything else is blanked, so lines and columns stay.

Knows text and `backplane.query.scope`. Does not know queries. The text is the user's own and never made anew from the
tree, because it may run on a Python that is older than the one here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from backplane.query.scope import Module, Statement

#: What stands between two statements of one line: ``a = 1; b = 2``.
_SAME_LINE = re.compile(r"(?:[ \t\f]|\\\n)*;(?:[ \t\f]|\\\n)*")


@dataclass(frozen=True, slots=True)
class Slice:
    """The text to run, and the statements that are in it."""

    text: str
    statements: tuple[Statement, ...]

    @property
    def lines(self) -> int:
        """How many lines of it are not blank."""
        return sum(1 for line in self.text.split("\n") if line.strip())


def cut(module: Module, roots: Iterable[str], stop: frozenset[str] = frozenset()) -> Slice:
    """The slice of a module that the roots reach.

    Args:
        roots: names that the module binds; others are passed over.
        stop: names that are not followed.
    """
    kept = module.reached(roots, stop)
    return Slice(_blanked(module, kept), kept)


def _blanked(module: Module, kept: tuple[Statement, ...]) -> str:
    text = module.text
    out = [char if char == "\n" else " " for char in text]
    starts = {statement.start for statement in kept}
    for line in _lines(module):
        if any(statement.start in starts for statement in line):
            _put_line(text, out, line, starts)
    lines = "".join(out).rstrip().split("\n")
    return "\n".join(line.rstrip(" ") if not line.strip() else line for line in lines) + "\n"


def _lines(module: Module) -> Iterator[list[Statement]]:
    """The statements, those joined by ``;`` together."""
    line: list[Statement] = []
    for statement in module.statements:
        if line and not _SAME_LINE.fullmatch(module.text, line[-1].end, statement.start):
            yield line
            line = []
        line.append(statement)
    if line:
        yield line


def _put_line(text: str, out: list[str], line: list[Statement], starts: set[int]) -> None:
    for statement, after in zip(line, [*line[1:], None], strict=True):
        if statement.start in starts:
            out[statement.start : statement.end] = text[statement.start : statement.end]
        elif len(line) > 1:
            _put_nothing(text, out, statement)
        if after is not None:
            out[statement.end : after.start] = text[statement.end : after.start]


def _put_nothing(text: str, out: list[str], statement: Statement) -> None:
    """An expression of one character in a statement's place: blanks alone would indent what follows on its line."""
    newline = text.rfind("\n", statement.start, statement.end)
    out[statement.start if newline < 0 else newline + 1] = "0"
