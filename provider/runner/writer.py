"""A job's frames on their way to its supervisor.

Knows one blocking descriptor. Does not know what the frames mean.
"""

import os
import select
from typing import Any, Dict

from provider.runner import frames

#: What Linux's poll promises of a pipe that it calls writable: so much more will not block, and will not be cut.
_ATOMIC_BYTES = 4096


class Writer:
    """Writes whole frames, one at a time. The job number is the supervisor's to say."""

    __slots__ = ("_epoch", "_fd", "_pid", "_poll", "busy")

    def __init__(self, fd: int, epoch: int) -> None:
        self._fd = fd
        self._epoch = epoch
        self._pid = os.getpid()
        self._poll = select.poll()
        self._poll.register(fd, select.POLLOUT)
        #: A frame is half written: a signal handler must not begin another one.
        self.busy = False

    def send(self, kind: int, header: Dict[str, Any], payload: bytes = b"") -> None:
        """Writes a frame, in fragments if it must be. Blocks while the supervisor does not read.

        Raises:
            FrameError: over the limits; nothing was written.
            OSError: the supervisor is gone.
        """
        header = dict(header, epoch=self._epoch)
        if os.getpid() != self._pid:
            # A script forked, and its child came back out of it into our loop: it must not speak for its parent.
            os._exit(1)
        # All are made before the first is written: running out of memory in between would leave half a frame.
        bodies = [frames.framed(body) for body in frames.fragments(kind, 0, header, payload)]
        self.busy = True
        try:
            for body in bodies:
                data = memoryview(body)
                while data:
                    data = data[os.write(self._fd, data) :]
        finally:
            self.busy = False

    def offer(self, kind: int, header: Dict[str, Any]) -> None:
        """Writes a small frame if that cannot block, out of a signal handler; otherwise drops it."""
        if self.busy or not self._poll.poll(0):
            return
        data = frames.framed(frames.encode(kind, 0, header))
        if len(data) <= _ATOMIC_BYTES and os.getpid() == self._pid:
            os.write(self._fd, data)
