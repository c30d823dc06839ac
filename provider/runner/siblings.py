"""Which files are older generations of a log, by their names, and in which order they were written.

Knows names, sizes and times of files. Does not open any.

Of ``app.log`` these are: ``app.log.1``, ``app.log.2.gz``, ``app.log-20261120``, ``app.log-20261120.gz``,
``app.log.2026-11-20_10``, and with a date also ``app-20261120.log``; ``.bz2`` and ``.xz`` like ``.gz``. The higher a
number is the older is the file, as all usual programs have it. While a file is
being compressed there are both; then only the one counts that is whole.
"""

import os
import re
from typing import List, NamedTuple, Optional, Tuple

from provider.runner.files import COMPRESSED, raw

_SUFFIX = "(?P<packed>%s)?" % "|".join(re.escape(each) for each in COMPRESSED)
_DATE = r"(?:19|20)\d\d[-_.]?[01]\d(?:[-_.]?[0-3]\d)?(?:[-_.T:]?\d+)*"
_OLDER = re.compile(r"(?:\.(?P<number>\d{1,5})|[-._](?P<date>%s))%s$" % (_DATE, _SUFFIX))
_INSIDE = re.compile(r"[-._](?P<date>%s)$" % _DATE)
_DIGITS = re.compile(r"\d+")

Ident = Tuple[int, int]


class Generation(NamedTuple):
    """One file of a log."""

    path: str
    ident: Ident
    size: int
    #: When it was last written, in nanoseconds since the epoch.
    written: int
    packed: bool


class _Name(NamedTuple):
    number: Optional[int]
    date: str
    packed: str


def generations(path: str) -> List[Generation]:
    """The files of a log that are there, the oldest first, the log itself last if it is there."""
    folder, base = os.path.split(path)
    try:
        names = [name.decode("utf-8", "surrogateescape") for name in os.listdir(raw(folder))]
    except OSError:
        names = []
    there = set(names)
    found = []
    for name in names:
        known = _parse(base, name)
        if known is None or (known.packed and name[: -len(known.packed)] in there):
            continue
        one = generation(os.path.join(folder, name))
        if one is not None:
            found.append((known, one))
    if {known.number is None for known, _ in found} == {True, False}:
        # Numbers and dates side by side: a change of habits, which only the times can order.
        found.sort(key=lambda each: each[1].written)
    else:
        found.sort(key=lambda each: _rank(each[0]))
    older = [one for _, one in found]
    live = generation(path)
    return older + [live] if live is not None else older


def base_of(path: str, others: "frozenset[str]") -> Optional[str]:
    """The log of which this file is an older generation, among others."""
    folder, name = os.path.split(path)
    for end in range(1, len(name)):
        if name[end] in "-._":
            for base in (name[:end], name[:end] + _extension(name)):
                other = os.path.join(folder, base)
                if other in others and _parse(base, name) is not None:
                    return other
    return None


def generation(path: str) -> Optional[Generation]:
    """What is there under a name, None if that is no file."""
    try:
        status = os.stat(raw(path))
    except (OSError, ValueError):
        return None
    ident = (status.st_dev, status.st_ino)
    return Generation(path, ident, status.st_size, status.st_mtime_ns, path.endswith(COMPRESSED))


def _parse(base: str, name: str) -> Optional[_Name]:
    if name.startswith(base):
        found = _OLDER.match(name, len(base))
        if found is None:
            return None
        number = found.group("number")
        # Eight digits behind a dot are a date, and so are six; up to five count.
        return _Name(int(number) if number else None, found.group("date") or "", found.group("packed") or "")
    stem, extension = os.path.splitext(base)
    if not extension or not name.startswith(stem):
        return None
    packed = next((each for each in COMPRESSED if name.endswith(each)), "")
    plain = name[: -len(packed)] if packed else name
    if not plain.endswith(extension):
        return None
    inside = _INSIDE.match(plain[: -len(extension)], len(stem))
    return _Name(None, inside.group("date"), packed) if inside is not None else None


def _extension(name: str) -> str:
    for each in COMPRESSED:
        if name.endswith(each):
            name = name[: -len(each)]
    return os.path.splitext(name)[1]


def _rank(name: _Name) -> Tuple[int, Tuple[int, ...]]:
    if name.number is not None:
        return -name.number, ()
    # A date and more (an hour, a counter) is later than the date alone.
    return 0, tuple(int(each) for each in _DIGITS.findall(name.date))
