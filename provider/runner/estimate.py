"""What a question would cost on this provider: bytes to read, and the seconds that this takes, by a small sample.

Knows sources, plans and clocks. Reads no more than it is told to, and emits nothing but what it found. It travels with
the jobs that ask for it: standard library only, Python 3.6.

Bytes are those that a job would count: found, chosen and sought as `finish` does it, by names, times and sizes, of
compressed files as they would be unpacked. A sample is taken at some places of the files that are to be read, and given
to the plan's own compiled code, at the priority of a job. Of a script only reading and splitting is tried: what its map
does with the lines nobody knows before it runs.
"""

import base64
import os
import re
import time
from struct import unpack_from
from typing import Any, Dict, List, NamedTuple, Optional

from provider.runner.chains import opened
from provider.runner.files import Log
from provider.runner.pack import unpackb
from provider.runner.sources import Found, Scope, chosen, find
from provider.runner.spans import seek, stamp_of

#: Places at which a sample is taken, so that a quiet night does not stand for the day.
_PLACES = 4
#: Of each compressed file, so much is unpacked to learn how much it holds.
_TRIED_BYTES = 256 << 10
#: Sources that are no files.
_NO_FILES = ("-", "tick:", "cmd:", "journald:")


class Span(NamedTuple):
    """A part of a log that is to be read."""

    log: Log
    begin: int
    end: int
    #: Bytes of the file that hold it.
    stored: int


class Sample:
    """What was tried, and how long that took."""

    __slots__ = ("bytes", "lines", "matched", "odd", "packed", "packed_s", "payload", "rows", "seconds")

    def __init__(self) -> None:
        self.bytes = self.packed = 0
        self.seconds = self.packed_s = 0.0
        #: Of a plan: lines, those it took, those that do not parse, and rows and bytes that would be sent of them.
        self.lines = self.matched = self.odd = self.rows = self.payload = 0


def estimate(text: str, most_bytes: int, most_s: float) -> Dict[str, Any]:
    """What is asked, and the answer (see `backplane.client.estimating`).

    Args:
        text: base64 of the body of a start; with ``plan`` one of a plan, else of a script.
        most_bytes: how much may be tried.
        most_s: for how long.

    Raises:
        Failure: a source is missing or unreadable, as it would be for the job itself.
    """
    began = time.monotonic()
    fields = unpackb(base64.b64decode(text))
    sources = [str(source) for source in fields["sources"]]
    if not sources or any(source.startswith(_NO_FILES) for source in sources):
        return {"files": 0, "bytes": None, "why": "%s is no file" % (sources or ["a map without a source"])[0]}
    scan = _Planned(fields) if fields.get("plan") is not None else _Lines()
    scope = Scope(fields.get("since"), fields.get("until"), bool(fields.get("rotated")))
    found = find(sources, bool(fields.get("filter")))
    at_end = bool(fields.get("follow")) and scope.since is None and not scope.rotated
    spans = [span for each in found.files for span in _spans(each, scope, at_end)]
    growth = sum(_growth(span.log) for span in spans) if fields.get("follow") else None
    # Where nothing of what is there would be read, what will come is like it.
    tried = spans if not at_end else [span._replace(begin=0, end=span.log.size) for span in spans]
    sample = Sample()
    _try(tried, scan, sample, most_bytes, time.monotonic() + most_s)
    told = _told(spans, scan, sample)
    told.update(files=len(found.files), growth=growth, took_s=time.monotonic() - began)
    for span in spans:
        span.log.close()
    return told


# --- what is to be read


def _spans(found: Found, scope: Scope, at_end: bool) -> List[Span]:
    """The parts of a log that a job would read, the oldest first."""
    spans = []  # type: List[Span]
    among = chosen(found, scope)
    for one in among[-1:] if at_end else among:
        log = opened(found.source, one)
        if log is None:
            continue
        size, stored = (_unpacked(log), one.size) if log.packed else (log.size, log.size)
        begin = end = size
        if not at_end:
            begin = _place(log, scope.since, 0) if not spans else 0
            end = max(begin, _place(log, scope.until, size))
        spans.append(Span(log, begin, end, stored if log.packed else end - begin))
    return spans


