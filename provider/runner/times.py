r"""The time that stands in a line of a log, as logs write it.

Knows common ways of writing a time. Does not know files or formats of records.

A time without a zone is in the host's. One without a year (syslog) is in the year that puts it nearest before a day
after the reference.

>>> stamp = sniff([b'1.2.3.4 - - [20/Nov/2026:09:00:00 +0000] "GET / HTTP/1.1" 200 1'])
>>> stamp.time(b'::1 - - [20/Nov/2026:10:00:01 +0100] "GET / HTTP/1.1" 200 1')
1795165201.0
"""

import calendar
import re
import time
from typing import Any, Callable, List, Match, NamedTuple, Optional, Pattern

#: Where in a line a time is looked for.
_CHARS = 512
_MONTHS = b"Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec".split()
_MONTH = b"(" + b"|".join(_MONTHS) + b")"
_CLOCK = rb"(\d\d):(\d\d):(\d\d)"
_PART = rb"(?:[.,](\d{1,9}))?"
_ZONE = rb"(?: ?(Z|UTC|GMT|[+-]\d\d:?\d\d))?(?![\d:])"
#: A day, beyond which a time without a year is not believed to be in the future.
_DAY_S = 86400.0


class Stamp(NamedTuple):
    """A way of writing times, as found in some lines."""

    name: str
    pattern: "Pattern[bytes]"
    read: "Callable[[Match[bytes], float], Optional[float]]"
    reference: float

    def time(self, line: bytes) -> Optional[float]:
        """Seconds since the epoch; None for a line without such a time."""
        found = self.pattern.search(line, 0, _CHARS)
        if found is None:
            return None
        try:
            return self.read(found, self.reference)
        except (ValueError, OverflowError):
            return None


def sniff(lines: List[bytes], reference: Optional[float] = None) -> Optional[Stamp]:
    """How most of these lines write their time; None if they do not.

    Args:
        lines: some lines of one log, from its beginning for instance.
        reference: about when they were written, for times without a year; now if not given.
    """
    reference = time.time() if reference is None else reference
    best: "Optional[Stamp]" = None
    best_rank = (0, 0)
    for name, pattern, read in _KINDS:
        stamp = Stamp(name, pattern, read, reference)
        matches = [pattern.search(line, 0, _CHARS) for line in lines]
        count = sum(1 for line in lines if stamp.time(line) is not None)
        places = sorted(match.start() for match in matches if match is not None)
        if not count or 5 * count < len(lines):
            continue  # a stack trace has many lines to a time, but not this many
        rank = (count, -places[len(places) // 2])
        if best is None or rank > best_rank:
            best, best_rank = stamp, rank
    return best


def _number(data: Optional[bytes]) -> int:
    return int(data) if data else 0


def _seconds(
    year: int, month: int, day: int, clock: "List[Optional[bytes]]", part: Optional[bytes], zone: Optional[bytes]
) -> float:
    hour, minute, second = (_number(each) for each in clock)
    if not (1 <= month <= 12 and 1 <= day <= 31 and hour < 24 and minute < 60 and second < 61):
        raise ValueError
    fraction = int(part) / 10.0 ** len(part) if part else 0.0
    fields = (year, month, day, hour, minute, second, 0, 0, -1)
    if not zone:
        return time.mktime(fields) + fraction
    whole = calendar.timegm(fields) + fraction
    if zone[:1] in b"+-":
        digits = zone[1:].replace(b":", b"")
        offset = 3600 * int(digits[:2]) + 60 * int(digits[2:4])
        whole -= offset if zone[:1] == b"+" else -offset
    return whole


def _iso(found: "Match[bytes]", _: float) -> float:
    got = list(found.groups())
    return _seconds(int(got[0]), int(got[1]), int(got[2]), got[3:6], got[6], got[7])


def _short_year(found: "Match[bytes]", _: float) -> float:
    got = list(found.groups())
    return _seconds(2000 + int(got[0]), int(got[1]), int(got[2]), got[3:6], got[6], None)


def _common(found: "Match[bytes]", _: float) -> float:
    got = list(found.groups())
    return _seconds(int(got[2]), 1 + _MONTHS.index(got[1]), int(got[0]), got[3:6], None, got[6])


def _apache_error(found: "Match[bytes]", _: float) -> float:
    got = list(found.groups())
    return _seconds(int(got[6]), 1 + _MONTHS.index(got[0]), int(got[1]), got[2:5], got[5], None)


def _syslog(found: "Match[bytes]", reference: float) -> Optional[float]:
    got = list(found.groups())
    this = time.localtime(reference + _DAY_S).tm_year
    for year in (this, this - 1, this - 2, this - 3, this - 4):  # 29 February is in one of four
        try:
            at = _seconds(year, 1 + _MONTHS.index(got[0]), int(got[1]), got[2:5], got[5], None)
        except ValueError:
            continue
        if at <= reference + _DAY_S and time.localtime(at).tm_mday == int(got[1]):
            return at
    return None


def _epoch(found: "Match[bytes]", _: float) -> float:
    whole, part = found.groups()
    number = float(whole + b"." + part) if part else float(whole)
    return number / 1000.0 if len(whole) == 13 else number


_KINDS: Any = [
    (
        "iso",
        re.compile(rb"(?<!\d)((?:19|20)\d\d)[-/](\d\d)[-/](\d\d)[T _]" + _CLOCK + _PART + _ZONE),
        _iso,
    ),
    (
        "common",
        re.compile(rb"(?<!\d)(\d\d)/" + _MONTH + rb"/(\d{4}):" + _CLOCK + rb" ?([+-]\d{4})?"),
        _common,
    ),
    (
        "apache error",
        re.compile(rb"(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) " + _MONTH + rb" +(\d{1,2}) " + _CLOCK + _PART + rb" (\d{4})"),
        _apache_error,
    ),
    ("syslog", re.compile(rb"(?<![A-Za-z])" + _MONTH + rb" +(\d{1,2}) " + _CLOCK + _PART + rb"(?! \d{4}\b)"), _syslog),
    ("short year", re.compile(rb"(?<!\d)(\d\d)/(\d\d)/(\d\d) " + _CLOCK + _PART), _short_year),
    (
        "epoch",
        re.compile(
            rb'(?:^\[?|"(?:ts|time|timestamp|@timestamp)": ?"?|\b(?:ts|time)=)(1\d{9}(?:\d{3})?)(?:\.(\d{1,9}))?(?!\d)'
        ),
        _epoch,
    ),
]
