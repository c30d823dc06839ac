"""Lines as they come: ``host: value``, for queries without a reduce; around them, if asked for, ``host- value``.

Knows that such a query's rows only grow. Off a terminal values are true; on one they are harmless, and what was looked
for is marked.
"""

from __future__ import annotations

import re
from typing import Any, Final, TextIO

from backplane.client.outputs.cells import cell
from backplane.client.outputs.harmless import harmless
from backplane.client.outputs.marked import marked
from backplane.client.outputs.writing import write
from backplane.reduce.snapshot import Snapshot

#: The last columns of rows with context (`backplane.reduce.context`).
_CONTEXT: Final = ("context", "group")


class Text:
    """Writes what is new in each snapshot; a key stands before its value, after it a tab.

    Args:
        sought: what is marked; None for nothing.
    """

    live = True

    def __init__(self, out: TextIO, *, isatty: bool = False, sought: re.Pattern[str] | None = None) -> None:
        self._out = out
        self._isatty = isatty
        self._sought = sought if isatty else None
        self._written = 0
        self._group: Any = None

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write the rows that were not there before."""
        context = snapshot.columns[-2:] == _CONTEXT
        for host, *rest in snapshot.rows[self._written :]:
            around = False
            if context:
                *rest, around, group = rest
                if self._group not in (None, group):
                    write(self._out, "--\n")
                self._group = group
            line = "\t".join(cell(value) for value in rest)
            shown = self._text(line) if around or self._sought is None else marked(line, self._sought)
            write(self._out, f"{self._text(cell(host))}{'-' if around else ':'} {shown}\n")
        self._written = len(snapshot.rows)
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""

    def _text(self, text: str) -> str:
        return harmless(text, keep="\t") if self._isatty else text
