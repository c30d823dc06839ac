"""`collect`: the values themselves, up to a bound. Travels: standard library only, Python 3.6.

Which ones are kept must not depend on when they arrived, so each carries where it comes from: (tag, ordinal), the first
values of the first provider by name. What the bound leaves out is counted.
"""

from operator import itemgetter
from typing import Any, Dict, List

from provider.runner.aggregates.base import Aggregate, States

#: Values kept for a key. More is a listing, not an aggregate: leave `reduce` away for that.
LIMIT = 1000

_PLACE = itemgetter(0, 1)


class Collect(Aggregate):
    """The state is [dropped, [[tag, ordinal, value], ...]], in order."""

    name = "collect"

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        groups: Dict[Any, List[Any]] = {}
        for ordinal, (key, value) in enumerate(zip(keys, values), first):
            groups.setdefault(key, []).append([tag, ordinal, value])
        return {key: _bounded(0, group) for key, group in groups.items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        return _bounded(one[0] + other[0], sorted(one[1] + other[1], key=_PLACE))

    def result(self, state: List[Any]) -> List[Any]:
        return [item[2] for item in state[1]]

    def dropped(self, state: List[Any]) -> int:
        return int(state[0])

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or len(dumped) != 2:
            raise ValueError("a collection of %.40r" % (dumped,))
        dropped, items = dumped
        if type(dropped) is not int or dropped < 0 or type(items) is not list or not all(map(_is_item, items)):
            raise ValueError("a collection of %.40r" % (dumped,))
        return _bounded(dropped, sorted(items, key=_PLACE))


def _is_item(item: Any) -> bool:
    return type(item) is list and len(item) == 3 and type(item[0]) is str and type(item[1]) is int


def _bounded(dropped: int, items: List[Any]) -> List[Any]:
    return [dropped + max(0, len(items) - LIMIT), items[:LIMIT]]
