"""What a map of level `shell` prints, as cuts: the runner's own parser, combiner and columns, run here.

Knows bytes of output and values. Does not know where they come from, or credit.

This is where a coordinator looks into what a query emits, since nobody on the provider can (docs/adr/0003).
"""

from __future__ import annotations

from typing import Final, cast

from coordinator.shell.outgoing import Outgoing
from provider.runner.aggregates import AggregateError, Combiner, tag
from provider.runner.cuts import BadValue, Cuts
from provider.runner.emitted import emitted
from provider.runner.faults import Failure, Fault
from provider.runner.script import Script
from provider.runner.writer import Writer

#: A line that is longer has no end worth waiting for: no value of its size may travel.
_LINE_BYTES: Final = 16 << 20


class Values:
    """See the module.

    Raises:
        Failure: the aggregates to fold with are none.
    """

    def __init__(self, wanted: Script, epoch: int, out: Outgoing) -> None:
        self._file = f"{wanted.file}/map"
        self._encoding = wanted.encoding or "utf-8"
        self._partial = bytearray()
        try:
            combiner = Combiner(wanted.combine, tag(wanted.name, epoch)) if wanted.combine else None
        except AggregateError as exc:
            raise Failure(Fault("usage", str(exc))) from None
        # Of a writer they want `send` alone; the runner's has a descriptor, and travels.
        self._cuts = Cuts(cast(Writer, out), combiner, None, wanted.every_s)

    @property
    def emitted(self) -> int:
        """Values so far."""
        return self._cuts.emitted

    @property
    def seq(self) -> int:
        """The last cut's."""
        return self._cuts.seq

    def add(self, data: bytes) -> None:
        """More output.

        Raises:
            Failure: a line without an end, or a value that cannot travel.
        """
        end = data.rfind(b"\n")
        if end < 0:
            self._partial += data
            if len(self._partial) > _LINE_BYTES:
                raise Failure(Fault("limit", f"{self._file} printed a line over {_LINE_BYTES >> 20} MiB"))
            return
        whole = bytes(self._partial) + data[:end]
        self._partial[:] = data[end + 1 :]
        self._take(whole)

    def end(self) -> None:
        """Nothing more will come: the last line, and the last cut.

        Raises:
            Failure: see `add`.
        """
        if self._partial:
            last = bytes(self._partial)
            self._partial.clear()
            self._take(last)
        self._cut()

    def tick(self) -> None:
        """Let those go that have waited long enough.

        Raises:
            Failure: see `add`.
        """
        if self._cuts.late():
            self._cut()

    def _take(self, data: bytes) -> None:
        lines = data.decode(self._encoding, "surrogateescape").split("\n")
        cuts, at = self._cuts, 0
        try:
            while at < len(lines):
                room = cuts.room
                cuts.batch.extend(map(emitted, lines[at : at + room]))
                at += room
                cuts.spill()
        except BadValue as exc:
            raise self._bad(exc) from None

    def _cut(self) -> None:
        try:
            self._cuts.cut()
        except BadValue as exc:
            raise self._bad(exc) from None

    def _bad(self, exc: BadValue) -> Failure:
        return Failure(Fault(exc.code, str(exc), self._file))
