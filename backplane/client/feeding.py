"""Standard input as a job's source: reads it as fast as the job's runner grants, and no faster.

Knows one file descriptor and one job's credit. Frames go out through the function that it is given.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

from backplane.wire.messages import Feed, Message
from provider.runner import frames

#: One read, one frame.
_CHUNK_BYTES = frames.FRAGMENT_BYTES


class Feeder:
    """Feeds a job from a descriptor until its end.

    Args:
        job: whose source it is.
        send: sends one message to the coordinator.
        fd: what is read; it is neither closed nor made non-blocking, because a shell may share it.
    """

    def __init__(self, job: int, send: Callable[[Message], None], fd: int = 0) -> None:
        self._job = job
        self._send = send
        self._fd = fd
        self._left = 0
        self._granted = 0
        self._room = asyncio.Event()
        self._stir = asyncio.Event()
        self._closed = False

    def granted(self, total: int) -> None:
        """The runner takes so many payload bytes in all."""
        self._left += max(0, total - self._granted)
        self._granted = max(self._granted, total)
        if self._left:
            self._room.set()

    def close(self) -> None:
        """Read no further."""
        self._closed = True
        self._room.set()
        self._stir.set()

    async def feed(self) -> None:
        """Send all there is, then the end."""
        while True:
            await self._room.wait()
            if self._closed:
                return
            data = await self._read(min(self._left, _CHUNK_BYTES))
            self._left -= len(data)
            if not self._left:
                self._room.clear()
            self._send(Feed(job=self._job, end=not data, payload=data))
            if not data:
                return

    async def _read(self, size: int) -> bytes:
        await self._readable()
        return b"" if self._closed else os.read(self._fd, size)

    async def _readable(self) -> None:
        """Until there is something to read, or the feeder is closed."""
        loop = asyncio.get_running_loop()
        self._stir.clear()
        try:
            loop.add_reader(self._fd, self._stir.set)
        except PermissionError:  # what epoll refuses, as it does a file or /dev/null, never lets a reader wait
            return
        try:
            if not self._closed:
                await self._stir.wait()
        finally:
            loop.remove_reader(self._fd)
