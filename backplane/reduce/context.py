"""Lines with those around them, as they arrive: the fold of a plan that asks for context.

Knows rows as `provider.runner.context` gives them. Lines around others count toward no limit of rows; where that is
reached, what follows the last line that was taken is still taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from backplane.reduce.fold import Keys
from backplane.reduce.folds import StreamFold
from backplane.reduce.rows import Entry, Rows
from backplane.wire.errors import RemoteProtocolError
from provider.runner.columns import BARE
from provider.runner.context import AFTER, BEGINS, KEPT

#: ``context``: it stands around others. ``group``: those with one number stood together, without a gap.
COLUMNS: Final = ("host", "value", "context", "group")


class ContextFold(StreamFold):
    """See above."""

    def __init__(self, limit: int | None = None, most_bytes: int | None = None) -> None:
        super().__init__(limit, most_bytes)
        self._kept = 0
        self._group = 0
        self._last: str | None = None
        #: Providers of which a line was not taken any more, so that what they still send stands around that.
        self._closed: set[str] = set()

    @property
    def full(self) -> bool:  # type: ignore[override]  # as in every stream
        return self._truncated  # one line more is found by then, so that what follows the last one has come

    @property
    def reached(self) -> bool:  # type: ignore[override]  # likewise
        return self._own and self._kept >= self._limit

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        for value in values:
            what, line = _row(value)
            if not self._takes(provider, what & ~BEGINS):
                continue
            self._room -= len(line) + 16
            if self._room < 0:
                self._truncated = True
                self._closed.add(provider)
                continue
            self._kept += what & ~BEGINS == KEPT
            if what & BEGINS or provider != self._last:
                self._group += 1
            self._last = provider
            self._rows.append(Entry(self._place(provider), BARE, ([what, line, self._group],)))

    def _takes(self, provider: str, what: int) -> bool:
        if provider in self._closed:
            return False
        if self._kept < self._limit and self._room >= 0:
            return True
        if what == KEPT:
            self._truncated = True
            self._closed.add(provider)
        return what == AFTER

    def rows(self) -> Rows:
        rows = []
        for entry in self._rows:
            what, line, group = entry.values[0]
            rows.append((entry.place.host, line, what & ~BEGINS != KEPT, group))
        return Rows(COLUMNS, tuple(rows))

    def inexact(self) -> list[str]:
        return [self._cut_off(self._kept)] if self._truncated and not self.reached else []


def _row(value: Any) -> tuple[int, str]:
    """A row as it came, or as it was saved, which has its group too.

    Raises:
        RemoteProtocolError: it is none.
    """
    if type(value) is list and len(value) in (2, 3) and type(value[0]) is int and type(value[1]) is str:
        return value[0], value[1]
    raise RemoteProtocolError("a row with context that is none")
