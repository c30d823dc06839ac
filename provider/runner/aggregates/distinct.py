"""`distinct`: how many different values there are. Travels: standard library only, Python 3.6.

Up to `_EXACT` values the state is the set of their 64-bit hashes, and the answer exact but for one chance in 10**13.
Beyond that it is a HyperLogLog of 4096 registers, each the longest run of zeros among the hashes that fall to it, read
by Ertl's estimator, which needs no table. Both are the same whatever the order in which hashes came.
"""

from array import array
from collections import Counter
from math import log, sqrt
from typing import Any, Dict, Iterable, List, Optional, Set, Union

from provider.runner.aggregates.base import ENTRIES, Aggregate, States, grouped
from provider.runner.aggregates.tokens import octets, tokens
from provider.runner.columns import little_endian, numbers

try:
    # hashlib itself loads OpenSSL, which is 3 MB of a job's address space.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

_EXACT = 500
_BITS = 12
_REGISTERS = 1 << _BITS
_REST = 64 - _BITS
#: Hashes that are remembered by their value: most values come again.
_REMEMBERED = 20000

State = Union[Set[int], bytearray]


class Distinct(Aggregate):
    """The state is a set of hashes, or a bytearray of registers."""

    name = "distinct"
    grows = ENTRIES

    def __init__(self) -> None:
        self._hashes: Dict[Any, int] = {}

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        groups = grouped(keys, tokens(values))
        return {key: _bounded(self._hashed(set(group))) for key, group in groups.items()}

    def _hashed(self, found: Set[Any]) -> Set[int]:
        known = self._hashes
        new = [token for token in found if token not in known]
        if len(known) + len(new) > _REMEMBERED:
            known.clear()
            new = list(found)
        for token in new:
            known[token] = int.from_bytes(blake2b(octets(token), digest_size=8).digest(), "little")
        return {known[token] for token in found}

    def merge(self, one: State, other: State) -> State:
        if isinstance(one, set) and isinstance(other, set):
            one |= other
            return _bounded(one)
        if isinstance(one, set):
            one, other = other, one
        assert isinstance(one, bytearray)
        if isinstance(other, set):
            _register(one, other)
            return one
        return bytearray(map(max, one, other))

    def result(self, state: State) -> int:
        return len(state) if isinstance(state, set) else _estimate(state)

    def error(self, states: Iterable[State]) -> Optional[str]:
        exact = all(isinstance(state, set) for state in states)
        return None if exact else "1.6 % (standard error)"

    def dump(self, state: State) -> bytes:
        if isinstance(state, set):
            return b"h" + little_endian(array("Q", sorted(state)))
        return b"r" + bytes(state)

    def load(self, dumped: Any) -> State:
        if type(dumped) is bytes and dumped[:1] == b"r" and len(dumped) == 1 + _REGISTERS:
            registers = bytearray(dumped[1:])
            if max(registers) <= _REST + 1:
                return registers
        elif type(dumped) is bytes and dumped[:1] == b"h" and 1 < len(dumped) <= 1 + 8 * _EXACT:
            return set(numbers("Q", dumped[1:]))
        raise ValueError("a distinct of %.40r" % (dumped,))


def _bounded(hashes: Set[int]) -> State:
    if len(hashes) <= _EXACT:
        return hashes
    registers = bytearray(_REGISTERS)
    _register(registers, hashes)
    return registers


def _register(registers: bytearray, hashes: Iterable[int]) -> None:
    rest = (1 << _REST) - 1
    for each in hashes:
        place = each >> _REST
        rank = _REST + 1 - (each & rest).bit_length()
        if rank > registers[place]:
            registers[place] = rank


def _estimate(registers: bytearray) -> int:
    """Otmar Ertl, "New cardinality estimation algorithms for HyperLogLog sketches" (2017), algorithm 6."""
    many = Counter(registers)
    share = _REGISTERS * _tau(1.0 - many[_REST + 1] / _REGISTERS)
    for rank in range(_REST, 0, -1):
        share = 0.5 * (share + many[rank])
    share += _REGISTERS * _sigma(many[0] / _REGISTERS)
    return int(_REGISTERS * _REGISTERS / (2.0 * log(2.0) * share) + 0.5)


def _sigma(x: float) -> float:
    if x == 1.0:
        return float("inf")
    y, z, before = 1.0, x, -1.0
    while z != before:
        x *= x
        before = z
        z += x * y
        y += y
    return z


def _tau(x: float) -> float:
    if x in (0.0, 1.0):
        return 0.0
    y, z, before = 1.0, 1.0 - x, -1.0
    while z != before:
        x = sqrt(x)
        before = z
        y *= 0.5
        z -= (1.0 - x) ** 2 * y
    return z / 3.0
