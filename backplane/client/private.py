"""A coordinator of one's own: a child process on an ipc socket in a directory that only this user may enter.

Knows how to wait for it: until it listens, and until it is gone. Its lease is the pipe to its stdin: whatever becomes
of this process, the pipe closes and the coordinator goes, and with it its runners. It knows nothing of queries.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator

from backplane.client.begun import Begun
from backplane.wire.errors import NoCoordinator

#: Python, ZeroMQ and the socket: a tenth of a second on an idle machine, seconds on one that is swapping.
START_S = 20.0
#: Between two looks at a process that has closed its stdout and is about to be gone.
_LOOK_S = 0.005


class Private:
    """A coordinator of this process's own, at ``address``."""

    def __init__(self, begun: Begun, said: asyncio.StreamReader) -> None:
        self.address = begun.address
        self.pid = begun.process.pid
        self.verbose = begun.verbose
        self._process = begun.process
        self._said = said

    async def ready(self) -> None:
        """Wait until it listens.

        Raises:
            NoCoordinator: it ended, or took too long; what it had to say is on stderr.
        """
        try:
            async with asyncio.timeout(START_S):
                line = await self._said.readline()
        except TimeoutError:
            raise NoCoordinator(f"the private coordinator was not ready within {START_S:.0f} s") from None
        if line.strip() != b"ready":
            raise NoCoordinator("the private coordinator ended before it was ready; what it said is above")

    def kill(self) -> None:
        """End it at once, also if it is stopped. What it had is removed by whoever made it."""
        self._process.kill()

    async def ended(self) -> str:
        """Wait until it is gone, which it should not be, and say how."""
        await self._said.read()  # its stdout is nobody else's, and ends when it does
        while (status := self._process.poll()) is None:  # noqa: ASYNC110 - no event tells, everywhere, that a process is gone
            await asyncio.sleep(_LOOK_S)
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return f"the private coordinator ended {how}"


@contextlib.asynccontextmanager
async def private_coordinator(begun: Begun | None = None, *, verbose: bool = False) -> AsyncIterator[Private]:
    """A coordinator that lives as long as this context. It is starting: whoever needs it waits for `Private.ready`.

    Args:
        begun: the one to use, which this context ends; None begins one.
        verbose: the one that it begins logs everything to stderr.

    Raises:
        NoCoordinator: none can be begun.
    """
    begun = begun or await _begin(verbose)
    try:
        loop = asyncio.get_running_loop()
        said = asyncio.StreamReader()
        # A descriptor of the loop's own: the process may be ended, and its pipe closed, in a thread.
        pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(said), begun.stdout())
        try:
            yield Private(begun, said)
        finally:
            await asyncio.to_thread(begun.end)
            pipe.close()
    finally:
        await asyncio.to_thread(begun.discard)


async def _begin(verbose: bool) -> Begun:
    beginning = asyncio.ensure_future(asyncio.to_thread(Begun, verbose=verbose))
    try:
        return await asyncio.shield(beginning)
    except asyncio.CancelledError:
        # A thread is not to be cancelled; what it has begun would be left behind.
        begun = await beginning
        await asyncio.to_thread(begun.discard)
        raise
