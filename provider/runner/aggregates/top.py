"""`top(k)`: the values that come most often. Travels: standard library only, Python 3.6.

As long as a group has at most `_LEAST` distinct values (20 k, if that is more) every count is exact, and so is the
answer, in whatever order it was put together. With more, the rarest are forgotten (Misra and Gries): all counts are
made smaller by one number so that half of the values fall out, and these numbers add up to the error. Counts are then
too low by at most that much, which is never more than twice the values counted over the bound, and a value that is not
shown came no oftener than its error and the last count shown. Which of several such answers it is may then depend on
the order.
"""

from collections import Counter
from typing import Any, Dict, Iterable, List, Optional

from provider.runner.aggregates.base import VALUES, Aggregate, States, grouped
from provider.runner.aggregates.order import order
from provider.runner.aggregates.tokens import is_token, tokens, value

_LEAST = 1000


class Top(Aggregate):
    """The state is [error, counts by token].

    Args:
        k: how many are shown.
    """

    name = "top"
    grows = VALUES

    def __init__(self, k: int) -> None:
        self._k = k
        self._most = max(_LEAST, 20 * k)

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        groups = grouped(keys, tokens(values))
        return {key: self._bounded(0, Counter(group)) for key, group in groups.items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        counts = one[1]
        get = counts.get
        for token, count in other[1].items():
            counts[token] = get(token, 0) + count
        return self._bounded(one[0] + other[0], counts)

    def _bounded(self, error: int, counts: Dict[Any, int]) -> List[Any]:
        if len(counts) <= self._most:
            return [error, counts]
        least = sorted(counts.values(), reverse=True)[self._most // 2]
        return [error + least, {token: count - least for token, count in counts.items() if count > least}]

    def result(self, state: List[Any]) -> List[Any]:
        counts = state[1]
        if len(counts) > self._k:
            least = sorted(counts.values(), reverse=True)[self._k - 1]
            counts = {token: count for token, count in counts.items() if count >= least}
        shown = [[value(token), count] for token, count in counts.items()]
        return sorted(shown, key=lambda pair: (-pair[1], order(pair[0])))[: self._k]

    def error(self, states: Iterable[Any]) -> Optional[str]:
        most = max((state[0] for state in states), default=0)
        return "counts may be too low by up to %d" % most if most else None

    def dump(self, state: List[Any]) -> Any:
        error, counts = state
        return error, [list(token) if type(token) is tuple else token for token in counts], list(counts.values())

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or list(map(type, dumped)) != [int, list, list] or dumped[0] < 0:
            raise ValueError("a top of %.40r" % (dumped,))
        found = [tuple(token) if type(token) is list else token for token in dumped[1]]
        counts = dumped[2]
        if len(found) != len(counts) or not all(map(is_token, found)) or len(set(found)) != len(found):
            raise ValueError("a top of %.40r" % (found,))
        if not all(type(count) is int and count > 0 for count in counts):
            raise ValueError("a top with counts of %.40r" % (counts,))
        for token in found:
            order(_opened(token))
        return self._bounded(dumped[0], dict(zip(found, counts)))


def _opened(token: Any) -> Any:
    try:
        return value(token)
    except (ValueError, TypeError, IndexError, KeyError) as exc:
        raise ValueError("a top of a value that is none: %s" % exc)
