"""A job's lines on their way into its map, and how far the map is with them.

Knows blocks of lines and when a cut may be made. Does not know files, clocks or scripts.

Theory of operation
-------------------
A map asks for one line at a time, and a call of ours for each would cost more than most maps do. So it iterates over a
chain of plain lists, at the speed of C, and we are asked only when a list is used up; how much of the current list is
used up its iterator tells (``__length_hint__``). When something must happen before that (a cut is due, the job is to
drain), `interrupt` takes the rest out of the iterator: whatever the map is doing, its next request for a line
comes to us, and then all values of the lines before are in. That is the moment for a cut, with a position in the
middle of a block; the lines that were taken away are handed out next.

What goes wrong here is raised inside of the map, which may catch it, or in a thread of it that nobody waits for; so it
is kept in ``failed``, and whoever runs the map looks there.
"""

from _thread import get_ident
from itertools import chain
from typing import Any, Callable, Iterator, List, NamedTuple, Optional, Pattern

from provider.runner.cuts import Cuts, Moves
from provider.runner.host import Provider

#: After a block so large (it holds a line that is) its values are packed at once: a batch of such would be all memory.
_LARGE_BYTES = 256 << 10
#: How long a record of several lines may be silent before it is taken to be whole, and how large it may be.
RECORD_S = 0.5
RECORD_BYTES = 1 << 20


class Block:
    """Some lines, and the bytes that they were.

    Args:
        path: what ``lines.path`` says while they are handed out.
        items: the lines.
        data: their bytes, newlines included.
        taken: is told how many bytes (and skipped ones) the map has taken.
        skipped: bytes before them that are no lines.
        source: as home knows it, where it has positions.
        last: nothing follows it in its file.
    """

    __slots__ = ("data", "items", "last", "path", "skipped", "source", "taken")

    def __init__(
        self,
        path: str,
        items: List[Any],
        data: bytes = b"",
        taken: Optional[Callable[[int], None]] = None,
        skipped: int = 0,
        source: str = "",
        last: bool = False,
    ) -> None:
        self.path = path
        self.source = source
        self.last = last
        self.items = items
        self.data = data
        self.taken = taken
        self.skipped = skipped

    def left(self, items: List[Any]) -> "Block":
        """What is left of it when these items are."""
        data = b""
        if items and self.data:
            used = len(self.items) - len(items)
            data = self.data.split(b"\n", used)[used]
        return Block(self.path, items, data, self.taken)


class Held(NamedTuple):
    """A record of several lines that may go on, the block that it is of, and when it was read."""

    data: bytes
    block: Block
    at: float


def whole(data: bytes, block: Block, begins: "Pattern[bytes]") -> int:
    """How much of a block's data are records that are over: each ends where the next one begins."""
    if block.last or len(data) >= RECORD_BYTES:
        return len(data)
    at = 0
    for found in begins.finditer(data):
        at = found.start()
    return at


class Source:
    """Where blocks come from. A job has one; it may read many files."""

    #: It has positions, so that cuts move them.
    positioned = False
    #: Lines that were taken and are no records, where records are asked for.
    parse_errors = 0
    #: How far all of it is in event time; None where nobody asks.
    watermark: Optional[float] = None

    def leaving(self, source: str) -> None:
        """What was read of a file of this source must be taken now, if it is ever: the file is given up.

        Whoever keeps records that may go on puts something of its own in the place of this.
        """

    def blocks(self) -> "Iterator[Optional[Block]]":
        """The blocks; None when there may be one later. The one before is taken when the next is asked for."""
        raise NotImplementedError

    def wait(self) -> None:
        """Waits for more, for 0.2 s at most: nothing else makes this process look at its flags."""
        raise NotImplementedError

    def fileno(self) -> int:
        """What can be read when there may be more; -1 where nothing tells."""
        return -1

    def moves(self) -> Moves:
        """What moved since this was last asked."""
        return []

    def dropped(self) -> "dict[str, int]":
        """Lines that were dropped in all, by reason."""
        return {}

    def lag_s(self) -> Optional[float]:
        """For how long there has been more than was taken; None where nobody waits."""
        return None


