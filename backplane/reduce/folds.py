"""The forms of a reduce at home, behind one small protocol.

Knows groups and what a user may write as ``reduce``. Does not know cuts, epochs or coverage: whatever reaches a fold
counts, once. Touched by one thread only.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Hashable, Iterator, Mapping, Sequence
from typing import Any

from backplane.reduce.aggregated import AggregateFold
from backplane.reduce.columns import Partials, Values, decode, rekeyed
from backplane.reduce.faults import user_code
from backplane.reduce.fold import Fold, Keys, Plain
from backplane.reduce.program import ProgramFold
from backplane.reduce.rows import Entry, Place, Rows, kept_key, seen_key, table
from backplane.reduce.saving import Saved, items, packed, pieces, slices, unpacked
from backplane.wire.errors import RemoteProtocolError

__all__ = ["AggregateFold", "ClassFold", "Fold", "FunctionFold", "ProgramFold", "Saved", "StreamFold", "make"]

#: A query without a reduce shows lines, and a question that matches everything must not fill the client's memory.
STREAM_ROWS = 10_000
STREAM_BYTES = 10_000_000

_MISSING = object()


class _Raw(Plain, ABC):
    """Folds that only home can do."""

    full = False

    def __init__(self, by_host: bool) -> None:
        self._by_host = by_host

    def load(self, provider: str, partials: Partials) -> Partials:
        raise RemoteProtocolError("partials where raw values were asked for")

    def partials(self, provider: str, partials: Partials) -> None:
        raise RemoteProtocolError("partials where raw values were asked for")

    def restore(self, saved: Saved) -> None:
        if saved.content == "state":
            self._restored(saved)
            return
        content = decode(saved.content, saved.payload)
        if not isinstance(content, Values):
            raise RemoteProtocolError(f"saved {saved.content} where raw values were folded")
        self.values(saved.provider, content.keys, content.values)

    @abstractmethod
    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None: ...

    @abstractmethod
    def _restored(self, saved: Saved) -> None: ...

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

    @property
    def groups(self) -> int:  # type: ignore[override]  # a constant for others
        return sum(map(len, self._groups.values()))

    def durable(self) -> None:
        return None

    def saved(self) -> Iterator[Saved]:
        for place, groups in self._groups.items():
            for payload in pieces(groups.items()):
                yield Saved(place.host or "", "state", payload)

    def _restored(self, saved: Saved) -> None:
        self._groups.setdefault(self._place(saved.provider), {}).update(items(saved.payload))

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
        #: Of states that are restored in several slices, those that have come.
        self._slices: dict[Place, bytes] = {}

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        add = self._reducer(self._place(provider)).add
        with user_code("Reduce.add"):
            for key, value in zip(rekeyed(keys, len(values)), values, strict=True):
                add(seen_key(key), value)

    def _reducer(self, place: Place) -> Any:
        if place not in self._reducers:
            with user_code("Reduce()"):
                self._reducers[place] = self._factory()
        return self._reducers[place]

    def durable(self) -> str | None:
        missing = [name for name in ("save", "load") if not callable(getattr(self._factory, name, None))]
        return f"its Reduce has no {' and no '.join(missing)}" if missing else None

    def saved(self) -> Iterator[Saved]:
        for place, reducer in self._reducers.items():
            with user_code("Reduce.save"):
                state = packed(reducer.save())
            *most, last = slices(state)
            for final, part in [*((False, each) for each in most), (True, last)]:
                yield Saved(place.host or "", "state", packed((final, part)))

    def _restored(self, saved: Saved) -> None:
        place = self._place(saved.provider)
        final, part = unpacked(saved.payload)
        state = self._slices.pop(place, b"") + part
        if not final:
            self._slices[place] = state
            return
        with user_code("Reduce.load"):
            self._reducer(place).load(unpacked(state))

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
        limit: rows that are asked for; None for the usual limit, which nobody has asked for.
        most_bytes: of their keys and values, about.
    """

    def __init__(self, limit: int | None = None, most_bytes: int | None = None) -> None:
        super().__init__(by_host=True)
        self._own = limit is not None
        self._limit = STREAM_ROWS if limit is None else limit
        self._room = STREAM_BYTES if most_bytes is None else most_bytes
        self._rows: list[Entry] = []
        self._truncated = False

    @property
    def full(self) -> bool:  # type: ignore[override]  # a constant for the others
        return self._truncated or self.reached

    @property
    def reached(self) -> bool:  # type: ignore[override]  # likewise
        return self._own and len(self._rows) >= self._limit

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

    def durable(self) -> None:
        return None

    def saved(self) -> Iterator[Saved]:
        for payload in pieces((entry.place.host, entry.key, entry.values[0]) for entry in self._rows):
            yield Saved("", "state", payload)
        if self._truncated:
            yield Saved("", "state", next(pieces([None])))

    def _restored(self, saved: Saved) -> None:
        for item in items(saved.payload):
            if item is None:
                self._truncated = True
                return
            provider, key, value = item
            self.values(provider, [key], [value])

    def rows(self) -> Rows:
        if not self._rows:
            return Rows(("host", "value"), ())
        return table(self._rows, ("value",), in_order=True)

    def inexact(self) -> list[str]:
        return [self._cut_off(len(self._rows))] if self._truncated and not self.reached else []

    def _cut_off(self, rows: int) -> str:
        if rows < self._limit:
            return f"only the first {rows:,} rows are shown: their size is at its limit (--limit takes another)"
        return f"only the first {rows:,} rows are shown: that is the limit where none is asked for (--limit takes one)"


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
