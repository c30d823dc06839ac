"""Calling a named query's process: its snapshots as they come, its status, its end.

Knows the process's socket. Does not know how it was started, or what is shown.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any, Final

from backplane.client.named import told
from backplane.client.store.directory import Directory
from backplane.client.store.lock import owner
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import LogReduceError

#: A process that lives answers a call at once, and takes its time only for what it is asked.
_CALL_S: Final = 5.0
#: What is said of a process may wait for a slow reduce.
_STATUS_S: Final = 10.0


class Gone(LogReduceError):
    """Nobody runs it, or not any more."""


class Call:
    """One connection to a named query's process. Use `call`."""

    def __init__(self, name: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._name = name
        self._reader = reader
        self._writer = writer

    async def say(self, **message: Any) -> None:
        """Say what is wanted."""
        self._writer.write(told.framed(message))
        await self._writer.drain()

    async def heard(self) -> dict[str, Any]:
        """The next message.

        Raises:
            Gone: it has ended without another one.
            LogReduceError: what it says is a fault.
        """
        message = await told.read(self._reader)
        if message is None:
            raise Gone(f"the process that ran {self._name} has ended: `logreduce attach {self._name}` goes on with it")
        if message.get("op") == "fault":
            raise LogReduceError(str(message.get("text")))
        return message

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """The snapshots that come, the final one last.

        Raises:
            Gone: it has ended before that.
        """
        while True:
            message = await self.heard()
            if message.get("op") != "snapshot":
                continue
            if not message["payload"]:
                return  # it had ended by the time we called
            snapshot = await asyncio.to_thread(told.unpack, message["payload"])
            yield snapshot
            if snapshot.final:
                return


@contextlib.asynccontextmanager
async def call(directory: Directory) -> AsyncIterator[Call]:
    """Call the process that runs a named query.

    Raises:
        Gone: nobody runs it.
    """
    found = await asyncio.to_thread(owner, directory)
    if found is None or not found.socket:
        raise Gone(f"nobody runs {directory.name}")
    try:
        async with asyncio.timeout(_CALL_S):
            reader, writer = await asyncio.open_unix_connection(found.socket, limit=1 << 20)
    except (OSError, TimeoutError):
        raise Gone(f"process {found.pid} runs {directory.name} and does not answer") from None
    try:
        yield Call(directory.name, reader, writer)
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


async def status(directory: Directory) -> dict[str, Any]:
    """What its process says of it.

    Raises:
        Gone: nobody runs it, or it does not answer.
    """
    try:
        async with asyncio.timeout(_STATUS_S), call(directory) as line:
            await line.say(op="status")
            return await line.heard()
    except TimeoutError:
        raise Gone(f"the process that runs {directory.name} does not answer") from None
