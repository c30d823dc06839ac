"""The reach `ssh`: a runner behind an SSH login. The only module that imports asyncssh; imported by the first login.

Knows asyncssh, its settings, and how its failures are told apart. Where a login goes is `destination`'s business,
what is known of a host's key `known_hosts`'.

Settings, and why (measured over 500 hosts): keys as objects and host keys already matched (as paths they cost three
times the CPU), ssh_config resolved once here and ``config=[]``, curve25519 and aes128-gcm first, no compression (the
runner packs), keepalives (without them a frozen sshd is never noticed), one exec channel read in `data_received`.

An attempt has stages with a deadline each, since a black hole obeys only the first and a mute server only the second:
TCP connect (``connect_s``), login (``login_s``), and the runner's hello, which `coordinator.links` awaits.
"""

from __future__ import annotations

import asyncio
import contextlib
import getpass
import os
import shlex
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from backplane.wire.errors import ReachError
from coordinator.reach.base import Channel, Exit, Receiver, Tail
from coordinator.reach.destination import Config, Destination, destination
from coordinator.reach.known_hosts import MARKERS, KnownHosts, Line, add, changed, entry, unknown
from coordinator.reach.tcp import connect
from coordinator.table import Provider, ReachOptions
from provider import ship
from provider.quiet import no_library_search

with no_library_search():
    import asyncssh
    from asyncssh.config import SSHClientConfig

#: What a resident's version string begins with, and the subsystem that it has.
RESIDENT: Final = "SSH-2.0-LogReduce"
SUBSYSTEM: Final = "logreduce"
#: A frozen sshd or a cut link shows after interval x (count + 1). A runner's beats show it earlier; this is for jump
#: hosts.
KEEPALIVE_S: Final = 15
KEEPALIVE_COUNT: Final = 3
#: Plain keys only, for a host of which nothing is known: of a certificate we would not know the authority.
_PLAIN_KEYS: Final = (
    "ssh-ed25519",
    "ecdsa-sha2-nistp256",
    "ecdsa-sha2-nistp384",
    "ecdsa-sha2-nistp521",
    "rsa-sha2-512",
    "rsa-sha2-256",
)
_KEX: Final = (
    "curve25519-sha256",
    "curve25519-sha256@libssh.org",
    "ecdh-sha2-nistp256",
    "ecdh-sha2-nistp384",
    "ecdh-sha2-nistp521",
    "diffie-hellman-group16-sha512",
    "diffie-hellman-group14-sha256",
)
_CIPHERS: Final = (
    "aes128-gcm@openssh.com",
    "aes256-gcm@openssh.com",
    "chacha20-poly1305@openssh.com",
    "aes128-ctr",
    "aes256-ctr",
)
#: Names of keys that ssh tries by itself.
_DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")
#: Asked for by a provider's level, and not in this version.
_LATER_LEVELS: Final = frozenset(("shell", "forced", "sftp"))

# What asyncssh says is for developers; what matters comes back as exceptions, which we put in plain words.
asyncssh.set_log_level("CRITICAL")


class SshReach:
    """Starts runners through SSH logins. Connections to jump hosts are shared."""

    def __init__(self) -> None:
        self._files = _Files()
        self._jumps: dict[Destination, _Jump] = {}

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver) -> Channel:
        """A channel to a new runner; see `Reach.open`."""
        if provider.level in _LATER_LEVELS:
            text = f"level {provider.level!r} is not in this version"
            raise ReachError(text, state="refused", retry=False)
        login = await asyncio.to_thread(self._files.login, provider, options)
        async with contextlib.AsyncExitStack() as stack:
            tunnel = None
            if login.jump:
                tunnel = await self._jump(login.jump, options, receiver, stack)
            connection = await _log_in(login, options, provider.name, tunnel, receiver)
            stack.push_async_callback(connection.wait_closed)
            stack.callback(connection.close)
            channel = await _start(connection, provider, options, receiver)
            channel.holds(stack.pop_all())
            return channel

    async def close(self) -> None:
        """End the connections to jump hosts."""
        for jump in list(self._jumps.values()):
            jump.close()

    async def _jump(
        self, login: _Login, options: ReachOptions, receiver: Receiver, stack: contextlib.AsyncExitStack
    ) -> asyncssh.SSHClientConnection:
        """The shared connection to a jump host, held as long as ``stack``."""
        jump = self._jumps.get(login.to)
        if jump is None or jump.broken:
            jump = self._jumps[login.to] = _Jump()
        jump.users += 1
        stack.callback(jump.release)
        async with jump.lock:
            if jump.failure:
                raise jump.failure
            if jump.connection is None:
                try:
                    jump.connection = await _log_in(login, options, login.to.host, None, receiver)
                except ReachError as exc:
                    text = f"the jump host {login.to}: {exc}"
                    jump.failure = ReachError(text, state=exc.state, retry=exc.retry, auth=exc.auth)
                    raise jump.failure from exc
        return jump.connection


