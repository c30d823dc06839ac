"""Whom a query asks and how they are reached: the options that every asking verb shares, and what they select.

Knows inventories and the option names of the contract. Opens no connection: names that no inventory knows become
destinations that are resolved when they are reached.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backplane.wire import limits
from backplane.wire.errors import UsageError
from coordinator.table import Provider

#: The name of this machine as a provider.
LOCAL = "local"


@dataclass(frozen=True, slots=True)
class Selection:
    """The providers that a query asks.

    ``notice`` is what the user should know about how they were chosen, None where they were named.
    """

    providers: tuple[Provider, ...]
    reach: dict[str, Any] = field(default_factory=dict)
    notice: str | None = None

    @property
    def names(self) -> list[str]:
        """The providers' names, sorted."""
        return sorted(provider.name for provider in self.providers)

    @property
    def local(self) -> bool:
        """True if this machine alone is asked, over no network."""
        return all(provider.reach == "local" for provider in self.providers)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the target and the reach options."""
    target = parser.add_argument_group("targets (none: this machine, as `local`)")
    target.add_argument("-a", "--all", action="store_true", help="every provider of the inventories")
    target.add_argument("-w", "--where", action="append", default=[], metavar="NODES", help="names: web[01-20],db1")
    target.add_argument("-x", "--exclude", action="append", default=[], metavar="NODES", help="leave these out")
    target.add_argument("-l", "--label", action="append", default=[], metavar="KEY=VALUE", help="those with this label")
    target.add_argument("-g", "--group", action="append", default=[], metavar="GROUP", help="(not in this version)")
    target.add_argument(
        "-i", "--inventory", action="append", default=[], metavar="FILE", help="Prometheus file_sd JSON; several unite"
    )
    reach = parser.add_argument_group("reach")
    reach.add_argument("--user", help="login name")
    reach.add_argument("--identity", metavar="FILE", help="private key; with it the agent is not asked")
    reach.add_argument(
        "--host-key",
        choices=("strict", "accept-new"),
        default="strict",
        help="accept-new remembers keys of hosts that are not known yet; a changed key is always refused",
    )
    reach.add_argument("--known-hosts", metavar="FILE", help="instead of ~/.ssh/known_hosts")
    reach.add_argument("--ssh-config", metavar="FILE", help="instead of ~/.ssh/config")
    reach.add_argument("--via", metavar="COMMAND", help="reach by a command: 'docker exec -i {name}'")
    reach.add_argument("--python", metavar="PATH", help="the providers' Python (default python3)")
    reach.add_argument("--sudo", action="store_true", help="(not in this version)")
    reach.add_argument("--allow-root", action="store_true", help="log in as root over ssh all the same")
    reach.add_argument("--fanout", type=_at_least_one, default=limits.FANOUT, metavar="N", help="logins at a time")
    for name, default, what in (
        ("connect-timeout", limits.CONNECT_S, "TCP connect"),
        ("login-timeout", limits.LOGIN_S, "SSH login"),
        ("filter-timeout", limits.FILTER_S, "the filter"),
    ):
        reach.add_argument(f"--{name}", type=_seconds, default=default, metavar="S", help=f"deadline of {what}")
    reach.add_argument(
        "--wait", type=_seconds, metavar="S", help="retry unreachable providers so long (default 10, following: no end)"
    )


def selection(args: argparse.Namespace) -> Selection:
    """What the options select, sorted by name, each name once.

    Raises:
        UsageError: an inventory is broken, nothing is selected, or an option belongs to a later version.
    """
    _refuse_later(args)
    known = _inventory(args.inventory)
    chosen, notice = _choose(args, known)
    for name in _nodes(args.exclude):
        chosen.pop(name, None)
    if not chosen:
        raise UsageError("these options select no provider: see -w, -x, -l and the inventory")
    providers = tuple(_reached(chosen[name], args) for name in sorted(chosen))
    return Selection(providers, _reach(args), notice)


def _refuse_later(args: argparse.Namespace) -> None:
    for given, option in ((args.group, "-g"), (args.sudo, "--sudo")):
        if given:
            raise UsageError(f"{option} is not in this version")


def _inventory(paths: list[str]) -> dict[str, Provider]:
    from coordinator.inventory import file_sd

    known: dict[str, Provider] = {}
    for path in paths:
        for provider in file_sd.read(path):
            known.setdefault(provider.name, provider)
    return known


def _choose(args: argparse.Namespace, known: dict[str, Provider]) -> tuple[dict[str, Provider], str | None]:
    if args.all and not known:
        raise UsageError("-a asks every provider of the inventories: name one with -i FILE")
    names = _nodes(args.where)
    labels = [_label(text) for text in args.label]
    if not (args.all or names or labels or known):
        return {LOCAL: Provider(name=LOCAL, reach="local")}, "no target given: asking this machine, as `local`"
    if labels and not known:
        raise UsageError("-l selects by the labels of an inventory: name one with -i FILE")
    pool = {name: known.get(name) or _named(name) for name in names} if names else dict(known)
    return {name: p for name, p in pool.items() if all(p.labels.get(k) == v for k, v in labels)}, None


def _named(name: str) -> Provider:
    """A destination that no inventory knows: ssh_config and DNS decide what it means."""
    return Provider(name=name, reach="local" if name == LOCAL else "ssh")


def _nodes(texts: list[str]) -> list[str]:
    if not texts:
        return []
    from coordinator.inventory import nodes

    return [name for text in texts for name in nodes.expand(text)]


def _label(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not (key and equals):
        raise UsageError(f"-l takes KEY=VALUE, not {text!r}")
    return key, value


def _reached(provider: Provider, args: argparse.Namespace) -> Provider:
    """The provider with what the command line says of all: an inventory's own word comes first."""
    if args.python and not provider.python:
        provider = replace(provider, python=args.python)
    if args.via and not provider.via and provider.reach != "local":
        provider = replace(provider, via=args.via.replace("{name}", provider.name), reach="command")
    return provider


def _reach(args: argparse.Namespace) -> dict[str, Any]:
    """The reach options as they travel in a submit."""
    return {
        "user": args.user,
        "identity": _path(args.identity),
        "host_key": args.host_key,
        "known_hosts": _path(args.known_hosts),
        "ssh_config": _path(args.ssh_config),
        "allow_root": args.allow_root,
        "fanout": args.fanout,
        "connect_s": args.connect_timeout,
        "login_s": args.login_timeout,
    }


def _path(text: str | None) -> str | None:
    """Absolute: the coordinator has a working directory of its own."""
    return str(Path(text).expanduser().absolute()) if text else None


def _seconds(text: str) -> float:
    from backplane.cli.durations import seconds

    return seconds(text)


def _at_least_one(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError("must be at least 1")
    return value
