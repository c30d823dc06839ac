"""What waits to go home: bounded, never blocking, beats first.

Knows bodies and one non-blocking file descriptor. Does not know jobs: who may add what is the supervisor's business.
"""

import os
from collections import deque
from typing import Deque, Dict, Tuple

from provider.runner import frames

#: Bytes for all jobs together. Less leaves a fast link idle between two rounds of the loop, more delays what is said
#: next by as much (256 KiB is two seconds at 1 Mbit/s) and is memory on somebody else's host.
MOST_BYTES = 256 << 10
#: What one system call is given: more would let beats wait for longer.
_WRITE_BYTES = 64 << 10


class Outbox:
    """Frames for one descriptor. `put` keeps order; `urgent` overtakes, the newest of a kind and job only."""

    __slots__ = ("_current", "_fd", "_queue", "_urgent", "size")

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._queue: Deque[bytes] = deque()
        self._urgent: Dict[Tuple[int, int], bytes] = {}
        self._current = memoryview(b"")
        #: Bytes of `put` that are not written yet.
        self.size = 0

    @property
    def full(self) -> bool:
        """Nothing more should be put."""
        return self.size >= MOST_BYTES

    @property
    def pending(self) -> bool:
        """There is something to write."""
        return bool(self._current or self._queue or self._urgent)

    def put(self, body: bytes) -> None:
        """Adds a frame behind all others."""
        framed = frames.framed(body)
        self._queue.append(framed)
        self.size += len(framed)

    def urgent(self, kind: int, job: int, header: "Dict[str, object]") -> None:
        """Says something that only counts in its newest form: a beat, a grant."""
        self._urgent[kind, job] = frames.framed(frames.encode(kind, job, header))

    def forget(self, job: int) -> None:
        """The job's last frame is about to be put: nothing urgent of it may come behind."""
        for key in [key for key in self._urgent if key[1] == job]:
            del self._urgent[key]

    def write(self) -> None:
        """Writes what the descriptor takes.

        Raises:
            OSError: nobody reads any more.
        """
        while self.pending:
            if not self._current:
                self._current = memoryview(self._next())
            try:
                written = os.write(self._fd, self._current)
            except BlockingIOError:
                return
            self._current = self._current[written:]

    def _next(self) -> bytes:
        if self._urgent:
            framed = b"".join(self._urgent.values())
            self._urgent.clear()
            return framed
        chunks = []
        room = _WRITE_BYTES
        while self._queue and room > 0:
            chunks.append(self._queue.popleft())
            room -= len(chunks[-1])
        framed = b"".join(chunks)
        self.size -= len(framed)
        return framed