def _place(log: Log, at: Optional[float], otherwise: int) -> int:
    """Where the first line of a time is. A compressed file is not unpacked to find out, which is most of the work."""
    if at is None or log.packed:
        return otherwise
    stamp = stamp_of(log)
    if stamp is None or (otherwise and log.written < at):
        return otherwise
    seek(log, stamp, at)
    return log.offset


def _unpacked(log: Log) -> int:
    """How much a compressed file holds, as far as it is known without reading all of it."""
    stored = os.fstat(log.fd).st_size
    data = os.pread(log.fd, _TRIED_BYTES, 0)
    if log.path.endswith(".gz"):
        import zlib

        try:
            held = len(zlib.decompressobj(31).decompress(data))
        except zlib.error:
            held = len(data)
        if len(data) >= stored:
            return held
        guessed = stored * held // max(1, len(data))
        # A gzip file ends with its size, but for what is over 4 GiB; it may also be several in a row.
        (last,) = unpack_from("<I", os.pread(log.fd, 4, stored - 4))
        exact = last + ((guessed - last + (1 << 31)) >> 32 << 32)
        return int(exact) if 2 * guessed < 3 * exact < 4 * guessed else int(guessed)
    held = len(log.peek(0, 4 * len(data)))
    return held if held < 4 * len(data) else stored * 8


def _growth(log: Log) -> float:
    """Bytes that come to a log in a second, by the time of its first line and that of its last."""
    stamp = stamp_of(log)
    if stamp is None or log.packed or not log.size:
        return 0.0
    for line in log.peek(0, 4096).split(b"\n"):
        at = stamp.time(line)
        if at is not None:
            return log.size / max(1.0, log.written - at)
    return 0.0


# --- what it takes


class _Lines:
    """What a script gets, without the script."""

    start = None
    header = b""

    def feed(self, data: bytes, _source: str) -> None:
        """Makes lines of a block, as `text.splitter` does."""
        data.decode("utf-8", "surrogateescape").split("\n")

    def finish(self, sample: Sample) -> None:
        """Nothing is known of them."""

    def processes(self, _size: int) -> int:
        """Of a script there is one."""
        return 1


class _Planned:
    """A plan as the scan child would run it."""

    def __init__(self, fields: Dict[str, Any]) -> None:
        from provider.runner.pack import packb
        from provider.runner.scanjobs import learn

        learn(fields)
        from provider.runner.scanfold import Fold
        from provider.runner.scanjob import parse

        wanted = parse(packb(fields))
        self._wanted = wanted
        self._fold = Fold(wanted.plan, wanted.data, wanted.name, 1)
        self._known = set()  # type: set[str]
        start = wanted.plan.format.start
        self.start = re.compile(b"(?m:^)(?:" + start.pattern + b")") if start is not None else None
        self.header = wanted.header
        self._rows = self._payload = 0

    def feed(self, data: bytes, source: str) -> None:
        """Folds whole lines."""
        if source not in self._known:
            self._known.add(source)
            self._fold.known(source)
        self._fold.feed(data, source)
        if self._fold.full:
            self._take()

    def _take(self) -> None:
        if self._wanted.plan.aggregates:
            self._rows = max(self._rows, self._fold.scan.groups)
            self._payload += sum(map(len, self._fold.taken()))
        else:
            rows = self._fold.rows()
            self._rows += len(rows)
            self._payload += sum(len(row) if isinstance(row, (str, bytes)) else len(str(row)) for row in rows)

    def finish(self, sample: Sample) -> None:
        """The last cut, which a job makes too."""
        self._take()
        seen = self._fold.scan.seen
        sample.lines, sample.matched, sample.odd = seen.lines, seen.matched, seen.odd
        sample.rows, sample.payload = self._rows, self._payload

    def processes(self, size: int) -> int:
        """How many would read a plain file of so many bytes."""
        if self._wanted.parallel < 2 or self._wanted.follow or self._wanted.scope.until is not None:
            return 1
        from provider.runner.ranges import LEAST_BYTES, possible

        if size < LEAST_BYTES or not possible(self._wanted.plan):
            return 1
        affinity = getattr(os, "sched_getaffinity", None)
        cores = len(affinity(0)) if affinity is not None else os.cpu_count() or 1
        return max(1, min(self._wanted.parallel, cores))


