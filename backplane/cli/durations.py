"""Durations as users write them: `500ms`, `10`, `10s`, `2m`, `1h`, `1d`."""

from __future__ import annotations

import argparse

from backplane.api import times


def seconds(text: str) -> float:
    """The seconds that a text means, for use as an argparse type.

    Raises:
        argparse.ArgumentTypeError: it means none, or zero.

    >>> seconds("1.5m"), seconds("10"), seconds("250ms")
    (90.0, 10.0, 0.25)
    """
    try:
        return times.seconds(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def wait(text: str) -> float:
    """As `seconds`, and 0 where nothing is to be waited for.

    Raises:
        argparse.ArgumentTypeError: it means none.

    >>> wait("0"), wait("10s")
    (0.0, 10.0)
    """
    try:
        return times.wait(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
