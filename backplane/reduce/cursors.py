"""One provider's place in a query: what has been applied, and what is staged.

Knows epochs, sequence numbers and positions as opaque bytes. Does not know what a cut holds besides its moves, who the
provider is, or what a break means to the query.

Theory of operation
-------------------
A job may die anywhere: between two cuts, between the parts of one, with frames of it still under way. Three rules make
what is applied exact all the same.

*Fence.* Each job of a provider gets an epoch of its own from `begin`, one higher each time. What an older job still
says is dropped, so that two jobs never write to one place.

*All or nothing.* The parts of a cut are staged and given out together once the last is here; a new epoch drops what is
staged. A cut counts if its number is the next one, and every source that it moves starts where the last applied cut
left it (or where `open` put it). So a cut is applied once or not at all, and its values with its positions.

*Resume.* A new epoch starts from the applied positions: what was not applied is read again, what was is not. A number
under the next one has been applied already and is ignored; a number above it, or a move from elsewhere, means that
something is missing: `Broken`, and nothing more is taken in this epoch.

What outlives the process that holds it is a `Kept`: enough for `begin` to mint a higher epoch that starts where the
last one that was kept had come to.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from backplane.wire import limits
from backplane.wire.messages import Cut, Open


class Kept(NamedTuple):
    """A cursor as it can be stored."""

    epoch: int
    positions: dict[str, bytes]
    settled: bool


class Part(NamedTuple):
    """A staged part of a cut."""

    content: str
    payload: bytes


class Broken(Exception):
    """This epoch cannot go on; ``str()`` says why. A new one can, from the applied positions."""


class Overflow(Exception):
    """A cut over its bound: a peer that would do it again."""


class Cursor:
    """See above. Every method that takes an ``epoch`` expects `current` to have passed it."""

    __slots__ = ("_broken", "_parts", "_positions", "_staged_bytes", "duplicates", "epoch", "seq", "settled", "stale")

    def __init__(self) -> None:
        #: The newest epoch; 0 before the first.
        self.epoch = 0
        #: The last applied cut of this epoch.
        self.seq = 0
        #: Frames of older or broken epochs, and parts of cuts that were applied already: dropped.
        self.stale = 0
        self.duplicates = 0
        #: Its sources are known: all that were there when the first job began have been opened, or a cut has been
        #: applied. A source that a later job finds without a position came into being meanwhile.
        self.settled = False
        self._broken = False
        self._positions: dict[str, bytes] = {}
        self._parts: list[Part] = []
        self._staged_bytes = 0

    @property
    def positions(self) -> Mapping[str, bytes]:
        """Where each source would resume."""
        return self._positions

    @property
    def staged_bytes(self) -> int:
        """Payload bytes of a cut that is not complete."""
        return self._staged_bytes

    def begin(self, *, anew: bool = False) -> tuple[int, tuple[tuple[str, bytes], ...]]:
        """A new epoch and the positions to start it from; the older ones are fenced.

        Args:
            anew: forget the positions: it opens where its query begins, and what is between is not its business.
        """
        if anew:
            self._positions = {}
            self.settled = False
        self.epoch += 1
        self.seq = 0
        self._broken = False
        self._drop()
        return self.epoch, tuple(self._positions.items())

    def current(self, epoch: int) -> bool:
        """Whether a frame of this epoch is to be looked at; counts it if not."""
        if epoch == self.epoch and not self._broken:
            return True
        self.stale += 1
        return False

    def broken(self) -> None:
        """Take nothing more in this epoch."""
        self._broken = True
        self._drop()

    def open(self, message: Open) -> None:
        """Place a source that has no position yet, or whose file began anew (reason ``generation``).

        Raises:
            Broken: it has one, and this is another.
        """
        known = self._positions.get(message.source)
        if known is not None and known != message.payload and message.reason != "generation":
            raise Broken(f"{message.source} was opened elsewhere than where it had been read to")
        self._positions[message.source] = message.payload
        self.settled = self.settled or message.last

    def stage(self, cut: Cut) -> list[Part] | None:
        """Keep a part; all parts of its cut once the last one is here and the cut is the next.

        Raises:
            Broken: a cut or a part before it is missing.
            Overflow: more than a cut may hold.
        """
        if cut.seq <= self.seq or (cut.seq == self.seq + 1 and cut.part < len(self._parts)):
            self.duplicates += 1
            return None
        if cut.seq != self.seq + 1:
            raise Broken(f"cut {self.seq + 1} is missing")
        if cut.part != len(self._parts):
            raise Broken(f"part {len(self._parts)} of cut {cut.seq} is missing")
        self._parts.append(Part(cut.content, cut.payload))
        self._staged_bytes += len(cut.payload)
        if self._staged_bytes > limits.MAX_CUT_BYTES:
            self.broken()
            raise Overflow(f"a cut of more than {limits.MAX_CUT_BYTES >> 20} MiB")
        if not cut.last:
            return None
        parts = self._parts
        self._drop()
        return parts

    def moved(self, moves: Iterable[tuple[str, bytes, bytes]]) -> dict[str, bytes]:
        """The positions after these moves, changing nothing.

        Raises:
            Broken: one starts elsewhere than at the applied position.
        """
        positions: dict[str, bytes] = {}
        for source, begin, end in moves:
            applied = positions.get(source, self._positions.get(source))
            if applied != begin:
                raise Broken(f"a cut of {source} does not start where the last one ended")
            positions[source] = end
        return positions

    def commit(self, positions: Mapping[str, bytes]) -> None:
        """The next cut has been applied, and its sources are here now."""
        self.seq += 1
        self.settled = True
        self._positions.update(positions)

    def kept(self) -> Kept:
        """What of it is stored."""
        return Kept(self.epoch, dict(self._positions), self.settled)

    def restore(self, kept: Kept) -> None:
        """Be as it was when this was stored: its epoch is over, and the next one starts at these positions."""
        self.epoch = kept.epoch
        self._positions = dict(kept.positions)
        self.settled = kept.settled
        self.broken()

    def _drop(self) -> None:
        self._parts = []
        self._staged_bytes = 0
