"""Quantiles by buckets of magnitude, within 1 %. Travels: standard library only, Python 3.6.

64 buckets a power of two: the middle of a bucket is at most 1/129 from any of its values. A quantile is the value of a
rank: of n values in order the one at ``floor(share * (n - 1))``, so that no value is made up between two others;
the least and the greatest are kept, and are exact. NaN stands after every number.
"""

from array import array
from itertools import accumulate
from typing import Any, Iterable, List, Optional, Tuple

from provider.runner.aggregates import buckets
from provider.runner.aggregates.base import ENTRIES, Aggregate, States, grouped
from provider.runner.columns import little_endian, numbers

_SHIFT = 46
_PARTS = 64
_NAN = buckets.nan(_SHIFT)


class Quantiles(Aggregate):
    """The state is [least, greatest, values by bucket]; the first two are NaN if there is no number.

    Args:
        shares: from 0 to 1, a column each.
        columns: their names; ``p50`` and the like by default.
    """

    name = "quantiles"
    grows = ENTRIES
    alike = "quantiles"

    def __init__(self, shares: Tuple[float, ...], columns: Optional[Tuple[str, ...]] = None) -> None:
        self._shares = shares
        self._columns = columns or tuple("p%s" % repr(round(share * 100, 6)).replace(".0", "") for share in shares)

    @property
    def columns(self) -> Tuple[str, ...]:
        return self._columns

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        self.numbers(keys, values)
        return {key: _state(buckets.floats(group)) for key, group in grouped(keys, values).items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        counts, others = one[2], other[2]
        get = counts.get
        for bucket, count in others.items():
            counts[bucket] = get(bucket, 0) + count
        if one[0] != one[0]:
            one[:2] = other[:2]
        elif other[0] == other[0]:
            one[0] = min(one[0], other[0])
            one[1] = max(one[1], other[1])
        return one

    def results(self, state: List[Any]) -> Tuple[Any, ...]:
        least, greatest, counts = state
        ordered = sorted(counts.items())
        last = sum(counts.values()) - 1
        return tuple(_at(ordered, int(share * last), last, least, greatest) for share in self._shares)

    def error(self, states: Iterable[Any]) -> str:
        return "within 1 %"

    def dump(self, state: List[Any]) -> Any:
        ordered = sorted(state[2].items())
        places, counts = array("i", [each[0] for each in ordered]), array("q", [each[1] for each in ordered])
        return state[0], state[1], little_endian(places), little_endian(counts)

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or list(map(type, dumped)) != [float, float, bytes, bytes]:
            raise ValueError("quantiles of %.40r" % (dumped,))
        places, counts = numbers("i", dumped[2]), numbers("q", dumped[3])
        if not places or len(places) != len(counts) or sorted(set(places)) != places:
            raise ValueError("quantiles of %d buckets and %d counts" % (len(places), len(counts)))
        if min(counts) < 1 or sum(counts) >> 63 or not all(buckets.is_bucket(each, _SHIFT) for each in places):
            raise ValueError("quantiles with impossible buckets")
        least, greatest = dumped[:2]
        if not (least <= greatest or (places == [_NAN] and least != least and greatest != greatest)):
            raise ValueError("quantiles from %r to %r" % (least, greatest))
        return [least, greatest, dict(zip(places, counts))]


def _state(values: "array[float]") -> List[Any]:
    counts = buckets.counted(values, _SHIFT)
    found = [value for value in values if value == value] if _NAN in counts else values
    if not found:
        return [float("nan"), float("nan"), counts]
    return [min(found) + 0.0, max(found) + 0.0, counts]  # -0.0 is 0.0: it would tie


def _at(ordered: List[Tuple[int, int]], rank: int, last: int, least: float, greatest: float) -> float:
    """The value of a rank, from 0."""
    if rank == 0 and ordered[0][0] != _NAN:
        return least
    if rank == last and ordered[-1][0] != _NAN:
        return greatest
    counts = accumulate(count for _, count in ordered)
    bucket = next(bucket for (bucket, _), through in zip(ordered, counts) if rank < through)
    if bucket == _NAN:
        return float("nan")
    return min(max(_middle(bucket), least), greatest) if bucket else 0.0


def _middle(bucket: int) -> float:
    magnitude = bucket if bucket > 0 else -1 - bucket
    part = _PARTS + magnitude % _PARTS
    value = buckets.start(magnitude, _SHIFT) * ((2 * part + 2) / (2 * part + 1))
    return value if bucket > 0 else -value
