"""One SSH login: what is offered to a host, what is believed of it, and how its refusals are told apart.

Knows asyncssh's connections and their settings. What the files here say comes in as a `Login`; what runs over the
connection is `coordinator.reach.ssh`'s business.

Settings, and why (measured over 500 hosts): keys as objects and host keys already matched (as paths they cost three
times the CPU), ssh_config resolved once here and ``config=[]``, curve25519 and aes128-gcm first, no compression (the
runner packs), keepalives (without them a frozen sshd is never noticed).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from backplane.wire.errors import ReachError
from coordinator.reach.credentials import Login
from coordinator.reach.destination import Destination
from coordinator.reach.known_hosts import MARKERS, Line, add, changed, entry, revoked, uncertified, unknown
from coordinator.reach.tcp import connect
from coordinator.table import ReachOptions
from provider.quiet import no_library_search

with no_library_search():
    import asyncssh

#: What an agent may take to say which keys it holds.
AGENT_S: Final = 3.0
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

# What asyncssh says is for developers; what matters comes back as exceptions, which we put in plain words.
asyncssh.set_log_level("CRITICAL")


async def log_in(
    login: Login,
    options: ReachOptions,
    name: str,
    tunnel: asyncssh.SSHClientConnection | None,
    at_stage: Callable[[str], None],
) -> asyncssh.SSHClientConnection:
    """A connection that is logged in.

    Args:
        name: what the user calls the host.
        tunnel: the connection to its jump host.
        at_stage: hears how far it has come.

    Raises:
        ReachError: which of the ways in which this fails it was.
    """
    to = login.to
    guard = _Guard(login, accept_new=options.host_key == "accept-new")
    sock = None
    if tunnel is None and to.proxy_command is None:
        at_stage("waiting for the TCP connection")
        sock = await connect(to, options.connect_s, name)
        at_stage("waiting for the SSH login")
    elif tunnel:
        at_stage(f"waiting for the jump host {to.jump} to connect to it")
    else:
        at_stage("waiting for the SSH login")
    through = _Tunnel(tunnel, to, options.connect_s, at_stage) if tunnel else ()
    try:
        async with asyncio.timeout(options.login_s + (options.connect_s if tunnel else 0.0)):
            connection = await asyncssh.connect(
                to.host,
                to.port,
                sock=sock,
                tunnel=through,
                proxy_command=to.proxy_command,
                config=[],
                username=to.user,
                # None, not an empty list: asyncssh would look for keys of its own.
                client_keys=list(login.keys) or None,
                agent_path=None,
                agent_forwarding=False,
                client_factory=lambda: guard,
                known_hosts=guard.trusted(),
                host_key_alias=to.host_key_name,
                server_host_key_algs=() if guard.ours else _PLAIN_KEYS,
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
            raise _login_failure(exc, login, guard, options) from exc
        raise
    finally:
        await guard.close_agent()
    if guard.accepted:
        await _remember(connection, to, guard.accepted)
    return connection


async def _remember(connection: asyncssh.SSHClientConnection, to: Destination, key: asyncssh.SSHKey) -> None:
    """Write down a host key that was new. Only once the login is done, and nothing is said before it is written."""
    kind, text, *_ = key.export_public_key().decode("ascii").split()
    try:
        await asyncio.to_thread(add, to.known_hosts[0], to.host_key_name, to.port, f"{kind} {text}")
    except OSError as exc:
        connection.close()
        text = f"its new host key cannot be added to {to.known_hosts[0]}: {exc.strerror}"
        raise ReachError(text, retry=False) from exc


class _Guard(asyncssh.SSHClient):
    """Decides about a host key, and offers what the agent holds once all other keys are refused.

    Remembers what it was shown, for the sentence.
    """

    def __init__(self, login: Login, accept_new: bool) -> None:
        self.known = login.known
        #: The lines by which a host may be trusted.
        self.ours = [line for line in login.known if line.marker != "@revoked"]
        self.shown: asyncssh.SSHKey | None = None
        self.accepted: asyncssh.SSHKey | None = None
        self.agent_trouble: str | None = None
        self._login = login
        self._accept_new = accept_new
        self._agent: asyncssh.SSHAgentClient | None = None
        self._connection: asyncssh.SSHClientConnection | None = None

    @property
    def spoke(self) -> bool:
        """The server has sent its version at least."""
        return bool(self._connection and self._connection.get_extra_info("server_version"))

    @property
    def only_authorities(self) -> bool:
        """A plain host key is not even asked for."""
        return bool(self.ours) and all(line.marker for line in self.ours)

    def trusted(self) -> list[list[asyncssh.SSHKey]]:
        """Keys, authorities and revoked keys, as asyncssh takes them."""
        return [[key for line in self.known if line.marker == marker for key in _public(line)] for marker in MARKERS]

    def connection_made(self, conn: asyncssh.SSHClientConnection) -> None:
        self._connection = conn

    def validate_host_public_key(self, host: str, addr: str, port: int, key: asyncssh.SSHKey) -> bool:
        """A key that no line has: accepted only where no line has another one, and only if that was asked for."""
        self.shown = key
        if self._accept_new and not self.ours:
            self.accepted = key
        return self.accepted is not None

    async def public_key_auth_requested(self) -> list[asyncssh.SSHKeyPair] | None:
        """The agent's keys, once. After the others: an sshd takes six tries, and an agent may hold more keys.

        An agent that is gone or hangs (one that was forwarded over a link that broke) is not waited for.
        """
        if self._login.agent is None or self._agent is not None or self.agent_trouble:
            return None
        try:
            async with asyncio.timeout(AGENT_S):
                self._agent = await asyncssh.connect_agent(self._login.agent)
                held = await self._agent.get_keys()
        except (OSError, ValueError, TimeoutError) as exc:
            self.agent_trouble = f"the agent at {self._login.agent} gives no keys ({words(exc)})"
            return None
        only = self._login.agent_keys
        if only is None:
            return list(held)
        wanted = {key.public_data for key in only}
        return [pair for pair in held if pair.key_public_data in wanted]

    async def close_agent(self) -> None:
        """The login is done or has failed: the agent is not needed any more, and never forwarded."""
        if self._agent:
            self._agent.close()
            await self._agent.wait_closed()


class _Tunnel:
    """A jump host's connection, as asyncssh takes it to go through: one direct-tcpip channel a login.

    Such channels are no sessions: sshd's MaxSessions does not count them. The deadline is that of a TCP connect, since
    it is the jump host that makes one.
    """

    def __init__(
        self, jump: asyncssh.SSHClientConnection, to: Destination, connect_s: float, at_stage: Callable[[str], None]
    ) -> None:
        self._jump = jump
        self._at_stage = at_stage
        self._to = to
        self._connect_s = connect_s

    async def create_connection(
        self, session_factory: Callable[[], asyncssh.SSHTCPSession[bytes]], remote_host: str, remote_port: int
    ) -> tuple[asyncssh.SSHTCPChannel[bytes], asyncssh.SSHTCPSession[bytes]]:
        """Have the jump host connect.

        Raises:
            ReachError: it does not.
        """
        jump = self._to.jump
        try:
            async with asyncio.timeout(self._connect_s):
                made = await self._jump.create_connection(session_factory, remote_host, remote_port)
        except TimeoutError:
            text = f"no answer within {self._connect_s:g} s (TCP connect by the jump host {jump})"
            raise ReachError(text) from None
        except asyncssh.ChannelOpenError as exc:
            # A jump host that forbids forwarding at all will not change its mind.
            forbids = exc.code == asyncssh.OPEN_ADMINISTRATIVELY_PROHIBITED
            how = "does not let us go through" if forbids else "cannot connect to it"
            raise ReachError(f"the jump host {jump} {how}: {exc.reason}", retry=not forbids) from exc
        except (asyncssh.Error, OSError) as exc:
            raise ReachError(f"the connection to the jump host {jump} broke: {words(exc)}") from exc
        self._at_stage("waiting for the SSH login")
        return made

    def close(self) -> None:
        """The connection is shared: its holders close it."""

    async def wait_closed(self) -> None:
        """Nothing to wait for."""


def _login_failure(exc: Exception, login: Login, guard: _Guard, options: ReachOptions) -> ReachError:
    """What asyncssh raised, in its class and in plain words."""
    to = login.to
    if isinstance(exc, ReachError):
        return exc
    if isinstance(exc, TimeoutError):
        if guard.spoke:
            return ReachError(f"the SSH login was not done within {options.login_s:g} s")
        if to.jump:
            return ReachError(f"the jump host {to.jump} connected to it, but no SSH server said anything")
        return ReachError(f"took the TCP connection, but no SSH server said anything for {options.login_s:g} s")
    if isinstance(exc, asyncssh.HostKeyNotVerifiable):
        return ReachError(_host_key_text(exc, to, guard, options), retry=False)
    if isinstance(exc, (asyncssh.PermissionDenied, asyncssh.IllegalUserName)) or "authentication failures" in str(exc):
        text = f"the login was refused for user {to.user!r}; {guard.agent_trouble or 'check user and key'}"
        return ReachError(text, retry=False, auth=True)
    lost = isinstance(exc, (asyncssh.ConnectionLost, asyncssh.DisconnectError, OSError))
    if ((lost and guard.spoke) or isinstance(exc, asyncssh.KeyExchangeFailed)) and guard.only_authorities:
        # Whoever of the two sees first that there is no kind of host key in common hangs up.
        return ReachError(uncertified(guard.ours[0]), retry=False)
    if isinstance(exc, asyncssh.KeyExchangeFailed):
        hint = f" (known: {guard.ours[0].place})" if guard.ours else ""
        return ReachError(f"no common SSH algorithms: {exc.reason}{hint}", retry=False)
    if isinstance(exc, (asyncssh.ProtocolNotSupported, asyncssh.ProtocolError)):
        return ReachError(f"what answers there is no SSH server that we understand: {words(exc)}", retry=False)
    if lost:
        text = f"the connection was closed during the SSH handshake ({words(exc)}); too many at once?"
        return ReachError(text)
    return ReachError(f"the SSH login failed: {words(exc)}", retry=False)


def _host_key_text(exc: asyncssh.HostKeyNotVerifiable, to: Destination, guard: _Guard, options: ReachOptions) -> str:
    if "revoked" in exc.reason:
        return revoked([line for line in guard.known if line.marker == "@revoked"])
    if guard.shown is None:
        return f"its host certificate is not to be trusted: {exc.reason}"
    if not guard.ours:
        return unknown(to.known_hosts[0], shared=options.shared)
    shown = f"{guard.shown.get_algorithm()} {guard.shown.get_fingerprint()}"
    return changed(entry(to.host_key_name, to.port), shown, guard.ours)


def _public(line: Line) -> list[asyncssh.SSHKey]:
    """A line's key; none where it is of a kind that asyncssh does not know."""
    try:
        return [asyncssh.import_public_key(line.key)]
    except asyncssh.KeyImportError:
        return []


def words(exc: Exception) -> str:
    """An exception's text without its class and number."""
    if isinstance(exc, asyncssh.Error):
        return exc.reason or type(exc).__name__
    if isinstance(exc, OSError) and exc.strerror:
        return exc.strerror
    return str(exc) or type(exc).__name__
