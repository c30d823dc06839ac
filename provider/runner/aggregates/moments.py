"""`var` and `stddev`, of a sample, exact until the result is asked for. Travels: standard library only, Python 3.6.

The sum of the values and the sum of their squares are exact sums (see `sums`): a float's square is two floats, the
rounded one and what rounding lost. A float nearer to zero than 2**-480 is squared with rounding, since what it loses is
smaller than the smallest float. One value has no variance: the result is None.
"""

from collections import Counter
from math import isfinite, sqrt
from typing import Any, List, Tuple

from provider.runner.aggregates.base import Aggregate, States
from provider.runner.aggregates.sums import Sum, ratio

#: Halves the bits of a float, for an exact product (Dekker).
_SPLIT = 134217729.0
_LARGE, _SMALL = 2.0**480, 2.0**-480


class Moment(Aggregate):
    """The state is [sum, sum of squares, count].

    Args:
        name: ``var`` or ``stddev``.
    """

    alike = "moments"
    _sum = Sum()

    def __init__(self, name: str) -> None:
        self._root = name == "stddev"

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        self.numbers(keys, values)
        sums = self._sum.batch(keys, values, tag, first)
        squares = self._sum.batch(*_squares(keys, values), tag=tag, first=first)
        return {key: [sums[key], squares[key], count] for key, count in Counter(keys).items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        return [self._sum.merge(one[0], other[0]), self._sum.merge(one[1], other[1]), one[2] + other[2]]

    def result(self, state: List[Any]) -> Any:
        total, squares, count = state
        if count < 2:
            return None
        top, bottom = ratio(total)
        square_top, square_bottom = ratio(squares)
        if not bottom or not square_bottom:
            return float("nan")
        scale = bottom * bottom
        try:
            variance = (square_top * scale * count - top * top * square_bottom) / (
                square_bottom * scale * count * (count - 1)
            )
        except OverflowError:
            variance = float("inf")
        return sqrt(max(variance, 0.0)) if self._root else variance

    def dump(self, state: List[Any]) -> Any:
        return self._sum.dump(state[0]), self._sum.dump(state[1]), state[2]

    def dumps(self, states: List[List[Any]]) -> List[Any]:
        sums, squares = (self._sum.dumps([state[place] for state in states]) for place in (0, 1))
        return list(zip(sums, squares, [state[2] for state in states]))

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or len(dumped) != 3 or type(dumped[2]) is not int or dumped[2] < 1:
            raise ValueError("moments of %.40r" % (dumped,))
        return [self._sum.load(dumped[0]), self._sum.load(dumped[1]), dumped[2]]


def _squares(keys: List[Any], values: List[Any]) -> Tuple[List[Any], List[Any]]:
    """Values whose sum, by key, is that of the squares."""
    if float not in set(map(type, values)):
        return keys, [value * value for value in values]
    squares: List[Any] = []
    lost_keys: List[Any] = []
    lost: List[float] = []
    for key, value in zip(keys, values):
        square = value * value if type(value) is not float or abs(value) < _LARGE or not isfinite(value) else None
        if square is None:
            square = int(value) ** 2
        elif type(value) is float and abs(value) > _SMALL and isfinite(value):
            lost_keys.append(key)
            lost.append(_lost(value, square))
        squares.append(square)
    return keys + lost_keys, squares + lost


def _lost(value: float, square: float) -> float:
    """What rounding took from a square: exactly, since none of these steps rounds."""
    high = _SPLIT * value
    high -= high - value
    low = value - high
    return ((high * high - square) + 2.0 * high * low) + low * low
