"""A coordinator of one's own: a child process on an ipc socket in a directory that only this user may enter.

Knows how it is started, leased and ended. Its lease is the pipe to its stdin: whatever becomes of this process, the
pipe closes and the coordinator goes, and with it its runners. It knows nothing of queries.
"""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import sys
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from backplane.wire.errors import NoCoordinator

#: Python, ZeroMQ and the socket: a tenth of a second on an idle machine, seconds on one that is swapping.
START_S = 20.0
#: What it may take to cancel its jobs once its lease has ended.
END_S = 5.0


class Private:
    """A coordinator of this process's own, at ``address``."""

    def __init__(self, address: str, process: asyncio.subprocess.Process) -> None:
        self.address = address
        self.pid = process.pid
        self._process = process

    async def ready(self) -> None:
        """Wait until it listens.

        Raises:
            NoCoordinator: it ended, or took too long; what it had to say is on stderr.
        """
        assert self._process.stdout is not None
        try:
            async with asyncio.timeout(START_S):
                line = await self._process.stdout.readline()
        except TimeoutError:
            raise NoCoordinator(f"the private coordinator was not ready within {START_S:.0f} s") from None
        if line.strip() != b"ready":
            raise NoCoordinator("the private coordinator ended before it was ready; what it said is above")

    async def ended(self) -> str:
        """Wait until it is gone, which it should not be, and say how."""
        status = await self._process.wait()
        how = f"by signal {-status}" if status < 0 else f"with status {status}"
        return f"the private coordinator ended {how}"


@contextlib.asynccontextmanager
async def private_coordinator(*, verbose: bool = False) -> AsyncIterator[Private]:
    """A coordinator that lives as long as this context. It is starting: whoever needs it waits for `Private.ready`."""
    # Not under TMPDIR: a path of over 107 bytes is no socket's address, and TMPDIR may be deep.
    directory = Path(await asyncio.to_thread(tempfile.mkdtemp, prefix="logreduce-", dir=_short_directory()))
    try:
        socket = directory / "coordinator.sock"
        process = await _spawn(socket, verbose)
        try:
            yield Private(f"ipc://{socket}", process)
        finally:
            await _end(process)
    finally:
        await asyncio.to_thread(shutil.rmtree, directory, ignore_errors=True)


def _short_directory() -> str | None:
    default = tempfile.gettempdir()
    return default if len(default) < 60 else "/tmp"


async def _spawn(socket: Path, verbose: bool) -> asyncio.subprocess.Process:
    argv = [sys.executable, "-P", "-m", "coordinator", "--private", "--socket", str(socket)]
    if verbose:
        argv.append("--verbose")
    # -P: a module that lies in the working directory is not ours.
    # A session of its own, so that the first Ctrl-C of a terminal reaches the client alone, which drains.
    return await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )


async def _end(process: asyncio.subprocess.Process) -> None:
    assert process.stdin is not None
    process.stdin.close()
    try:
        async with asyncio.timeout(END_S):
            await process.wait()
    except TimeoutError:
        process.kill()
        await process.wait()
