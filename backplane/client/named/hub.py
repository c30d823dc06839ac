"""The side of a named query's process that others look at: it shows its snapshots, and is told to end.

Knows sockets and a run's public face. Does not know terminals, stores or coordinators.

Whoever attaches gets snapshots at a rhythm of its own, and the final one. One that does not read is dropped after a
while, and holds up nobody: each has a task of its own, and a snapshot is made only when it has taken the one before.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import tempfile
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple, Protocol

from backplane.client.named import told
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import LogReduceError

#: Callers at a time: people with terminals.
_MOST: Final = 16
#: What a caller may take to say what it wants, or to take a snapshot.
_PATIENCE_S: Final = 30.0
#: After the final snapshot, for those who are attached to take it.
_LAST_S: Final = 10.0
#: More often than this nobody can look.
_LEAST_EVERY_S: Final = 0.1
#: A socket's address has 107 bytes (103 on some systems).
_MOST_CHARS: Final = 100


class Shown(Protocol):
    """What the hub needs of a run."""

    async def snapshot(self) -> Snapshot:
        """The answer as it is now."""

    def drain(self) -> None:
        """End it in good order."""

    def stop(self) -> None:
        """End it at once."""


class Hub:
    """See the module.

    Args:
        run: what is shown and ended.
        status: what is said of it besides its states, to those who ask.
    """

    def __init__(self, run: Shown, status: Callable[[], Mapping[str, Any]]) -> None:
        self._run = run
        self._status = status
        self._final: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()
        self._callers = 0
        self._alone = asyncio.Event()
        self._alone.set()

    async def over(self, snapshot: Snapshot) -> None:
        """That was the final snapshot."""
        if not self._final.done():
            self._final.set_result(await asyncio.to_thread(told.pack, snapshot) if self._callers else b"")

    def failed(self, exc: LogReduceError) -> None:
        """There will be no final snapshot."""
        if not self._final.done():
            self._final.set_exception(exc)
            self._final.exception()  # seen, also where nobody is attached

    async def serve(self, listener: socket.socket) -> None:
        """Until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                caller, _ = await asyncio.get_running_loop().sock_accept(listener)
                tasks.create_task(self._served(caller))

    async def quiet(self) -> None:
        """Until those who are attached have the final snapshot."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_LAST_S):
                await self._alone.wait()

    async def _served(self, caller: socket.socket) -> None:
        if self._callers >= _MOST:
            caller.close()
            return
        self._callers += 1
        self._alone.clear()
        writer: asyncio.StreamWriter | None = None
        try:
            reader, writer = await asyncio.open_unix_connection(sock=caller)
            async with asyncio.timeout(_PATIENCE_S):
                asked = await told.read(reader, told.MOST_ASKED_BYTES)
            if asked is not None:
                await self._answer(asked, writer)
        except (OSError, TimeoutError, told.Stranger):
            pass  # its own affair: it has gone, does not read, or is none of ours
        except LogReduceError as exc:
            if writer is not None:
                writer.write(told.framed({"op": "fault", "text": str(exc)}))
        finally:
            self._callers -= 1
            if not self._callers:
                self._alone.set()
            if writer is not None:
                writer.close()
            else:
                caller.close()

    async def _answer(self, asked: Mapping[str, Any], writer: asyncio.StreamWriter) -> None:
        if asked.get("op") == "attach":
            await self._show(asked.get("every_s"), writer)
        elif asked.get("op") == "status":
            await _send(
                writer, {"op": "status", **self._status(), "states": (await self._run.snapshot()).coverage.states}
            )
        elif asked.get("op") == "cancel":
            (self._run.stop if asked.get("mode") == "abort" else self._run.drain)()
            await self._last(writer)

    async def _show(self, every_s: float | None, writer: asyncio.StreamWriter) -> None:
        await _send(writer, {"op": "status", **self._status()})
        while every_s is not None and not self._final.done():
            snapshot = await self._run.snapshot()
            await _send(writer, {"op": "snapshot", "payload": await asyncio.to_thread(told.pack, snapshot)})
            await asyncio.wait((self._final,), timeout=max(every_s, _LEAST_EVERY_S))
        await self._last(writer)

    async def _last(self, writer: asyncio.StreamWriter) -> None:
        await _send(writer, {"op": "snapshot", "payload": await asyncio.shield(self._final)})


async def _send(writer: asyncio.StreamWriter, message: dict[str, Any]) -> None:
    async with asyncio.timeout(_PATIENCE_S):
        writer.write(told.framed(message))
        await writer.drain()


class Listening(NamedTuple):
    """A socket that only this user can reach, at ``path``; ``own`` is a directory that was made for it."""

    listener: socket.socket
    path: str
    own: str | None

    def close(self) -> None:
        """Close it, and leave nothing behind."""
        self.listener.close()
        with contextlib.suppress(OSError):
            os.unlink(self.path)
        if self.own is not None:
            with contextlib.suppress(OSError):
                os.rmdir(self.own)


def listening(directory: Path) -> Listening:
    """A socket in a directory that only this user may enter; where its path were too long, in one made for it."""
    own: str | None = None
    path = directory / "socket"
    if len(os.fsencode(path)) > _MOST_CHARS:
        default = tempfile.gettempdir()
        own = tempfile.mkdtemp(prefix="logreduce-", dir=default if len(default) < _MOST_CHARS // 2 else "/tmp")
        path = Path(own, "socket")
    listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    found = Listening(listener, str(path), own)
    try:
        path.unlink(missing_ok=True)  # of one that was killed
        listener.bind(found.path)
        os.chmod(path, 0o600)
        listener.listen(_MOST)
        listener.setblocking(False)
    except BaseException:
        found.close()
        raise
    return found


@contextlib.asynccontextmanager
async def serving(hub: Hub, listener: socket.socket) -> AsyncIterator[None]:
    """While entered, the hub answers; at the end it waits for those who are to have the final snapshot."""
    async with asyncio.TaskGroup() as tasks:
        task = tasks.create_task(hub.serve(listener))
        try:
            yield
            await hub.quiet()
        finally:
            task.cancel()
