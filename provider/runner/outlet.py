"""A plan job's frames on their way to the supervisor, without ever waiting for it.

Knows one descriptor that does not block. Does not know what the frames mean, or how much may wait: whoever fills it
looks at `pending`.
"""

import os
from collections import deque
from typing import Any, Deque, Dict

from provider.runner import frames
from provider.runner.writer import Writer


class Outlet(Writer):
    """A `Writer` that keeps what the pipe does not take."""

    __slots__ = ("_queue", "fd", "gone", "pending")

    def __init__(self, fd: int, epoch: int) -> None:
        super().__init__(fd, epoch)
        os.set_blocking(fd, False)
        self.fd = fd
        #: Bytes that wait.
        self.pending = 0
        #: Nobody reads any more.
        self.gone = False
        self._queue: "Deque[memoryview]" = deque()

    def send(self, kind: int, header: Dict[str, Any], payload: bytes = b"") -> None:
        """Takes a frame.

        Raises:
            FrameError: over the limits; nothing was taken.
        """
        for body in frames.fragments(kind, 0, dict(header, epoch=self._epoch), payload):
            data = memoryview(frames.framed(body))
            self._queue.append(data)
            self.pending += len(data)
        self.write()

    def offer(self, kind: int, header: Dict[str, Any]) -> None:
        """Takes a frame that may as well be dropped, if nothing waits."""
        if not self.pending:
            self.send(kind, header)

    def write(self) -> None:
        """As much as the pipe takes."""
        while self._queue and not self.gone:
            data = self._queue[0]
            try:
                sent = os.write(self.fd, data)
            except BlockingIOError:
                return
            except OSError:
                self.gone = True
                break
            self.pending -= sent
            if sent == len(data):
                self._queue.popleft()
            else:
                self._queue[0] = data[sent:]
        if self.gone:
            self._queue.clear()
            self.pending = 0

    def close(self) -> None:
        """Whatever waits is lost."""
        os.close(self.fd)
        self.gone = True
        self._queue.clear()
        self.pending = 0