class Handout:
    """See the module. `stop` is set from outside, by a signal handler."""

    __slots__ = (
        "_block",
        "_bytes",
        "_cuts",
        "_inside",
        "_iterator",
        "_lines",
        "_rest",
        "_source",
        "_thread",
        "failed",
        "path",
        "stop",
    )  # fmt: skip

    def __init__(self, source: Source, cuts: Cuts) -> None:
        self._source = source
        self._cuts = cuts
        self._block: Optional[Block] = None
        self._iterator: Any = iter([])
        self._rest: List[Any] = []
        #: We are at work, so that the list under the iterator is not the map's to use up.
        self._inside = True
        self._lines = 0
        self._bytes = 0
        self._thread = get_ident()
        #: Why there were no more lines than those, if that was no end.
        self.failed: Optional[Exception] = None
        #: The map shall see the end of its lines.
        self.stop = False
        self.path: Optional[str] = None

    def interrupt(self) -> None:
        """Makes the map's next request come to us. May be called at any moment, by a signal handler."""
        if self._inside or self._block is None:
            return
        # At once, so that another signal's handler between any two instructions of this one finds nothing twice.
        rest = list(self._iterator)
        self._rest += rest

    def lists(self) -> "Iterator[Iterator[Any]]":
        """The lists that a map's lines are chained from."""
        try:
            # A cut means that the values of all lines before are in. Another thread may not have yielded them yet.
            if get_ident() != self._thread:
                raise RuntimeError("lines must be read in the thread that map runs in")
            for each in self._lists():
                yield each
        except Exception as exc:
            self.failed = exc
            raise

    def _lists(self) -> "Iterator[Iterator[Any]]":
        blocks = self._source.blocks()
        while True:
            self.settle()
            if self._cuts.late():
                self._cuts.cut()
            if self.stop:
                return
            if self._block is None:
                try:
                    self._block = next(blocks)
                except StopIteration:
                    return
                if self._block is None:
                    if not self._cuts.late():
                        self._source.wait()
                    continue
                self.path = self._block.path
            self._iterator = iter(self._block.items)
            # From here on a handler may take lines away. What it asked for before is seen here.
            self._inside = False
            if not (self.stop or self._cuts.due):
                yield self._iterator

    def settle(self) -> None:
        """Accounts for what the map has used up. Afterwards the block is what it has not."""
        self._inside = True
        block = self._block
        if block is None:
            return
        rest = list(self._iterator) + self._rest
        self._rest = []
        used = len(block.items) - len(rest)
        left = block.left(rest)
        size = block.skipped + len(block.data) - len(left.data)
        if block.taken is not None:
            block.taken(size)
        self._lines += used
        self._bytes += size
        # All of the rest is still to be used up, should nobody ask any more.
        self._iterator = iter(rest)
        self._block = left if rest else None
        if size > _LARGE_BYTES:
            self._cuts.spill()

    @property
    def lines(self) -> int:
        """Lines that the map has taken."""
        if self._inside or self._block is None:
            return self._lines
        return self._lines + len(self._block.items) - len(self._rest) - int(self._iterator.__length_hint__())

    @property
    def bytes(self) -> int:
        """Their bytes, up to the last block."""
        return self._bytes


class Lines:
    """What ``map(lines)`` gets: an iterable and an iterator of lines, each without its newline."""

    __slots__ = ("_chain", "_handout", "provider")

    def __init__(self, handout: Handout, provider: Provider) -> None:
        #: The same as ``filter`` gets.
        self.provider = provider
        self._handout = handout
        self._chain = chain.from_iterable(handout.lists())

    @property
    def path(self) -> Optional[str]:
        """The file of the last line; None before the first and where lines come from no file."""
        return self._handout.path

    def __iter__(self) -> "Iterator[Any]":
        return self._chain

    def __next__(self) -> Any:
        return next(self._chain)
