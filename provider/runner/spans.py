"""The part of a log that lies between two times: which generations, and from which line to which.

Knows logs and times. Does not know sources or positions at home.

Logs are taken to be sorted by time, as nearly as logs are: the first line at or after ``since`` begins the part, and
the first at or after ``until`` ends it. A line without a time belongs to the one before it. Where no time can be read,
generations are chosen by when they were written, and all their lines pass.
"""

from typing import List, Optional

from provider.runner.files import Log, Raw
from provider.runner.siblings import Generation
from provider.runner.times import Stamp, sniff

#: Up to here bisection goes; the rest is looked through.
_NEAR_BYTES = 256 << 10
_SAMPLE_BYTES = 16 << 10
_SAMPLE_LINES = 40


def within(among: List[Generation], since: Optional[float], until: Optional[float]) -> List[Generation]:
    """The generations that can hold lines of that time; the last one always, since it is still written."""
    chosen = []
    begun: "Optional[float]" = None
    for index, one in enumerate(among):
        written = one.written / 1e9
        last = index == len(among) - 1
        early = since is not None and written < since
        late = until is not None and begun is not None and begun >= until
        if last or not (early or late):
            chosen.append(one)
        begun = written
    return chosen


def stamp_of(log: Log) -> Optional[Stamp]:
    """How this log writes its times."""
    lines = log.peek(0, _SAMPLE_BYTES).split(b"\n")
    if len(lines) > 1:
        lines.pop()
    return sniff([line for line in lines[:_SAMPLE_LINES] if line], log.written)


def seek(log: Log, stamp: Stamp, since: float) -> None:
    """Moves a log that was not read to its first line at or after a time, or to its end."""
    if not log.packed:
        log.rewind(_near(log, stamp, since))
    while True:
        raw = log.read(None if log.packed else log.size)
        if raw is None:
            # A line that has not ended yet may be the first.
            log.rewind(log.offset)
            return
        found = first_at(raw, stamp, since)
        if found is not None:
            log.rewind(log.offset + raw.skipped + found)
            return
        log.offset += raw.skipped + len(raw.data)


def _near(log: Log, stamp: Stamp, since: float) -> int:
    """The beginning of a line before which all are earlier, not far before the first that is not."""
    low, high = 0, log.size
    while high - low > _NEAR_BYTES:
        middle = (low + high) // 2
        data = log.peek(middle, _SAMPLE_BYTES)
        begin = data.find(b"\n") + 1
        at = _first_time(data[begin:], stamp) if begin else None
        if at is None or at >= since:
            high = middle
        else:
            low = middle + begin
    return low


def _first_time(data: bytes, stamp: Stamp) -> Optional[float]:
    for line in data.split(b"\n"):
        at = stamp.time(line)
        if at is not None:
            return at
    return None


def first_at(raw: Raw, stamp: Stamp, limit: float) -> Optional[int]:
    """Where in these lines the first one is that is at or after a time."""
    data = raw.data
    # If the last that has a time is before it, so are they all.
    end = len(data)
    while end > 0:
        begin = data.rfind(b"\n", 0, end - 1) + 1
        at = stamp.time(data[begin:end])
        if at is not None:
            break
        end = begin
    else:
        return None
    if at < limit:
        return None
    begin = 0
    while begin < len(data):
        end = data.find(b"\n", begin) + 1 or len(data)
        at = stamp.time(data[begin:end])
        if at is not None and at >= limit:
            return begin
        begin = end
    return None
