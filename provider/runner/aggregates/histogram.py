"""`histogram`: how many values lie between which bounds. Travels: standard library only, Python 3.6.

``histogram(10, 100)`` counts below 10, from 10 to below 100, and from 100; ``histogram`` alone has a bucket for each
power of two. The result is a list of [from, to, count] in order, without empty buckets; None is an open end.
"""

from array import array
from bisect import bisect_right
from collections import Counter
from typing import Any, Dict, List, Tuple

from provider.runner.aggregates import buckets
from provider.runner.aggregates.base import Aggregate, States, grouped
from provider.runner.columns import little_endian, numbers

_SHIFT = 52
_NAN = buckets.nan(_SHIFT)


class Histogram(Aggregate):
    """The state is the count of each bucket by its number.

    Args:
        bounds: ascending; none for powers of two.
    """

    name = "histogram"

    def __init__(self, bounds: Tuple[Any, ...]) -> None:
        self._bounds = bounds

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        self.numbers(keys, values)
        return {key: self._counted(group) for key, group in grouped(keys, values).items()}

    def _counted(self, values: List[Any]) -> Dict[int, int]:
        if not self._bounds:
            return buckets.counted(buckets.floats(values), _SHIFT)
        bounds = self._bounds
        return Counter([bisect_right(bounds, value) if value == value else _NAN for value in values])

    def merge(self, one: Dict[int, int], other: Dict[int, int]) -> Dict[int, int]:
        get = one.get
        for bucket, count in other.items():
            one[bucket] = get(bucket, 0) + count
        return one

    def result(self, state: Dict[int, int]) -> List[List[Any]]:
        return [self._span(bucket) + [count] for bucket, count in sorted(state.items())]

    def _span(self, bucket: int) -> List[Any]:
        if bucket == _NAN:
            return [float("nan"), float("nan")]
        if self._bounds:
            ends = (None,) + self._bounds + (None,)
            return list(ends[bucket : bucket + 2])
        return _power(bucket) if bucket >= 0 else [-each for each in reversed(_power(-1 - bucket))]

    def dump(self, state: Dict[int, int]) -> Any:
        ordered = sorted(state.items())
        places, counts = array("i", [each[0] for each in ordered]), array("q", [each[1] for each in ordered])
        return little_endian(places), little_endian(counts)

    def load(self, dumped: Any) -> Dict[int, int]:
        if type(dumped) is not list or list(map(type, dumped)) != [bytes, bytes]:
            raise ValueError("a histogram of %.40r" % (dumped,))
        places, counts = numbers("i", dumped[0]), numbers("q", dumped[1])
        if not places or len(places) != len(counts) or len(set(places)) != len(places) or min(counts) < 1:
            raise ValueError("a histogram of %.40r" % (dumped,))
        if not all(self._is_bucket(bucket) for bucket in places):
            raise ValueError("a histogram with impossible buckets")
        return dict(zip(places, counts))

    def _is_bucket(self, bucket: int) -> bool:
        if self._bounds:
            return 0 <= bucket <= len(self._bounds) or bucket == _NAN
        return buckets.is_bucket(bucket, _SHIFT)


def _power(magnitude: int) -> List[float]:
    if magnitude == 0:
        return [0.0, 0.0]
    start = buckets.start(magnitude, _SHIFT)
    return [start, start * 2.0]
