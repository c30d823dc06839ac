"""A module of a user's own, some of which travels."""

from __future__ import annotations

FACTOR = 2


def doubled(number: int) -> int:
    """Reaches a constant of this module."""
    return number * FACTOR
