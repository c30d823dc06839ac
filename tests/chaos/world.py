"""A small world: providers whose logs grow, coordinators, clients that ask in every form, and what is true.

Knows how it is made, and when its answers are right. Does not know what happens to it.
"""

from __future__ import annotations

import contextlib
import random
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.forms import FORMS, Form
from tests.chaos.hosts import Host, Hosts, hosts
from tests.chaos.logs import Log, Tally, Writers
from tests.chaos.processes import Client, Coordinator

_POLL_S: Final = 0.02
#: An answer that is not right yet gets another line of each log now and then: what is missing before a line that counts
#: is missing for good, and a job that missed something notices it at the next.
MORE_S: Final = 1.5


class Wrong(Exception):
    """An answer is wrong; ``str()`` says which, where and by how much."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What a world is made of.

    Attributes:
        named: forms that are asked with a store, by a client that is killed and started again, through a daemon.
        adhoc: forms that are asked without, by a client with a coordinator of its own.
        recover_s: an answer that is not right for so long after the last fault never will be.
        sure_s: nor will one that counts the last line of each log for so long and is not right.
    """

    sshds: int = 2
    commands: int = 1
    named: tuple[str, ...] = ("aggregates", "function", "class")
    adhoc: tuple[str, ...] = ("combined", "executable")
    residents: int = 0
    mutant: str = ""
    recover_s: float = 60.0
    sure_s: float = 6.0


@dataclass
class World:
    """See above. Made by `world`."""

    plan: Plan
    hosts: Hosts
    logs: dict[str, Log]
    writers: Writers
    daemon: Coordinator | None
    clients: list[Client]
    #: The first thing that was found to be wrong.
    wrong: str | None = None

    def form(self, query: str) -> Form:
        """How a query asks."""
        return FORMS[query.partition("-")[2]]

    # -- what is right

    def heard(self, client: Client, query: str) -> None:
        """A snapshot came: nothing in it may be more than was written."""
        newest, said = client.newest[query], client.says[query]
        for (host, key), tally in said.items():
            truth = self.logs[host].truth.get(key, Tally())
            if tally.count > truth.count or tally.sum > truth.sum or tally.last > truth.last:
                self._blame(f"{query} says {tally} of {host} {key}, and there was {truth}")
        if self.form(query).exact:
            for reason in newest["inexact"]:
                if not self._allowed(reason):
                    self._blame(f"{query} says that it is inexact: {reason}")
        for host, state in newest["states"].items():
            if state in ("failed", "killed", "refused", "done", "left", "filtered_out"):
                self._blame(f"{query} says that {host} is {state}: {newest['reasons'].get(host)}")

    def _allowed(self, reason: str) -> bool:
        """Said of one that is away for now; or where a log was truncated, that something may be missing there."""
        if reason.endswith("lost after having contributed"):
            return True
        hosts, _, what = reason.partition(": ")
        return ("truncated" in what or what.endswith("more gaps")) and any(
            self.logs[name].cut for name in self._names(hosts)
        )

    def _names(self, folded: str) -> list[str]:
        return [name for name in self.logs if name in folded or "[" in folded]

    def _blame(self, text: str) -> None:
        self.wrong = self.wrong or text

    def check(self) -> None:
        """Raise what has been found.

        Raises:
            Wrong: see there.
        """
        if self.wrong is not None:
            raise Wrong(self.wrong)

    def missing(self, client: Client, query: str) -> str | None:
        """What of all that was written this answer does not say; None if it says all of it."""
        said = client.says.get(query)
        if said is None:
            return "it has said nothing"
        inexact = client.newest[query]["inexact"]
        if set(client.newest[query]["states"].values()) != {"running"}:
            return f"it says that {client.newest[query]['states']}"
        for host, log in self.logs.items():
            for key, truth in log.truth.items():
                tally = said.get((host, key), Tally())
                if tally != truth and not self._excused(query, host, tally, truth, log.gone.get(key), inexact):
                    return f"{tally} of {host} {key} instead of {truth}"
        return None

    def _excused(
        self, query: str, host: str, tally: Tally, truth: Tally, gone: Tally | None, inexact: list[str]
    ) -> bool:
        """It is said that some of this provider is missing; of an exact form, no more than is gone from the disk."""
        if not any(host in self._names(reason.partition(": ")[0]) for reason in inexact):
            return False
        if not self.form(query).exact:
            return True
        return gone is not None and truth.count - tally.count <= gone.count

    def all_read(self, client: Client, query: str) -> bool:
        """The last line of each log counts: what is missing was before it."""
        said = client.says.get(query, {})
        return all(
            max((tally.last for (name, _), tally in said.items() if name == host), default=0) == log.last
            for host, log in self.logs.items()
        )

    def settle(self) -> float:
        """Wait until every answer says all that was written, while nothing is. Seconds that it took.

        Raises:
            Wrong: one says something else.
        """
        began = time.monotonic()
        late = began + self.plan.recover_s
        read_since: dict[str, float] = {}
        more = began + MORE_S
        with self.writers.held():
            while True:
                self.check()
                now = time.monotonic()
                open_ = {}
                for client in self.clients:
                    if not client.alive:
                        raise Wrong(f"{client.name} ended: {client.log()[-1500:]} {client.notices[-3:]}")
                    for query in self._queries(client):
                        if (what := self.missing(client, query)) is not None:
                            open_[query] = what
                            if not self.all_read(client, query):
                                read_since.pop(query, None)
                            elif now - read_since.setdefault(query, now) > self.plan.sure_s:
                                raise Wrong(f"{query} has read all, and says {what}")
                if not open_:
                    return time.monotonic() - began
                if now > late:
                    raise Wrong(f"not recovered after {self.plan.recover_s:.0f} s: {open_}; {self.states()}")
                if now > more and any(query not in read_since for query in open_):
                    more = now + MORE_S
                    self.write(1)
                time.sleep(_POLL_S)

    def write(self, count: int) -> None:
        """So many lines to each log, none of them torn."""
        for log in self.logs.values():
            with log.lock:
                log.write(count)
                log.mend()

    def states(self) -> dict[str, Any]:
        """Of all queries, for whoever has to understand."""
        return {
            query: (newest["states"], newest["reasons"], newest["inexact"])
            for client in self.clients
            for query, newest in client.newest.items()
        }

    def _queries(self, client: Client) -> list[str]:
        return [query["name"] for query in client.asked["queries"]]

    # -- its life

    def open(self) -> None:
        """Start all, and wait until every provider runs for every query: from now on each line counts."""
        if self.daemon is not None:
            self.daemon.start()
        for client in self.clients:
            client.heard = self.heard
            client.start()
        late = time.monotonic() + self.plan.recover_s
        while not self._begun():
            self.check()
            if time.monotonic() > late:
                raise Wrong(f"it does not begin: {self.states()} {[c.log()[-800:] for c in self.clients]}")
            time.sleep(_POLL_S)
        for client in self.clients:
            if client.durable:
                self._reborn(client)

    def _reborn(self, client: Client) -> None:
        """Kill it before there is anything to read: where it began is all that is known, and all that it takes."""
        client.kill()
        self.write(3)
        client.start()

    def _begun(self) -> bool:
        """Every log is open for every query, and where that is told, it is known."""
        asked = [(client, query) for client in self.clients for query in self._queries(client)]
        # Plans share a process of each coordinator's, and say where they begin.
        own = sum(not self.form(query).line for _, query in asked)
        return all(self._runs(client, query) for client, query in asked) and all(
            host.readers() >= own for host in self.hosts.all
        )

    def _runs(self, client: Client, query: str) -> bool:
        newest = client.newest.get(query)
        if newest is None or set(newest["states"].values()) != {"running"}:
            return False
        return not self.form(query).exact or set(newest["begun"]) == set(self.logs)

    def close(self) -> None:
        """End all."""
        for client in self.clients:
            client.kill()
        if self.daemon is not None:
            self.daemon.kill()


