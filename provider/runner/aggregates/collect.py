"""`collect(k)`: the values themselves, up to a bound. Travels: standard library only, Python 3.6.

Which ones are kept must not depend on when they arrived, so each carries where it comes from: (tag, ordinal), the first
values of the first provider by name. What the bound leaves out is counted. There is a bound in bytes too: a value is
kept while those before it in that order are not over it, and whether they are does not depend on the cuts either.
"""

from operator import itemgetter
from typing import Any, Dict, List

from provider.runner.aggregates.base import VALUES, Aggregate, States, weight

#: Of the values kept for a key. More is a listing, not an aggregate: leave `reduce` away for that.
_BYTES = 1 << 20

_PLACE = itemgetter(0, 1)


class Collect(Aggregate):
    """The state is [dropped, [[tag, ordinal, value], ...]], in order.

    Args:
        k: most values of a key.
    """

    name = "collect"
    grows = VALUES

    def __init__(self, k: int) -> None:
        self._k = k

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        groups: Dict[Any, List[Any]] = {}
        for ordinal, (key, value) in enumerate(zip(keys, values), first):
            groups.setdefault(key, []).append([tag, ordinal, value])
        return {key: self._bounded(0, group) for key, group in groups.items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        return self._bounded(one[0] + other[0], sorted(one[1] + other[1], key=_PLACE))

    def result(self, state: List[Any]) -> List[Any]:
        return [item[2] for item in state[1]]

    def dropped(self, state: List[Any]) -> int:
        return int(state[0])

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or len(dumped) != 2:
            raise ValueError("a collection of %.40r" % (dumped,))
        dropped, items = dumped
        if type(dropped) is not int or dropped < 0 or type(items) is not list or not all(map(is_item, items)):
            raise ValueError("a collection of %.40r" % (dumped,))
        return self._bounded(dropped, sorted(items, key=_PLACE))

    def _bounded(self, dropped: int, items: List[Any]) -> List[Any]:
        kept = min(len(items), self._k)
        room = _BYTES
        for number, item in enumerate(items[:kept]):
            if room <= 0:
                kept = number
                break
            room -= weight(item[2])
        return [dropped + len(items) - kept, items[:kept]]


def is_item(item: Any) -> bool:
    """It is [tag, ordinal, value]."""
    return type(item) is list and len(item) == 3 and type(item[0]) is str and type(item[1]) is int
