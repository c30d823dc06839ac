"""Lines as records of a format, for a job that has them to itself: what ``map(records)`` is handed.

Knows formats and blocks of lines. Does not know files or maps. It travels with the jobs that ask for it: standard
library only, Python 3.6.

A record is a line, or several where its format says how one begins (`holding`), and the unit of positions as a line
is. One that does not parse is handed to nobody: it is counted when the record before it is taken (or with the next one,
at the beginning of a block), and the first few are printed.
"""

import json
import select
import sys
from collections import deque
from typing import TYPE_CHECKING, Any, Callable, Deque, Dict, Iterator, List, Optional, Set

from provider.runner.cuts import Moves
from provider.runner.faults import Failure, Fault
from provider.runner.formats.base import FormatError
from provider.runner.formats.form import LINE, Format, format_of
from provider.runner.formats.json import plain
from provider.runner.formats.values import text_of
from provider.runner.lines import RECORD_S, Block, Source

if TYPE_CHECKING:
    from provider.runner.windows import Windows

#: Lines that do not parse are shown: so many, and so much of each.
MOST_SAMPLES = 5
_SAMPLE_CHARS = 200
#: Names of pairs whose conversion is remembered.
_MOST_NAMES = 1000
#: A nap while a record waits to be whole, in milliseconds.
_HELD_NAP_MS = int(RECORD_S * 400)

Record = Dict[str, Any]


class Records(Source):
    """Records of another source's lines.

    Args:
        source: its blocks hold lines as bytes, without their newlines.
        format_data: the format.
        sources: where the source's lines come from.
        windows: of event time, where values belong to some. The times of records are kept for them, and they are told
            when all sources have been read to their ends.

    Raises:
        Failure: it is no format, or no file names the columns.
    """

    def __init__(
        self,
        source: Source,
        format_data: Dict[str, Any],
        sources: List[str],
        windows: "Optional[Windows]" = None,
    ) -> None:
        self.positioned = source.positioned
        self._source = source
        self._windows = windows
        self._header = b""
        #: Files whose first line has been seen to.
        self._headed: "Set[str]" = set()
        self._samples = 0
        try:
            form = format_of(format_data)
            if form.header:
                from provider.runner.headers import header_of

                self._header, names = header_of(sources, format_data)
                form = format_of(format_data, names)
        except FormatError as exc:
            raise Failure(Fault("usage", str(exc)))
        self._parse = parser(form)
        self._time = form.time
        self._holding: Any = None
        if form.start is not None:
            from provider.runner.holding import Holding

            self._holding = Holding(source, form.start)

    def blocks(self) -> "Iterator[Optional[Block]]":
        """The same blocks, of records."""
        for block in (self._holding or self._source).blocks():
            if block is not None:
                yield self._records(block)
                continue
            if self._windows is not None:
                self._windows.rest()
            yield None

    def _records(self, block: Block) -> Block:
        lines, data, skipped = block.items, block.data, block.skipped
        if self._header and block.path not in self._headed:
            self._headed.add(block.path)
            if data.startswith(self._header):
                size = len(self._header)
                lines, data, skipped = lines[1:], data[size:], skipped + size
                if self._holding is not None:
                    lines = self._holding.split(data)
        records: List[Record] = []
        ends: List[int] = []
        times: List[Any] = []
        odd: "Deque[int]" = deque()
        at = 0
        for line in lines:
            record = self._parse(line)
            if record is None:
                self._sample(line)
                odd.append(skipped + at)
                at += len(line) + 1
                if ends:
                    ends[-1] = at
                continue
            at += len(line) + 1
            records.append(record)
            ends.append(at)
            if self._windows is not None:
                # Now, since what a map is handed is its own to change.
                times.append(record.get(self._time))
        taken = _Taken(self, block, odd).taken
        return Parsed(block.path, records, ends, data, taken, skipped, block.source, times)

    def _sample(self, line: bytes) -> None:
        if self._samples < MOST_SAMPLES:
            self._samples += 1
            sys.stderr.write("does not parse: %s\n" % text_of(line.partition(b"\n")[0])[:_SAMPLE_CHARS])

    def wait(self) -> None:
        """As the source does; not for long while a record waits to be whole."""
        fd = self._source.fileno()
        if fd < 0 or self._holding is None or not self._holding.waits:
            self._source.wait()
            return
        poll = select.poll()
        poll.register(fd, select.POLLIN)
        poll.poll(_HELD_NAP_MS)

    def fileno(self) -> int:
        """The source's."""
        return self._source.fileno()

    def moves(self) -> Moves:
        """The source's."""
        moves: Moves = (self._holding or self._source).moves()
        return moves

    def dropped(self) -> "Dict[str, int]":
        """The source's, and records whose values are in no window."""
        return dict(self._source.dropped(), **(self._windows.dropped() if self._windows is not None else {}))

    @property
    def watermark(self) -> Optional[float]:  # type: ignore[override]  # a constant for others
        """The windows'."""
        return self._windows.watermark if self._windows is not None else None

    def lag_s(self) -> Optional[float]:
        """The source's."""
        return self._source.lag_s()


