"""Where an SSH login goes: what provider, query and ssh_config say together.

Knows the order of who is asked (the provider's own field, the query's option, ssh_config, ssh's default). ssh_config
comes as a function, since reading it is asyncssh's business.
"""

from __future__ import annotations

import getpass
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backplane.wire.errors import ReachError
from coordinator.table import Provider, ReachOptions

#: What ssh_config says of a host: keyword to value, None where it says nothing.
Config = Callable[[str], object]

_GLOBAL_KNOWN_HOSTS: Final = "/etc/ssh/ssh_known_hosts"


@dataclass(frozen=True, slots=True)
class Destination:
    """One login.

    Attributes:
        host: what is resolved and connected to.
        host_key_name: what known_hosts calls it.
        keys: paths of private keys in order; empty tries the agent and ssh's default names.
        keys_named: the keys were asked for by name, so that a missing one is an error.
        known_hosts: paths; new keys go to the first.
        jump: the host to go through.
        proxy_command: the command to go through.
    """

    host: str
    port: int
    user: str
    host_key_name: str
    keys: tuple[str, ...]
    keys_named: bool
    known_hosts: tuple[str, ...]
    jump: Destination | None = None
    proxy_command: str | None = None

    def __str__(self) -> str:
        """For sentences: ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def destination(provider: Provider, options: ReachOptions, config_of: Callable[[str], Config]) -> Destination:
    """Where the login for a provider goes.

    Args:
        config_of: what ssh_config says of a name.

    Raises:
        ReachError: what was asked for is not in this version, or makes no sense.
    """
    name = provider.address or provider.name
    config = config_of(name)
    named = provider.key or options.identity
    jump = provider.jump or _text(config("ProxyJump"))
    return Destination(
        host=_text(config("Hostname")) or name,
        port=provider.port or _port(config("Port")),
        user=provider.user or options.user or _text(config("User")) or getpass.getuser(),
        host_key_name=_text(config("HostKeyAlias")) or _text(config("Hostname")) or name,
        keys=(_expanded(named),) if named else _paths(config("IdentityFile")),
        keys_named=named is not None,
        known_hosts=_known_hosts(options, config),
        jump=_jump(jump, options, config_of) if jump else None,
        proxy_command=None if jump else _text(config("ProxyCommand")),
    )


def _jump(text: str, options: ReachOptions, config_of: Callable[[str], Config]) -> Destination | None:
    if text.lower() == "none":
        return None
    user, _, rest = text.rpartition("@")
    host, port = _host_and_port(rest)
    config = config_of(host)
    if "," in text or _text(config("ProxyJump")):
        # Nested jumps would be followed for the first hop only: the others would be left out without a word.
        raise ReachError(f"several jump hosts in a row ({text}) are not in this version", retry=False)
    return Destination(
        host=_text(config("Hostname")) or host,
        port=port or _port(config("Port")),
        user=user or _text(config("User")) or options.user or getpass.getuser(),
        host_key_name=_text(config("HostKeyAlias")) or _text(config("Hostname")) or host,
        keys=_paths(config("IdentityFile")) or ((_expanded(options.identity),) if options.identity else ()),
        keys_named=False,
        known_hosts=_known_hosts(options, config),
        proxy_command=_text(config("ProxyCommand")),
    )


def _host_and_port(text: str) -> tuple[str, int]:
    """Host and port, 0 where none is named.

    >>> _host_and_port("gate:2222"), _host_and_port("[::1]:22"), _host_and_port("::1")
    (('gate', 2222), ('::1', 22), ('::1', 0))
    """
    if text.startswith("["):
        host, _, port = text[1:].partition("]")
        port = port.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    else:
        host, port = text, ""
    if port and not port.isdecimal():
        raise ReachError(f"the jump host {text!r} has a port that is no number", retry=False)
    return host, int(port or 0)


def _known_hosts(options: ReachOptions, config: Config) -> tuple[str, ...]:
    """The user's files first. ``none`` and /dev/null of ssh_config are not honoured: checking is never off."""
    own = (options.known_hosts,) if options.known_hosts else _paths(config("UserKnownHostsFile"))
    files = tuple(_expanded(path) for path in own if path != "/dev/null")
    return (*(files or (_expanded("~/.ssh/known_hosts"),)), _GLOBAL_KNOWN_HOSTS)


def _paths(value: object) -> tuple[str, ...]:
    return tuple(_expanded(str(path)) for path in value) if isinstance(value, list) else ()


def _expanded(path: str) -> str:
    return str(Path(path).expanduser())


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value.lower() != "none" else None


def _port(value: object) -> int:
    return value if isinstance(value, int) else 22
