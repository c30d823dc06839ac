"""Whom a query asks and how they are reached: the options that every asking verb shares, and what they select.

Knows the option names of the contract, and who chooses: of inventories alone and of this machine we do, here; where the
provider table has a say, the coordinator that keeps it. How is `coordinator.inventory`'s business.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backplane.wire import limits
from backplane.wire.errors import UsageError
from coordinator.selecting import reached
from coordinator.table import Provider

if TYPE_CHECKING:
    from backplane.client.session import Session


#: A group may be asked of a batch system, which takes its time.
_CHOOSE_S = 40.0


@dataclass(frozen=True, slots=True)
class Selection:
    """The providers that a query asks.

    Attributes:
        providers: who they are; with ``select`` what the inventories know.
        reach: options for reaching all of them.
        notice: what the user should know about how they were chosen, None where they were named.
        select: what the coordinator is to choose, of them and of its table (docs/reference/frames.md, select).
    """

    providers: tuple[Provider, ...]
    reach: dict[str, Any] = field(default_factory=dict)
    notice: str | None = None
    select: dict[str, Any] | None = None

    @property
    def names(self) -> list[str]:
        """The providers' names, sorted."""
        return sorted(provider.name for provider in self.providers)

    @property
    def local(self) -> bool:
        """True if this machine alone is asked, over no network."""
        return self.select is None and all(provider.reach == "local" for provider in self.providers)

    async def chosen(self, session: Session) -> tuple[list[str], list[str]]:
        """The names that it means, and what the user should know of them.

        Raises:
            UsageError: it selects nobody, or makes no sense.
        """
        if self.select is None:
            return self.names, []
        entries = [provider.to_wire() for provider in self.providers]
        told = await session.request("providers.choose", {"select": self.select, "entries": entries}, _CHOOSE_S)
        return told["names"], told["notices"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the target and the reach options."""
    target = parser.add_argument_group("targets (none: this machine, as `local`)")
    for flag, name, metavar, what in (
        ("-w", "--where", "NODES", "names: web[01-20],db1, @group; of known ones also web*"),
        ("-g", "--group", "GROUP", "a group of the table, an inventory, or ClusterShell"),
        ("-x", "--exclude", "NODES", "leave these out"),
        ("-l", "--label", "SELECTOR", "of those, the ones with: KEY=VALUE != =~REGEX !~ KEY !KEY"),
        ("-i", "--inventory", "FILE", "file_sd, Ansible, a list, a program, ssh_config:[FILE]; several unite"),
    ):
        target.add_argument(flag, name, action="append", default=[], metavar=metavar, help=what)
    target.add_argument(
        "-a", "--all", action="store_true", help="every provider of the table, or with -i of the inventories"
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
    reach.add_argument("--sudo", action="store_true", help="start runners through sudo, without a password")
    reach.add_argument("--allow-root", action="store_true", help="log in as root over ssh all the same")
    reach.add_argument("--fanout", type=_at_least_one, default=limits.FANOUT, metavar="N", help="logins at a time")
    for name, default, what in (
        ("connect-timeout", limits.CONNECT_S, "TCP connect"),
        ("login-timeout", limits.LOGIN_S, "SSH login"),
        ("filter-timeout", limits.FILTER_S, "the filter"),
    ):
        reach.add_argument(f"--{name}", type=_seconds, default=default, metavar="S", help=f"deadline of {what}")
    reach.add_argument(
        "--refilter",
        type=_seconds,
        default=limits.REFILTER_S,
        metavar="S",
        help="following: ask each filter again so often; a yes joins, two noes leave (default 60)",
    )
    reach.add_argument(
        "--wait", type=_seconds, metavar="S", help="retry unreachable providers so long (default 10, following: no end)"
    )


def selection(args: argparse.Namespace) -> Selection:
    """What the options select, sorted by name, each name once.

    Raises:
        UsageError: an inventory is broken, or nothing is selected.
    """
    from coordinator import inventory

    notices: list[str] = []
    tell = notices.append
    known = inventory.unite([(source, inventory.read(source, tell)) for source in args.inventory], tell)
    if _asks_table(args):
        select = _select(args, list(known))
        return Selection(tuple(known.values()), _reach(args), "; ".join(notices) or None, select)
    if not args.inventory and not args.where:
        notices.append("no target given: asking this machine, as `local`")
    wanted = inventory.Wanted(
        everything=args.all,
        names=() if args.inventory else (inventory.LOCAL,),
        without=tuple(args.exclude),
        labels=tuple(args.label),
    )
    chosen = inventory.choose(known, wanted, tell)
    providers = tuple(reached(chosen[name], args.python, args.via) for name in sorted(chosen))
    return Selection(providers, _reach(args), "; ".join(notices) or None)


def _asks_table(args: argparse.Namespace) -> bool:
    """Whether the provider table has a say.

    Not where inventories are all that is asked (``-i FILE`` with ``-a``, ``-l`` or ``-x``), nor of this machine.
    """
    from coordinator.inventory import LOCAL

    if args.where or args.group:
        return bool(args.inventory or args.group or args.all or args.where != [LOCAL])
    return not args.inventory and bool(args.all or args.label)


def _select(args: argparse.Namespace, known: list[str]) -> dict[str, Any]:
    """The selection as it travels. Sets and ClusterShell's groups are ours to expand: they are of this machine."""
    from coordinator.inventory import nodes

    def expanded(texts: list[str]) -> list[str]:
        return [name for text in texts for name in nodes.expand(text, globs=True)]

    everybody_known = known if args.all else []
    return {
        "everything": args.all and not args.inventory,
        "names": [*everybody_known, *expanded(args.where)],
        "groups": list(args.group),
        "without": expanded(args.exclude),
        "labels": list(args.label),
        "python": args.python,
        "via": args.via,
    }


def _reach(args: argparse.Namespace) -> dict[str, Any]:
    """The reach options as they travel in a submit."""
    return {
        "user": args.user,
        "identity": _path(args.identity),
        "host_key": args.host_key,
        "known_hosts": _path(args.known_hosts),
        "ssh_config": _path(args.ssh_config or _configured(args.inventory)),
        "sudo": args.sudo,
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