class SshChannel(asyncssh.SSHClientSession[bytes]):
    """A runner's stdin and stdout, over one channel of one connection."""

    def __init__(self, connection: asyncssh.SSHClientConnection, receiver: Receiver, level: str) -> None:
        self.level = level
        self.stderr = Tail()
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
        broken = None if exc is None or self._status is not None else _words(exc)
        self._receiver.channel_closed(Exit(self._status, self._signal, broken))


class _Jump:
    """A connection to a jump host, kept while anybody goes through it."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.connection: asyncssh.SSHClientConnection | None = None
        self.failure: ReachError | None = None

    @property
    def broken(self) -> bool:
        return self.failure is not None or (self.connection is not None and self.connection.is_closed())

    def release(self) -> None:
        self.users -= 1
        if not self.users:
            self.close()

    def close(self) -> None:
        if self.connection:
            self.connection.close()


class _Guard(asyncssh.SSHClient):
    """Decides about a host key, and remembers what it was shown, for the sentence."""

    def __init__(self, known: tuple[Line, ...], accept_new: bool) -> None:
        self.known = known
        self.shown: asyncssh.SSHKey | None = None
        self.accepted: asyncssh.SSHKey | None = None
        self._accept_new = accept_new
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def spoke(self) -> bool:
        """The server has sent its version at least."""
        return bool(self._connection and self._connection.get_extra_info("server_version"))

    def trusted(self) -> list[list[asyncssh.SSHKey]]:
        """Keys, authorities and revoked keys, as asyncssh takes them."""
        return [[key for line in self.known if line.marker == marker for key in _public(line)] for marker in MARKERS]

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """A key that no line has: accepted only where no line has another one, and only if that was asked for."""
        self.shown = key
        if self._accept_new and not self.known:
            self.accepted = key
        return self.accepted is not None


@dataclass(frozen=True, slots=True)
class _Login:
    """A destination with what the files here say of it.

    Attributes:
        known: the lines of known_hosts that speak of it.
        keys: key objects; empty lets asyncssh look, which then finds the agent's.
        agent: path of the agent's socket, None to leave it alone.
    """

    to: Destination
    known: tuple[Line, ...]
    keys: tuple[asyncssh.SSHKey, ...]
    agent: str | None
    jump: _Login | None = None


class _Files:
    """ssh_config, known_hosts and private keys, each read once as long as it does not change. Used in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, KnownHosts] = {}
        self._keys: dict[tuple[str, int], asyncssh.SSHKey] = {}

    def login(self, provider: Provider, options: ReachOptions) -> _Login:
        """How to log in at a provider.

        Raises:
            ReachError: a file that was named cannot be used.
        """
        with self._lock:
            to = destination(provider, options, _configs(options.ssh_config))
            login = self._login(to)
            return replace(login, jump=self._login(to.jump)) if to.jump else login

    def _login(self, to: Destination) -> _Login:
        try:
            known = tuple(
                line
                for path in to.known_hosts
                for line in self._known.setdefault(path, KnownHosts(path)).lines(to.host_key_name, to.port)
            )
        except OSError as exc:
            raise ReachError(f"known_hosts {exc.filename} cannot be read: {exc.strerror}", retry=False) from exc
        agent = os.environ.get("SSH_AUTH_SOCK")
        paths = to.keys or tuple(str(Path("~/.ssh", name).expanduser()) for name in _DEFAULT_KEYS)
        keys = tuple(key for key in (self._key(path, to.keys_named, agent) for path in paths) if key)
        if not keys and not agent:
            tried = ", ".join(paths)
            text = f"no private key for the user {to.user!r}: none of {tried} can be used, and no agent runs"
            raise ReachError(text, retry=False)
        return _Login(to, known, keys, None if keys and to.keys_named else agent)

    def _key(self, path: str, named: bool, agent: str | None) -> asyncssh.SSHKey | None:
        """A key; None for one that may be left out, or that the agent holds because it has a passphrase."""
        try:
            stamp = (path, os.stat(path).st_mtime_ns)
            if stamp not in self._keys:
                self._keys[stamp] = asyncssh.import_private_key(Path(path).read_bytes())
            return self._keys[stamp]
        except OSError as exc:
            problem = f"cannot be read: {exc.strerror}"
        except (asyncssh.KeyImportError, asyncssh.KeyEncryptionError) as exc:
            if "passphrase" in str(exc).lower():
                if agent:
                    return None
                problem = "has a passphrase: load it into ssh-agent (ssh-add), and leave the rest to the agent"
            else:
                problem = f"is no private key: {exc}"
        if named:
            raise ReachError(f"the key {path} {problem}", retry=False)
        return None


