"""Lines as they come: ``host: value``, for queries without a reduce.

Knows that such a query's rows only grow. Off a terminal values are true; on one they are harmless.
"""

from __future__ import annotations

from typing import TextIO

from backplane.client.outputs.cells import cell
from backplane.client.outputs.harmless import harmless
from backplane.client.outputs.writing import write
from backplane.reduce.snapshot import Snapshot


class Text:
    """Writes what is new in each snapshot; a key stands before its value, after it a tab."""

    live = True

    def __init__(self, out: TextIO, *, isatty: bool = False) -> None:
        self._out = out
        self._isatty = isatty
        self._written = 0

    def show(self, snapshot: Snapshot) -> None:
        """Write the rows that were not there before."""
        for host, *rest in snapshot.rows[self._written :]:
            line = "\t".join(cell(value) for value in rest)
            write(self._out, f"{self._text(cell(host))}: {self._text(line)}\n")
        self._written = len(snapshot.rows)
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""

    def _text(self, text: str) -> str:
        return harmless(text, keep="\t") if self._isatty else text
