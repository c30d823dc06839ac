"""What a fold holds, in pieces that a store can keep.

Knows values and how they survive exactly. Does not know folds, or where pieces are kept.

msgpack has no tuples, sets or long ints, and a user's reduce may hold any of them; one that came back as another type
would make it another reduce. So each container is a list here, whose first element says which one it was. So is a time
in UTC, which a snapshot has.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

from backplane.reduce.faults import ReduceFault
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError

#: A piece is one row of a store. One value or one group that is larger is still one piece.
PIECE_BYTES: Final = 4 << 20

_EPOCH: Final = datetime.fromtimestamp(0, UTC)
_LISTED: Final[dict[type, str]] = {list: "l", tuple: "t", set: "s", frozenset: "f"}
_MADE: Final[dict[str, type]] = {"l": list, "t": tuple, "s": set, "f": frozenset}


class Saved(NamedTuple):
    """One piece."""

    #: Whose it is, where that matters; otherwise empty.
    provider: str
    #: ``partials`` or ``values``: the payload is what a cut's part of this content would hold. ``state``: a form of the
    #: fold's own.
    content: str
    payload: bytes


def pieces(items: Iterable[Any]) -> Iterator[bytes]:
    """Payloads that hold these values, in order, each as many as fit.

    Raises:
        ReduceFault: one of them cannot be saved.
    """
    gathered: list[bytes] = []
    size = 0
    for item in items:
        packed = codec.pack(_said(item))
        if gathered and size + len(packed) > PIECE_BYTES:
            yield codec.pack(gathered)
            gathered, size = [], 0
        gathered.append(packed)
        size += len(packed) + 5
    if gathered:
        yield codec.pack(gathered)


def items(payload: bytes) -> Iterator[Any]:
    """The values of one of `pieces`.

    Raises:
        RemoteProtocolError: it is none.
    """
    packed = codec.unpack(payload)
    if type(packed) is not list or not all(type(each) is bytes for each in packed):
        raise RemoteProtocolError("a saved piece that is none")
    for each in packed:
        try:
            yield _meant(codec.unpack(each))
        except (KeyError, IndexError, TypeError, ValueError, AttributeError, OverflowError) as exc:
            raise RemoteProtocolError(f"a saved value that is none: {type(exc).__name__} {exc}") from exc


def slices(data: bytes) -> Iterator[bytes]:
    """Bytes in pieces, for what is one value and larger than a piece."""
    for start in range(0, max(1, len(data)), PIECE_BYTES):
        yield data[start : start + PIECE_BYTES]


def packed(value: Any) -> bytes:
    """One value.

    Raises:
        ReduceFault: it cannot be saved.
    """
    return codec.pack(_said(value))


def unpacked(data: bytes) -> Any:
    """What `packed` has packed.

    Raises:
        RemoteProtocolError: it is not.
    """
    (value,) = items(codec.pack([data]))
    return value


def _said(value: Any) -> Any:
    kind = type(value)
    if value is None or kind in (bool, float, bytes):
        return value
    if kind is int:
        return value if -(1 << 63) <= value < 1 << 63 else ["i", f"{value:x}"]
    if kind is str:
        return value if _encodes(value) else ["u", value.encode("utf-8", "surrogatepass")]
    if kind in _LISTED:
        return [_LISTED[kind], *map(_said, value)]
    if kind is datetime and value.tzinfo is UTC:
        return ["m", (value - _EPOCH) // timedelta(microseconds=1)]
    if kind is dict:
        return ["d", *(_said(each) for pair in value.items() for each in pair)]
    raise ReduceFault(
        f"a value of type {kind.__name__} cannot be saved: keep None, numbers, text, bytes and containers"
    )


def _encodes(text: str) -> bool:
    if text.isascii():
        return True
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return True


def _meant(said: Any) -> Any:
    if type(said) is not list:
        return said
    kind, *rest = said
    if kind == "i":
        return int(rest[0], 16)
    if kind == "m":
        return _EPOCH + timedelta(microseconds=rest[0])
    if kind == "u":
        return rest[0].decode("utf-8", "surrogatepass")
    values = map(_meant, rest)
    if kind == "d":
        return dict(zip(values, values, strict=True))
    return _MADE[kind](values)
