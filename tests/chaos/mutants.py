"""Bugs that are planted in the program, one at a time, to see that a world shows them."""

from __future__ import annotations


def plant(mutant: str, where: str) -> None:
    """Plant one, if it belongs into this process; the empty name is none."""
    if mutant:
        raise ValueError(f"{where} knows no mutant {mutant!r}")
