"""Timestamps: a layout, and bytes into seconds since the epoch.

Knows calendars. Does not know formats. It travels: standard library only, Python 3.6. A layout is written as for
`strptime`, whose months and names of days would follow the host's locale, and which takes 10 us a call: here a layout
becomes a regular expression once, and what was read of a text up to its seconds is kept, because the next line's
differs in its fraction at most.
"""

import re
from calendar import timegm
from datetime import datetime, timedelta
from time import mktime, time
from typing import Callable, Dict, List, Match, Optional

#: By directive. A day may be padded by a blank, as syslog does.
_PARTS = {
    "Y": r"(?P<Y>\d{4})",
    "y": r"(?P<y>\d\d)",
    "m": r"(?P<m>\d\d)",
    "d": r"(?P<d>[ \d]?\d)",
    "b": r"(?P<b>[A-Za-z]{3})",
    "a": r"[A-Za-z]{3}",
    "H": r"(?P<H>\d\d)",
    "M": r"(?P<M>\d\d)",
    "S": r"(?P<S>\d\d)",
    "f": r"(?P<f>\d{1,9})",
    "z": r"(?P<z>Z|[+-]\d\d:?\d\d)",
    "%": "%",
}
_NAMES = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_MONTHS = {name: number for number, name in enumerate(_NAMES, 1)}
#: RFC 3339, and ISO 8601 as loggers write it: with a blank for the T, a comma for the point, without a zone.
_ISO = (
    r"(?P<Y>\d{4})-(?P<m>\d\d)-(?P<d>\d\d)[T ](?P<H>\d\d):(?P<M>\d\d):(?P<S>\d\d)"
    r"(?:[.,](?P<f>\d{1,9}))?\s?(?P<z>Z|[+-]\d\d:?\d\d)?"
)
_EPOCHS = {"epoch": 1.0, "epoch_ms": 1e-3, "epoch_us": 1e-6, "epoch_ns": 1e-9}
_NUMBER = re.compile(r"-?\d{1,20}(?:\.\d{1,9})?\Z")
#: Texts that are kept. Logs are in order, so few are used again and again.
_MOST_KEPT = 4096
_DAY_S = 86400

Reader = Callable[[bytes], Optional[float]]


class LayoutError(ValueError):
    """A layout that is none. ``str()`` is one sentence."""


def reader(layout: str, now: Callable[[], float] = time) -> Reader:
    """A function that reads timestamps of this layout: ``iso``, ``epoch`` (``_ms``, ``_us``, ``_ns``), or directives.

    What has no zone is in the host's. What has no year is of the last year in which it is not in the future.

    Raises:
        LayoutError: a directive that is not known.
    """
    if layout in _EPOCHS:
        return _epoch(_EPOCHS[layout])
    match = re.compile(_ISO if layout == "iso" else _compiled(layout)).match
    kept: Dict[bytes, Optional[float]] = {}

    def read(raw: bytes) -> Optional[float]:
        try:
            return kept[raw]
        except KeyError:
            pass
        if len(kept) >= _MOST_KEPT:
            kept.clear()
        text = raw.decode("latin-1")
        found = match(text)
        value = None if found is None or found.end() != len(text) else _seconds(found, now)
        kept[raw] = value
        return value

    return read


def _epoch(unit: float) -> Reader:
    def read(raw: bytes) -> Optional[float]:
        text = raw.decode("latin-1")
        if not _NUMBER.match(text):
            return None
        # Divided, not multiplied: 1000 ms is 1.0 s to the last bit.
        return float(text) if unit == 1.0 else float(text) / round(1 / unit)

    return read


def _compiled(layout: str) -> str:
    pieces: List[str] = []
    parts = iter(layout)
    for char in parts:
        if char != "%":
            pieces.append(re.escape(char))
            continue
        directive = next(parts, "")
        if directive not in _PARTS:
            raise LayoutError(
                "%%%s is no part of a time's layout; there are %s" % (directive, " ".join(sorted(_PARTS)))
            )
        if directive != "%" and _PARTS[directive] in pieces:
            raise LayoutError("%%%s stands twice in a time's layout" % directive)
        if directive == "f" and pieces and pieces[-1] in (re.escape("."), re.escape(",")):
            # Loggers leave away a fraction that is nought, or that a setting turned off.
            pieces[-1] = "(?:" + pieces[-1]
            pieces.append(_PARTS["f"] + ")?")
            continue
        pieces.append(_PARTS[directive])
    return "".join(pieces)


def _seconds(found: "Match[str]", now: Callable[[], float]) -> Optional[float]:
    part = found.groupdict()
    month = _MONTHS.get(part["b"].lower()) if part.get("b") else int(part.get("m") or 1)
    if month is None:
        return None
    year = _year(part)
    rest = [int(part.get(name) or 0) for name in "HMS"]
    day = int(part.get("d") or 1)
    # A leap second is the first of the next minute, as POSIX has it.
    leap = rest[2] == 60
    try:
        if year is not None:
            moment = datetime(year, month, day, rest[0], rest[1], rest[2] - leap)
        else:
            moment = _latest(month, day, rest[0], rest[1], rest[2] - leap, now())
    except ValueError:
        return None
    fraction = float("0." + part["f"]) if part.get("f") else 0.0
    fields = moment.timetuple()
    seconds = timegm(fields) - _offset(part["z"]) if part.get("z") else mktime(fields)
    return seconds + leap + fraction


def _year(part: "Dict[str, str]") -> Optional[int]:
    if part.get("Y"):
        return int(part["Y"])
    if part.get("y"):
        short = int(part["y"])
        return 2000 + short if short < 69 else 1900 + short
    return None


def _latest(month: int, day: int, hour: int, minute: int, second: int, now: float) -> datetime:
    """In the last year in which it is no more than a day ahead (clocks and zones differ) and a day that there is."""
    limit = datetime.fromtimestamp(now) + timedelta(seconds=_DAY_S)
    for year in range(limit.year, limit.year - 9, -1):
        try:
            moment = datetime(year, month, day, hour, minute, second)
        except ValueError:  # the 29th of February
            continue
        if moment <= limit:
            return moment
    raise ValueError("no such day")


def _offset(zone: str) -> int:
    if zone == "Z":
        return 0
    digits = zone[1:].replace(":", "")
    seconds = int(digits[:2]) * 3600 + int(digits[2:]) * 60
    return -seconds if zone[0] == "-" else seconds