async def _log_in(
    login: _Login,
    options: ReachOptions,
    name: str,
    tunnel: asyncssh.SSHClientConnection | None,
    receiver: Receiver,
) -> asyncssh.SSHClientConnection:
    """A connection that is logged in.

    Raises:
        ReachError: which of the ways in which this fails it was.
    """
    to = login.to
    guard = _Guard(login.known, accept_new=options.host_key == "accept-new")
    sock = None
    if tunnel is None and to.proxy_command is None:
        receiver.at_stage("waiting for the TCP connection")
        sock = await connect(to, options.connect_s, name)
    receiver.at_stage("waiting for the SSH login")
    try:
        async with asyncio.timeout(options.login_s):
            connection = await asyncssh.connect(
                to.host,
                to.port,
                sock=sock,
                tunnel=tunnel or (),
                proxy_command=to.proxy_command,
                config=[],
                username=to.user,
                client_keys=list(login.keys),
                agent_path=login.agent,
                agent_forwarding=False,
                client_factory=lambda: guard,
                known_hosts=guard.trusted(),
                host_key_alias=to.host_key_name,
                server_host_key_algs=() if login.known else _PLAIN_KEYS,
                kex_algs=_KEX,
                encryption_algs=_CIPHERS,
                compression_algs=None,
                gss_kex=False,
                gss_auth=False,
                host_based_auth=False,
                password_auth=False,
                kbdint_auth=False,
                x509_trusted_certs=None,
                # Our deadlines are around this; a second clock would only race with them.
                connect_timeout=None,
                login_timeout=0,
                keepalive_interval=KEEPALIVE_S,
                keepalive_count_max=KEEPALIVE_COUNT,
            )
    except BaseException as exc:
        if sock:
            sock.close()
        if isinstance(exc, Exception):
            raise _login_failure(exc, to, guard, options) from exc
        raise
    if guard.accepted:
        await _remember(connection, to, guard.accepted)
    return connection


