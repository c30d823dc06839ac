"""The groups of one place: a row for each key, and for each aggregate what is held of every row.

Knows the merge law, and that numbers can be added up by the column. Does not know providers or dictionaries.

Theory of operation. What arrives for a group is either numbers that `merging` adds up, or a state, which is merged into
those that are held by row. Either may have come first, and both may be there: by the merge law their sum is the state.
So nothing ever moves from one to the other.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from typing import TYPE_CHECKING, Any, Final

from provider.runner.aggregates import Aggregate

if TYPE_CHECKING:
    from backplane.reduce import merging

#: Groups in a payload from which on numpy pays: importing it costs as much as merging some 100,000 groups without.
MANY: Final = 1000
#: The least value of each int in the states of aggregates that only add up.
ADDING: Final[dict[str, tuple[int | None, ...]]] = {"count": (0,), "sum": (None,), "mean": (None, 1)}


class Column:
    """What one aggregate holds of each row."""

    def __init__(self, aggregate: Aggregate) -> None:
        self.aggregate = aggregate
        self._merged: dict[int, Any] = {}
        #: Rows that have no state, because all their values were null; and how many rows there have been.
        self.nulls: set[int] = set()
        self._known = 0
        self._added: merging.Adders | None = None

    def absorb(self, rows: Sequence[int], states: Sequence[Any]) -> None:
        """Merge a state into each of these rows; None is no state, of a group that had nothing but nulls."""
        known, self._known = self._known, max(self._known, max(rows, default=-1) + 1)
        if None in states:
            self.nulls.update(row for row, state in zip(rows, states, strict=True) if state is None and row >= known)
            rows = [row for row, state in zip(rows, states, strict=True) if state is not None]
            states = [state for state in states if state is not None]
        if self.nulls:
            self.nulls.difference_update(rows)
        self.aggregate.absorb(self._merged, zip(rows, states, strict=True))

    def add(self, rows: merging.Rows, sums: merging.Sums, size: int) -> None:
        """Add numbers to each of these rows, of as many as there are."""
        from backplane.reduce import merging

        if self._added is None:
            self._added = merging.Adders(len(sums.ints))
        if self.nulls:
            self.nulls.difference_update(rows.tolist())
        self._known = max(self._known, size)
        left = self._added.add(rows, sums, size)
        if left is None:
            self.absorb(rows.tolist(), self._states(sums))
            return
        for row, rest in left:
            self.absorb([row], [_state([0, rest], [0] * (len(sums.ints) - 1))])

    def _states(self, sums: merging.Sums) -> list[Any]:
        firsts: list[Any] = sums.ints[0].tolist()
        if sums.floats:
            firsts = list(map(list, zip(firsts, *(each.tolist() for each in sums.floats), strict=True)))
        others = [each.tolist() for each in sums.ints[1:]]
        return [_state(first, list(rest)) for first, *rest in zip(firsts, *others, strict=True)]

    def states(self, size: int) -> Iterator[Any]:
        """The state of each row, in order; None of one in `nulls`. Not to be changed."""
        if not self.nulls:
            return self._held(size)
        return (None if row in self.nulls else state for row, state in enumerate(self._held(size)))

    def _held(self, size: int) -> Iterator[Any]:
        if self._added is None:
            return map(self._merged.get if self.nulls else self._merged.__getitem__, range(size))
        ints = [self._added.ints(number, size) for number in range(len(ADDING[self.aggregate.name]))]
        fractions = self._added.fractions(size)
        firsts = [first if each is None else [first, *each] for first, each in zip(ints[0], fractions, strict=True)]
        added = (_state(first, list(rest)) for first, *rest in zip(firsts, *ints[1:], strict=True))
        if not self._merged:
            return added
        return self._both(added)

    def _both(self, added: Iterator[Any]) -> Iterator[Any]:
        merge = self.aggregate.merge
        for row, state in enumerate(added):
            have = self._merged.get(row)
            yield state if have is None else merge(state, have)


def _state(first: Any, rest: list[int]) -> Any:
    """A state of the aggregates in `ADDING`: a sum, or a sum and a count."""
    if type(first) is list:
        first = [first[0], 0.0, *(each for each in first[1:] if each)]
    return [first, *rest] if rest else first


class Table:
    """See the module."""

    def __init__(self, aggregates: Sequence[Aggregate]) -> None:
        self.keys: list[Hashable] = []
        self.columns = [Column(aggregate) for aggregate in aggregates]
        self._index: dict[Hashable, int] = {}

    def row(self, key: Hashable) -> int:
        """The row of a key, a new one if it has none."""
        row = self._index.setdefault(key, len(self.keys))
        if row == len(self.keys):
            self.keys.append(key)
        return row

    def states(self) -> list[Iterator[Any]]:
        """For each aggregate, the state of each key."""
        return [column.states(len(self.keys)) for column in self.columns]
