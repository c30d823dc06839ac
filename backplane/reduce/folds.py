"""The forms of a reduce at home, behind one small protocol.

Knows groups and what a user may write as ``reduce``. Does not know cuts, epochs or coverage: whatever reaches a fold
counts, once. Touched by one thread only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any, Protocol

from backplane.reduce.columns import Partials, Window, rekeyed
from backplane.reduce.faults import ReduceFault, user_code
from backplane.reduce.program import ProgramFold
from backplane.reduce.rows import Entry, Place, Rows, kept_key, seen_key, table
from backplane.wire.errors import RemoteProtocolError
from provider.runner.aggregates import AggregateError, chosen, tag

#: A query without a reduce shows lines, and a question that matches everything must not fill the client's memory.
STREAM_ROWS = 10_000
STREAM_BYTES = 10_000_000

_MISSING = object()

Keys = Sequence[Hashable] | None


class Fold(Protocol):
    """What a query does with what arrives."""

    @property
    def full(self) -> bool:
        """Nothing more is taken: the query may end."""

    def load(self, partials: Partials) -> Partials:
        """The same with states of this fold's own, changing nothing.

        Raises:
            RemoteProtocolError: these are not the partials that were asked for.
        """

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        """Take raw emissions, in order.

        Raises:
            ReduceFault: the user's reduce failed.
        """

    def partials(self, provider: str, partials: Partials) -> None:
        """Take groups that `load` has seen."""

    def rows(self) -> Rows:
        """The table as it is now.

        Raises:
            ReduceFault: the user's reduce failed.
        """

    def inexact(self) -> list[str]:
        """What these rows leave out, in sentences."""

    def finish(self) -> None:
        """No value comes any more; the next rows are the last.

        Raises:
            ReduceFault: the user's reduce failed.
        """

    def interrupt(self) -> None:
        """Makes whatever it is at come to an end soon, well or not. May be called from another thread."""

    def close(self) -> None:
        """The query is over, finished or not."""


class _Plain:
    """A fold that is only data: nothing has to be ended."""

    def finish(self) -> None:
        pass

    def interrupt(self) -> None:
        pass

    def close(self) -> None:
        pass


class AggregateFold(_Plain):
    """Aggregates by name, fed by partials or raw values alike."""

    full = False

    def __init__(self, names: Sequence[str], *, by_host: bool = False) -> None:
        self._names = tuple(names)
        self._aggregates = chosen(list(names))
        self._by_host = by_host
        self._groups: dict[Place, list[dict[Hashable, Any]]] = {}
        self._taken: dict[str, int] = {}

    def load(self, partials: Partials) -> Partials:
        if partials.aggregates != self._names:
            raise RemoteProtocolError(
                f"partials of {', '.join(partials.aggregates)} where {self._names} were asked for"
            )
        try:
            states = [
                list(map(aggregate.load, column))
                for aggregate, column in zip(self._aggregates, partials.states, strict=True)
            ]
        except (ValueError, OverflowError) as exc:
            raise RemoteProtocolError(f"a state that is none: {exc}") from exc
        return dataclasses.replace(partials, states=states)

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        first = self._taken.get(provider, 0)
        every = list(rekeyed(keys, len(values)))
        try:
            for aggregate, states in zip(self._aggregates, self._at(provider, None), strict=True):
                aggregate.absorb(states, aggregate.batch(every, list(values), tag(provider, 0), first).items())
        except AggregateError as exc:
            raise ReduceFault(f"{provider}: {exc}") from exc
        self._taken[provider] = first + len(values)

    def partials(self, provider: str, partials: Partials) -> None:
        groups = self._at(provider, partials.window)
        for aggregate, states, others in zip(self._aggregates, groups, partials.states, strict=True):
            aggregate.absorb(states, zip(partials.keys, others, strict=True))

    def _at(self, provider: str, window: Window | None) -> list[dict[Hashable, Any]]:
        place = Place(window, provider if self._by_host else None)
        if place not in self._groups:
            self._groups[place] = [{} for _ in self._aggregates]
        return self._groups[place]

    def rows(self) -> Rows:
        return table(self._entries(), self._names)

    def _entries(self) -> Iterator[Entry]:
        for place, groups in self._groups.items():
            for key in groups[0]:
                results = (
                    aggregate.result(states[key]) for aggregate, states in zip(self._aggregates, groups, strict=True)
                )
                yield Entry(place, key, tuple(results))

    def inexact(self) -> list[str]:
        reasons = []
        for number, aggregate in enumerate(self._aggregates):
            dropped = [
                aggregate.dropped(state) for groups in self._groups.values() for state in groups[number].values()
            ]
            if any(dropped):
                keys = sum(map(bool, dropped))
                reasons.append(f"{aggregate.name} left out {sum(dropped)} values of {keys} key{'s' * (keys != 1)}")
        return reasons


class _Raw(_Plain):
    """Folds that only home can do."""

    full = False

    def __init__(self, by_host: bool) -> None:
        self._by_host = by_host

    def load(self, partials: Partials) -> Partials:
        raise RemoteProtocolError("partials where raw values were asked for")

    def partials(self, provider: str, partials: Partials) -> None:
        raise RemoteProtocolError("partials where raw values were asked for")

    def inexact(self) -> list[str]:
        return []

    def _place(self, provider: str) -> Place:
        return Place(None, provider if self._by_host else None)


class FunctionFold(_Raw):
    """``def reduce(a, b)``, seeded with a key's first value."""

    def __init__(self, function: Callable[[Any, Any], Any], *, by_host: bool = False) -> None:
        super().__init__(by_host)
        self._function = function
        self._groups: dict[Place, dict[Hashable, Any]] = {}

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        groups = self._groups.setdefault(self._place(provider), {})
        get = groups.get
        function = self._function
        with user_code("reduce"):
            for key, value in zip(rekeyed(keys, len(values)), values, strict=True):
                have = get(key, _MISSING)
                groups[key] = value if have is _MISSING else function(have, value)

    def rows(self) -> Rows:
        return table(
            (Entry(place, key, (value,)) for place, groups in self._groups.items() for key, value in groups.items()),
            ("value",),
        )


