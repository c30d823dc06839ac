"""A map's values by the event time of the records that they were made of, for a script job with a window.

Knows records, windows and combiners. Does not know files or frames. It travels with the jobs that have a window:
standard library only, Python 3.6.

A value belongs to the record that the map was handed last when it yielded it. Which one that is the handout knows at
any moment, without being asked for each record; so a value costs a look at it, and a record costs nothing. What is
yielded before the first record, or of one that has no time, is in no window and counted.

A source's watermark moves when the map is through with records, all of their values being in: whoever hears of it may
close a window.
"""

from collections import Counter
from typing import Any, Callable, Iterator, List, Optional, Tuple

from provider.runner.aggregates import AggregateError, Combiner, tag
from provider.runner.columns import BARE, check_keys, split
from provider.runner.cuts import Cuts
from provider.runner.faults import Failure, Fault
from provider.runner.lines import Handout, Source
from provider.runner.records import Parsed, Records
from provider.runner.script import Script
from provider.runner.sources import Told
from provider.runner.windows import LOW, Window, Windows, by_pane
from provider.runner.writer import Writer


class WindowedCombiner(Combiner):
    """A `Combiner` of values that are each in a pane, told beforehand.

    Args:
        names: see `Combiner`.
        tag: likewise.
        windows: what panes are of.
    """

    __slots__ = ("_records", "_stamps", "stamp", "windows")

    def __init__(self, names: List[str], tag: str, windows: Windows) -> None:
        Combiner.__init__(self, names, tag)
        self.windows = windows
        #: The pane of each value that was emitted and not folded; None for no window.
        self._stamps: List[Optional[float]] = []
        #: Is told the pane of a value right before that is emitted.
        self.stamp = self._stamps.append
        self._records: "Counter[float]" = Counter()

    def pane(self, at: Any) -> Optional[float]:
        """The pane of a record of this time, which is counted as one that has values; None if it is in no window."""
        if type(at) in (int, float) and LOW <= at <= self.windows.limit():
            pane: float = at // self.windows.pane_s
            self._records[pane] += 1
            return pane
        self.windows.missed(at)
        return None

    def fold(self, emitted: List[Any]) -> None:
        """As `Combiner.fold`, of values whose panes were told in this order."""
        panes = self._stamps[: len(emitted)]
        del self._stamps[: len(emitted)]
        keys, values = split(emitted)
        if keys is None:
            keys = [BARE] * len(values)
        check_keys(keys)
        if None in panes:
            inside = [each for each in zip(panes, keys, values) if each[0] is not None]
            panes, keys, values = [list(each) for each in zip(*inside)] if inside else ([], [], [])
        if values:
            self.take(list(zip(panes, keys)), values)

    def payloads(self, most_bytes: int) -> "Iterator[bytes]":
        """As `Combiner.payloads`, window by window."""
        states, self._states = self._states, [{} for _ in self._names]
        records, self._records = self._records, Counter()
        self._grown = 0
        for taken in self.windows.spread(self._aggregates, by_pane(states, records, 1)):
            for payload in self.tell(taken.states, most_bytes, taken.window, taken.records):
                yield payload


class Stamped(Handout):
    """A handout of records that knows which one was handed out last, and when that was in event time."""

    __slots__ = ("_combiner", "_last", "_windows")

    def __init__(self, source: Source, cuts: Cuts, combiner: WindowedCombiner) -> None:
        Handout.__init__(self, source, cuts)
        self._combiner = combiner
        self._windows = combiner.windows
        #: Of the blocks before this one: the record that was handed out last, as a number, and its time.
        self._last: Tuple[int, Any] = (0, None)

    def settle(self) -> None:
        """As `Handout.settle`: of what the map has used up the times are seen."""
        block = self._block
        Handout.settle(self)
        if not isinstance(block, Parsed):
            return
        used = len(block.items) - (len(self._block.items) if self._block is not None else 0)
        self._windows.turn(block.source or block.path)
        if used:
            self._last = self._lines, block.times[used - 1]
            limit = self._windows.limit()
            self._windows.saw(max([at for at in block.times[:used] if at is not None and at <= limit], default=None))

    def _handed(self) -> Tuple[int, Any]:
        """The record that was handed out last: a number, and its time."""
        block = self._block
        if self._inside or not isinstance(block, Parsed):
            return self._last
        while True:
            # A signal's handler may move all that is left from one to the other, between any two instructions.
            rest = len(self._rest)
            left = int(self._iterator.__length_hint__())
            if rest == len(self._rest):
                break
        used = len(block.items) - rest - left
        return (self._lines + used, block.times[used - 1]) if used else self._last

    def stamped(self, values: "Iterator[Any]") -> "Iterator[Any]":
        """The same values; the combiner is told of each which pane it is in."""
        combiner = self._combiner
        stamp = combiner.stamp
        last: Optional[int] = None
        pane: Optional[float] = None
        for value in values:
            number, at = self._handed()
            if number != last:
                last, pane = number, combiner.pane(at)
            stamp(pane)
            yield value


class _Known(Told):
    """Tells the windows too which sources there are: the slowest holds them open."""

    __slots__ = ("_windows",)

    def __init__(self, writer: Writer, windows: Windows) -> None:
        Told.__init__(self, writer)
        self._windows = windows

    def opened(self, log: Any, reason: str) -> None:
        """As `Told.opened`."""
        self._windows.known(log.source)
        Told.opened(self, log, reason)


def prepare(
    wanted: Script, writer: Writer, epoch: int, source: "Callable[[Script, Told], Source]"
) -> "Tuple[Source, Cuts, Stamped]":
    """What a script job with a window reads, cuts and hands out.

    Args:
        source: opens what the job is to read.

    Raises:
        Failure: the job cannot have windows, or a source is missing.
    """
    if wanted.window is None or wanted.format is None or not wanted.combine:
        raise Failure(Fault("usage", "windows take a map of records and an aggregate", wanted.file))
    windows = Windows(Window("", *wanted.window))
    try:
        combiner = WindowedCombiner(wanted.combine, tag(wanted.name, epoch), windows)
    except AggregateError as exc:
        raise Failure(Fault("usage", str(exc)))
    records = Records(source(wanted, _Known(writer, windows)), wanted.format, wanted.sources, windows)
    cuts = Cuts(writer, combiner, records.moves if records.positioned else None, wanted.every_s)
    cuts.marks = windows.marks
    return records, cuts, Stamped(records, cuts, combiner)
