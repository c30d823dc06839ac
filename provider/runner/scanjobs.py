"""Plan jobs as their supervisor sees them: one process for all, a pipe of frames for each.

Knows the scan child's socket, and which of its ends a job needs. Does not know plans, which it never opens.

Theory of operation
-------------------
The first plan job starts the scan child (`scan`), and whoever comes after it is handed over: its START goes through a
socket, and with it the writing end of a pipe of its own, so that a job whose frames nobody takes blocks no other. What
home says of a job later (drain, abort) goes the same way. Each is a `Job` like any other but that its process is not
its own: it ends when it has said its end and closed its pipe. When the last one has ended, the child is a stray.
If the child dies, so do all its jobs, and home lets them go on elsewhere: a plan can be read again.
"""

import _socket
import os
import sys
import time
import zlib
from array import array
from collections import deque
from typing import Any, Deque, Dict, Iterable, List, Tuple

from provider.runner import frames
from provider.runner.jobs import FROM_CHILD, Job
from provider.runner.orders import Limits, Order
from provider.runner.pack import unpackb
from provider.runner.spawn import Child, spawn

_RECEIVE_BYTES = 64 << 10
#: Descriptors that one message may bring.
_MOST_FDS = 16


class ScanChild:
    """The process, and what it is to be told.

    Args:
        guarded: it has one job, which may start processes (see guard).

    Raises:
        OSError: no process or no descriptor is to be had.
    """

    def __init__(self, limits: Limits, guarded: bool = False) -> None:
        ours, theirs = _socket.socketpair()
        try:
            child = spawn(limits, False, _work, guarded, theirs.fileno())
        except OSError:
            ours.close()
            raise
        finally:
            theirs.close()
        os.close(child.frames_fd)
        ours.setblocking(False)
        self.pid = child.pid
        #: What it prints; the first job passes that on.
        self.notes_fd = child.notes_fd
        #: No job can be handed over any more.
        self.over = False
        self.guarded = guarded
        self._socket = ours
        self._jobs = 0
        self._queue: "Deque[Tuple[memoryview, List[int]]]" = deque()

    def start(self, number: int, order: Order, fds: List[int]) -> None:
        """Hands a job over. The descriptors are ours until they are sent, and closed then."""
        self._jobs += 1
        header = {"epoch": order.epoch, "kept": order.kept, "feed": order.feed}
        self._put(frames.fragments(frames.START, number, header, order.payload), fds)

    def cancel(self, number: int, mode: str) -> None:
        """Tells it to end a job."""
        if not self.over:
            self._put(frames.fragments(frames.CANCEL, number, {"mode": mode}, b""), [])

    def _put(self, bodies: "Iterable[bytes]", fds: List[int]) -> None:
        for body in bodies:
            self._queue.append((memoryview(frames.framed(body)), fds))
            fds = []
        self.write()

    @property
    def fd(self) -> int:
        """To be watched for writing while there is something to say."""
        return self._socket.fileno() if self._queue else -1

    def write(self) -> None:
        """As much as it takes."""
        while self._queue and not self.over:
            data, fds = self._queue[0]
            rights = [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, array("i", fds))] if fds else []
            try:
                sent = self._socket.sendmsg([data], rights)
            except BlockingIOError:
                return
            except OSError:  # it is dead, or about to be
                self.close()
                return
            _close(fds)
            self._queue[0] = (data[sent:], [])
            if sent == len(data):
                self._queue.popleft()

    def left(self) -> None:
        """A job has ended."""
        self._jobs -= 1
        if not self._jobs:
            self.close()

    def close(self) -> None:
        """Nothing more is said to it."""
        self.over = True
        self._socket.close()
        for _, fds in self._queue:
            _close(fds)
        self._queue.clear()


def _close(fds: List[int]) -> None:
    for fd in fds:
        os.close(fd)


class PlanJob(Job):
    """See the module."""

    says = FROM_CHILD | {frames.NOTE}

    def __init__(self, number: int, order: Order, scan: ScanChild, now: float) -> None:
        reading, writing = os.pipe()
        given, feed_fd = [writing], -1
        try:
            if order.feed:
                fed, feed_fd = os.pipe()
                given.append(fed)
        except OSError:
            _close([reading, writing])
            raise
        os.set_blocking(reading, False)
        notes_fd, scan.notes_fd = scan.notes_fd, -1
        super().__init__(number, order, Child(scan.pid, reading, notes_fd, feed_fd), now)
        self._scan = scan
        self._left = False
        scan.start(number, order, given)

    def watched(self, now: float, room: bool) -> "List[Tuple[int, int]]":
        wanted = super().watched(now, room)
        return wanted + [(self._scan.fd, 4)] if self._scan.fd >= 0 else wanted  # POLLOUT

    def owns(self, fd: int) -> bool:
        return fd == self._scan.fd or super().owns(fd)

    def ready(self, fd: int, now: float) -> None:
        if fd == self._scan.fd:
            self._scan.write()
            return
        super().ready(fd, now)
        if self.ended and not self.reaped:
            self.died(0, now)

    def died(self, status: int, now: float) -> None:
        super().died(status, now)
        if status:
            self._scan.close()
        if not self._left:
            self._left = True
            if not self._scan.over:
                self._scan.left()

    def count_processes(self) -> None:
        """Where they are this job's alone."""
        if self._scan.guarded:
            super().count_processes()

    def strike(self) -> None:
        self._scan.cancel(self.number, "abort")
        self.died(0, time.monotonic())

    def _ask_to_drain(self) -> None:
        super()._ask_to_drain()  # which it does not hear, and a guard does
        self._scan.cancel(self.number, "drain")


class Inbox:
    """The scan child's end of the socket, which is its descriptor 0."""

    def __init__(self) -> None:
        self._socket = _socket.socket(fileno=0)
        self._splitter = frames.Splitter()
        self._fds: "Deque[int]" = deque()
        self._joiners: "Dict[int, frames.Joiner]" = {}

    def receive(self) -> "List[Tuple[frames.Frame, List[int]]]":
        """What has come, each START with its descriptors: of its frames, and of its feed. Waits for something.

        Raises:
            EOFError: nothing will come any more.
        """
        size = _socket.CMSG_SPACE(4 * _MOST_FDS)
        data, rights, _, _ = self._socket.recvmsg(_RECEIVE_BYTES, size)
        for level, kind, numbers in rights:
            if level == _socket.SOL_SOCKET and kind == _socket.SCM_RIGHTS:
                self._fds.extend(array("i", numbers))
        if not data:
            raise EOFError
        found = []
        for body in self._splitter.feed(data):
            frame = frames.decode(body)
            whole = self._joiners.setdefault(frame.job, frames.Joiner()).add(frame)
            if whole is not None:
                count = (1 + bool(whole.header["feed"])) if whole.kind == frames.START else 0
                found.append((whole, [self._fds.popleft() for _ in range(count)]))
        return found


def learn(fields: "Dict[str, Any]") -> None:
    """Makes the modules importable that came with a plan.

    Raises:
        KeyError, TypeError, ValueError, zlib.error: there are none.
    """
    from provider.runner import script

    script.importable(unpackb(zlib.decompress(fields["modules"])))


def _work() -> None:
    """The scan child's life: its code is in the first START that it gets."""
    inbox = Inbox()
    found: "List[Tuple[frames.Frame, List[int]]]" = []
    while not found:
        found = inbox.receive()
    try:
        learn(unpackb(found[0][0].payload))
    except (KeyError, TypeError, ValueError, zlib.error):
        sys.exit("the plan did not arrive as one")
    from provider.runner import scan

    scan.Scanner(inbox).run(found)
