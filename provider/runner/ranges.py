"""A file folded by several processes at a time: what a plan on finite files may ask for, where several cores are free.

Knows files, folds and processes. Does not know cuts or frames. It travels with the plans that ask for it: standard
library only, Python 3.6.

Theory of operation
-------------------
Ranges of a file, which end where lines do, are dealt in their order to workers: forks of the scan child (which has one
thread), niced as it is, each with the compiled plan. A worker keeps what it folds. Every so often no more is dealt
until all have done what they have; then they hand over, their states are merged into the job's own fold, and the place
moves to the end of what was dealt. So fold and place belong together at any moment, as they do where one process reads:
a cut may be made whenever it is due, and what was not handed over is read again by who goes on from that cut.

Whatever is special is read by the scan child itself, as ever: a file's first block (which may name its columns), a last
line without an end, long lines. And so is the rest of a file when anything goes wrong (it does not stay as it is, a
value is no number, a worker dies): what was not handed over is forgotten then, and reading goes on from the place.
"""

import _socket
import marshal
import os
import select
import signal
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from provider.runner.files import BLOCK_BYTES, Log
from provider.runner.finish import Finish
from provider.runner.folding import Scan
from provider.runner.lines import Block
from provider.runner.plan import PLACED
from provider.runner.sources import Files, Found, Scope, Split, Told
from provider.runner.spawn import PR_SET_PDEATHSIG, most_fd, prctl

#: What is dealt at a time. A cut waits for as much, and a share of it is all that a core may be idle at a file's end.
RANGE_BYTES = 2 << 20
#: A file with less to read is not worth the forks.
LEAST_BYTES = 4 * RANGE_BYTES
#: How far behind a range's end its last line may end.
_LINE_BYTES = 1 << 20
#: Groups that a worker may hold.
_MOST_GROUPS = 20000
#: A worker that says nothing for so long is taken for dead.
_SILENCE_S = 60.0


def possible(plan: Any) -> bool:
    """A plan's ranges can be folded apart: it need not know which of two lines was earlier."""
    names = [each.name.partition("(")[0] for each in plan.aggregates]
    several_lines = plan.format.start is not None
    return bool(names) and not (several_lines or plan.window or any(name in PLACED for name in names))


class Unfit(Exception):
    """It cannot be read like this."""


class Ranges(Finish):
    """Files that are read to their ends as `Finish` reads them, large ones by `count` processes.

    Args:
        job: whose fold takes what they fold. It has this reader to itself.
        every_s: how long what was folded may wait to be handed over.
    """

    def __init__(
        self, files: Files, positions: Dict[str, bytes], split: Split, told: Told, scope: Scope, job: Any, count: int
    ) -> None:
        self._job = job
        self._count = count
        self._team: "Optional[_Team]" = None
        super().__init__(files, positions, split, told, scope)

    def _read(self, found: Found, log: Log, limit: Optional[int]) -> "Iterator[Any]":
        blocks = super()._read(found, log, limit)
        for block in blocks:
            yield block
            break
        log = self._log or log  # which may be a copy of it by now
        plain = not (log.packed or log.rewritten or self._scope.until is not None)
        if plain and limit is not None and limit - log.offset >= LEAST_BYTES:
            for nothing in self._dealt(log, limit):
                yield nothing
        for block in blocks:
            yield block

    def _dealt(self, log: Log, limit: int) -> "Iterator[Optional[Block]]":
        """Folds as much as there are ranges; None while others work."""
        log.rewind(log.offset)
        self._team = team = _Team(log, self._job.fold.scan, self._count)
        try:
            ranges = _ranges(log, log.offset, limit)
            more = True
            since = time.monotonic()
            while more:
                more = team.deal(ranges)
                due = time.monotonic() - since >= self._job.wanted.every_s or team.full
                if not more or due:
                    while team.busy:
                        yield None
                        team.hear()
                    self._hand_over(log, team)
                    since = time.monotonic()
                    yield Block(log.path, [], b"", None, 0, log.source, False)
                else:
                    yield None
                    team.hear()
        except (Unfit, OSError):
            pass  # the fold has nothing of what came after the place
        finally:
            self._team = None
            team.close()

    def _hand_over(self, log: Log, team: "_Team") -> None:
        end = team.end
        if end == log.offset:
            return
        parcels = team.parcels()
        if log.look() < log.seen or not (log.intact() and log.begins(log.head())):
            raise Unfit
        for parcel in parcels:
            self._job.fold.scan.join(parcel)
        self._job.bytes += end - log.offset
        log.rewind(end)
        log.touched = True

    def fileno(self) -> int:
        return self._team.fileno() if self._team is not None else -1

    def close(self) -> None:
        if self._team is not None:
            self._team.close()
        super().close()


def _ranges(log: Log, begin: int, limit: int) -> "Iterator[Tuple[int, int]]":
    """The ranges of a file, in order, each of whole lines; as far as its lines are no longer than they should be."""
    while begin < limit:
        wanted = min(begin + RANGE_BYTES, limit)
        if wanted == limit:
            tail = log.peek(max(begin, limit - _LINE_BYTES), min(_LINE_BYTES, limit - begin))
            end = limit - len(tail) + tail.rfind(b"\n") + 1 if b"\n" in tail else begin
        else:
            end = _line_end(log, wanted - 1, limit)
        if end <= begin:
            return
        yield begin, end
        begin = end


