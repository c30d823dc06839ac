"""The final table as CSV (RFC 4180).

Knows cells. Off a terminal data is true: control characters and undecodable bytes go out as they came.
"""

from __future__ import annotations

import csv
import io
from typing import TextIO

from backplane.client.outputs.cells import cells
from backplane.client.outputs.harmless import harmless
from backplane.client.outputs.writing import write
from backplane.reduce.snapshot import Snapshot


class Csv:
    """A header and rows; nothing before the final snapshot."""

    live = False

    def __init__(self, out: TextIO, *, isatty: bool = False) -> None:
        self._out = out
        self._isatty = isatty

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write the final snapshot."""
        if not (snapshot.final or last):
            return
        buffer = io.StringIO(newline="")
        writer = csv.writer(buffer, lineterminator="\r\n")
        writer.writerow([self._text(name) for name in snapshot.columns])
        for row in cells(snapshot):
            writer.writerow(list(map(self._text, row)))
        write(self._out, buffer.getvalue())
        self._out.flush()

    def close(self) -> None:
        """Nothing is open."""

    def _text(self, text: str) -> str:
        return harmless(text) if self._isatty else text