class ClassFold(_Raw):
    """``class Reduce`` with ``add(key, value)`` and ``rows()``; one instance, or one a host.

    ``rows()`` gives dicts (a row each), (key, value) pairs, or bare values, in the order in which they are shown; or
    one dict, whose items are key and value, which is sorted by key.
    """

    def __init__(self, factory: Callable[[], Any], *, by_host: bool = False) -> None:
        super().__init__(by_host)
        self._factory = factory
        self._reducers: dict[Place, Any] = {}

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        place = self._place(provider)
        if place not in self._reducers:
            with user_code("Reduce()"):
                self._reducers[place] = self._factory()
        add = self._reducers[place].add
        with user_code("Reduce.add"):
            for key, value in zip(rekeyed(keys, len(values)), values, strict=True):
                add(seen_key(key), value)

    def rows(self) -> Rows:
        every: list[tuple[Place, Any]] = []
        mapped = True
        for place, reducer in self._reducers.items():
            with user_code("Reduce.rows"):
                found = reducer.rows()
                mapped = mapped and isinstance(found, Mapping)
                every += [(place, row) for row in (found.items() if isinstance(found, Mapping) else found)]
        if any(isinstance(row, Mapping) for _, row in every):
            return _from_dicts(every)
        return table([_entry(place, row) for place, row in every], ("value",), in_order=not mapped)


def _entry(place: Place, row: Any) -> Entry:
    if type(row) is tuple and len(row) == 2:
        return Entry(place, kept_key(row[0]), (row[1],))
    return Entry(place, (), (row,))


def _from_dicts(rows: Sequence[tuple[Place, Any]]) -> Rows:
    """Columns in the order in which the rows first name them."""
    shaped = [(place, row if isinstance(row, Mapping) else {"value": row}) for place, row in rows]
    names = list(dict.fromkeys(name for _, row in shaped for name in row))
    entries = [Entry(place, (), tuple(row.get(name) for name in names)) for place, row in shaped]
    return table(entries, [str(name) for name in names], in_order=True)


class StreamFold(_Raw):
    """No reduce: rows as they arrive, up to a limit.

    Args:
        limit: rows.
        most_bytes: of their keys and values, about.
    """

    def __init__(self, limit: int | None = None, most_bytes: int | None = None) -> None:
        super().__init__(by_host=True)
        self._limit = STREAM_ROWS if limit is None else limit
        self._room = STREAM_BYTES if most_bytes is None else most_bytes
        self._rows: list[Entry] = []
        self._truncated = False

    @property
    def truncated(self) -> bool:
        """Something was left out."""
        return self._truncated

    @property
    def full(self) -> bool:  # type: ignore[override]  # a constant for the others
        return self._truncated

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        if self._truncated:
            return
        place = self._place(provider)
        for key, value in zip(rekeyed(keys, len(values)), values, strict=True):
            self._room -= _weight(key) + _weight(value)
            if len(self._rows) >= self._limit or self._room < 0:
                self._truncated = True
                return
            self._rows.append(Entry(place, key, (value,)))

    def rows(self) -> Rows:
        if not self._rows:
            return Rows(("host", "value"), ())
        return table(self._rows, ("value",), in_order=True)

    def inexact(self) -> list[str]:
        return [f"only the first {len(self._rows)} rows are shown, the limit was reached"] if self._truncated else []


def _weight(value: Any) -> int:
    if isinstance(value, (str, bytes)):
        return len(value)
    if isinstance(value, (list, tuple)):
        return 8 + sum(map(_weight, value))
    if isinstance(value, dict):
        return 8 + sum(_weight(key) + _weight(each) for key, each in value.items())
    return 8


def make(
    kind: str,
    *,
    aggregates: Sequence[str] = (),
    function: Callable[[Any, Any], Any] | None = None,
    factory: Callable[[], Any] | None = None,
    argv: Sequence[str] = (),
    name: str = "reduce",
    limit: int | None = None,
    most_bytes: int | None = None,
    by_host: bool = False,
) -> Fold:
    """The fold of a query.

    Args:
        kind: ``aggregates``, ``function``, ``class``, ``program`` or ``stream``, each with its own arguments.

    Raises:
        ValueError: another kind, or its argument is missing.
    """
    if kind == "aggregates" and aggregates:
        return AggregateFold(aggregates, by_host=by_host)
    if kind == "function" and function:
        return FunctionFold(function, by_host=by_host)
    if kind == "class" and factory:
        return ClassFold(factory, by_host=by_host)
    if kind == "program" and argv:
        rows, size = STREAM_ROWS if limit is None else limit, STREAM_BYTES if most_bytes is None else most_bytes
        return ProgramFold(argv, name, limit=rows, most_bytes=size)
    if kind == "stream":
        return StreamFold(limit, most_bytes)
    raise ValueError(f"no fold of kind {kind!r} of this")
