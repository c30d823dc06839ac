"""What a cut's parts hold, as Python values: the reading side of `provider.runner.columns`.

Knows the contents and column forms of docs/reference/frames.md. Does not know what is folded, or whether a cut may be
applied. What is read comes from a provider, so every length, type and index is looked at: a payload that lies raises
`RemoteProtocolError` and nothing else, and costs no more memory than its bytes account for.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider.runner.columns import BARE, numbers
from provider.runner.pack import MAX_DEPTH

#: Columns in columns. A runner nests half as deep.
_DEEPEST = 8

_NAN = float("nan")
#: Windows that a calendar can say.
_EARLIEST_S, _LATEST_S = -6.1e10, 2.5e11
_SCALARS = frozenset((str, int, float, bytes, bool, type(None)))

Window = tuple[float, float]


@dataclass(frozen=True, slots=True)
class Values:
    """Raw emissions, in order."""

    #: One for each value, `BARE` for those without; None if none has any.
    keys: list[Hashable] | None
    values: list[Any]


@dataclass(frozen=True, slots=True)
class Packed:
    """A column that is still packed, and of the length that it says: what can be added up as it is need not be read."""

    #: ``i`` or ``f`` as the form has it, ``t`` for tuples of such columns.
    kind: str
    count: int
    raw: bytes = b""
    parts: tuple[Packed, ...] = ()

    def values(self) -> list[Any]:
        """As Python has them; a tuple is a list."""
        if self.kind == "t":
            return list(map(list, zip(*(part.values() for part in self.parts), strict=True)))
        return _numbers("q" if self.kind == "i" else "d", self.raw)


@dataclass(frozen=True, slots=True)
class Partials:
    """Groups that were folded on the provider.

    Without ``base`` there is a key for each group. With it the groups' keys are in the dictionary of the job: they are
    told by number (``ids``), and ``keys`` are those that it gets now.
    """

    window: Window | None
    aggregates: tuple[str, ...]
    #: Distinct or not; a group may come in two parts.
    keys: list[Hashable]
    #: For each aggregate, its dumped state of each group: `Packed`, or a list. What a fold makes of it is its own
    #: affair.
    states: list[Any]
    #: Keys that the dictionary had before these; 0 begins it anew.
    base: int | None = None
    #: Numbers of the groups' keys, u32 little-endian; None: the groups are all keys of the dictionary, in order.
    ids: bytes | None = None
    #: Of a window: how many records these groups are made of, all of them or none (another payload says it then).
    records: int = 0

    @property
    def groups(self) -> int:
        """How many there are."""
        return (self.base or 0) + len(self.keys) if self.ids is None else len(self.ids) // 4


@dataclass(frozen=True, slots=True)
class Moves:
    """Sources that this cut moves: (source, from, to)."""

    moves: tuple[tuple[str, bytes, bytes], ...]


@dataclass(frozen=True, slots=True)
class Marks:
    """Watermarks of sources, in seconds since the epoch; None where a source has none yet."""

    marks: tuple[tuple[str, float | None], ...]


Content = Values | Partials | Moves | Marks


def decode(content: str, payload: bytes) -> Content:
    """One cut part.

    Raises:
        RemoteProtocolError: an unknown content, or a payload that is not what it says.
    """
    reader = _READERS.get(content)
    if reader is None:
        raise RemoteProtocolError(f"a cut with unknown content {content[:40]!r}")
    try:
        return reader(codec.unpack(payload))
    except (KeyError, IndexError, RecursionError, UnicodeDecodeError, OverflowError) as exc:
        raise RemoteProtocolError(f"a cut's {content} are broken: {type(exc).__name__} {exc}") from exc


def _values(packed: Any) -> Values:
    count = _expect(_expect(packed, dict)["n"], int)
    keys = None if packed["keys"] is None else _keys(packed["keys"], count)
    return Values(keys, _column(packed["values"], count))


def _partials(packed: Any) -> Partials:
    names = _expect(_expect(packed, dict)["aggregates"], list)
    columns = _expect(packed["states"], list)
    if len(names) != len(columns) or not columns or not all(type(name) is str for name in names):
        raise RemoteProtocolError(f"{len(columns)} state columns for {len(names)} aggregates")
    states = [_state_column(column) for column in columns]
    count = states[0].count if isinstance(states[0], Packed) else len(states[0])
    if any((column.count if isinstance(column, Packed) else len(column)) != count for column in states):
        raise RemoteProtocolError("state columns of different lengths")
    window = _window(packed["window"])
    records = _expect(packed.get("records", 0), int)
    if records < 0:
        raise RemoteProtocolError(f"{records} records")
    if packed.get("base") is None:
        return Partials(window, tuple(names), list(_group_keys(packed["keys"], count)), states, records=records)
    base, new = _expect(packed["base"], int), _expect(packed["new"], int)
    ids = None if packed["ids"] is None else _expect(packed["ids"], bytes)
    # Without a column all the keys are bare: nothing of the payload says that they are so many.
    if base < 0 or new < 0 or (packed["keys"] is None and new > max(1, count)):
        raise RemoteProtocolError(f"{new} new keys after {base}")
    partials = Partials(window, tuple(names), list(_group_keys(packed["keys"], new)), states, base, ids, records)
    if partials.groups != count or len(ids or b"") % 4:
        raise RemoteProtocolError(f"{count} states of {partials.groups} groups")
    return partials


def _group_keys(packed: Any, count: int) -> list[Hashable]:
    return [BARE] * count if packed is None else _keys(packed, count)


def _state_column(packed: Any, depth: int = _DEEPEST) -> Packed | list[Any]:
    """A column, left packed if it is of numbers alone."""
    kind = _expect(packed, dict)["t"]
    if kind in ("i", "f"):
        raw = _expect(packed["b"], bytes)
        if len(raw) % 8:
            raise RemoteProtocolError(f"{len(raw)} bytes of numbers of 8 bytes")
        return Packed(kind, len(raw) // 8, raw)
    if kind == "t" and depth:
        parts = [_state_column(each, depth - 1) for each in _expect(packed["c"], list)]
        dense = tuple(each for each in parts if isinstance(each, Packed))
        if dense and len(dense) == len(parts) and len({each.count for each in dense}) == 1:
            return Packed("t", dense[0].count, parts=dense)
    return _column(packed, None)


def _window(packed: Any) -> Window | None:
    if packed is None:
        return None
    start, end = _row(packed, 2)
    if type(start) not in (int, float) or type(end) not in (int, float) or not _EARLIEST_S < start < end < _LATEST_S:
        raise RemoteProtocolError(f"a window of {packed!r:.80}")
    return float(start), float(end)


def _moves(packed: Any) -> Moves:
    moves = []
    for each in _expect(packed, list):
        source, begin, end = _row(each, 3)
        moves.append((_expect(source, str), _expect(begin, bytes), _expect(end, bytes)))
    return Moves(tuple(moves))


def _marks(packed: Any) -> Marks:
    marks = []
    for each in _expect(packed, list):
        source, mark = _row(each, 2)
        marks.append((_expect(source, str), None if mark is None else float(_expect(mark, int, float))))
    return Marks(tuple(marks))


_READERS: dict[str, Callable[[Any], Content]] = {
    "values": _values,
    "partials": _partials,
    "moves": _moves,
    "marks": _marks,
}


def _expect(value: Any, *kinds: type) -> Any:
    if type(value) not in kinds:
        raise RemoteProtocolError(f"{type(value).__name__} where {kinds[0].__name__} was due")
    return value


def _row(value: Any, length: int) -> list[Any]:
    if type(value) is not list or len(value) != length:
        raise RemoteProtocolError(f"{value!r:.80} where a list of {length} was due")
    return value


def _column(packed: Any, count: int | None, depth: int = _DEEPEST) -> list[Any]:
    """A column's values, as many as ``count`` if it is given."""
    kind = _expect(packed, dict)["t"]
    if kind == "m":
        values = _plain(_expect(packed["v"], list))
    elif kind == "i":
        values = _numbers("q", packed["b"])
    elif kind == "f":
        values = _numbers("d", packed["b"])
    elif kind == "s":
        values = _texts(packed)
    elif depth and kind == "d":
        distinct = _column(packed["v"], None, depth - 1)
        values = list(map(distinct.__getitem__, _numbers("I", packed["i"])))
    elif depth and kind == "t":
        columns = [_column(each, count, depth - 1) for each in _expect(packed["c"], list)]
        if len({len(column) for column in columns}) != 1:
            raise RemoteProtocolError("a column of tuples whose elements are not as many")
        values = list(map(list, zip(*columns, strict=True)))
    else:
        raise RemoteProtocolError(f"a column of kind {kind!r:.40}, or nested too deep")
    if count is not None and len(values) != count:
        raise RemoteProtocolError(f"a column of {len(values)} values where {count} were due")
    return values


