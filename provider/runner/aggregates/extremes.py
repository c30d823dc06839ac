"""`min` and `max` by the one order of `order`. Travels: standard library only, Python 3.6."""

from math import isnan
from typing import Any, Callable, Dict, List

from provider.runner.aggregates.base import Aggregate, State, States
from provider.runner.aggregates.order import order

_PLAIN = (int, str, bytes)


class Extreme(Aggregate):
    """The least or the greatest of the values that are not None; None of a group that has no other.

    The state is a list of it, since no state is None.

    Args:
        name: ``min`` or ``max``.
    """

    def __init__(self, name: str) -> None:
        self._pick: Callable[..., Any] = min if name == "min" else max

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        groups: Dict[Any, List[Any]] = {}
        if None in values:
            groups = {key: [] for key in keys}
            kept = [(key, value) for key, value in zip(keys, values) if value is not None]
            keys, values = [key for key, _ in kept], [value for _, value in kept]
        for key, value in zip(keys, values):
            groups.setdefault(key, []).append(value)
        if not values or _ties_are_equal(values):
            return {key: [self._pick(group) if group else None] for key, group in groups.items()}
        try:
            return {key: [self._pick(group, key=order) if group else None] for key, group in groups.items()}
        except TypeError:
            raise self.refusal(keys, values, _has_place)

    def merge(self, one: State, other: State) -> State:
        if one[0] is None or other[0] is None:
            return other if one[0] is None else one
        return [self._pick(one[0], other[0], key=order)]

    def result(self, state: State) -> Any:
        return state[0]

    def dump(self, state: State) -> Any:
        return state[0]

    def load(self, dumped: Any) -> State:
        return [dumped]


def _has_place(value: Any) -> bool:
    try:
        order(value)
    except TypeError:
        return False
    return True


def _ties_are_equal(values: List[Any]) -> bool:
    """The builtin comparison is that of `order`: one type, and for floats neither NaN nor two zeros."""
    kinds = set(map(type, values))
    if len(kinds) != 1:
        return False
    kind = kinds.pop()
    return kind in _PLAIN or (kind is float and 0.0 not in values and not any(map(isnan, values)))
