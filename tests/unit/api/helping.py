"""A module of a user's own, some of which travels."""

from __future__ import annotations

import functools
from collections.abc import Callable

FACTOR = 2


def twice(function: Callable[[str], int]) -> Callable[[str], int]:
    """A decorator, whose closure is not that of what it decorates."""

    @functools.wraps(function)
    def inner(line: str) -> int:
        return function(line) * FACTOR

    return inner


def doubled(number: int) -> int:
    """Reaches a constant of this module."""
    return number * FACTOR