def _line_end(log: Log, at: int, limit: int) -> int:
    """Where the line ends that this byte is of; 0 if that is too far."""
    size = 4096
    while size <= _LINE_BYTES:
        data = log.peek(at, min(size, limit - at))
        newline = data.find(b"\n")
        if newline >= 0:
            return at + newline + 1
        size *= 16
    return 0


class _Worker(NamedTuple):
    pid: int
    socket: Any


class _Team:
    """The processes that fold one file.

    Raises:
        OSError: no process is to be had.
    """

    def __init__(self, log: Log, scan: Scan, count: int) -> None:
        #: The end of what was dealt.
        self.end = log.offset
        #: One of them has as many groups as it may.
        self.full = False
        self._poll = select.epoll()
        self._workers: "Dict[int, _Worker]" = {}
        self._free: "List[_Worker]" = []
        try:
            for _ in range(count):
                worker = _forked(log.fd, scan)
                self._workers[worker.socket.fileno()] = worker
                self._free.append(worker)
                self._poll.register(worker.socket.fileno(), select.EPOLLIN)
        except OSError:
            self.close()
            raise

    def fileno(self) -> int:
        """What can be read when one of them has something to say."""
        return int(self._poll.fileno())

    @property
    def busy(self) -> int:
        """How many of them have something to do."""
        return len(self._workers) - len(self._free)

    def deal(self, ranges: "Iterator[Tuple[int, int]]") -> bool:
        """Gives each that is free a range. False: there is none left."""
        while self._free:
            one = next(ranges, None)
            if one is None:
                return False
            self.end = one[1]
            _put(self._free.pop().socket, one)
        return True

    def hear(self) -> None:
        """Takes what they say, without waiting for it.

        Raises:
            Unfit: one of them cannot do it.
            OSError: one of them is dead.
        """
        for fd, _ in self._poll.poll(0):
            worker = self._workers[fd]
            self.full = _answer(worker) >= _MOST_GROUPS or self.full
            self._free.append(worker)

    def parcels(self) -> "List[Any]":
        """What each of them has folded. None of them is busy.

        Raises:
            Unfit, OSError: as above.
        """
        self.full = False
        for worker in self._workers.values():
            _put(worker.socket, ())
        return [_answer(worker) for worker in self._workers.values()]

    def close(self) -> None:
        """Ends them, whatever they do."""
        for worker in self._workers.values():
            worker.socket.close()
            os.kill(worker.pid, signal.SIGKILL)
            os.waitpid(worker.pid, 0)
        self._workers.clear()
        self._poll.close()


def _answer(worker: _Worker) -> Any:
    said = _get(worker.socket)
    if said is None:
        raise Unfit
    return said


def _forked(fd: int, scan: Scan) -> _Worker:
    ours, theirs = _socket.socketpair()
    ours.settimeout(_SILENCE_S)
    parent = os.getpid()
    try:
        pid = os.fork()
    except OSError:
        ours.close()
        theirs.close()
        raise
    if pid == 0:
        try:
            prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                _work(_alone(fd, theirs), scan)
        finally:
            os._exit(0)
    theirs.close()
    return _Worker(pid, ours)


def _alone(fd: int, socket: Any) -> "Tuple[int, Any]":
    """Closes all other descriptors: a pipe that somebody holds has no end."""
    kept = (0, fd, socket.fileno(), most_fd() + 1)
    os.dup2(1, 0)  # who holds it would be the scan child, too
    for low, high in zip(sorted(kept), sorted(kept)[1:]):
        os.closerange(max(low + 1, 3), high)
    return fd, socket


def _work(ends: "Tuple[int, Any]", scan: Scan) -> None:
    """A worker's life: ranges, and what it made of them, until nobody asks any more."""
    fd, socket = ends
    scan.parcel()
    while True:
        asked = _get(socket)
        answer = None  # type: Any
        try:
            if not asked:
                answer = scan.parcel()
            elif _fold(fd, asked[0], asked[1], scan.feed):
                answer = scan.groups
        except (MemoryError, ValueError, TypeError, RecursionError):
            pass
        _put(socket, answer)


def _fold(fd: int, begin: int, end: int, feed: "Callable[[bytes, int, int], None]") -> bool:
    """Folds a range of whole lines. False: it is none."""
    carry = b""
    while begin < end:
        data = os.pread(fd, min(BLOCK_BYTES, end - begin), begin)
        begin += len(data)
        whole = data.rfind(b"\n") + 1
        if not data:
            return False
        if whole:
            block = carry + data[:whole]
            carry = b""
            feed(block, 0, len(block))
        carry += data[whole:]
    return not carry


def _put(socket: Any, told: Any) -> None:
    data = marshal.dumps(told)
    socket.sendall(len(data).to_bytes(8, "little") + data)


def _get(socket: Any) -> Any:
    """What the other end said. It is us, so it is believed.

    Raises:
        OSError: it is dead, or silent.
    """
    return marshal.loads(_exactly(socket, int.from_bytes(_exactly(socket, 8), "little")))


def _exactly(socket: Any, size: int) -> bytes:
    parts = []
    while size:
        data = socket.recv(min(size, 1 << 20))
        if not data:
            raise OSError(32, "a process that read a part of a file has ended")
        parts.append(data)
        size -= len(data)
    return b"".join(parts)