async def _remember(connection: asyncssh.SSHClientConnection, to: Destination, key: asyncssh.SSHKey) -> None:
    """Write down a host key that was new. Only once the login is done, and nothing is said before it is written."""
    words = key.export_public_key().decode("ascii").split()
    try:
        await asyncio.to_thread(add, to.known_hosts[0], to.host_key_name, to.port, " ".join(words[:2]))
    except OSError as exc:
        connection.close()
        text = f"its new host key cannot be added to {to.known_hosts[0]}: {exc.strerror}"
        raise ReachError(text, retry=False) from exc


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
    argv = ship.argv(provider.python or "python3")
    if provider.sudo or options.sudo:
        argv = ["sudo", "-n", "--", *argv]
    receiver.at_stage("waiting for a session after the SSH login")
    try:
        async with asyncio.timeout(options.login_s):
            channel = SshChannel(connection, receiver, "resident" if resident else "exec")
            await connection.create_session(
                lambda: channel,
                # `exec`: the login shell makes way, and no process stands between sshd and the runner.
                command=None if resident else "exec " + shlex.join(argv),
                subsystem=SUBSYSTEM if resident else None,
                request_pty=False,
                encoding=None,
            )
    except TimeoutError:
        raise ReachError(f"sshd did not open a session within {options.login_s:g} s") from None
    except asyncssh.ChannelOpenError as exc:
        raise ReachError(f"sshd opens no session: {exc.reason}", state="refused", retry=False) from exc
    except (asyncssh.Error, OSError) as exc:
        raise ReachError(f"the connection broke while a session was opened: {_words(exc)}") from exc
    return channel


def _login_failure(exc: Exception, to: Destination, guard: _Guard, options: ReachOptions) -> ReachError:
    """What asyncssh raised, in its class and in plain words."""
    if isinstance(exc, ReachError):
        return exc
    if isinstance(exc, TimeoutError):
        if guard.spoke:
            return ReachError(f"the SSH login was not done within {options.login_s:g} s")
        return ReachError(f"took the TCP connection, but no SSH server said anything for {options.login_s:g} s")
    if isinstance(exc, asyncssh.HostKeyNotVerifiable):
        return ReachError(_host_key_text(exc, to, guard), retry=False)
    if isinstance(exc, (asyncssh.PermissionDenied, asyncssh.IllegalUserName)) or "authentication failures" in str(exc):
        text = f"the login was refused for user {to.user!r}; check user and key"
        return ReachError(text, retry=False, auth=True)
    if isinstance(exc, asyncssh.ChannelOpenError):
        return ReachError(f"the jump host {to.jump} cannot connect to it: {exc.reason}")
    if isinstance(exc, asyncssh.KeyExchangeFailed):
        hint = f" (known: {guard.known[0].place})" if guard.known else ""
        return ReachError(f"no common SSH algorithms: {exc.reason}{hint}", retry=False)
    if isinstance(exc, (asyncssh.ProtocolNotSupported, asyncssh.ProtocolError)):
        return ReachError(f"what answers there is no SSH server that we understand: {_words(exc)}", retry=False)
    if isinstance(exc, (asyncssh.ConnectionLost, asyncssh.DisconnectError, OSError)):
        text = f"the connection was closed during the SSH handshake ({_words(exc)}); too many at once?"
        return ReachError(text)
    return ReachError(f"the SSH login failed: {_words(exc)}", retry=False)


def _host_key_text(exc: asyncssh.HostKeyNotVerifiable, to: Destination, guard: _Guard) -> str:
    if guard.shown is None:
        return f"its host key is not to be trusted: {exc.reason}"
    if not guard.known:
        return unknown(to.known_hosts[0])
    shown = f"{guard.shown.get_algorithm()} {guard.shown.get_fingerprint()}"
    return changed(entry(to.host_key_name, to.port), shown, guard.known)


def _public(line: Line) -> list[asyncssh.SSHKey]:
    """A line's key; none where it is of a kind that asyncssh does not know."""
    try:
        return [asyncssh.import_public_key(line.key)]
    except asyncssh.KeyImportError:
        return []


def _words(exc: Exception) -> str:
    """An exception's text without its class and number."""
    if isinstance(exc, asyncssh.Error):
        return exc.reason or type(exc).__name__
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__


def _configs(path: str | None) -> Callable[[str], Config]:
    """What an ssh_config says, by name: the user's file, or ``path``; then the system's."""

    def config_of(name: str) -> Config:
        files = [path] if path else [str(Path("~/.ssh/config").expanduser()), "/etc/ssh/ssh_config"]
        readable = [file for file in files if file == path or os.access(file, os.R_OK)]
        try:
            return SSHClientConfig.load(None, readable, False, False, False, getpass.getuser(), (), name, ()).get
        except (OSError, asyncssh.ConfigParseError) as exc:
            raise ReachError(f"ssh_config cannot be read: {exc}", retry=False) from exc

    return config_of
