"""Emitted values on their way into cuts.

Knows values, parts and cuts (docs/reference/frames.md, "cut"). Does not know lines, files or scripts.

Theory of operation
-------------------
A generator is pumped straight into ``batch``, so that at any moment it holds all that was emitted and not packed.
`spill` packs it into a part of the open cut (or folds it into the combiner); that may happen anywhere. `cut` closes the
cut with the moves of the sources; that may happen only between two records, when all values of the former ones are
in. Once a part was spilled, a cut is due at the next such moment, so that home never stages much for one cut.
Without positions there is nothing that values could disagree with, so each part is a whole cut.

Values leave the batch before they are packed or folded. If that fails half done, nobody can say which of them are in,
so from then on there is no cut any more: not one value counts twice.
"""

import time
from typing import Any, Callable, Dict, List, Optional, Tuple

from provider.runner import frames
from provider.runner.aggregates import AggregateError, Combiner
from provider.runner.columns import values_payload
from provider.runner.pack import PackError, packb
from provider.runner.writer import Writer

Moves = List[Tuple[str, bytes, bytes]]

#: What a part should be. Under 64 KiB the frames cost, far above it the memory of both ends does.
PART_BYTES = 256 << 10
#: Values pumped at a time. The first batch is one value, since it may be 10 MB; more than the most gains nothing.
_LEAST_BATCH = 1
_MOST_BATCH = 8192
#: Values that are folded at a time: they are gone at once, but until then they are memory.
_FOLD_BATCH = 2048
#: Keys that a combiner may hold before it is emptied into parts, what such a part should be at most, and all of them.
_MOST_GROUPS = 50000
_PARTIALS_BYTES = 4 << 20
_SPILL_BYTES = 8 << 20


class BadValue(Exception):
    """A value that cannot travel or be folded; its text says why."""

    def __init__(self, text: str, code: str) -> None:
        super().__init__(text)
        self.code = code


class Cuts:
    """See the module.

    Args:
        writer: where frames go.
        combiner: folds the values; None sends them as they are.
        moves: what the sources have moved since it was last called; None without positions.
        every_s: longest time for which values may wait.
    """

    __slots__ = (
        "_broken",
        "_combiner",
        "_cut_at",
        "_every_s",
        "_groups",
        "_moves",
        "_part",
        "_room",
        "_seq",
        "_spilled",
        "_writer",
        "batch",
        "counters",
        "due",
        "marks",
    )  # fmt: skip

    def __init__(
        self, writer: Writer, combiner: Optional[Combiner], moves: Optional[Callable[[], Moves]], every_s: float
    ) -> None:
        #: Emitted, not packed yet. Whoever pumps appends to it.
        self.batch: List[Any] = []
        #: A cut should be made at the next moment at which one may be.
        self.due = False
        #: What has been counted so far, for cuts with moves: what counts of it when this job breaks off.
        self.counters: Callable[[], Dict[str, Any]] = dict
        #: How far its sources are in event time, where that has changed.
        self.marks: Callable[[], List[List[Any]]] = list
        self._broken: Optional[BaseException] = None
        self._writer = writer
        self._combiner = combiner
        self._moves = moves
        self._every_s = every_s
        self._cut_at = time.monotonic()
        self._seq = 0
        self._part = 0
        self._spilled = 0
        self._room = _LEAST_BATCH
        self._groups = _MOST_GROUPS

    @property
    def room(self) -> int:
        """How many values to pump before the next `spill`."""
        return self._room

    @property
    def emitted(self) -> int:
        """Values emitted in all."""
        return self._spilled + len(self.batch)

    def late(self) -> bool:
        """Looks at the clock; sets `due` when values have waited long enough."""
        # A timer that fires a hair early must not make values wait for another round.
        if time.monotonic() - self._cut_at >= self._every_s * 0.9:
            self.due = True
        return self.due

    def spill(self) -> None:
        """Takes all values out of the batch.

        Raises:
            BadValue: one of them cannot travel. Those before it are not lost, where they are not folded. Whatever was
                raised once is raised at each further call, since a script may have caught it.
        """
        self._check()
        if self.batch:
            try:
                self._pack()
            except BaseException as exc:
                self._broken = exc
                raise

    def _check(self) -> None:
        if self._broken is not None:
            raise self._broken

    def _pack(self) -> None:
        batch = self.batch[:]
        del self.batch[: len(batch)]
        self._spilled += len(batch)
        if self._combiner is None:
            self._send_values(batch)
        else:
            self._fold(batch)

    def _send_values(self, batch: List[Any]) -> None:
        try:
            payload = values_payload(batch)
        except PackError as exc:
            good = _good(batch)
            if good:
                self._send_part("values", values_payload(batch[:good]))
            raise BadValue(str(exc), "unserialisable")
        if len(payload) > frames.MAX_PAYLOAD_BYTES:
            if len(batch) == 1:
                raise BadValue("cannot emit a value of %d bytes, the limit is 16 MiB" % len(payload), "unserialisable")
            self._send_values(batch[: len(batch) // 2])
            self._send_values(batch[len(batch) // 2 :])
            return
        self._send_part("values", payload)
        fits = PART_BYTES * len(batch) // len(payload)
        self._room = max(_LEAST_BATCH, min(_MOST_BATCH, fits, self._room * 4))

    def _fold(self, batch: List[Any]) -> None:
        assert self._combiner is not None
        try:
            self._combiner.fold(batch)
        except (PackError, AggregateError) as exc:
            raise BadValue(str(exc), "unserialisable")
        self._room = min(_FOLD_BATCH, self._room * 4)
        if self._combiner.weight >= self._groups:
            self._send_partials()

    def _send_partials(self) -> None:
        assert self._combiner is not None
        groups = self._combiner.groups
        if not groups:
            return
        size = 0
        try:
            for payload in self._combiner.payloads(_PARTIALS_BYTES):
                size += len(payload)
                if len(payload) > frames.MAX_PAYLOAD_BYTES:
                    raise BadValue("what is kept of one key is %d bytes, the limit is 16 MiB" % len(payload), "limit")
                self._send_part("partials", payload)
        except PackError as exc:
            raise BadValue(str(exc), "unserialisable")
        self._groups = max(1, min(_MOST_GROUPS, _SPILL_BYTES * groups // size))

    def _send_part(self, content: str, payload: bytes, last: bool = False) -> None:
        last = last or self._moves is None
        header: Dict[str, Any] = {"seq": self._seq + 1, "part": self._part, "last": last, "content": content}
        if content == "moves":
            header["counters"] = self.counters()
        self._writer.send(frames.CUT, header, payload)
        self._part = 0 if last else self._part + 1
        self._seq += last
        self.due = not last

    def cut(self) -> None:
        """Closes the cut with all that was emitted and moved; makes none if there was nothing.

        Raises:
            BadValue: see `spill`.
        """
        self.spill()
        if self._combiner is not None:
            self._send_partials()
        marks = self.marks()
        if marks:
            self._send_part("marks", packb(marks))
        moves = self._moves() if self._moves is not None else []
        if moves or self._part:
            self._send_part("moves", packb([list(move) for move in moves]), last=True)
        self.due = False
        self._cut_at = time.monotonic()

    @property
    def seq(self) -> int:
        """The last cut's."""
        return self._seq


def _good(batch: List[Any]) -> int:
    """How many values come before the first one that cannot travel."""
    for count, value in enumerate(batch):
        try:
            values_payload([value])
        except PackError:
            return count
    return len(batch)
