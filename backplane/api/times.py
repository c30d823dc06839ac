"""Durations, moments and windows as users write them, on a command line and in Python.

Knows their forms. What a window means is `backplane.reduce.windows`'.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta
from typing import Final

#: Seconds, ``10s``, or a timedelta.
Duration = float | str | timedelta
#: Seconds since the epoch, ``2h``, ``today``, ``2026-11-20T09:00``, or a datetime.
When = float | str | datetime

_UNITS: Final = {"ms": 0.001, "": 1.0, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
#: In words, too: SQL has them so. Their first letter is their unit, but for milliseconds.
_FORM: Final = re.compile(r"(\d+(?:\.\d+)?)\s*(?:(ms|s|m|h|d|)|(millisecond|second|sec|minute|min|hour|hr|day)s?)")
_WINDOW: Final = "write 1m, or 5m/1m for five minutes each minute"


def seconds(said: Duration) -> float:
    """The seconds that are meant.

    Raises:
        ValueError: none, or zero.

    >>> seconds("1.5m"), seconds("10"), seconds("250ms"), seconds(2), seconds("1 hour"), seconds("90min")
    (90.0, 10.0, 0.25, 2.0, 3600.0, 5400.0)
    """
    if isinstance(said, timedelta):
        value = said.total_seconds()
    elif isinstance(said, str):
        found = _FORM.fullmatch(said.strip())
        value = float(found[1]) * _UNITS[_unit(found[2], found[3])] if found else 0.0
    else:
        value = float(said)
    if not 0 < value < float("inf"):
        raise ValueError(f"{said!r} is no duration: write 500ms, 10s, 2m, 1h or 1d")
    return value


def _unit(short: str | None, word: str | None) -> str:
    if word:
        return "ms" if word == "millisecond" else word[0]
    return short or ""


def moment(said: When) -> float:
    """The seconds since the epoch that are meant; of a time without a zone, this machine's is.

    Raises:
        ValueError: none.

    >>> moment("2026-11-20T09:00:00Z"), moment(5)
    (1795165200.0, 5.0)
    """
    if isinstance(said, datetime):
        return said.timestamp()
    if not isinstance(said, str):
        return float(said)
    bare = said.strip().removesuffix(" ago")
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if bare == "now":
        return time.time()
    if bare == "today":
        return midnight.timestamp()
    if bare == "yesterday":
        return datetime.fromordinal(midnight.toordinal() - 1).timestamp()
    try:
        return datetime.fromisoformat(bare).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return time.time() - seconds(bare)
    except ValueError:
        raise ValueError(f"{said!r} is no time: write 10m, today, yesterday or 2026-11-20T09:00") from None


def window(text: str) -> tuple[float, float]:
    """Size and step, in seconds.

    Raises:
        ValueError: it means neither.

    >>> window("1m"), window("5m/1m")
    ((60.0, 60.0), (300.0, 60.0))
    """
    from provider.runner.plan import MOST_WINDOWS

    size, slash, step = text.partition("/")
    try:
        found = seconds(size), seconds(step) if slash else seconds(size)
    except ValueError:
        raise ValueError(f"{text!r} is no window: {_WINDOW}") from None
    if found[1] > found[0]:
        raise ValueError(f"{text!r} leaves out what is between two windows: {_WINDOW}")
    if found[0] > MOST_WINDOWS * found[1]:
        raise ValueError(f"{text!r} would put a line into more than {MOST_WINDOWS} windows")
    return found


def wait(said: Duration) -> float:
    """The seconds that are meant, of what may be no time at all.

    Raises:
        ValueError: none.

    >>> wait("0"), wait(0), wait("0s"), wait("10s")
    (0.0, 0.0, 0.0, 10.0)
    """
    return 0.0 if said in (0, "0", "0s", timedelta()) else seconds(said)
