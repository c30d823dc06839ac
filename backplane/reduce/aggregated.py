"""Aggregates by name, fed by partials or raw values alike.

Knows the groups of a query, and that the aggregates of `provider.runner.aggregates` obey the merge law. Does not know
cuts or coverage. Touched by one thread only.

Theory of operation. A job tells most keys by number (docs/reference/frames.md, "cut"), so there is a dictionary for
each provider: its keys, and for each table the rows that they are. A payload says how many keys the dictionary had
before it, so one that is missing, or that is of another job, is noticed; the first payload of a job says 0, which
begins it anew.
"""

from __future__ import annotations

import contextlib
import dataclasses
import gc
from array import array
from collections.abc import Hashable, Iterable, Iterator, Sequence
from typing import Any, Final

from backplane.reduce.columns import Packed, Partials, Values, Window, decode, rekeyed
from backplane.reduce.faults import ReduceFault
from backplane.reduce.fold import Keys, Plain
from backplane.reduce.rows import Entry, Place, Rows, of_columns, table
from backplane.reduce.saving import PIECE_BYTES, Saved
from backplane.reduce.tables import ADDING, MANY, Column, Table
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider.runner.aggregates import Aggregate, AggregateError, chosen, tag
from provider.runner.aggregates.combiner import partials_payload
from provider.runner.columns import numbers

#: Groups of one saved piece, unless they are large.
_PIECE_GROUPS: Final = 20_000
#: Aggregates of which that is not null.
_ZERO: Final = frozenset(("count", "distinct"))
#: Keys that a job's dictionary may have. A runner begins anew long before.
_MOST_KEYS: Final = 1 << 20


class _Dictionary:
    """The keys that one job tells by number."""

    __slots__ = ("keys", "rows")

    def __init__(self) -> None:
        self.keys: list[Hashable] = []
        #: The row of each key in the table of a place; -1 where it has none.
        self.rows: dict[Place, array[int]] = {}

    def places(self, place: Place) -> array[int]:
        """The rows of all keys in a table."""
        found = self.rows.setdefault(place, array("q"))
        found.frombytes(b"\xff" * (8 * (len(self.keys) - len(found))))
        return found


