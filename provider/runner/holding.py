"""Lines put together that are one record, for a job that has them to itself.

Knows blocks of lines, and what the first line of a record looks like. Does not know what a record holds, or maps. It
travels with the jobs whose format says so: standard library only, Python 3.6.

Theory of operation
-------------------
A record ends where the next one begins, so the last one of a block waits here, and its bytes are not taken: a cut says
a position before it. It is handed out with the block that goes on after it; or, when nothing did for a while, alone.

When its file is given up nobody will ask for the position before it again, and a map cannot be handed anything at that
moment. So its bytes are taken at once, the record is handed out next, and until the map has used it up home is not told
that its source moved: where the source was before is told, since that much is surely in.
"""

import re
from time import monotonic
from typing import Any, Callable, Dict, Iterator, List, Optional, Tuple

from provider.runner.cuts import Moves
from provider.runner.faults import Failure
from provider.runner.lines import RECORD_S, Block, Held, Source, whole

_NEVER = float("inf")


class Holding:
    """See the module.

    Args:
        source: its blocks hold whole lines. It tells of files that it gives up from now on (`Source.leaving`).
        start: what the first line of a record matches.
    """

    def __init__(self, source: Source, start: "re.Pattern[bytes]") -> None:
        self._source = source
        self._begins = re.compile(b"(?m:^)(?:" + start.pattern + b")")
        #: The last record of each file; by the file's name and who is told that it was taken.
        self._held: Dict[Tuple[str, Any], Held] = {}
        #: Records of files that were given up, to be handed out next; and how many bytes those are, by source.
        self._left: List[Block] = []
        self._owed: Dict[str, int] = {}
        #: From and to, by source: what home may be told, and what it may be told when nothing is owed.
        self._moved: Dict[str, Tuple[bytes, bytes]] = {}
        self._waiting: Dict[str, Tuple[bytes, bytes]] = {}
        source.leaving = self._leaving  # type: ignore[method-assign]  # as it says there

    @property
    def waits(self) -> bool:
        """There is a record that is handed out when it has waited for long enough."""
        return bool(self._held)

    def blocks(self) -> "Iterator[Optional[Block]]":
        """The source's blocks, of whole records; None when there may be one later."""
        try:
            for block in self._source.blocks():
                for each in self._given_up():
                    yield each
                for each in self._whole(block) if block is not None else self._silent(monotonic() - RECORD_S):
                    yield each
                if block is None:
                    yield None
        except Failure:
            for each in self._rest():
                yield each
            raise
        for each in self._rest():
            yield each

    def _rest(self) -> "Iterator[Block]":
        """All that there is, after the last block."""
        for each in self._given_up():
            yield each
        for each in self._silent(_NEVER):
            yield each

    def _given_up(self) -> "Iterator[Block]":
        while self._left:
            yield self._left.pop(0)

    def _silent(self, since: float) -> "Iterator[Block]":
        """Records that have waited since then for what follows them."""
        for key, held in list(self._held.items()):
            if held.at <= since:
                del self._held[key]
                yield self._block(held.data, held.block, held.block.taken)

    def _whole(self, block: Block) -> "Iterator[Block]":
        """A block with what was held before it, and without its last record, which is held."""
        key = (block.path, block.taken)
        data = block.data
        held = self._held.pop(key, None)
        if held is not None and block.skipped:
            yield self._block(held.data, held.block, block.taken)
        elif held is not None:
            data = held.data + data
        at = whole(data, block, self._begins)
        if data[at:]:
            self._held[key] = Held(data[at:], block, monotonic())
        if at or block.skipped:
            yield self._block(data[:at], block, block.taken, block.skipped)

    def _block(self, data: bytes, block: Block, taken: Optional[Callable[[int], None]], skipped: int = 0) -> Block:
        return Block(block.path, self.split(data), data, taken, skipped, block.source)

    def split(self, data: bytes) -> List[bytes]:
        """Records, each without its last newline. What stands before the first is one, which will not parse."""
        begins = [found.start() for found in self._begins.finditer(data)]
        if data and (not begins or begins[0]):
            begins.insert(0, 0)
        ends = [begin - 1 for begin in begins[1:]] + [len(data) - data.endswith(b"\n")]
        return [data[begin:end] for begin, end in zip(begins, ends)]

    # --- files that are given up

    def _leaving(self, source: str) -> None:
        given_up = [key for key, held in self._held.items() if held.block.source == source]
        if not given_up:
            return
        self._look()
        for key in given_up:
            held = self._held.pop(key)
            size = len(held.data)
            if held.block.taken is not None:
                held.block.taken(size)
            self._owed[source] = self._owed.get(source, 0) + size
            self._left.append(self._block(held.data, held.block, _Used(self._owed, source).used))

    def _look(self) -> None:
        for source, begin, end in self._source.moves():
            into = self._waiting if self._owed.get(source) else self._moved
            into[source] = (into[source][0] if source in into else begin, end)

    def moves(self) -> Moves:
        """The source's, as far as the map has used up what was read."""
        self._look()
        for source in [source for source in self._waiting if not self._owed.get(source)]:
            begin, end = self._waiting.pop(source)
            self._moved[source] = (self._moved[source][0] if source in self._moved else begin, end)
        moves = [(source, begin, end) for source, (begin, end) in self._moved.items()]
        self._moved.clear()
        return moves


class _Used:
    """Is told how much of a record was used up whose bytes have been taken."""

    __slots__ = ("_owed", "_source")

    def __init__(self, owed: Dict[str, int], source: str) -> None:
        self._owed = owed
        self._source = source

    def used(self, size: int) -> None:
        """So many bytes."""
        self._owed[self._source] -= size
