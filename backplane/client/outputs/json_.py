"""Snapshots as JSON: one document (`Json`), or a line each (`JsonLines`).

Knows the JSON contract by way of `Snapshot.to_dict`. The same characters go to a terminal and to a file: those that are
not printable are escaped, which a JSON reader does not even notice.
"""

from __future__ import annotations

import json
import re
from typing import Any, TextIO

from backplane.client.outputs.writing import write
from backplane.reduce.snapshot import Snapshot

_NOT_ASCII = re.compile(r"[^\n -~]")


def dumped(said: Any, *, indent: int | None = None) -> str:
    r"""JSON text that is strict, and safe to show.

    >>> print(dumped({"a": "é\u202e\x7f\U000e0001"}))
    {"a": "é\u202e\u007f\udb40\udc01"}
    """
    text = json.dumps(said, ensure_ascii=False, allow_nan=False, indent=indent)
    return _NOT_ASCII.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    each = match[0]
    if each.isprintable():
        return each
    return "\\u007f" if each == "\x7f" else json.dumps(each)[1:-1]


class Json:
    """The final snapshot, indented for people on a terminal."""

    live = False

    def __init__(self, out: TextIO, *, isatty: bool = False) -> None:
        self._out = out
        self._indent = 2 if isatty else None

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write the final snapshot."""
        if snapshot.final or last:
            write(self._out, dumped(snapshot.to_dict(), indent=self._indent) + "\n")
            self._out.flush()

    def close(self) -> None:
        """Nothing is open."""


class JsonLines:
    """Each snapshot as it comes; of an answer by windows each that has closed, once a revision, and the final one."""

    live = True

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told = 0

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write a line, or one for each window that is news."""
        if snapshot.windows is not None:
            news = [told for told in snapshot.windows if told.serial > self._told]
            for each in snapshot.of_each(news):
                self._line(each)
            self._told = max([self._told, *(told.serial for told in news)])
        if snapshot.windows is None or snapshot.final:
            self._line(snapshot)
        self._out.flush()

    def _line(self, snapshot: Snapshot) -> None:
        write(self._out, dumped(snapshot.to_dict()) + "\n")

    def close(self) -> None:
        """Nothing is open."""
