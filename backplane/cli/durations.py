"""Durations as users write them: `500ms`, `10`, `10s`, `2m`, `1h`, `1d`."""

from __future__ import annotations

import argparse
import re

_UNITS = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_FORM = re.compile(r"(\d+(?:\.\d+)?)\s*(ms|s|m|h|d|)")


def seconds(text: str) -> float:
    """The seconds that a text means, for use as an argparse type.

    Raises:
        argparse.ArgumentTypeError: it means none, or zero.

    >>> seconds("1.5m"), seconds("10"), seconds("250ms")
    (90.0, 10.0, 0.25)
    """
    found = _FORM.fullmatch(text.strip())
    value = float(found[1]) * _UNITS[found[2]] if found else 0.0
    if not value:
        raise argparse.ArgumentTypeError(f"{text!r} is no duration: write 500ms, 10s, 2m, 1h or 1d")
    return value
