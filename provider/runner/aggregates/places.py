"""`first`, `last` and `sample(k)`: values chosen by where they come from. Travels: standard library only, Python 3.6.

A value's place is (tag, ordinal): providers by name, and of each the values in the order in which it emitted them.
`first` and `last` are the ends of that order. A sample is of those with the smallest hash of their place, so that each
value has the same chance, and which ones these are does not depend on the cuts.
"""

from operator import itemgetter
from typing import Any, Dict, List
from zlib import crc32

from provider.runner.aggregates.base import VALUES, Aggregate, States
from provider.runner.aggregates.collect import is_item

_PLACE = itemgetter(0, 1)
_ALL = (1 << 64) - 1


class End(Aggregate):
    """The state is [tag, ordinal, value].

    Args:
        name: ``first`` or ``last``.
    """

    grows = VALUES

    def __init__(self, name: str) -> None:
        self._last = name == "last"

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        places = range(len(keys)) if self._last else range(len(keys) - 1, -1, -1)
        ends = dict(zip(keys if self._last else reversed(keys), places))
        return {key: [tag, first + place, values[place]] for key, place in ends.items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        return one if (_PLACE(one) > _PLACE(other)) == self._last else other

    def result(self, state: List[Any]) -> Any:
        return state[2]

    def load(self, dumped: Any) -> List[Any]:
        if not is_item(dumped):
            raise ValueError("a value with its place of %.40r" % (dumped,))
        return list(dumped)


class Sample(Aggregate):
    """The state is [[hash, tag, ordinal, value], ...], sorted.

    Args:
        k: most values of a key.
    """

    name = "sample"
    grows = VALUES

    def __init__(self, k: int) -> None:
        self._k = k

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        groups: Dict[Any, List[Any]] = {}
        seed = _seed(tag)
        for ordinal, (key, value) in enumerate(zip(keys, values), first):
            groups.setdefault(key, []).append([_hash(seed + ordinal), tag, ordinal, value])
        return {key: self._least(group) for key, group in groups.items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        return self._least(one + other)

    def _least(self, items: List[Any]) -> List[Any]:
        items.sort(key=itemgetter(0, 1, 2))
        return items[: self._k]

    def result(self, state: List[Any]) -> List[Any]:
        """In the order of their places."""
        return [item[3] for item in sorted(state, key=itemgetter(1, 2))]

    def dump(self, state: List[Any]) -> Any:
        return [item[1:] for item in state]

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or not dumped or not all(map(is_item, dumped)):
            raise ValueError("a sample of %.40r" % (dumped,))
        return self._least([[_hash(_seed(item[0]) + item[1])] + item for item in dumped])


def _seed(tag: str) -> int:
    """Of a provider: a job that was started anew goes on in the same sequence."""
    return crc32(tag.partition("\0")[0].encode("utf-8", "surrogatepass")) << 32


def _hash(number: int) -> int:
    """The last step of splitmix64 (Steele, Lea and Flood): one bit more or less changes half of them."""
    number = (number + 1) * 0x9E3779B97F4A7C15 & _ALL
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & _ALL
    number = (number ^ number >> 27) * 0x94D049BB133111EB & _ALL
    return number ^ number >> 31
