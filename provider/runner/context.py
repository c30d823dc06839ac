"""The lines around those that a plan without aggregates keeps, as grep shows them.

Knows a fold's rows and the blocks that they are of. Does not know files or cuts. It travels with the plans that ask for
it: standard library only, Python 3.6.

The compiled plan says which lines it keeps, and not where they are. So a block with none (most of them) costs what it
costs without context, and one with some is split and searched for them in order: a line is kept for what it is, so the
first one that is equal is the one. What stands before the next block's first line is remembered for each source, and
so is how many lines are still to come after the last one kept; a job that begins anew elsewhere has forgotten both.

A row is ``[what, line]``; see `KEPT`.
"""

import re
from collections import OrderedDict, deque
from typing import Any, Deque, List, Optional

from provider.runner.expressions import encoded
from provider.runner.formats.values import text_of
from provider.runner.plan import Plan
from provider.runner.scanfold import MOST_ROWS, Fold

#: What a row is: a line that was kept, one before such a line, or one after it.
KEPT, BEFORE, AFTER = 0, 1, 2
#: Added to that where a group begins: something between it and the row before is left out, or is of another source.
BEGINS = 4
#: Sources whose last lines are remembered; those that were silent for longest are forgotten.
_MOST_SOURCES = 1024


class _Around:
    """What is remembered of a source."""

    __slots__ = ("before", "gap", "left")

    def __init__(self, before: int) -> None:
        self.before: "Deque[bytes]" = deque(maxlen=before)
        #: Lines after the last one kept that are still to be shown.
        self.left = 0
        #: Something has been left out since the last row.
        self.gap = True

    def passes(self, lines: List[bytes]) -> None:
        """Lines that are not shown, unless the next one is kept."""
        if len(self.before) + len(lines) > (self.before.maxlen or 0):
            self.gap = True
        self.before.extend(lines)


class ContextFold(Fold):
    """A fold whose rows are lines with those around them."""

    def __init__(self, plan: Plan, data: bytes, name: str, epoch: int) -> None:
        Fold.__init__(self, plan, data, name, epoch)
        self._before, self._after = plan.context
        start = plan.format.start
        self._start = re.compile(b"(?m:^)(?:" + start.pattern + b")") if start is not None else None
        self._rows: List[Any] = []
        self._sources: "OrderedDict[str, _Around]" = OrderedDict()
        #: Of which source the last row is.
        self._shown: Optional[str] = None

    def feed(self, data: bytes, source: str, *give: Any) -> None:
        """As `Fold.feed`."""
        Fold.feed(self, data, source, *give)
        kept = self.scan.rows()
        around = self._around(source)
        if not kept and not around.left and self._start is None:
            tail = data[:-1].rsplit(b"\n", self._before)
            # More than are remembered, so that it is known that something is left out.
            around.passes(_bare(tail))
            return
        records = self._records(data)
        at = 0
        for row in kept:
            place = records.index(encoded(row[0]), at)
            self._between(around, source, records[at:place])
            for line in around.before:
                self._show(around, source, BEFORE, text_of(line))
            around.before.clear()
            self._show(around, source, KEPT, row[0])
            around.left = self._after
            at = place + 1
        self._between(around, source, records[at:])

    def _around(self, source: str) -> _Around:
        around = self._sources.pop(source, None) or _Around(self._before)
        self._sources[source] = around
        if len(self._sources) > _MOST_SOURCES:
            self._sources.popitem(last=False)
        return around

    def _between(self, around: _Around, source: str, lines: List[bytes]) -> None:
        shown = lines[: around.left]
        for line in shown:
            self._show(around, source, AFTER, text_of(line))
        around.left -= len(shown)
        if len(lines) > len(shown):
            around.passes(lines[len(shown) :])

    def _show(self, around: _Around, source: str, what: int, line: str) -> None:
        if around.gap or self._shown != source:
            what += BEGINS
        around.gap, self._shown = False, source
        self._rows.append([what, line])

    def _records(self, data: bytes) -> List[bytes]:
        """As the compiled plan takes them apart."""
        if self._start is None:
            return _bare(data[:-1].split(b"\n"))
        begins = [found.start() for found in self._start.finditer(data)]
        if not begins or begins[0] > 0:
            begins.insert(0, 0)
        return _bare([data[begin : end - 1] for begin, end in zip(begins, begins[1:] + [len(data)])])

    @property
    def full(self) -> bool:
        """A cut is due for what it holds."""
        return len(self._rows) >= MOST_ROWS

    def rows(self) -> List[Any]:
        """What it found, and begin anew."""
        rows, self._rows = self._rows, []
        return rows


def _bare(lines: List[bytes]) -> List[bytes]:
    """Without the carriage returns at their ends."""
    return [line[:-1] if line[-1:] == b"\r" else line for line in lines]
