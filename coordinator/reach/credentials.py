"""What the files here say of a login: lines of known_hosts, private keys with their certificates, agents, ssh_config.

Knows where they are, and that each is read once as long as it does not change. Does not connect to anything: what an
agent holds is asked by `coordinator.reach.login`, when a host wants to know.
"""

from __future__ import annotations

import getpass
import os
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

from backplane.wire.errors import ReachError
from coordinator.reach.destination import Config, Destination, destination
from coordinator.reach.known_hosts import KnownHosts, Line
from coordinator.table import Provider, ReachOptions
from provider.quiet import no_library_search

with no_library_search():
    import asyncssh
    from asyncssh.config import SSHClientConfig

_T = TypeVar("_T")

#: Names of keys that ssh tries by itself.
_DEFAULT_KEYS: Final = ("id_ed25519", "id_ecdsa", "id_rsa")

#: A key to offer, alone or with a certificate: then it is offered with and without it.
Key = asyncssh.SSHKey | tuple[asyncssh.SSHKey, asyncssh.SSHCertificate]


@dataclass(frozen=True, slots=True)
class Login:
    """A destination with what the files here say of it.

    Attributes:
        known: the lines of known_hosts that speak of it.
        keys: offered first, in order.
        agent: path of the agent's socket, whose keys are offered after them; None to leave it alone.
        agent_keys: which of the agent's keys may be offered; None for all of them.
        jump: the login to go through.
    """

    to: Destination
    known: tuple[Line, ...]
    keys: tuple[Key, ...]
    agent: str | None
    agent_keys: tuple[asyncssh.SSHKey, ...] | None = None
    jump: Login | None = None


class Files:
    """ssh_config, known_hosts, keys and certificates. Used in threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: dict[str, KnownHosts] = {}
        self._read: dict[tuple[str, int, type], object] = {}

    def login(self, provider: Provider, options: ReachOptions) -> Login:
        """How to log in at a provider.

        Raises:
            ReachError: a file that was named cannot be used.
        """
        with self._lock:
            return self._login(destination(provider, options, _configs(options.ssh_config)))

    def _login(self, to: Destination) -> Login:
        try:
            known = tuple(
                line
                for path in to.known_hosts
                for line in self._known.setdefault(path, KnownHosts(path)).lines(to.host_key_name, to.port)
            )
        except OSError as exc:
            raise ReachError(f"known_hosts {exc.filename} cannot be read: {exc.strerror}", retry=False) from exc
        agent = to.agent or None
        paths = to.keys or tuple(str(Path("~/.ssh", name).expanduser()) for name in _DEFAULT_KEYS)
        keys: list[Key] = []
        locked = False
        for path in paths:
            key = self._key(path, to.keys_named, agent)
            locked |= key is None and to.keys_named
            if key:
                keys += self._with_certificates(key, (f"{path}-cert.pub", *to.certificates))
        if not keys and not agent:
            tried = ", ".join(paths)
            text = f"no private key for the user {to.user!r}: none of {tried} can be used, and no agent runs"
            raise ReachError(text, retry=False)
        if keys and to.keys_named and not locked:
            agent = None
        only = self._agent_keys(paths) if locked or to.identities_only else None
        jump = self._login(to.jump) if to.jump else None
        return Login(to, known, tuple(keys), agent, only, jump)

    def _key(self, path: str, named: bool, agent: str | None) -> asyncssh.SSHKey | None:
        """A key; None for one that may be left out, or that the agent holds because it has a passphrase."""
        try:
            return self._once(path, asyncssh.SSHKey, asyncssh.import_private_key)
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

    def _with_certificates(self, key: asyncssh.SSHKey, paths: tuple[str, ...]) -> list[Key]:
        """The key with each certificate that is for it; one that cannot be read is none, as for ssh."""
        found: list[Key] = []
        for path in paths:
            try:
                certificate = self._once(path, asyncssh.SSHCertificate, asyncssh.import_certificate)
            except (OSError, asyncssh.KeyImportError):
                continue
            if certificate.key == key.convert_to_public():
                found.append((key, certificate))
        return found or [key]

    def _agent_keys(self, paths: tuple[str, ...]) -> tuple[asyncssh.SSHKey, ...] | None:
        """The public parts of these keys; None where none can be read, and the agent's keys are all there is to try."""
        found = []
        for path in paths:
            try:
                found.append(self._once(f"{path}.pub", asyncssh.SSHKey, asyncssh.import_public_key))
            except (OSError, asyncssh.KeyImportError):
                continue
        return tuple(found) or None

    def _once(self, path: str, kind: type[_T], read: Callable[[bytes], _T]) -> _T:
        """What a file holds, read again when it has changed."""
        stamp = (path, os.stat(path).st_mtime_ns, kind)
        if stamp not in self._read:
            self._read[stamp] = read(Path(path).read_bytes())
        found = self._read[stamp]
        assert isinstance(found, kind)
        return found


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
