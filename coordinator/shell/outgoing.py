"""What a job of level `shell` has to say, held back by its credit as a runner's supervisor does.

Knows frames and credit. Does not know what is in them.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Any, Final

from provider.runner import frames

#: Bytes of frames that may wait when a print comes; beyond it that one is dropped.
_MOST_HELD: Final = 256 << 10


class Outgoing:
    """The frames of one job on their way up. The `Writer` of its cuts.

    Args:
        up: takes bodies, in order.
        changed: called when nothing is held any more that was held before.
    """

    def __init__(
        self, job: int, epoch: int, granted: int, up: Callable[[bytes], None], changed: Callable[[], None]
    ) -> None:
        self.dropped = 0
        self._job = job
        self._epoch = epoch
        self._granted = granted
        self._spent = 0
        self._up = up
        self._changed = changed
        self._held: deque[bytes] = deque()
        self._bytes = 0
        self._empty = asyncio.Event()
        self._empty.set()

    @property
    def held(self) -> bool:
        """Something waits for credit: nothing more should be made."""
        return bool(self._held)

    def grant(self, granted: int) -> None:
        """Bytes in all that may have been sent. A smaller number than before is an old one."""
        self._granted = max(self._granted, granted)
        self._flush()

    def send(self, kind: int, header: dict[str, Any], payload: bytes = b"") -> None:
        """A frame, in fragments if it must be.

        Raises:
            FrameError: over the limits; nothing was sent.
        """
        for body in list(frames.fragments(kind, self._job, dict(header, epoch=self._epoch), payload)):
            self._held.append(body)
            self._bytes += len(body)
        self._flush()

    def note(self, data: bytes, lost: int = 0) -> None:
        """What was printed, and how many lines of it were not passed on; dropped where there is no credit for it."""
        self.dropped += lost
        if data and (self._spent >= self._granted or self._bytes > _MOST_HELD):
            self.dropped += data.count(b"\n") or 1
            return
        if data:
            dropped, self.dropped = self.dropped, 0
            self.send(frames.NOTE, {"stream": "print", "dropped": dropped}, data)

    def discard(self) -> None:
        """What waits is dropped, so that the end need not."""
        self._held.clear()
        self._bytes = 0
        self._settle()

    async def emptied(self) -> None:
        """Wait until nothing waits."""
        await self._empty.wait()

    def _flush(self) -> None:
        while self._held:
            body = self._held[0]
            if body[0] in frames.SPENDS_CREDIT:
                if self._spent >= self._granted:
                    break
                self._spent += len(body)
            self._held.popleft()
            self._bytes -= len(body)
            self._up(body)
        self._settle()

    def _settle(self) -> None:
        if self._held:
            self._empty.clear()
        elif not self._empty.is_set():
            self._empty.set()
            self._changed()