class AggregateFold(Plain):
    """See the module."""

    full = False

    def __init__(self, names: Sequence[str], *, by_host: bool = False) -> None:
        self._names = tuple(names)
        self._aggregates = chosen(list(names))
        self._columns = tuple(column for aggregate in self._aggregates for column in aggregate.columns)
        self._by_host = by_host
        self._tables: dict[Place, Table] = {}
        self._dictionaries: dict[str, _Dictionary] = {}
        #: Keys that a provider's dictionary will have when what was loaded has been taken.
        self._announced: dict[str, int] = {}
        self._taken: dict[str, int] = {}

    def load(self, provider: str, partials: Partials) -> Partials:
        if partials.aggregates != self._names:
            raise RemoteProtocolError(
                f"partials of {', '.join(partials.aggregates)} where {self._names} were asked for"
            )
        keys = self._announcing(provider, partials)
        many = partials.groups >= MANY
        if partials.ids and _greatest(partials.ids, many) >= keys:
            raise RemoteProtocolError(f"a key's number is not among the {keys} that were told")
        try:
            states = [
                _loaded(aggregate, column, many)
                for aggregate, column in zip(self._aggregates, partials.states, strict=True)
            ]
        except (ValueError, OverflowError) as exc:
            raise RemoteProtocolError(f"a state that is none: {exc}") from exc
        if partials.base is not None:
            self._announced[provider] = keys
        return dataclasses.replace(partials, states=states)

    def _announcing(self, provider: str, partials: Partials) -> int:
        """How many keys the dictionary will have."""
        if partials.base is None:
            return 0
        known = self._announced.get(provider, 0)
        if partials.base not in (0, known):
            raise RemoteProtocolError(f"keys numbered from {partials.base}, where {known} have been told")
        keys = partials.base + len(partials.keys)
        if keys > _MOST_KEYS:
            raise RemoteProtocolError(f"a dictionary of {keys} keys")
        return keys

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        first = self._taken.get(provider, 0)
        every = list(rekeyed(keys, len(values)))
        groups = self._at(self._place(provider, None))
        try:
            for aggregate, column in zip(self._aggregates, groups.columns, strict=True):
                states = aggregate.batch(every, list(values), tag(provider, 0), first)
                column.absorb(list(map(groups.row, states)), list(states.values()))
        except AggregateError as exc:
            raise ReduceFault(f"{provider}: {exc}") from exc
        self._taken[provider] = first + len(values)

    def partials(self, provider: str, partials: Partials) -> None:
        place = self._place(provider, partials.window)
        if partials.base is not None:
            if partials.base == 0 or provider not in self._dictionaries:
                self._dictionaries[provider] = _Dictionary()
            self._dictionaries[provider].keys += partials.keys
        if not partials.groups:
            return
        groups = self._at(place)
        if partials.groups >= MANY:
            self._take_many(groups, self._rows(provider, place, groups, partials), partials)
            return
        if partials.base is None:
            rows = list(map(groups.row, partials.keys))
        else:
            told = self._dictionaries[provider].keys
            ids = range(len(told)) if partials.ids is None else numbers("I", partials.ids)
            rows = [groups.row(told[number]) for number in ids]
        for column, states in zip(groups.columns, partials.states, strict=True):
            column.absorb(rows, states)

    def _rows(self, provider: str, place: Place, groups: Table, partials: Partials) -> Any:
        from backplane.reduce import merging

        if partials.base is None:
            return merging.as_rows(list(map(groups.row, partials.keys)))
        dictionary = self._dictionaries[provider]
        places = dictionary.places(place)
        rows = merging.rows(places, partials.ids)
        missing = merging.unplaced(rows, partials.ids)
        if not missing:
            return rows
        for number in missing:
            places[number] = groups.row(dictionary.keys[number])
        return merging.rows(places, partials.ids)

    def _take_many(self, groups: Table, rows: Any, partials: Partials) -> None:
        listed: list[int] | None = None
        for column, states in zip(groups.columns, partials.states, strict=True):
            if isinstance(states, list):
                listed = listed or rows.tolist()
                column.absorb(listed, states)
            else:
                column.add(rows, states, len(groups.keys))

    def _place(self, provider: str, window: Window | None) -> Place:
        return Place(window, provider if self._by_host else None)

    def _at(self, place: Place) -> Table:
        if place not in self._tables:
            self._tables[place] = Table(self._aggregates)
        return self._tables[place]

    @property
    def groups(self) -> int:  # type: ignore[override]  # a constant for others
        return sum(len(table.keys) for table in self._tables.values())

    def forget(self, windows: Sequence[Window]) -> None:
        gone = set(windows)
        for place in [place for place in self._tables if place.window in gone]:
            del self._tables[place]
            for dictionary in self._dictionaries.values():
                dictionary.rows.pop(place, None)

    def durable(self) -> None:
        return None

    def saved(self) -> Iterator[Saved]:
        if self._taken:
            yield Saved("", "state", codec.pack(self._taken))
        for place, groups in self._tables.items():
            columns = [list(each) for each in groups.states()]
            for payload in self._pieces(groups.keys, columns, place.window):
                yield Saved(place.host or "", "partials", payload)
        none: list[list[Any]] = [[] for _ in self._names]
        for provider, dictionary in self._dictionaries.items():
            # The payloads of cuts that a store appends to these pieces tell keys by number.
            for start in range(0, len(dictionary.keys), _PIECE_GROUPS):
                keys = dictionary.keys[start : start + _PIECE_GROUPS]
                payload = partials_payload(list(self._names), keys, none, base=start, ids=b"")
                yield Saved(provider, "partials", payload)

    def _pieces(self, keys: list[Hashable], columns: list[list[Any]], window: Window | None) -> Iterator[bytes]:
        start, room = 0, _PIECE_GROUPS
        span = None if window is None else list(window)
        while start < len(keys):
            some = slice(start, start + room)
            payload = partials_payload(list(self._names), keys[some], [each[some] for each in columns], span)
            if len(payload) > PIECE_BYTES and len(keys[some]) > 1:
                room = max(1, len(keys[some]) // 2)
                continue
            yield payload
            start += room

    def restore(self, saved: Saved) -> None:
        if saved.content == "state":
            self._taken = _counts(codec.unpack(saved.payload))
            return
        content = decode(saved.content, saved.payload)
        if isinstance(content, Partials):
            self.partials(saved.provider, self.load(saved.provider, content))
        elif isinstance(content, Values):
            self.values(saved.provider, content.keys, content.values)
        else:
            raise RemoteProtocolError(f"saved {saved.content} where aggregates were folded")

    def rows(self) -> Rows:
        with _collecting_later():
            return self._table()._replace(errors=self._errors())

    def _table(self) -> Rows:
        if len(self._tables) == 1:
            ((place, groups),) = self._tables.items()
            if place == (None, None):
                rows = of_columns(groups.keys, self._results(groups), self._columns)
                if rows is not None:
                    return rows
        return table(self._entries(), self._columns)

    def _results(self, groups: Table) -> list[Iterable[Any]]:
        """A column for each that a row has."""
        found: list[Iterable[Any]] = []
        for column, states in zip(groups.columns, groups.states(), strict=True):
            aggregate = column.aggregate
            if not column.nulls and len(aggregate.columns) == 1 and type(aggregate).results is Aggregate.results:
                found.append(map(aggregate.result, states))
            else:
                found += zip(*_results(column, states), strict=True)
        return found

    def _entries(self) -> Iterator[Entry]:
        for place, groups in self._tables.items():
            columns = [_results(column, states) for column, states in zip(groups.columns, groups.states(), strict=True)]
            for key, *results in zip(groups.keys, *columns, strict=True):
                yield Entry(place, key, tuple(value for each in results for value in each))

    def _errors(self) -> tuple[tuple[str, str], ...]:
        """Columns that are not exact."""
        errors: list[tuple[str, str]] = []
        for number, aggregate in enumerate(self._aggregates):
            if type(aggregate).error is not Aggregate.error and self._tables:
                held = (state for each in self._tables.values() for state in each.states()[number])
                said = aggregate.error(state for state in held if state is not None)
                if said is not None:
                    errors += [(column, said) for column in aggregate.columns]
        return tuple(errors)

    def inexact(self) -> list[str]:
        reasons = []
        for number, aggregate in enumerate(self._aggregates):
            if type(aggregate).dropped is Aggregate.dropped:
                continue
            held = (state for each in self._tables.values() for state in each.states()[number])
            dropped = [aggregate.dropped(state) for state in held if state is not None]
            if any(dropped):
                keys = sum(map(bool, dropped))
                reasons.append(f"{aggregate.name} left out {sum(dropped)} values of {keys} key{'s' * (keys != 1)}")
        return reasons


@contextlib.contextmanager
def _collecting_later() -> Iterator[None]:
    """Without the cycle collector, which would look at all rows made so far again and again, and find nothing."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


def _greatest(ids: bytes, many: bool) -> int:
    if many:
        from backplane.reduce import merging

        return merging.greatest(ids)
    return max(numbers("I", ids), default=-1)


def _loaded(aggregate: Aggregate, column: Any, many: bool) -> Any:
    """Numbers that can be added up by the column, if these are some; otherwise a list of states."""
    if many and aggregate.name in ADDING:
        from backplane.reduce import merging

        sums = merging.sums(column, ADDING[aggregate.name])
        if sums is not None:
            return sums
    if isinstance(column, Packed):
        return list(map(aggregate.load, column.values()))
    # A null is no state: all that the group had for this aggregate was null.
    return [None if each is None else aggregate.load(each) for each in column]


def _results(column: Column, states: Iterable[Any]) -> Iterable[tuple[Any, ...]]:
    """What a row shows of each state, and where there is none."""
    if not column.nulls:
        return map(column.aggregate.results, states)
    none = of_nothing(column.aggregate)
    return [none if state is None else column.aggregate.results(state) for state in states]


def of_nothing(aggregate: Aggregate) -> tuple[int | None, ...]:
    """What a row shows where all that there was for an aggregate was null, or nothing was: as in SQL."""
    return (0 if aggregate.name.partition("(")[0] in _ZERO else None,) * len(aggregate.columns)


def _counts(packed: Any) -> dict[str, int]:
    if type(packed) is not dict or not packed or not all(type(count) is int for count in packed.values()):
        raise RemoteProtocolError("saved counts that are none")
    return packed
