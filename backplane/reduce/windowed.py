"""Groups by windows of event time: the values of another fold, the rules of `windows`.

Knows both. Does not know cuts or coverage. Touched by one thread only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

from backplane.reduce.aggregated import AggregateFold
from backplane.reduce.columns import Marks, Partials, Window, decode
from backplane.reduce.fold import Keys, Plain
from backplane.reduce.planned import Finish
from backplane.reduce.rows import Rows
from backplane.reduce.saving import Saved, packed, unpacked
from backplane.reduce.windows import Windows
from backplane.wire.errors import RemoteProtocolError


class WindowedFold(Plain):
    """See the module.

    Args:
        groups: holds the values; this fold's alone, as the windows are.
        finish: what is done with the rows of one window before they are shown; with the window's column.
    """

    full = False

    def __init__(self, groups: AggregateFold, windows: Windows, finish: Finish | None = None) -> None:
        self.windows: Windows = windows
        self._groups = groups
        self._finish = finish

    @property
    def groups(self) -> int:  # type: ignore[override]  # a constant for others
        """How many it holds, of all windows."""
        return self._groups.groups

    def load(self, provider: str, partials: Partials) -> Partials:
        if partials.window is None and partials.groups:
            raise RemoteProtocolError("partials of no window where windows were asked for")
        return self._groups.load(provider, partials)

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        raise RemoteProtocolError("raw values where windows were asked for")

    def partials(self, provider: str, partials: Partials) -> None:
        window = partials.window
        if window is not None and partials.groups and not self.windows.place(provider, window, partials.records):
            if partials.base is None:
                return
            # Its keys are told all the same: those that come later are numbered from behind them.
            partials = dataclasses.replace(partials, ids=b"", states=[[] for _ in partials.states])
        self._groups.partials(provider, partials)

    def forget(self, windows: Sequence[Window]) -> None:
        self._groups.forget(windows)

    def durable(self) -> None:
        return None

    def saved(self) -> Iterator[Saved]:
        yield from self._groups.saved()
        # Last: a piece that is restored after this one is news for its window, and those before are not.
        yield Saved("", "state", packed(self.windows.saved()))

    def restore(self, saved: Saved) -> None:
        if saved.content == "state":
            self._restored(unpacked(saved.payload))
            return
        content = decode(saved.content, saved.payload)
        if isinstance(content, Marks):
            self.windows.marked(saved.provider, content.marks)
        elif isinstance(content, Partials):
            self.partials(saved.provider, self.load(saved.provider, content))
        else:
            raise RemoteProtocolError(f"saved {saved.content} where windows were folded")

    def _restored(self, state: Any) -> None:
        try:
            if not isinstance(state, Mapping):
                raise TypeError(type(state).__name__)
            self.windows.restore(state)
        except (KeyError, TypeError, ValueError, AttributeError) as exc:
            raise RemoteProtocolError(f"saved windows that are none: {type(exc).__name__} {exc}") from exc

    def rows(self) -> Rows:
        rows = self._groups.rows()
        columns = rows.columns if "window" in rows.columns else ("window", *rows.columns)
        rows = rows._replace(columns=columns)
        if self._finish is None:
            return rows
        at = columns.index("window")
        # A window is an answer of its own: the ten most frequent are those of each.
        each = [self._finish(rows._replace(rows=tuple(some))) for _, some in groupby(rows.rows, lambda row: row[at])]
        if not each:
            return self._finish(rows)
        return each[0]._replace(rows=tuple(row for one in each for row in one.rows))

    def inexact(self) -> list[str]:
        late = [
            f"{name}: {count} record{'s' * (count != 1)} came when the window was forgotten already"
            for name, count in sorted(self.windows.late.items())
        ]
        return self._groups.inexact() + late
