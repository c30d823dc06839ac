"""The reach `ssh`: a runner behind an SSH login. Imported by the first login, as asyncssh is.

Knows what runs over a connection: one exec channel, read in `data_received`, or several where there is no Python. How
a login is made is `login`'s business, where it goes `destination`'s, and what the files here say of it `credentials`'.

An attempt has stages with a deadline each, since a black hole obeys only the first and a mute server only the second:
TCP connect (``connect_s``), login (``login_s``), and the runner's hello, which `coordinator.links` awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import shlex
from collections.abc import Sequence
from typing import Final

from backplane.wire import limits
from backplane.wire.errors import ReachError
from coordinator.gate import WAITING_FOR_TURN
from coordinator.reach.base import Channel, Exit, Receiver, Stream, Tail, Turn
from coordinator.reach.credentials import Files
from coordinator.reach.jumps import Jumps
from coordinator.reach.login import log_in, words
from coordinator.table import Provider, ReachOptions
from provider import ship
from provider.quiet import no_library_search

with no_library_search():
    import asyncssh

#: What a resident's version string begins with, and the subsystem that it has.
RESIDENT: Final = "SSH-2.0-LogReduce"
SUBSYSTEM: Final = "logreduce"
#: What may be on its way to us on a runner's channel (asyncssh's own choice), and on one script's: a pause takes effect
#: after so much.
WINDOW_BYTES: Final = 2 << 20
STREAM_BYTES: Final = 256 << 10
#: Asked for by a provider's level, and not in this version.
_LATER_LEVELS: Final = frozenset(("forced", "sftp"))
#: How asyncssh says that sshd has not answered since the connection is gone. Its code is one that sshd gives as well.
_CLOSED: Final = "SSH connection closed"


class SshReach:
    """Starts runners through SSH logins. Connections to jump hosts are shared."""

    def __init__(self) -> None:
        self._files = Files()
        self._jumps = Jumps()

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver, turn: Turn) -> Channel:
        """A channel to a new runner; see `Reach.open`."""
        if provider.level in _LATER_LEVELS:
            text = f"level {provider.level!r} is not in this version"
            raise ReachError(text, state="refused", retry=False)
        login = await asyncio.to_thread(self._files.login, provider, options)
        async with contextlib.AsyncExitStack() as stack:
            tunnel = None
            if login.jump:
                turn.step_aside()
                tunnel = await self._jumps.hold(login.jump, options, receiver.at_stage, stack)
                receiver.at_stage(WAITING_FOR_TURN)
            async with turn(login.to.user):
                connection = await log_in(login, options, provider.name, tunnel, receiver.at_stage)
                stack.push_async_callback(connection.wait_closed)
                stack.callback(connection.close)
                channel = await _start(connection, provider, options, receiver)
            channel.holds(stack.pop_all())
            return channel

    async def close(self) -> None:
        """End the connections to jump hosts."""
        await self._jumps.close()


class SshChannel(asyncssh.SSHClientSession[bytes]):
    """A runner's stdin and stdout, over one channel of one connection; also the `Place` of what runs beside it.

    Args:
        prefix: the beginning of each command on this connection.
        open_s: deadline for opening another channel.
    """

    def __init__(
        self,
        connection: asyncssh.SSHClientConnection,
        receiver: Receiver,
        level: str,
        prefix: Sequence[str] = (),
        open_s: float = limits.LOGIN_S,
        stderr: Tail | None = None,
    ) -> None:
        self.level = level
        self.stderr = stderr or Tail()
        self._prefix = prefix
        self._open_s = open_s
        self._connection = connection
        self._receiver = receiver
        self._chan: asyncssh.SSHClientChannel[bytes] | None = None
        self._status: int | None = None
        self._signal: str | None = None
        self._held: contextlib.AsyncExitStack | None = None
        self._closed = asyncio.Event()

    def holds(self, stack: contextlib.AsyncExitStack) -> None:
        """Whatever is to be given back when this closes."""
        self._held = stack

    @property
    def backlog(self) -> int:
        """Bytes written and not yet sent: the host's window is full, or the network is."""
        return self._chan.get_write_buffer_size() if self._chan else 0

    def write(self, data: bytes) -> None:
        """Send to the runner's stdin; nothing happens once the channel is closing."""
        if self._chan and not self._chan.is_closing():
            self._chan.write(data)

    def close(self) -> None:
        """End the connection: sshd closes the runner's stdin, and that ends it."""
        self._connection.close()

    async def run(self, argv: Sequence[str], receiver: Receiver, stderr: Tail) -> Stream:
        """Another command over the same connection; see `Place`."""
        stream = SshStream(self._connection, receiver, "shell", stderr=stderr)
        command = "exec " + shlex.join([*self._prefix, *argv])
        await _session(self._connection, stream, self._open_s, command=command, window=STREAM_BYTES)
        return stream

    async def wait_closed(self) -> None:
        """Wait until the connection and what it held are gone."""
        await self._closed.wait()
        if self._held:
            held, self._held = self._held, None
            await held.aclose()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        self._chan = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        if datatype is None:
            self._receiver.data_received(data)
        else:
            self.stderr.add(data)

    def exit_status_received(self, status: int) -> None:
        self._status = status

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:
        self._signal = signal

    def connection_lost(self, exc: Exception | None) -> None:
        self._closed.set()
        broken = None if exc is None or self._status is not None else words(exc)
        self._receiver.channel_closed(Exit(self._status, self._signal, broken))


