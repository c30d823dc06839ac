"""The provider table as clients and queries see it: what may be asked of it, and who hears when it changes.

Knows the questions about providers (docs/reference/frames.md, "ask") and which running queries select from the table.
What is on disk is `coordinator.store`'s business, what a selection means `coordinator.selecting`'s. SQLite is
imported with the first table that is there: a private coordinator stands in the way of every ad-hoc query.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Protocol, TypeVar

from backplane.wire import limits, places
from backplane.wire.errors import RemoteProtocolError, UsageError
from coordinator import log
from coordinator.answers import Answers
from coordinator.relay import Client
from coordinator.selecting import Selection
from coordinator.table import Provider, ReachOptions
from coordinator.terms import Terms, refuse_foreign

if TYPE_CHECKING:
    from coordinator.store import Change, Facts, Store

#: How often others' changes of the file are looked for, while a query wants to know.
LOOK_S: Final = limits.BEAT_S

T = TypeVar("T")

#: Checks providers: takes them, the reach options and paths of logs, gives what was found by name.
Check = Callable[[Mapping[str, Provider], ReachOptions, list[str]], Awaitable[Mapping[str, "Facts"]]]


class Follower(Protocol):
    """A query that wants to hear of changes."""

    @property
    def query(self) -> str:
        """Its id."""

    def change(self, providers: Mapping[str, Provider]) -> None:
        """These are its targets from now on."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """Whom a selection means, and what the user should know of it."""

    providers: dict[str, Provider]
    notices: list[str]


class Tables:
    """The one table of a coordinator.

    Args:
        path: of the file; None is this user's own.
        check: how providers are checked.
        terms: what clients over TCP may ask for, as it is now.
    """

    def __init__(self, path: str | None, check: Check, terms: Callable[[], Terms]) -> None:
        self._path = path or str(places.state(os.environ) / "providers.sqlite")
        self._check = check
        self._terms = terms
        self._made: Store | None = None
        self._followers: dict[Follower, Selection] = {}
        self._stamp: tuple[object, ...] | None = None
        #: One re-reading at a time: an older one must not overtake a newer.
        self._looking = asyncio.Lock()

    def register(self, answers: Answers) -> None:
        """Answer from now on."""
        for verb, answer in (
            ("ls", self._ls),
            ("choose", self._choose),
            ("add", self._add),
            ("import", self._import),
            ("rm", self._rm),
            ("check", self._checked),
        ):
            answers.register(f"providers.{verb}", answer)

    async def choose(self, selection: Selection, *, foreign: bool) -> Chosen:
        """Whom a selection means now, for the first time.

        Raises:
            UsageError: it makes no sense, selects nobody, or whom the client may not ask; or the table is broken.
        """
        notices: list[str] = []
        adhoc = not foreign or self._terms().adhoc
        table = await self._providers()
        # In a thread: a group may be ClusterShell's, which asks commands.
        providers = await asyncio.to_thread(selection.choose, table, adhoc=adhoc, tell=notices.append)
        if foreign and any(providers[name].reach != "ssh" for name in selection.strangers):
            raise UsageError("this coordinator is shared, and its own machine is nobody's provider")
        return Chosen(providers, notices)

    def follow(self, follower: Follower, selection: Selection) -> None:
        """Tell this query when its selection means others."""
        self._followers[follower] = selection
        # The table may have changed since its targets were chosen.
        self._stamp = None

    def unfollow(self, follower: Follower) -> None:
        """It is over."""
        self._followers.pop(follower, None)

    async def watch(self) -> None:
        """Look for what other coordinators of this user change, until cancelled."""
        while True:
            await asyncio.sleep(LOOK_S)
            if self._followers:
                try:
                    await self._look()
                except UsageError as exc:
                    log.warning("provider table", reason=str(exc))

    async def close(self) -> None:
        """Close the file."""
        if self._made:
            await asyncio.to_thread(self._made.close)

    async def _look(self) -> None:
        """Tell the queries that select others than before, if the table has changed."""
        async with self._looking:
            stamp = await asyncio.to_thread(self._read, lambda store: store.stamp(), (None,))
            if stamp == self._stamp:
                return
            table = await self._providers()
            self._stamp = stamp
            for follower, selection in list(self._followers.items()):
                providers = await asyncio.to_thread(selection.again, table)
                if follower in self._followers:
                    follower.change(providers)

    async def _providers(self) -> dict[str, Provider]:
        return await asyncio.to_thread(self._read, lambda store: store.providers(), {})

    def _read(self, call: Callable[[Store], T], nothing: T) -> T:
        """In a thread: what the store says, or nothing while there is no file."""
        return call(self._store()) if os.path.exists(self._path) else nothing

    def _store(self) -> Store:
        if self._made is None:
            from coordinator.store import Store

            self._made = Store(self._path)
        return self._made

    # The answers.

    async def _ls(self, client: Client, said: Any) -> dict[str, Any]:
        """Rows of those selected; all without a selection."""
        rows = await asyncio.to_thread(self._read, lambda store: store.rows(), [])
        select = _map(said).get("select")
        if select is not None:
            chosen = await self._in_table(select)
            rows = [row for row in rows if row.provider.name in chosen]
        told = [
            {
                "provider": row.provider.to_wire(),
                "source": row.source,
                "changed_at": row.changed_at,
                "facts": row.facts.to_wire() if row.facts else None,
            }
            for row in rows
        ]
        return {"path": self._path, "rows": told}

    async def _choose(self, client: Client, said: Any) -> dict[str, Any]:
        """Names that a submit with this selection would ask."""
        asked = _map(said)
        foreign = client.key is not None
        if foreign:
            try:
                refuse_foreign(asked, self._terms())
            except ValueError as exc:
                raise UsageError(str(exc)) from None  # a sentence for its user
        selection = Selection.from_wire(_map(asked.get("select")), _entries(asked))
        chosen = await self.choose(selection, foreign=foreign)
        return {"names": sorted(chosen.providers), "notices": chosen.notices}

    async def _add(self, client: Client, said: Any) -> dict[str, Any]:
        _own(client)
        asked = _map(said)
        providers, replacing = _entries(asked), asked.get("replace") is True
        return await self._wrote(await asyncio.to_thread(self._store().add, providers, replacing=replacing))

    async def _import(self, client: Client, said: Any) -> dict[str, Any]:
        _own(client)
        asked = _map(said)
        source, prune = str(asked.get("source") or ""), asked.get("prune") is True
        return await self._wrote(await asyncio.to_thread(self._store().take, _entries(asked), source, prune=prune))

    async def _rm(self, client: Client, said: Any) -> dict[str, Any]:
        _own(client)
        chosen = await self._in_table(_map(said).get("select"))
        return await self._wrote(await asyncio.to_thread(self._store().remove, list(chosen)))

    async def _checked(self, client: Client, said: Any) -> dict[str, Any]:
        _own(client)
        asked = _map(said)
        logs = asked.get("logs") or []
        if type(logs) is not list or not all(type(path) is str for path in logs):
            raise UsageError("logs must be a list of paths")
        chosen = await self._in_table(asked.get("select"))
        found = await self._check(chosen, ReachOptions.from_wire(_map(asked.get("reach"))), logs)
        await asyncio.to_thread(self._store().note, found)
        return {name: facts.to_wire() for name, facts in sorted(found.items())}

    async def _in_table(self, select: Any) -> dict[str, Provider]:
        """The providers of the table that are selected, as the table has them."""
        table = await self._providers()
        if not table:
            raise UsageError(f"the provider table is empty ({self._path}): see `logreduce providers add --help`")
        selection = Selection.from_wire(_map(select))
        chosen = await asyncio.to_thread(selection.choose, table)
        if selection.strangers:
            raise UsageError(f"not in the provider table: {', '.join(sorted(selection.strangers)[:5])}")
        return {name: table[name] for name in chosen}

    async def _wrote(self, change: Change) -> dict[str, Any]:
        if change:
            log.info("provider table changed", **{k: v if k == "same" else len(v) for k, v in change.to_wire().items()})
        await self._look()
        return change.to_wire()


def _own(client: Client) -> None:
    """What is in the table is logged in to with this coordinator's keys, and `via` is a command: not for everybody."""
    if client.key is not None:
        raise UsageError("the provider table is changed and checked on the coordinator's own machine, by its user")


def _entries(asked: Mapping[str, Any]) -> list[Provider]:
    from coordinator.inventory import checks

    entries = asked.get("entries") or []
    if type(entries) is not list:
        raise RemoteProtocolError("entries that are no list")
    return [checks.checked("entries", Provider.from_wire(_map(entry))) for entry in entries]


def _map(value: Any) -> Mapping[str, Any]:
    if value is not None and type(value) is not dict:
        raise UsageError("a question about providers takes a map")
    return value or {}
