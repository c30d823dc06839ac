"""`sum` and `mean`, exact until the result is asked for. Travels: standard library only, Python 3.6.

Adding floats rounds, and rounding depends on the order; so nothing is rounded before `result`. The state of a sum is

    int                              only ints so far
    [ints, special, float ...]       the exact sum of an int and of floats that are kept as such

``special`` is the sum of the infinities and NaN among the values (0.0 for none), which needs no exactness. A float of
``_HUGE`` or more is an integer, and is counted among the ints: no sum of what is left can overflow on the way to a
result that would not. Floats are gathered, and pressed together by `math.fsum` once there are many: the rounded
sum, then the rounded rest, and so on until nothing rests. That keeps every bit and runs in C.
"""

from collections import Counter
from math import fsum, isfinite
from typing import Any, Dict, Iterable, List, Tuple

from provider.runner.aggregates.base import Aggregate, States, grouped

_HUGE = 2.0**960
#: More floats than this in a state are pressed together. A pass costs about the same for few as for many, so not at
#: each merge.
_MOST_FLOATS = 64
#: A state that is longer, of floats of very different size, is not packed with others.
_PADDED = 6
#: Hex digits of an int over 64 bits that home believes: 64 values of the largest float, and then some.
_MOST_DIGITS = 4096

_INTS = frozenset((int, bool))
_NUMBERS = frozenset((int, bool, float))


class Sum(Aggregate):
    """Ints stay ints, bools count as 0 and 1; with a float among them the result is a float, rounded once."""

    name = "sum"

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        kinds = set(map(type, values))
        if kinds <= _INTS:
            return _ints(keys, values)
        if not kinds <= _NUMBERS:
            self.numbers(keys, values)
            values = [int(value) if isinstance(value, int) else float(value) for value in values]
        return {key: _state(group) for key, group in grouped(keys, values).items()}

    def merge(self, one: Any, other: Any) -> Any:
        if type(one) is list:
            if type(other) is list:
                one[0] += other[0]
                one[1] += other[1]
                one += other[2:]
                return one if len(one) < _MOST_FLOATS else pressed(one)
            one[0] += other
            return one
        if type(other) is list:
            return [one + other[0]] + other[1:]
        return one + other

    def result(self, state: Any) -> Any:
        return quotient(state, 1) if type(state) is list else state

    def dump(self, state: Any) -> Any:
        if type(state) is list:
            state = pressed(state)
            return [_portable(state[0])] + state[1:]
        return state if _fits(state) else [_portable(state)]

    def dumps(self, states: List[Any]) -> List[Any]:
        """Exact sums of floats are as long as they must be; of one length they are packed columns."""
        dumped = list(map(self.dump, states))
        if any(type(each) is not list or type(each[0]) is not int or len(each) > _PADDED for each in dumped):
            return dumped
        most = max(map(len, dumped), default=0)
        return [tuple(each + [0.0] * (most - len(each))) for each in dumped]

    def load(self, dumped: Any) -> Any:
        if type(dumped) is int:
            return dumped
        if type(dumped) is not list or not 1 <= len(dumped) <= _MOST_FLOATS:
            raise ValueError("a sum of %.40r" % (dumped,))
        ints = dumped[0]
        if type(ints) is str and len(ints) <= _MOST_DIGITS:
            ints = int(ints, 16)
        if type(ints) is not int or not all(type(each) is float for each in dumped[1:]):
            raise ValueError("a sum of %.40r" % (dumped,))
        if len(dumped) == 1:
            return ints
        return _pressed(ints, 0.0, dumped[1:])

    def absorb(self, states: States, others: Iterable[Tuple[Any, Any]]) -> None:
        get = states.get
        for key, state in others:
            have = get(key, 0)
            states[key] = have + state if type(have) is int and type(state) is int else self.merge(have, state)


class Mean(Aggregate):
    """The state is [sum, count]; the division is the only rounding."""

    name = "mean"
    _sum = Sum()

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        self.numbers(keys, values)
        sums = self._sum.batch(keys, values, tag, first)
        return {key: [sums[key], number] for key, number in Counter(keys).items()}

    def merge(self, one: List[Any], other: List[Any]) -> List[Any]:
        return [self._sum.merge(one[0], other[0]), one[1] + other[1]]

    def result(self, state: List[Any]) -> float:
        return quotient(state[0], state[1])

    def dump(self, state: List[Any]) -> Any:
        return self._sum.dump(state[0]), state[1]

    def dumps(self, states: List[List[Any]]) -> List[Any]:
        return list(zip(self._sum.dumps([state[0] for state in states]), [state[1] for state in states]))

    def load(self, dumped: Any) -> List[Any]:
        if type(dumped) is not list or len(dumped) != 2 or type(dumped[1]) is not int or dumped[1] < 1:
            raise ValueError("a mean of %.40r" % (dumped,))
        return [self._sum.load(dumped[0]), dumped[1]]


def _ints(keys: List[Any], values: List[Any]) -> States:
    if values.count(1) == len(values):  # the usual `yield key, 1`
        return Counter(keys)
    sums: Dict[Any, int] = {}
    get = sums.get
    for key, value in zip(keys, values):
        sums[key] = get(key, 0) + value
    return sums


def _state(numbers: List[Any]) -> Any:
    floats = [number for number in numbers if type(number) is float]
    ints = sum(numbers) if not floats else sum(number for number in numbers if type(number) is not float)
    return _pressed(ints, 0.0, floats) if floats else ints


def pressed(state: List[Any]) -> List[Any]:
    """The same sum in the fewest floats."""
    return _pressed(state[0], state[1], state[2:])


def _pressed(ints: int, special: float, floats: List[float]) -> List[Any]:
    if not all(map(isfinite, floats)):
        special = sum((each for each in floats if not isfinite(each)), special)
        floats = list(filter(isfinite, floats))
    if floats and max(map(abs, floats)) >= _HUGE:
        ints += sum(int(each) for each in floats if abs(each) >= _HUGE)
        floats = [each for each in floats if abs(each) < _HUGE]
    state: List[Any] = [ints, special]
    rest = fsum(floats)
    while rest:
        state.append(rest)
        floats.append(-rest)
        rest = fsum(floats)
    return state


def quotient(state: Any, count: int) -> float:
    """A sum by a count, rounded once, as Python divides ints: correctly, whatever their size."""
    top, bottom = ratio(state)
    if not bottom:
        return float(state[1])
    try:
        return float(top / (bottom * count))
    except OverflowError:
        return float("inf") if top > 0 else float("-inf")


def ratio(state: Any) -> Tuple[int, int]:
    """A sum as a fraction; over 0 if there are infinities or NaN in it."""
    if type(state) is not list:
        return state, 1
    if state[1]:
        return 0, 0
    top, bottom = state[0], 1
    for each in state[2:]:
        numerator, denominator = each.as_integer_ratio()  # denominators are powers of two
        if denominator > bottom:
            top *= denominator // bottom
            bottom = denominator
        top += numerator * (bottom // denominator)
    return top, bottom


def _fits(number: int) -> bool:
    return -(1 << 63) <= number < 1 << 63


def _portable(number: int) -> Any:
    """msgpack has 64 bits; hex, because decimals of a long int take quadratic time."""
    return number if _fits(number) else "%x" % number
