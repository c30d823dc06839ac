"""`count`: how many values. Travels: standard library only, Python 3.6."""

from collections import Counter
from typing import Any, Iterable, List, Tuple

from provider.runner.aggregates.base import Aggregate, States


class Count(Aggregate):
    """The state is the number."""

    name = "count"

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        return Counter(keys)

    def merge(self, one: int, other: int) -> int:
        return one + other

    def result(self, state: int) -> int:
        return state

    def load(self, dumped: Any) -> int:
        if type(dumped) is not int or dumped < 0:
            raise ValueError("a count of %.40r" % (dumped,))
        return dumped

    def absorb(self, states: States, others: Iterable[Tuple[Any, int]]) -> None:
        get = states.get
        for key, number in others:
            states[key] = get(key, 0) + number