class SshStream(SshChannel):
    """One of several commands on a connection."""

    def close(self) -> None:
        """End this channel alone: sshd closes the command's stdin."""
        if self._chan:
            self._chan.abort()

    def pause(self) -> None:
        """Let sshd's window fill."""
        if self._chan and not self._closed.is_set():
            self._chan.pause_reading()

    def resume(self) -> None:
        """Take what is in the window, and more."""
        if self._chan and not self._closed.is_set():
            self._chan.resume_reading()


async def _start(
    connection: asyncssh.SSHClientConnection,
    provider: Provider,
    options: ReachOptions,
    receiver: Receiver,
) -> SshChannel:
    """A runner on an open connection: the resident's, or one that is shipped."""
    version = str(connection.get_extra_info("server_version", ""))
    resident = version.startswith(RESIDENT) and provider.level != "exec"
    if provider.level == "resident" and not resident:
        raise ReachError(f"it is no resident provider: it answers as {version}", state="refused", retry=False)
    # Where no runner is wanted the answer is what a host without Python says, and the rest is the same for both.
    without = provider.level == "shell"
    prefix = ["sudo", "-n", "--"] if provider.sudo or options.sudo else []
    argv = [*prefix, *ship.argv(provider.python or "python3")]
    channel = SshChannel(connection, receiver, "resident" if resident else "exec", prefix, options.login_s)
    receiver.at_stage("waiting for a session after the SSH login")
    await _session(
        connection,
        channel,
        options.login_s,
        # `exec`: the login shell makes way, and no process stands between sshd and the runner.
        command=None if resident else "exit 127" if without else "exec " + shlex.join(argv),
        subsystem=SUBSYSTEM if resident else None,
    )
    return channel


async def _session(
    connection: asyncssh.SSHClientConnection,
    channel: SshChannel,
    open_s: float,
    *,
    command: str | None,
    subsystem: str | None = None,
    window: int = WINDOW_BYTES,
) -> None:
    """Open a session for a channel.

    Raises:
        ReachError: sshd opens none.
    """
    try:
        async with asyncio.timeout(open_s):
            await connection.create_session(
                lambda: channel,
                command=command,
                subsystem=subsystem,
                request_pty=False,
                encoding=None,
                window=window,
            )
    except TimeoutError:
        raise ReachError(f"sshd did not open a session within {open_s:g} s") from None
    except asyncssh.ChannelOpenError as exc:
        if exc.reason == _CLOSED:
            raise ReachError("the connection broke while a session was opened") from exc
        raise ReachError(f"sshd opens no session: {exc.reason}", state="refused", retry=False) from exc
    except (asyncssh.Error, OSError) as exc:
        raise ReachError(f"the connection broke while a session was opened: {words(exc)}") from exc
