"""The resident provider: an SSH server that speaks the runner protocol and nothing else.

For hosts without sshd, and for the demo. Knows SSH's server side and how a runner is started; does not know frames:
what passes between a channel and its runner is bytes, unchanged in both directions.

Theory of operation
-------------------
One listener; public keys only; no shell, no command, no SFTP, no forwarding, no agent. A session asks for the
subsystem `SUBSYSTEM` and gets a runner process of its own: the payload that an SSH login would have been sent, written
to the same loader by us. From then on bytes are passed on, and each side that is slow pauses the other:

    channel's window   <- pause_reading <- runner's stdin pipe is full
    runner's stdout    <- pause_reading <- channel's send buffer is full

A runner lives exactly as long as its channel: when either end goes, its stdin is closed, which ends its lease, and what
is still there after `GRACE_S` is killed. Everything runs in callbacks of one event loop; there are no tasks to lose.

No interpreter waits ahead of its session: that would answer in 18 ms instead of 24, after a login that takes as long
again, for 8 MB on every host at all times. A link is held for hours; what stays warm is the runner at its end.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Final, Self, cast

from provider import ship
from provider.quiet import no_library_search

with no_library_search():
    import asyncssh

#: The only subsystem; also what a coordinator asks for when a provider's level is `resident`.
SUBSYSTEM: Final = "logreduce"
#: The banner is "SSH-2.0-" and this, so that a coordinator knows a resident from an sshd before it logs in.
SERVER_VERSION: Final = "LogReduce_0.1"
#: Runners at a time. Each is a process of about 12 MB; a coordinator needs one a login.
MAX_SESSIONS: Final = 16
#: Connections at a time, logged in or not: strangers may not hold more descriptors than that.
MAX_CONNECTIONS: Final = 64
#: A login takes milliseconds; longer only keeps a stranger's place.
LOGIN_S: Final = 10.0
#: A client that vanished without closing is noticed after four of these.
KEEPALIVE_S: Final = 15.0
#: From closing a runner's stdin to killing it. It ends by itself within milliseconds unless its host is out of breath.
GRACE_S: Final = 2.0
#: What a runner sees of the server's environment.
INHERITED: Final = ("PATH", "LANG", "LC_ALL", "LC_CTYPE", "TZ", "USER", "LOGNAME", "LD_LIBRARY_PATH")
#: What an exec or shell request is answered with, before exit status 1.
REFUSAL: Final = "this server speaks only the runner protocol: no shell, no commands\n"


@dataclass(frozen=True, slots=True)
class KeyPair:
    """An ed25519 key as OpenSSH's files have it.

    Attributes:
        private: without a passphrase; of whoever proves itself with it.
        public: one line, as in ``authorized_keys`` and, behind a host's name, in ``known_hosts``.
    """

    private: bytes = field(repr=False)
    public: str

    @classmethod
    def fresh(cls, comment: str) -> Self:
        """A new one."""
        key = asyncssh.generate_private_key("ssh-ed25519", comment=comment)
        return cls(key.export_private_key(), key.export_public_key().decode())


class Resident:
    """One resident provider: a listener, its sessions and their runners.

    Use it as a context manager, or `close` it: no process is left after that.
    """

    def __init__(self, python: str = sys.executable) -> None:
        """``python`` is the interpreter that runs runners. The first one in a process reads the runner's source: do
        that, or `ship.payload`, before a loop runs that must not wait for a disk."""
        self._argv = ship.argv(python)
        self._root = Path()
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._connections: set[asyncssh.SSHServerConnection] = set()
        self._runners: set[Runner] = set()
        self._places = MAX_SESSIONS
        self._idle = asyncio.Event()
        self._idle.set()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def start(self, address: str, port: int, root: Path, host_key: bytes, authorized: str) -> None:
        """Listen.

        Args:
            address: the address to bind, never a name.
            port: 0 takes a free one; see `port`.
            root: the home of its runners, which relative log paths start from.
            host_key: the private key that this server proves itself with, see `KeyPair`.
            authorized: who may log in, under any user name: text in the form of ``authorized_keys``.

        Raises:
            OSError: the address cannot be bound.
            ValueError: a key is none, or nobody is authorized.
        """
        self._root = root
        self._acceptor = await asyncssh.listen(
            address,
            port,
            server_factory=lambda: _Door(self),
            config=[],
            server_version=SERVER_VERSION,
            server_host_keys=[asyncssh.import_private_key(host_key)],
            authorized_client_keys=asyncssh.import_authorized_keys(authorized),
            password_auth=False,
            kbdint_auth=False,
            host_based_auth=False,
            gss_host=None,
            agent_forwarding=False,
            x11_forwarding=False,
            allow_pty=False,
            line_editor=False,
            allow_scp=False,
            compression_algs=None,
            encoding=None,
            login_timeout=LOGIN_S,
            keepalive_interval=KEEPALIVE_S,
            keepalive_count_max=3,
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        if self._acceptor is None:
            raise RuntimeError("the resident provider has not been started")
        return self._acceptor.get_port()

    @property
    def sessions(self) -> int:
        """Runners that live now."""
        return len(self._runners)

    async def close(self) -> None:
        """End the listener, every connection and every runner. Takes at most `GRACE_S` and a moment."""
        if self._acceptor is not None:
            self._acceptor.close()
            await self._acceptor.wait_closed()
        for connection in list(self._connections):
            connection.abort()
        for connection in list(self._connections):
            await connection.wait_closed()
        for runner in list(self._runners):
            runner.end()
        await self._idle.wait()

    def admit(self, connection: asyncssh.SSHServerConnection) -> None:
        """A connection was made: keep it, or end it where there are too many."""
        if len(self._connections) >= MAX_CONNECTIONS:
            connection.abort()
        self._connections.add(connection)

    def dismiss(self, connection: asyncssh.SSHServerConnection) -> None:
        """A connection is gone."""
        self._connections.discard(connection)

    async def runner(self) -> Runner:
        """A new runner that waits for its payload.

        Raises:
            asyncssh.ChannelOpenError: there are `MAX_SESSIONS` already, or no process can be started.
        """
        if not self._places:
            text = f"{MAX_SESSIONS} sessions are open already, which is the limit"
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, text)
        self._places -= 1
        self._idle.clear()
        runner = Runner(self._ended)
        try:
            await asyncio.get_running_loop().subprocess_exec(
                lambda: runner, *self._argv, cwd=self._root, env=_environment(self._root), start_new_session=True
            )
        except OSError as exc:
            self._ended(runner)
            text = f"the runner could not be started: {exc}"
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, text) from exc
        self._runners.add(runner)
        return runner

    def _ended(self, runner: Runner) -> None:
        self._runners.discard(runner)
        self._places += 1
        if self._places == MAX_SESSIONS:
            self._idle.set()


def _environment(root: Path) -> dict[str, str]:
    """A login's: its home is the root, and what the server itself was told (a token, perhaps) is none of a query's."""
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, "HOME": str(root)}


class _Door(asyncssh.SSHServer):
    """What one connection may do: ask for sessions."""

    def __init__(self, resident: Resident) -> None:
        self._resident = resident
        self._connection: asyncssh.SSHServerConnection | None = None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._connection = conn
        self._resident.admit(conn)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._connection is not None:
            self._resident.dismiss(self._connection)
            self._connection = None

    def begin_auth(self, username: str) -> bool:
        return True

    async def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        runner = await self._resident.runner()
        if self._connection is None:  # it went while the process was made, and will not take the session back
            runner.end()
        return _Session(runner)


class _Session(asyncssh.SSHServerSession[bytes]):
    """The channel's end of one session."""

    def __init__(self, runner: Runner) -> None:
        self._runner = runner
        self._subsystem = False

    def connection_made(self, chan: asyncssh.SSHServerChannel[bytes]) -> None:
        self._channel = chan

    def shell_requested(self) -> bool:
        return True

    def exec_requested(self, command: str) -> bool:
        return True

    def subsystem_requested(self, subsystem: str) -> bool:
        self._subsystem = subsystem == SUBSYSTEM
        return self._subsystem

    def session_started(self) -> None:
        if self._subsystem:
            self._runner.attach(self._channel)
        else:
            self._channel.write_stderr(REFUSAL.encode())
            self._channel.exit(1)

    def data_received(self, data: bytes, datatype: int | None) -> None:
        self._runner.write(data)

    def eof_received(self) -> bool:
        """The client has said all; the runner's last words still pass."""
        self._runner.end()
        return True

    def pause_writing(self) -> None:
        self._runner.pause(True)

    def resume_writing(self) -> None:
        self._runner.pause(False)

    def connection_lost(self, exc: Exception | None) -> None:
        self._runner.detach()


