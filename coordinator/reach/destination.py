"""Where an SSH login goes: what provider, query and ssh_config say together.

Knows the order of who is asked (the provider's own field, the query's option, ssh_config, ssh's default). ssh_config
comes as a function, since reading it is asyncssh's business.
"""

from __future__ import annotations

import getpass
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypedDict

from backplane.wire.errors import ReachError
from coordinator.table import Provider, ReachOptions

#: What ssh_config says of a host: keyword to value, None where it says nothing.
Config = Callable[[str], object]

#: Jump hosts in a row. Nobody has so many; a configuration that goes in a circle does.
MOST_HOPS: Final = 16
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
        certificates: paths of certificates, besides those that stand beside their keys.
        agent: path of the agent's socket; empty without one.
        identities_only: of the agent's keys, only those among ``keys``.
        jump: the host to go through; that may have one of its own.
        proxy_command: the command to go through.
    """

    host: str
    port: int
    user: str
    host_key_name: str
    keys: tuple[str, ...]
    keys_named: bool
    known_hosts: tuple[str, ...]
    certificates: tuple[str, ...] = ()
    agent: str = ""
    identities_only: bool = False
    jump: Destination | None = None
    proxy_command: str | None = None

    def __str__(self) -> str:
        """For sentences: ``host:port``."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class _Through(TypedDict):
    jump: Destination | None
    proxy_command: str | None


class _Common(TypedDict):
    host_key_name: str
    known_hosts: tuple[str, ...]
    certificates: tuple[str, ...]
    agent: str
    identities_only: bool


def destination(provider: Provider, options: ReachOptions, config_of: Callable[[str], Config]) -> Destination:
    """Where the login for a provider goes.

    Args:
        config_of: what ssh_config says of a name.

    Raises:
        ReachError: what was asked for makes no sense.
    """
    name = provider.address or provider.name
    config = config_of(name)
    named = provider.key or options.identity
    return Destination(
        host=_text(config("Hostname")) or name,
        port=provider.port or _port(config("Port")),
        user=provider.user or options.user or _text(config("User")) or getpass.getuser(),
        keys=(_expanded(named),) if named else _paths(config("IdentityFile")),
        keys_named=named is not None,
        **_common(name, options, config),
        **_through(provider.jump, config, (name,), options, config_of),
    )


def _jump(
    hops: list[str], trail: tuple[str, ...], options: ReachOptions, config_of: Callable[[str], Config]
) -> Destination:
    """The last of ``hops``, gone to through those before it; the first one goes where ssh_config sends it.

    Args:
        trail: the names that are gone to through this one.
    """
    text = hops[-1]
    user, _, rest = text.rpartition("@")
    host, port = _host_and_port(rest)
    if not host:
        raise ReachError(f"the jump host {text!r} has no name", retry=False)
    if len(trail) > MOST_HOPS:
        raise ReachError(f"over {MOST_HOPS} jump hosts in a row: {' through '.join(trail[:4])} ...", retry=False)
    config = config_of(host)
    return Destination(
        host=_text(config("Hostname")) or host,
        port=port or _port(config("Port")),
        user=user or _text(config("User")) or options.user or getpass.getuser(),
        keys=_paths(config("IdentityFile")) or ((_expanded(options.identity),) if options.identity else ()),
        keys_named=False,
        **_common(host, options, config),
        **_through(",".join(hops[:-1]) or None, config, (*trail, host), options, config_of),
    )


def _through(
    named: str | None, config: Config, trail: tuple[str, ...], options: ReachOptions, config_of: Callable[[str], Config]
) -> _Through:
    """What the last of ``trail`` is gone to through: the hops that are named, or else what ssh_config says of it."""
    hops = [hop.strip() for hop in (named or _text(config("ProxyJump")) or "").split(",")]
    if hops == ["none"]:
        return {"jump": None, "proxy_command": None}
    if hops == [""]:
        return {"jump": None, "proxy_command": _text(config("ProxyCommand"))}
    met = trail if named is None else ()
    # ``Host *`` with a ProxyJump speaks of the jump host too, which is not gone to through itself: ssh knows that as
    # well. Through another one that leads back here would be without end.
    if _host_and_port(hops[-1].rpartition("@")[2])[0] in met[-1:]:
        return {"jump": None, "proxy_command": None}
    if any(_host_and_port(hop.rpartition("@")[2])[0] in met for hop in hops):
        raise ReachError(f"its jump hosts lead back to themselves: {' through '.join((*trail, *hops))}", retry=False)
    return {"jump": _jump(hops, trail, options, config_of), "proxy_command": None}


def _common(name: str, options: ReachOptions, config: Config) -> _Common:
    """What is found out for a jump host as for a provider."""
    return {
        "host_key_name": _text(config("HostKeyAlias")) or _text(config("Hostname")) or name,
        "known_hosts": _known_hosts(options, config),
        "certificates": _paths(config("CertificateFile")),
        "agent": _agent(_text(config("IdentityAgent"), none="")),
        "identities_only": config("IdentitiesOnly") is True,
    }


def _agent(said: str | None) -> str:
    """The path of an agent's socket, as ssh_config's IdentityAgent says; empty for none."""
    if said is None or said == "SSH_AUTH_SOCK":
        return os.environ.get("SSH_AUTH_SOCK", "")
    if said.startswith("$"):
        return os.environ.get(said[1:].strip("{}"), "")
    return _expanded(said) if said else ""


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


def _text(value: object, none: str | None = None) -> str | None:
    """A value that is a text; ``none`` where it is the word of that name."""
    if not isinstance(value, str):
        return None
    return value if value.lower() != "none" else none


def _port(value: object) -> int:
    return value if isinstance(value, int) else 22