@contextlib.contextmanager
def world(plan: Plan, directory: Path, seed: int) -> Iterator[World]:
    """A world that is open, and written to."""
    dice = random.Random(seed)
    directory.mkdir(parents=True)
    with contextlib.ExitStack() as stack:
        there = stack.enter_context(hosts(directory, plan.sshds, plan.commands, plan.residents))
        logs = {host.name: Log(host.folder, random.Random(dice.random())) for host in there.all}
        writers = Writers(list(logs.values()), random.Random(dice.random()))
        daemon = Coordinator(directory, plan.mutant) if plan.named else None
        clients = []
        for name, forms in (("named", plan.named), ("adhoc", plan.adhoc)):
            if forms:
                queries = [_query(name, form, directory) for form in forms]
                asked = {
                    "place": daemon.address if name == "named" and daemon else None,
                    "entries": [host.entry for host in there.all],
                    "reach": there.reach,
                    "queries": queries,
                }
                clients.append(Client(name, directory, plan.mutant, asked))
        made = World(plan, there, logs, writers, daemon, clients)
        stack.callback(made.close)
        made.open()
        stack.enter_context(writers)
        yield made


def _query(name: str, form: str, directory: Path) -> dict[str, Any]:
    asked = FORMS[form]
    path = asked.write(directory / f"queries-{name}")
    store = name == "named"
    return {
        "name": f"{name}-{form}",
        "path": str(path),
        "line": asked.line,
        "window_s": asked.window_s,
        "store": store,
    }


def of(world: World, name: str) -> Host:
    """A provider by its name."""
    return next(host for host in world.hosts.all if host.name == name)
