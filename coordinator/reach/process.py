"""A channel over the pipes of a child process: what the reaches `local` and `command` share.

Knows processes. Each is the leader of a session of its own: signals of our terminal do not reach it, it cannot ask a
question there, and what is left of it can be killed as a group.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import os
import signal
from collections.abc import Sequence
from typing import Final, cast

from backplane.wire.errors import ReachError
from coordinator.reach.base import Exit, Receiver, Tail

#: From closing its stdin to killing it. A runner ends its jobs and itself within milliseconds of the end of its input.
GRACE_S: Final = 2.0
#: What a child may write ahead: one read of ours. With the kernel's 64 KiB every frame is a wakeup of its own, and
#: passing a gigabyte on takes a quarter more CPU; what is more than a read only keeps beats waiting.
PIPE_BYTES: Final = 256 << 10


class ProcessChannel(asyncio.SubprocessProtocol):
    """A child that speaks on its stdout, and reads its stdin; also the `Place` of others that are started as it was.

    Args:
        prefix: the beginning of the command of each.
    """

    level = "exec"

    def __init__(self, receiver: Receiver, prefix: Sequence[str] = (), stderr: Tail | None = None) -> None:
        self.stderr = stderr or Tail()
        self._prefix = prefix
        self._receiver = receiver
        self._loop = asyncio.get_running_loop()
        self._done = asyncio.Event()
        self._killer: asyncio.TimerHandle | None = None
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None

    @classmethod
    async def spawn(
        cls, argv: Sequence[str], receiver: Receiver, prefix: Sequence[str] = (), stderr: Tail | None = None
    ) -> ProcessChannel:
        """Start a child.

        Args:
            prefix: stands before ``argv``, and before that of whatever is run beside it.

        Raises:
            OSError: it cannot be started.
        """
        loop = asyncio.get_running_loop()
        command = [*prefix, *argv]
        _, channel = await loop.subprocess_exec(lambda: cls(receiver, prefix, stderr), *command, start_new_session=True)
        return channel

    async def run(self, argv: Sequence[str], receiver: Receiver, stderr: Tail) -> ProcessChannel:
        """Another child, with the same beginning; see `Place`."""
        try:
            return await self.spawn(argv, receiver, self._prefix, stderr)
        except OSError as exc:
            raise ReachError(f"cannot run {argv[0]!r}: {exc.strerror}") from exc

    def pause(self) -> None:
        """Let its pipes fill."""
        for pipe in self._pipes():
            pipe.pause_reading()

    def resume(self) -> None:
        """Take what is in them, and more."""
        for pipe in self._pipes():
            pipe.resume_reading()

    def _pipes(self) -> list[asyncio.ReadTransport]:
        if self._transport is None or self._done.is_set():
            return []
        pipes = [cast(asyncio.ReadTransport | None, self._transport.get_pipe_transport(fd)) for fd in (1, 2)]
        return [pipe for pipe in pipes if pipe is not None and not pipe.is_closing()]

    @property
    def backlog(self) -> int:
        """Bytes written and not yet taken by the child."""
        return self._stdin.get_write_buffer_size() if self._stdin else 0

    def write(self, data: bytes) -> None:
        """Send to its stdin; nothing happens once that is closed."""
        if self._stdin and not self._stdin.is_closing():
            self._stdin.write(data)

    def close(self) -> None:
        """Close its stdin, and kill its process group if it is still there `GRACE_S` later."""
        if self._stdin and not self._done.is_set() and self._killer is None:
            # abort, not close: what it has not read of its input must not keep the end of it back.
            self._stdin.abort()
            self._killer = self._loop.call_later(GRACE_S, self._kill)

    async def wait_closed(self) -> None:
        """Wait until the child and its pipes are gone."""
        await self._done.wait()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._transport.get_pipe_transport(0))
        if (set_size := getattr(fcntl, "F_SETPIPE_SZ", None)) and (stdout := self._transport.get_pipe_transport(1)):
            # Not on macOS, not for a user with many pipes; and a child may have ended already.
            with contextlib.suppress(OSError, ValueError):
                fcntl.fcntl(stdout.get_extra_info("pipe").fileno(), set_size, PIPE_BYTES)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == 1:
            self._receiver.data_received(data)
        else:
            self.stderr.add(data)

    def process_exited(self) -> None:
        # A grandchild that inherited a pipe would keep it open for ever; what the child itself wrote is read first.
        if self._killer is None:
            self._killer = self._loop.call_later(GRACE_S, self._kill)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._killer:
            self._killer.cancel()
        status = None
        if self._transport:
            status = self._transport.get_returncode()
            self._transport.close()
        self._done.set()
        self._receiver.channel_closed(_exit(status))

    def _kill(self) -> None:
        if self._transport is None:
            return
        if self._transport.get_returncode() is None:
            # Only while it lives, since it leads its group: once it has been reaped the number may be another's.
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._transport.get_pid(), signal.SIGKILL)
        for fd in (1, 2):
            if pipe := self._transport.get_pipe_transport(fd):
                pipe.close()


def _exit(status: int | None) -> Exit:
    if status is not None and status < 0:
        return Exit(signal=signal.Signals(-status).name.removeprefix("SIG"))
    return Exit(status=status)
