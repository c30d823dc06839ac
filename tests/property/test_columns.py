"""Columns give back exactly what was emitted, and lies are found."""

from __future__ import annotations

import contextlib
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.reduce import columns
from backplane.reduce.columns import Values
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider.runner.columns import values_payload
from provider.runner.pack import PackError

_lines = st.binary(max_size=6).map(lambda data: data.decode("utf-8", "surrogateescape"))
_scalars = (
    st.none() | st.booleans() | st.integers(-(1 << 63), (1 << 64) - 1) | st.floats() | st.text("aé€\0,\t\n", max_size=4)
    | _lines | st.binary(max_size=4)
)  # fmt: skip
_keys = st.recursive(_scalars, lambda inner: st.tuples(inner, inner) | st.tuples(inner), max_leaves=4)
_anything = st.recursive(_scalars, lambda inner: st.lists(inner, max_size=3) | st.tuples(inner), max_leaves=5)


def _batches(keys: Any, values: Any) -> Any:
    """Batches of one kind, as most are, and of any mixture."""
    pairs = st.tuples(keys, values)
    return st.lists(pairs, max_size=12) | st.lists(values, max_size=12) | st.lists(pairs | values, max_size=12)


_alike = st.one_of(
    [
        _batches(keys, values)
        for keys in (st.text("ab", max_size=2), st.integers(), st.tuples(st.text("ab"), st.booleans()))
        for values in (st.integers(0, 3), st.floats(), st.text("xyz", max_size=1))
    ]
)


def _same(one: Any, other: Any) -> bool:
    """Equal and of one type all the way down; a sequence comes back as a list, or as a tuple in a key."""
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, float) and isinstance(other, float):
        return (math.isnan(one) and math.isnan(other)) or (
            one == other and math.copysign(1, one) == math.copysign(1, other)
        )
    return type(one) is type(other) and one == other


def _expected(emitted: list[Any]) -> list[tuple[Any, Any]]:
    return [item if isinstance(item, tuple) and len(item) == 2 else ((), item) for item in emitted]


@given(_batches(_keys, _anything) | _alike)
def test_emissions_come_back_in_order_and_with_their_types(emitted: list[Any]) -> None:
    """Bare values, pairs and mixtures: each as it was, ``True`` no 1 and ``-0.0`` no 0.0."""
    try:
        payload = values_payload(emitted)
    except PackError:
        assert any("int" in type(part).__name__ for part in _flat(emitted))  # over 64 bits, and nothing else
        return
    found = columns.decode("values", payload)
    assert isinstance(found, Values)
    keys = columns.rekeyed(found.keys, len(found.values))
    expected = _expected(emitted)
    assert len(found.values) == len(expected)
    for (key, value), got_key, got_value in zip(expected, keys, found.values, strict=True):
        assert _same(key, got_key), (key, got_key)
        assert _same(value, got_value), (value, got_value)
        hash(got_key)


def _flat(value: Any) -> list[Any]:
    return [part for each in value for part in _flat(each)] if isinstance(value, list | tuple) else [value]


def test_undecodable_neighbours_do_not_merge() -> None:
    """The three bytes of a euro sign in three values stay three values."""
    parts = [bytes([byte]).decode("utf-8", "surrogateescape") for byte in "€".encode()]
    found = columns.decode("values", values_payload(parts * 2))
    assert isinstance(found, Values)
    assert found.values == parts * 2


@given(st.data(), _batches(_keys, _scalars) | _alike)
def test_a_lying_payload_is_found(data: st.DataObject, emitted: list[Any]) -> None:
    """Any byte of it changed: other values, or RemoteProtocolError, and no other exception."""
    try:
        payload = bytearray(values_payload(emitted))
    except PackError:
        return
    payload[data.draw(st.integers(0, len(payload) - 1))] = data.draw(st.integers(0, 255))
    for content in ("values", "partials", "moves", "marks"):
        try:
            columns.decode(content, bytes(payload))
        except RemoteProtocolError:
            continue


@given(_anything, st.sampled_from(["values", "partials", "moves", "marks", "lies"]))
def test_any_value_as_a_payload_is_content_or_an_error(value: Any, content: str) -> None:
    """Well-formed msgpack that is something else altogether."""
    with contextlib.suppress(RemoteProtocolError):
        columns.decode(content, codec.pack(value))


@pytest.mark.parametrize(
    "packed",
    [
        {"n": 2, "keys": None, "values": {"t": "m", "v": [1]}},
        {"n": 1, "keys": None, "values": {"t": "i", "b": b"\0" * 7}},
        {"n": 1, "keys": None, "values": {"t": "s", "b": b"abc", "n": b"\x02\0\0\0"}},
        {"n": 1, "keys": None, "values": {"t": "s", "b": b"\xff", "n": b"\x01\0\0\0"}},
        {"n": 1, "keys": None, "values": {"t": "d", "v": {"t": "m", "v": []}, "i": b"\0\0\0\0"}},
        {"n": 1, "keys": None, "values": {"t": "t", "c": []}},
        {"n": 1, "keys": {"t": "m", "v": [{}]}, "values": {"t": "m", "v": [1]}},
        {"n": 1, "keys": None, "values": {"t": "?"}},
        {"n": -1, "keys": None, "values": {"t": "m", "v": []}},
        {"n": True, "keys": None, "values": {"t": "m", "v": [1]}},
        {"keys": None, "values": {"t": "m", "v": [1]}},
    ],
)  # fmt: skip
def test_lengths_types_and_indexes_are_checked(packed: dict[str, Any]) -> None:
    """One lie each."""
    with pytest.raises(RemoteProtocolError):
        columns.decode("values", codec.pack(packed))


def test_extensions_and_abysses_are_refused() -> None:
    """A msgpack timestamp is no value of ours; nor is what would overflow a stack later."""
    timestamp = b"\xd6\xff\0\0\0\0"
    payload = b"\x83\xa1n\x01\xa4keys\xc0\xa6values\x82\xa1t\xa1m\xa1v\x91" + timestamp
    with pytest.raises(RemoteProtocolError, match="Timestamp"):
        columns.decode("values", payload)
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    with pytest.raises(RemoteProtocolError, match="deep"):
        columns.decode("values", codec.pack({"n": 1, "keys": None, "values": {"t": "m", "v": [deep]}}))


@pytest.mark.parametrize("emitted", [[([1], 2)], [({"a": 1}, 2)], [(("a", [1]), 2)], [1, ([1], 2)]])
def test_a_key_that_cannot_be_one_is_named(emitted: list[Any]) -> None:
    """The message says what to emit instead."""
    with pytest.raises(PackError, match="cannot be a key: emit a tuple instead"):
        values_payload(emitted)