class Runner(asyncio.SubprocessProtocol):
    """The process's end of one session.

    Until its first byte a runner must be sent nothing but the payload, since its loader would read ahead: what a hasty
    client sends is held, and the channel paused, which bounds it to one window.
    """

    def __init__(self, ended: Callable[[Runner], None]) -> None:
        self._on_end = ended
        self._over = False
        self._channel: asyncssh.SSHServerChannel[bytes] | None = None
        self._spoke = False
        self._held: list[bytes] = []
        self._early: list[tuple[int, bytes]] = []
        self._detached = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._process = cast(asyncio.SubprocessTransport, transport)
        self._stdin = cast(asyncio.WriteTransport, self._process.get_pipe_transport(0))

    def attach(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        """Run for this channel from now on."""
        self._channel = channel
        for fd, data in self._early:
            self.pipe_data_received(fd, data)
        self._early.clear()
        if self._over:
            self._leave(channel)
        else:
            self._stdin.write(ship.payload())
            self.pause(False)

    def write(self, data: bytes) -> None:
        """Bytes from the channel."""
        if self._channel is None or self._stdin.is_closing():
            return
        if self._spoke:
            self._stdin.write(data)
        else:
            self._held.append(data)
            self._channel.pause_reading()

    def pause(self, full: bool) -> None:
        """The channel's send buffer is full, or has room again."""
        for fd in (1, 2):
            pipe = cast(asyncio.ReadTransport, self._process.get_pipe_transport(fd))
            if full:
                pipe.pause_reading()
            else:
                pipe.resume_reading()

    def detach(self) -> None:
        """The channel is gone: what comes now is for nobody."""
        self._channel = None
        self._detached = True
        self._held.clear()
        self.pause(False)
        self.end()

    def end(self) -> None:
        """Close stdin, which ends the runner's lease; kill what is left later."""
        self._stdin.close()
        if self._deadline is None and not self._over:
            self._deadline = asyncio.get_running_loop().call_later(GRACE_S, self._process.close)

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if self._channel is None:
            if not self._detached:  # an interpreter that does not start says why to a channel that is not ready yet
                self._early.append((fd, data))
                self.pause(True)
        elif self._channel.is_closing():
            pass  # it is gone, and this session is about to be told
        elif fd == 1:
            self._release()
            self._channel.write(data)
        else:
            self._channel.write_stderr(data)

    def _release(self) -> None:
        """The runner speaks, so it reads frames now."""
        if self._spoke:
            return
        self._spoke = True
        if self._held and self._channel is not None:
            self._stdin.write(b"".join(self._held))
            self._held.clear()
            self._channel.resume_reading()

    def pause_writing(self) -> None:
        if self._channel is not None:
            self._channel.pause_reading()

    def resume_writing(self) -> None:
        # Not at once: asyncio drops what is written from inside of this call if an end of file follows it.
        asyncio.get_running_loop().call_soon(self._resume)

    def _resume(self) -> None:
        if self._channel is not None:
            self._channel.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """The process has ended and all that it wrote has been read."""
        self._over = True
        if self._deadline is not None:
            self._deadline.cancel()
        if self._channel is not None:
            self._leave(self._channel)
        self._process.close()
        self._on_end(self)

    def _leave(self, channel: asyncssh.SSHServerChannel[bytes]) -> None:
        status = self._process.get_returncode() or 0
        channel.exit(status if status >= 0 else 128 - status)
