"""One total order over every value that can travel, for `min`, `max` and sorted rows.

Knows types. It travels to providers, so: standard library only, Python 3.6.

By class first: None, bool, numbers, text, bytes, sequences, maps. Then by value: numbers exactly (an int is never
rounded to be compared), NaN after every other number, -0.0 before 0.0, an int before the float it equals; so no two
different values tie, and an extreme does not depend on which of them came first.
"""

from math import copysign
from typing import Any, Tuple


def order(value: Any) -> Tuple[Any, ...]:
    """A sort key.

    Raises:
        TypeError: the value cannot travel, so it has no place.
    """
    if value is None:
        return (0,)
    if isinstance(value, bool):
        return (1, value)
    if isinstance(value, int):
        return (2, 0, value, -1, 1)
    if isinstance(value, float):
        return (2, 0, value, 0, copysign(1, value)) if value == value else (2, 1)
    if isinstance(value, str):
        return (3, value)
    if isinstance(value, (bytes, bytearray, memoryview)):
        return (4, bytes(value))
    if isinstance(value, (list, tuple)):
        return (5, [order(item) for item in value])
    if isinstance(value, dict):
        return (6, sorted((order(key), order(item)) for key, item in value.items()))
    raise TypeError(type(value).__name__)
