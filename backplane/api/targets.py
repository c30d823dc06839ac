"""Whom a query asks and how they are reached: what is wanted, and the providers that it selects.

Knows who chooses: of inventories alone and of this machine we do, here; where the provider table has a say, the
coordinator that keeps it. How is `coordinator.inventory`'s business, how it is said the command line's or the caller's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backplane.wire import limits
from backplane.wire.errors import UsageError
from coordinator.selecting import reached
from coordinator.table import Provider

if TYPE_CHECKING:
    from backplane.client.session import Session


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets:
    """What is wanted, named as the command line's options are: ``where`` is each ``-w``, ``label`` each ``-l``."""

    where: Sequence[str] = ()
    group: Sequence[str] = ()
    exclude: Sequence[str] = ()
    label: Sequence[str] = ()
    inventory: Sequence[str] = ()
    all: bool = False
    user: str | None = None
    identity: str | None = None
    host_key: str = "strict"
    known_hosts: str | None = None
    ssh_config: str | None = None
    via: str | None = None
    python: str | None = None
    sudo: bool = False
    allow_root: bool = False
    fanout: int = limits.FANOUT
    connect_timeout: float = limits.CONNECT_S
    login_timeout: float = limits.LOGIN_S


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


def selection(wanted: Targets) -> Selection:
    """What is wanted, as providers, sorted by name, each name once.

    Raises:
        UsageError: an inventory is broken, or nothing is selected.
    """
    from coordinator import inventory

    notices: list[str] = []
    tell = notices.append
    known = inventory.unite([(source, inventory.read(source, tell)) for source in wanted.inventory], tell)
    if _asks_table(wanted):
        select = _select(wanted, list(known))
        return Selection(tuple(known.values()), _reach(wanted), "; ".join(notices) or None, select)
    if not wanted.inventory and not wanted.where:
        notices.append("no target given: asking this machine, as `local`")
    chosen_of = inventory.Wanted(
        everything=wanted.all,
        names=() if wanted.inventory else (inventory.LOCAL,),
        without=tuple(wanted.exclude),
        labels=tuple(wanted.label),
    )
    chosen = inventory.choose(known, chosen_of, tell)
    providers = tuple(reached(chosen[name], wanted.python, wanted.via) for name in sorted(chosen))
    return Selection(providers, _reach(wanted), "; ".join(notices) or None)


def _asks_table(wanted: Targets) -> bool:
    """Whether the provider table has a say.

    Not where inventories are all that is asked (``-i FILE`` with ``-a``, ``-l`` or ``-x``), nor of this machine.
    """
    from coordinator.inventory import LOCAL

    if wanted.where or wanted.group:
        return bool(wanted.inventory or wanted.group or wanted.all or list(wanted.where) != [LOCAL])
    return not wanted.inventory and bool(wanted.all or wanted.label)


def _select(wanted: Targets, known: list[str]) -> dict[str, Any]:
    """The selection as it travels. Sets and ClusterShell's groups are ours to expand: they are of this machine."""
    from coordinator.inventory import nodes

    def expanded(texts: Sequence[str]) -> list[str]:
        return [name for text in texts for name in nodes.expand(text, globs=True)]

    everybody_known = known if wanted.all else []
    return {
        "everything": wanted.all and not wanted.inventory,
        "names": [*everybody_known, *expanded(wanted.where)],
        "groups": list(wanted.group),
        "without": expanded(wanted.exclude),
        "labels": list(wanted.label),
        "python": wanted.python,
        "via": wanted.via,
    }


def _reach(wanted: Targets) -> dict[str, Any]:
    """The reach options as they travel in a submit."""
    return {
        "user": wanted.user,
        "identity": _path(wanted.identity),
        "host_key": wanted.host_key,
        "known_hosts": _path(wanted.known_hosts),
        "ssh_config": _path(wanted.ssh_config or _configured(wanted.inventory)),
        "sudo": wanted.sudo,
        "allow_root": wanted.allow_root,
        "fanout": wanted.fanout,
        "connect_s": wanted.connect_timeout,
        "login_s": wanted.login_timeout,
    }


def _configured(inventories: Sequence[str]) -> str | None:
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
