"""Whom a query asks and how they are reached: the options that every asking verb shares, and what they select.

Knows the option names of the contract; which inventories there are and how they choose is `coordinator.inventory`'s.
Opens no connection: names that no inventory knows become destinations that are resolved when they are reached.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from backplane.wire import limits
from backplane.wire.errors import UsageError
from coordinator.table import Provider


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
    for flag, name, metavar, what in (
        ("-w", "--where", "NODES", "names: web[01-20],db1, @group; with an inventory also web*"),
        ("-g", "--group", "GROUP", "a group of an inventory, or of ClusterShell"),
        ("-x", "--exclude", "NODES", "leave these out"),
        ("-l", "--label", "SELECTOR", "of those, the ones with: KEY=VALUE != =~REGEX !~ KEY !KEY"),
        ("-i", "--inventory", "FILE", "file_sd, Ansible, a list, a program, ssh_config:[FILE]; several unite"),
    ):
        target.add_argument(flag, name, action="append", default=[], metavar=metavar, help=what)
    target.add_argument("-a", "--all", action="store_true", help="every provider of the inventories")
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
    notices: list[str] = []
    chosen = _chosen(args, notices)
    providers = tuple(_reached(chosen[name], args) for name in sorted(chosen))
    return Selection(providers, _reach(args), "; ".join(notices) or None)


def _refuse_later(args: argparse.Namespace) -> None:
    if args.sudo:
        raise UsageError("--sudo is not in this version")


def _chosen(args: argparse.Namespace, notices: list[str]) -> dict[str, Provider]:
    from coordinator import inventory

    names = args.where
    if not args.inventory:
        for given, option in ((args.all, "-a asks every provider"), (args.label, "-l selects by the labels")):
            if given:
                raise UsageError(f"{option} of an inventory: name one with -i FILE")
        if not (names or args.group):
            notices.append("no target given: asking this machine, as `local`")
            names = [inventory.LOCAL]
    tell = notices.append
    known = inventory.unite([(source, inventory.read(source, tell)) for source in args.inventory], tell)
    wanted = inventory.Wanted(
        everything=args.all,
        names=tuple(names),
        groups=tuple(args.group),
        without=tuple(args.exclude),
        labels=tuple(args.label),
    )
    return inventory.choose(known, wanted, tell)


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
        "ssh_config": _path(args.ssh_config or _configured(args.inventory)),
        "allow_root": args.allow_root,
        "fanout": args.fanout,
        "connect_s": args.connect_timeout,
        "login_s": args.login_timeout,
    }


def _configured(inventories: list[str]) -> str | None:
    """The ssh_config that an inventory is made of: what names the hosts also says how they are reached.

    Raises:
        UsageError: there are two, and a login can obey one.
    """
    prefix = "ssh_config:"
    files = {source.removeprefix(prefix) for source in inventories if source.startswith(prefix)} - {""}
    if len(files) > 1:
        raise UsageError(f"-i names {len(files)} ssh_config files: say with --ssh-config which one logins obey")
    return files.pop() if files else None


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