class _Taken:
    """What is told how much of a block was taken."""

    __slots__ = ("_at", "_block", "_odd", "_records")

    def __init__(self, records: Records, block: Block, odd: "Deque[int]") -> None:
        self._records = records
        self._block = block
        self._odd = odd
        self._at = 0

    def taken(self, size: int) -> None:
        """Counts what is odd in it, and passes it on."""
        self._at += size
        while self._odd and self._odd[0] < self._at:
            self._odd.popleft()
            self._records.parse_errors += 1
        if self._block.taken is not None:
            self._block.taken(size)


class Parsed(Block):
    """A block whose items are not all of its lines.

    Args:
        ends: where each item ends in the data, with the lines after it that are none.
        times: the event time of each item, where somebody asks for them.
    """

    __slots__ = ("_ends", "times")

    def __init__(
        self,
        path: str,
        items: List[Any],
        ends: List[int],
        data: bytes,
        taken: Optional[Callable[[int], None]],
        skipped: int = 0,
        source: str = "",
        times: "Optional[List[Any]]" = None,
    ) -> None:
        Block.__init__(self, path, items, data, taken, skipped, source)
        self._ends = ends
        self.times = times or []

    def left(self, items: List[Any]) -> Block:
        """What is left of it."""
        used = len(self.items) - len(items)
        begin = self._ends[used - 1] if used else 0
        if not items:
            begin = len(self.data)
        ends = [end - begin for end in self._ends[used:]]
        return Parsed(self.path, items, ends, self.data[begin:], self.taken, 0, self.source, self.times[used:])


def parser(form: Format) -> "Callable[[bytes], Optional[Record]]":
    """What makes a record of a line, its newline off: all fields that it has, ``line`` and ``time``."""
    fields = _fields(form)
    time = form.time

    def parse(line: bytes) -> Optional[Record]:
        if line.endswith(b"\r"):
            line = line[:-1]
        found = fields(line)
        if found is not None:
            found[LINE] = text_of(line)
            if time:
                found.setdefault("time", found.get(time))
        return found

    return parse


def _fields(form: Format) -> "Callable[[bytes], Optional[Record]]":
    kind = form.data["kind"]
    if kind == "json":
        return _objects(form)
    if kind == "keyvalue":
        return _pairs(form)
    names = list(form.layout.names)
    if not names:
        return lambda line: {}
    read = form.layout.parser(names)
    converts = [form.convert(name) for name in names]

    def fields(line: bytes) -> Optional[Record]:
        found = read(line)
        if found is None:
            return None
        return {name: convert(raw) for name, convert, raw in zip(names, converts, found)}

    return fields


def _objects(form: Format) -> "Callable[[bytes], Optional[Record]]":
    """Objects as they are, with lists and objects in them; what the format names is of its type."""
    decode = json.JSONDecoder(parse_constant=_nothing).decode
    converts = {name: form.convert(name) for name in form.fields}

    def fields(line: bytes) -> Optional[Record]:
        try:
            found = decode(line.decode("utf-8", "surrogateescape"))
        except (ValueError, RecursionError):
            return None
        if type(found) is not dict:
            return None
        for name, convert in converts.items():
            found[name] = convert(plain(found.get(name)))
        return found

    return fields


def _nothing(_: str) -> None:
    """NaN and Infinity are no JSON, and many loggers write them for a number that they do not have."""


def _pairs(form: Format) -> "Callable[[bytes], Optional[Record]]":
    layout: Any = form.layout
    nothing = dict.fromkeys(layout.names)
    converts: "Dict[str, Callable[[Any], Any]]" = {}

    def fields(line: bytes) -> Optional[Record]:
        found = layout.pairs(line)
        if found is None:
            return None
        record: Record = dict(nothing)
        for key, raw in found.items():
            name = text_of(key)
            convert = converts.get(name)
            if convert is None:
                convert = form.convert(name)
                if len(converts) < _MOST_NAMES:
                    converts[name] = convert
            record[name] = convert(raw)
        return record

    return fields