def _plain(values: list[Any]) -> list[Any]:
    """The same, once it is sure that it holds what a map may emit: no msgpack extension, nothing abysmal."""
    if not _SCALARS.issuperset(map(type, values)):
        for value in values:
            _look(value, MAX_DEPTH)
    return values


def _look(value: Any, depth: int) -> None:
    kind = type(value)
    if kind in _SCALARS:
        return
    if not depth or kind not in (list, dict):
        raise RemoteProtocolError(f"a value of type {kind.__name__}, or nested too deep")
    for each in value:
        _look(each, depth - 1)
    if kind is dict:
        for each in value.values():
            _look(each, depth - 1)


def _numbers(code: str, packed: Any) -> list[Any]:
    try:
        return numbers(code, _expect(packed, bytes))
    except ValueError as exc:
        raise RemoteProtocolError(str(exc)) from None


def _texts(packed: dict[str, Any]) -> list[str]:
    joined = _expect(packed["b"], bytes).decode("utf-8")
    ends = list(accumulate(_numbers("I", packed["n"])))
    if (ends[-1] if ends else 0) != len(joined):
        raise RemoteProtocolError("texts whose lengths do not add up")
    return [joined[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def _keys(packed: Any, count: int) -> list[Hashable]:
    """Keys as Python can group by them: tuples for sequences, and one NaN for all."""
    keys = _column(packed, count)
    kinds = set(map(type, keys))
    if float in kinds or not kinds <= _SCALARS:
        return list(map(_key, keys))
    return keys


def _key(value: Any) -> Hashable:
    kind = type(value)
    if kind is list:
        return tuple(map(_key, value))
    if kind is float:
        return value if value == value else _NAN
    if kind is dict:
        raise RemoteProtocolError("a dict cannot be a key")
    return value  # type: ignore[no-any-return]


def rekeyed(keys: Sequence[Hashable] | None, count: int) -> Sequence[Hashable]:
    """Keys of so many values, `BARE` where there are none at all."""
    return [BARE] * count if keys is None else keys
