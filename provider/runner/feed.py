"""Source bytes that come from home, on their way into a job.

Knows a pipe's writing end and the window that was granted. Does not know frames.
"""

import os
from collections import deque
from typing import Deque

#: Bytes that home may send beyond what the job has taken: this much waits here at most.
WINDOW_BYTES = 256 << 10
#: A new grant is worth a frame when it allows so much more.
_STEP_BYTES = 64 << 10


class Feed:
    """A bounded queue in front of a pipe. Never blocks."""

    __slots__ = ("_chunks", "_ended", "_received", "_taken", "fd", "granted")

    def __init__(self, fd: int) -> None:
        self._chunks: Deque[memoryview] = deque()
        self._ended = False
        self._received = 0
        self._taken = 0
        self.fd = fd
        #: Bytes in all that home may have sent.
        self.granted = WINDOW_BYTES
        os.set_blocking(fd, False)

    @property
    def wants_write(self) -> bool:
        """The pipe should be watched for room."""
        return self.fd >= 0 and bool(self._chunks)

    def add(self, data: bytes, end: bool) -> bool:
        """Takes what came; False when it is more than was granted."""
        self._received += len(data)
        self._ended = self._ended or end
        if self.fd >= 0 and data:
            self._chunks.append(memoryview(data))
        self.write()
        return self._received <= self.granted

    def write(self) -> None:
        """Gives the pipe what it takes, and closes it behind the end."""
        while self._chunks and self.fd >= 0:
            try:
                written = os.write(self.fd, self._chunks[0])
            except BlockingIOError:
                return
            except OSError:  # the job closed its stdin: nobody will miss the rest
                self.close()
                return
            self._taken += written
            if written == len(self._chunks[0]):
                self._chunks.popleft()
            else:
                self._chunks[0] = self._chunks[0][written:]
        if self._ended:
            self.close()

    def grant(self) -> int:
        """The new total that home may have sent, or 0 when there is nothing new to say."""
        if self.fd < 0 or self._taken + WINDOW_BYTES < self.granted + _STEP_BYTES:
            return 0
        self.granted = self._taken + WINDOW_BYTES
        return self.granted

    def close(self) -> None:
        """The job sees the end."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
        self._chunks.clear()
