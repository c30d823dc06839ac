"""How a number of each row has moved in the last snapshots, as a few bars: for a table that grows in place.

Knows rows and which of their columns name them. Holds so many numbers of so many rows, and forgets a row that is not
shown any more.
"""

from __future__ import annotations

import math
import re
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any, Final

from backplane.reduce.snapshot import Snapshot

#: Snapshots: as many bars.
WIDTH: Final = 12
BARS: Final = "▁▂▃▄▅▆▇█"
#: Rows of which something is remembered: more than any terminal shows.
_MOST_ROWS: Final = 500
#: What the reducer calls columns that name a row.
_OWN: Final = re.compile(r"window|host|key\d*")


class Trends:
    """See the module.

    Args:
        keys: columns that name a row, besides the reducer's own; None where that is not known.
    """

    def __init__(self, keys: Iterable[str] | None = None) -> None:
        self._keys = None if keys is None else frozenset(keys)
        self._seen: dict[tuple[str, ...], deque[float]] = {}
        #: Which number is told of: another one begins anew.
        self._column = ""

    def see(self, snapshot: Snapshot) -> list[str] | None:
        """The bars of the first rows of a snapshot, in order; None while there is nothing to tell."""
        rows = snapshot.rows[:_MOST_ROWS]
        found = self._chosen(snapshot.columns, rows)
        if found is None:
            self._seen = {}
            return None
        at, naming = found
        if snapshot.columns[at] != self._column:
            self._column, self._seen = snapshot.columns[at], {}
        seen, self._seen = self._seen, {}
        for row in rows:
            name = _named(row, naming)
            numbers = self._seen[name] = seen.get(name) or deque(maxlen=WIDTH)
            if _is_number(row[at]):
                numbers.append(row[at])
        bars = [drawn(self._seen[_named(row, naming)]) for row in rows]
        return bars if any(len(each) > 1 for each in bars) else None

    def _chosen(self, columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> tuple[int, list[int]] | None:
        """The first column with numbers that does not name a row, and those that do."""
        known = [at for at, name in enumerate(columns) if _OWN.fullmatch(name) or name in (self._keys or ())]
        for at in range(len(columns)):
            naming = known if self._keys is not None else sorted({*known, *range(at)})
            if at not in known and any(_is_number(row[at]) for row in rows) and _tells_apart(rows, naming):
                return at, naming
        return None


def _named(row: Sequence[Any], naming: Sequence[int]) -> tuple[str, ...]:
    # By their texts: a key may be a list, and 1 is not True.
    return tuple(repr(row[at]) for at in naming)


def _tells_apart(rows: Sequence[Sequence[Any]], naming: Sequence[int]) -> bool:
    return len({_named(row, naming) for row in rows}) == len(rows)


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and abs(value) < 1e300 and math.isfinite(value)


def drawn(numbers: Sequence[float]) -> str:
    """Bars from the lowest of these numbers to the highest.

    >>> drawn([0, 1, 2, 7]), drawn([3, 3]), drawn([])
    ('▁▂▃█', '▁▁', '')
    """
    if not numbers:
        return ""
    low, high = min(numbers), max(numbers)
    if low == high:
        return BARS[0] * len(numbers)
    return "".join(BARS[int((each - low) / (high - low) * (len(BARS) - 1))] for each in numbers)
