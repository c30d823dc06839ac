"""Numbers by their order of magnitude, for sketches. Travels: standard library only, Python 3.6.

The bits of a float, read as an int, grow with the float; shifted right they are the number of a bucket: its power of
two, and below that as many equal parts as bits are kept. No logarithm is taken, so that every machine finds the
same bucket, and one pass in C reads all the bits.

Buckets are numbered in the order of their values: from 0 for zero, ``-1 - n`` for what is negative, and `nan` last.
What is nearer to zero than 2.2e-308 counts as zero.
"""

import struct
from array import array
from collections import Counter
from typing import Any, Dict, List

_DOUBLE = struct.Struct("<d")
_QUAD = struct.Struct("<q")


def floats(values: List[Any]) -> "array[float]":
    """Numbers as floats; an int that is larger than any float is an infinity."""
    try:
        return array("d", values)
    except OverflowError:
        return array("d", map(_float, values))


def _float(value: Any) -> float:
    try:
        return float(value)
    except OverflowError:
        return float("inf") if value > 0 else float("-inf")


def nan(shift: int) -> int:
    """The bucket of what is not a number."""
    return 1 << (63 - shift)


def infinite(shift: int) -> int:
    """The bucket of infinity."""
    return 0x7FF << (52 - shift)


def counted(values: "array[float]", shift: int) -> Dict[int, int]:
    """How many values are in each bucket.

    Args:
        shift: bits that do not count, at most 52; at 52 a bucket is a power of two.
    """
    bits = memoryview(values).cast("B").cast("q").tolist()
    raw = Counter([each >> shift for each in bits])
    counts: Dict[int, int] = {}
    least, most = 1 << (52 - shift), infinite(shift)
    for bucket, count in raw.items():
        if not least <= bucket < most:
            bucket = _unusual(bucket, least, most, shift)
        counts[bucket] = counts.get(bucket, 0) + count
    if most in counts or -1 - most in counts:
        _take_out_nans(values, counts, shift)
    return counts


def _unusual(bucket: int, least: int, most: int, shift: int) -> int:
    magnitude = bucket if bucket >= 0 else bucket + nan(shift)
    if magnitude < least:
        return 0
    magnitude = min(magnitude, most)
    return magnitude if bucket >= 0 else -1 - magnitude


def _take_out_nans(values: "array[float]", counts: Dict[int, int], shift: int) -> None:
    """They have the bits of infinities."""
    most = infinite(shift)
    nans = sum(1 for value in values if value != value)
    for bucket, value in ((most, float("inf")), (-1 - most, float("-inf"))):
        counts.pop(bucket, None)
        found = values.count(value)
        if found:
            counts[bucket] = found
    if nans:
        counts[nan(shift)] = nans


def start(magnitude: int, shift: int) -> float:
    """The least number of the bucket of this magnitude, which is not negative."""
    return float(_DOUBLE.unpack(_QUAD.pack(magnitude << shift))[0])


def is_bucket(bucket: Any, shift: int) -> bool:
    """There is one of this number."""
    most = infinite(shift)
    return type(bucket) is int and (-1 - most <= bucket <= most or bucket == nan(shift))
