"""Emissions as columns: many values in one payload, packed by passes that run in C.

Knows the column forms of docs/reference/frames.md and what a map may emit. Does not know frames, cuts or aggregates.
It travels to providers, so: standard library only, Python 3.6. `backplane.reduce.columns` reads what this writes.

A column keeps the exact type of each value: ``True`` is not 1 and 1.0 is not 1, so only a column whose values all have
one type is packed densely, and anything else is a list of msgpack values. Texts are joined only if they encode
strictly: kept undecodable bytes of two neighbours could otherwise merge into one character that neither of them held.
"""

import sys
from array import array
from operator import itemgetter
from typing import Any, Dict, List, Optional, Set, Tuple

from provider.runner.pack import PackError, packb

_FIRST = itemgetter(0)
_SECOND = itemgetter(1)
_SWAP = sys.byteorder == "big"

_SCALARS = frozenset((str, int, float, bytes, bool, type(None)))

#: Tuples in tuples beyond this are plain values: each level costs a pass over the batch and three levels of msgpack.
_DEEPEST = 4

#: The key of a bare value, among others that have one. As a key column would say it: a tuple of no elements.
BARE: Tuple[()] = ()


def values_payload(emitted: List[Any]) -> bytes:
    """The content ``values`` of one cut part: what a map emitted, in order.

    A tuple of length 2 is (key, value), anything else a bare value. A key of ``()`` is no key.

    Raises:
        PackError: something that cannot travel, or a key that cannot be one (a list, a dict).
    """
    keys, values = split(emitted)
    return packb(
        {
            "n": len(values),
            "keys": None if keys is None else key_column(keys),
            "values": column(values),
        }
    )


def split(emitted: List[Any]) -> "Tuple[Optional[List[Any]], List[Any]]":
    """Keys (None if every value is bare, else `BARE` for those that are) and values of what a map emitted."""
    kinds = set(map(type, emitted))
    if kinds == {tuple}:
        lengths = set(map(len, emitted))
        if lengths == {2}:
            return list(map(_FIRST, emitted)), list(map(_SECOND, emitted))
        if 2 not in lengths:
            return None, emitted
    elif not any(issubclass(kind, tuple) for kind in kinds):
        return None, emitted
    paired = [isinstance(item, tuple) and len(item) == 2 for item in emitted]
    if not any(paired):
        return None, emitted
    keys = [item[0] if pair else BARE for item, pair in zip(emitted, paired)]
    return keys, [item[1] if pair else item for item, pair in zip(emitted, paired)]


def key_column(keys: List[Any]) -> Optional[Dict[str, Any]]:
    """The column of some keys, None if all are bare.

    Raises:
        PackError: one of them cannot be a key.
    """
    kinds = set(map(type, keys))
    if _SCALARS.issuperset(kinds):
        return column(keys, kinds=kinds)
    check_keys(keys)
    return None if keys.count(BARE) == len(keys) else column(keys, kinds=kinds)


def check_keys(keys: List[Any]) -> None:
    """Keys group values, so they must be hashable.

    Raises:
        PackError: one is not; the message shows it.
    """
    if _SCALARS.issuperset(map(type, keys)):
        return
    for key in keys:
        try:
            hash(key)
        except TypeError:
            raise PackError("%s cannot be a key: emit a tuple instead (%.80r)" % (_what(key), key))


def _what(key: Any) -> str:
    kind = type(key).__name__
    return "a tuple that holds a list or a dict" if kind == "tuple" else "a " + kind


def column(values: List[Any], depth: int = _DEEPEST, kinds: "Optional[Set[type]]" = None) -> Dict[str, Any]:
    """The densest column that gives back exactly these values (a tuple comes back as a list).

    Args:
        kinds: their types, where the caller knows them already.
    """
    kinds = kinds or set(map(type, values))
    if len(kinds) == 1:
        kind = next(iter(kinds))
        if kind is str:
            return _texts(values)
        if kind is int:
            return _numbers("i", "q", values)
        if kind is float:
            return _numbers("f", "d", values)
        if kind is tuple and depth and len(set(map(len, values))) == 1 and values[0]:
            return {"t": "t", "c": [column(list(each), depth - 1) for each in zip(*values)]}
        if kind is bytes:
            return _dictionary(values) or {"t": "m", "v": values}
    return {"t": "m", "v": values}


def _numbers(name: str, code: str, values: List[Any]) -> Dict[str, Any]:
    try:
        return {"t": name, "b": little_endian(array(code, values))}
    except OverflowError:  # an int over 64 signed bits
        return {"t": "m", "v": values}


def _texts(values: List[str]) -> Dict[str, Any]:
    dense = _dictionary(values)
    if dense is not None:
        return dense
    try:
        return {"t": "s", "b": "".join(values).encode("utf-8"), "n": little_endian(array("I", map(len, values)))}
    except UnicodeEncodeError:
        return {"t": "m", "v": values}


def _dictionary(values: List[Any]) -> Optional[Dict[str, Any]]:
    """Texts or bytes only: other types have values that are equal and not the same (0.0 and -0.0)."""
    distinct = dict.fromkeys(values)
    if 2 * len(distinct) >= len(values):
        return None
    index = dict(zip(distinct, range(len(distinct))))
    return {"t": "d", "v": column(list(distinct)), "i": little_endian(array("I", map(index.__getitem__, values)))}


def little_endian(numbers: "array[Any]") -> bytes:
    """Numbers as bytes, whatever the host is; those of the array may be swapped meanwhile."""
    if _SWAP:
        numbers.byteswap()
    return numbers.tobytes()


def numbers(code: str, raw: bytes) -> List[Any]:
    """What `little_endian` made bytes of.

    Args:
        code: as `array` has it.

    Raises:
        ValueError: these are no such numbers.
    """
    found = array(code)
    if len(raw) % found.itemsize:
        raise ValueError("%d bytes of numbers of %d bytes" % (len(raw), found.itemsize))
    found.frombytes(raw)
    if _SWAP:
        found.byteswap()
    return found.tolist()