def _try(spans: List[Span], scan: Any, sample: Sample, most_bytes: int, until: float) -> None:
    """Gives some of these bytes to a scan, until there are enough or it takes too long."""
    plain = [span for span in spans if not span.log.packed and span.end > span.begin]
    packed = [span for span in spans if span.log.packed and span.end > span.begin]
    began = time.monotonic()
    share_s = (until - began) / (2 if plain and packed else 1)
    total = sum(span.end - span.begin for span in plain)
    places = [total * (2 * place + 1) // (2 * _PLACES) for place in range(_PLACES)] if total > most_bytes else [0]
    for number, place in enumerate(places):
        room = most_bytes // len(places)
        stop = began + share_s * (number + 1) / len(places)
        for span, at in _after(plain, place):
            room -= _plain(span, at, room, scan, sample, stop)
            if room <= 0 or time.monotonic() >= stop:
                break
    for span in packed:
        if sample.packed < most_bytes and time.monotonic() < until:
            _packed(span, most_bytes, scan, sample, until)
    before = time.monotonic()
    scan.finish(sample)
    last_s = time.monotonic() - before
    if sample.bytes:
        sample.seconds += last_s
    else:
        sample.packed_s += last_s


def _after(spans: List[Span], place: int) -> "List[Any]":
    """The spans from a place on, of all of them in a row, and where to begin in each."""
    found = []  # type: List[Any]
    for span in spans:
        size = span.end - span.begin
        if place < size:
            found.append((span, span.begin + max(0, place)))
        place -= size
    return found


def _plain(span: Span, at: int, room: int, scan: Any, sample: Sample, stop: float) -> int:
    """Tries a file from a place on; the bytes that it took."""
    log, size = span.log, 0
    log.rewind(at)
    skip = at > 0
    while size < room:
        before = time.monotonic()
        if before >= stop and size:
            break
        raw = log.read(min(span.end, at + room))
        if raw is None:
            break
        data, dropped = raw.data, raw.skipped
        if skip and data:
            # Its first line may be a part of one; and a record of several lines begins where its format says.
            begin = data.find(b"\n") + 1 if at != span.begin else 0
            found = scan.start.search(data, begin) if scan.start is not None else None
            data = data[found.start() if found is not None else begin :]
            skip = False
        elif at == 0 and size == 0 and scan.header and data.startswith(scan.header):
            data = data[len(scan.header) :]
        if data:
            scan.feed(data, log.source)
        log.offset += len(raw.data) + dropped
        size += len(raw.data) + dropped
        sample.seconds += time.monotonic() - before
    sample.bytes += size
    return size


def _packed(span: Span, most_bytes: int, scan: Any, sample: Sample, until: float) -> None:
    """Tries a compressed file from its beginning, which is the only place to begin at."""
    log = span.log
    log.rewind(0)
    while sample.packed < most_bytes:
        before = time.monotonic()
        if before >= until:
            break
        raw = log.read(None)
        if raw is None:
            break
        if raw.data:
            scan.feed(raw.data, log.source)
        log.offset += len(raw.data) + raw.skipped
        sample.packed += len(raw.data) + raw.skipped
        sample.packed_s += time.monotonic() - before


def _told(spans: List[Span], scan: Any, sample: Sample) -> Dict[str, Any]:
    """What was found, in numbers."""
    speed = sample.bytes / sample.seconds if sample.bytes and sample.seconds else None
    packed_speed = sample.packed / sample.packed_s if sample.packed and sample.packed_s else speed
    speed = speed or packed_speed
    seconds = 0.0  # type: Optional[float]
    most = 1
    for span in spans:
        size = span.end - span.begin
        rate = packed_speed if span.log.packed else speed
        count = 1 if span.log.packed else scan.processes(size)
        most = max(most, count)
        if size and rate and seconds is not None:
            seconds += size / rate / count
        elif size:
            seconds = None
    return {
        "bytes": sum(span.end - span.begin for span in spans),
        "stored": sum(span.stored for span in spans),
        "packed": sum(span.end - span.begin for span in spans if span.log.packed),
        "seconds": seconds,
        "speed": speed,
        "processes": most,
        "tried": sample.bytes + sample.packed,
        "lines": sample.lines,
        "matched": sample.matched,
        "parse_errors": sample.odd,
        "rows": sample.rows,
        "payload": sample.payload,
    }
