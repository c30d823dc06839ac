"""Our msgpack against the msgpack library: what one writes the other reads."""

from __future__ import annotations

from enum import IntEnum
from typing import Any, NamedTuple

import msgpack
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.wire import codec
from provider.runner.pack import MAX_DEPTH, PackError, packb, unpackb

#: Bytes that came through surrogateescape, as a log line's do.
_lines = st.binary(max_size=40).map(lambda data: data.decode("utf-8", "surrogateescape"))
_scalars = (
    st.none()
    | st.booleans()
    | st.integers(-(1 << 63), (1 << 64) - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=300)
    | _lines
    | st.binary(max_size=300)
)
_values = st.recursive(
    _scalars,
    lambda inner: st.lists(inner, max_size=40) | st.dictionaries(st.text(max_size=5), inner, max_size=20),
    max_leaves=60,
)


@given(_values)
def test_packs_as_the_library_does(value: Any) -> None:
    """The same bytes, to the last one."""
    assert packb(value) == msgpack.packb(value, unicode_errors="surrogateescape")


@given(_values)
def test_each_reads_the_other(value: Any) -> None:
    """What either side packs, both unpack to the value."""
    assert unpackb(packb(value)) == value
    assert codec.unpack(packb(value)) == value
    assert unpackb(codec.pack(value)) == value


@given(st.sampled_from([0, 31, 32, 255, 256, 65535, 65536]), st.sampled_from("lbsd"))
def test_sizes_at_the_edges_of_formats(size: int, kind: str) -> None:
    """Where msgpack changes the form of a length, both still agree."""
    value: Any = {"l": [0] * size, "b": b"x" * size, "s": "x" * size, "d": dict.fromkeys(range(size))}[kind]
    assert packb(value) == msgpack.packb(value)
    assert unpackb(packb(value)) == value


@given(st.binary(max_size=60))
def test_arbitrary_bytes_are_a_value_or_an_error(data: bytes) -> None:
    """Whatever arrives: a value or PackError, never another exception."""
    try:
        value = unpackb(data)
    except PackError:
        return
    assert value is None or isinstance(value, bool | int | float | str | bytes | list | dict)


@given(_values, st.data())
def test_cut_short_or_too_long_is_an_error(value: Any, data: st.DataObject) -> None:
    """All the bytes and nothing else."""
    packed = packb(value)
    cut = data.draw(st.integers(0, len(packed) - 1))
    with pytest.raises(PackError):
        unpackb(packed[:cut])
    with pytest.raises(PackError, match="after the value"):
        unpackb(packed + b"\xc0")


class _Level(IntEnum):
    LOW = 3


class _Point(NamedTuple):
    x: int
    y: int


@pytest.mark.parametrize(
    ("value", "read"), [(_Level.LOW, 3), (_Point(1, 2), [1, 2]), (bytearray(b"x"), b"x"), (memoryview(b"y"), b"y")]
)
def test_relatives_travel_as_their_base(value: Any, read: Any) -> None:
    """An IntEnum is an int, a named tuple a list."""
    assert unpackb(packb(value)) == read


@pytest.mark.parametrize(
    ("value", "said"),
    [(1 << 64, "over 64 bits"), (-(1 << 63) - 1, "under"), ({1, 2}, "type set"), (object(), "type object")],
)
def test_what_cannot_travel_is_named(value: Any, said: str) -> None:
    """The message names the type or the size."""
    with pytest.raises(PackError, match=said):
        packb([value])


def test_depth_is_bounded_both_ways() -> None:
    """A value nested too deep is refused instead of overflowing a stack."""
    value: Any = 1
    for _ in range(MAX_DEPTH + 1):
        value = [value]
    with pytest.raises(PackError, match="deep"):
        packb(value)
    with pytest.raises(PackError, match="deep"):
        unpackb(b"\x91" * (MAX_DEPTH + 1) + b"\x01")
    assert unpackb(packb(value[0])) == value[0]


def test_a_surrogate_that_never_was_a_byte_travels() -> None:
    """JSON's \\ud800 has no UTF-8: it comes back as bytes that can be written, and breaks nothing."""
    assert isinstance(unpackb(packb("\ud800")), str)
