"""From groups to rows: columns for keys, a stable order, and values that nobody changes any more.

Knows how keys become columns (DESIGN section 8). Does not know how values were folded.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from operator import itemgetter
from typing import Any, NamedTuple

from backplane.reduce.columns import Window
from provider.runner.aggregates.order import order
from provider.runner.columns import BARE

_SCALARS = frozenset((str, int, float, bytes, bool, type(None)))


class Place(NamedTuple):
    """Where a group belongs besides its key: its window, and its provider if the query is split by host."""

    window: Window | None
    host: str | None


class Rows(NamedTuple):
    """An answer's table."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    #: Columns that are not exact, and how far they may be off.
    errors: tuple[tuple[str, str], ...] = ()
    #: Columns whose types are known, each with its type: ``int``, ``string``, ``time`` and others.
    kinds: tuple[tuple[str, str], ...] = ()


class Entry(NamedTuple):
    """One group, or one row of a reducer's own."""

    place: Place
    key: Hashable
    values: tuple[Any, ...]


def table(entries: Iterable[Entry], names: Sequence[str], *, in_order: bool = False) -> Rows:
    """Rows of key columns and then ``names``, sorted by window, host and key unless they are ``in_order`` already."""
    found = list(entries)
    if not in_order:
        _sort(found)
    windows = any(entry.place.window is not None for entry in found)
    hosts = any(entry.place.host is not None for entry in found)
    keys = _key_columns(entry.key for entry in found)
    rows = []
    for entry in found:
        row: list[Any] = []
        if windows:
            row.append(None if entry.place.window is None else list(entry.place.window))
        if hosts:
            row.append(entry.place.host)
        row += _parts(entry.key, len(keys))
        row += map(kept, entry.values)
        rows.append(tuple(row))
    columns = (["window"] if windows else []) + (["host"] if hosts else []) + keys + list(names)
    return Rows(tuple(columns), tuple(rows))


def of_columns(keys: Sequence[Hashable], results: Sequence[Iterable[Any]], names: Sequence[str]) -> Rows | None:
    """The same of groups without windows and hosts, from values by the column; None if their keys are not alike.

    A million groups are common where there is an aggregate, and an entry for each holds up the reducer for seconds.
    """
    if not keys or not _alike(keys):
        return None
    found: list[tuple[Any, ...]] = sorted(zip(keys, *results, strict=True), key=itemgetter(0))
    if type(keys[0]) is tuple:
        found = [(*key, *values) for key, *values in found]
    return Rows((*_key_columns(keys[:1]), *names), tuple(found))


def _sort(entries: list[Entry]) -> None:
    """By window, host and key. Many keys of one type have an order of their own, which is the same and much faster."""
    if len({entry.place for entry in entries}) == 1 and _alike([entry.key for entry in entries]):
        entries.sort(key=itemgetter(1))
        return
    entries.sort(key=lambda entry: (order(entry.place.window), order(entry.place.host), order(entry.key)))


def _alike(keys: Sequence[Hashable]) -> bool:
    kinds = set(map(type, keys))
    if kinds == {tuple}:
        return len(set(map(len, keys))) == 1 and all(map(_alike, zip(*keys, strict=True)))  # type: ignore[arg-type]
    return len(kinds) == 1 and kinds <= {str, int, bytes}


def _key_columns(keys: Iterable[Hashable]) -> list[str]:
    """None if all are bare, ``key``, or ``key1 ...`` as soon as one is a tuple.

    Where there is nothing yet most answers will have a key, and a header that stays is worth more than a guess less.
    """
    width = 0
    several = False
    empty = True
    for key in keys:
        empty = False
        if type(key) is tuple:
            several = several or bool(key)
            width = max(width, len(key))
        else:
            width = max(width, 1)
    return [f"key{number}" for number in range(1, width + 1)] if several else ["key"] * (1 if empty else width)


def _parts(key: Hashable, width: int) -> list[Any]:
    parts = list(key) if type(key) is tuple else [key]
    return [kept(part) for part in parts] + [None] * (width - len(parts))


def kept(value: Any) -> Any:
    """A value as it is now, as plain data: containers are copied (a reduce may go on changing its own), sets become
    sorted lists, and what no output could show becomes its text.

    >>> kept({"a": (1, {3, 2})})
    {'a': [1, [2, 3]]}
    """
    if type(value) in _SCALARS:
        return value
    if isinstance(value, Mapping):
        return {_name(key): kept(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [kept(each) for each in value]
    if isinstance(value, AbstractSet):
        return sorted(map(kept, value), key=order)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value)
    for base in (int, float, str):
        if isinstance(value, base):
            return base(value)
    return str(value)


def _name(key: Any) -> Hashable:
    return key if type(key) in _SCALARS else str(key)


def seen_key(key: Hashable) -> Hashable:
    """A key as user code sees it: None where there is none."""
    return None if key == BARE else key


def kept_key(key: Any) -> Hashable:
    """A key that user code gives back, of whatever type, as one that has an order and columns."""
    return tuple(map(kept, key)) if isinstance(key, tuple) else kept(key)
