"""What happens to a world: kinds of faults, each of which begins, and ends when its cause does.

Knows processes, links and logs. Does not know what is asked, or what is right.
"""

from __future__ import annotations

import contextlib
import os
import random
import resource
import signal
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any, Final

from tests.chaos.driver import LEASE_S
from tests.chaos.harms import HARMS, POINTS
from tests.chaos.hosts import Host
from tests.chaos.logs import ROTATIONS
from tests.chaos.processes import Client, Process
from tests.chaos.world import World, of
from tests.rigs.links import LossyLink

#: What a disk holds that is full: less than any store.
_FULL_BYTES: Final = 4096


@dataclass(frozen=True, slots=True)
class Fault:
    """One fault, as it was drawn.

    Attributes:
        at_s: when it begins, in its burst.
        for_s: how long its cause lasts.
        target: a provider's name, a client's, or ``coordinator``.
        pick: which of several processes it is.
    """

    kind: str
    target: str
    at_s: float
    for_s: float
    pick: int

    def to_dict(self) -> dict[str, Any]:
        """For a log that can be replayed."""
        return asdict(self)


#: Ends a cause.
End = Callable[[], None]
Begin = Callable[[World, Fault], End | None]


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of fault.

    Attributes:
        targets: whom it can hit in a world.
        least_s: how long its cause lasts, at least.
        most_s: and at most.
        weight: how often it comes, beside the others.
    """

    begin: Begin
    targets: Callable[[World], list[str]]
    least_s: float = 0.0
    most_s: float = 0.0
    weight: float = 1.0


def draw(world: World, dice: random.Random, kinds: Iterable[str], count: int, within_s: float) -> list[Fault]:
    """So many faults that may hit this world, in the order in which they begin."""
    possible = [(name, targets) for name in kinds if (targets := KINDS[name].targets(world))]
    weights = [KINDS[name].weight for name, _ in possible]
    found = []
    for name, targets in dice.choices(possible, weights, k=count):
        kind = KINDS[name]
        for_s = dice.uniform(kind.least_s, kind.most_s)
        if kind.most_s > 0.5 and dice.random() < 0.08:
            for_s = LEASE_S + dice.uniform(0.2, 1.0)  # until everybody has given it up
        at_s = dice.uniform(0, within_s)
        found.append(Fault(name, dice.choice(targets), round(at_s, 3), round(for_s, 3), dice.randrange(1 << 16)))
    return sorted(found, key=lambda fault: fault.at_s)


# -- whom


def _hosts(world: World) -> list[str]:
    return [host.name for host in world.hosts.all]


def _sshds(world: World) -> list[str]:
    return [host.name for host in world.hosts.all if host.index is not None]


def _residents(world: World) -> list[str]:
    return [host.name for host in world.hosts.all if host.server is not None]


def _lossy(world: World) -> list[str]:
    return [host.name for host in world.hosts.all if isinstance(host.link, LossyLink)]


def _daemon(world: World) -> list[str]:
    return ["coordinator"] if world.daemon is not None else []


def _clients(world: World) -> list[str]:
    return [client.name for client in world.clients]


def _durable(world: World) -> list[str]:
    return [client.name for client in world.clients if client.durable]


def _private(world: World) -> list[str]:
    return [client.name for client in world.clients if client.asked["place"] is None]


def _client(world: World, name: str) -> Client:
    return next(client for client in world.clients if client.name == name)


# -- what


def _send(pids: Iterable[int], number: int) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _one(pids: list[int], fault: Fault) -> list[int]:
    return [pids[fault.pick % len(pids)]] if pids else []


def _kills(which: Callable[[Host], list[int]]) -> Begin:
    def begin(world: World, fault: Fault) -> None:
        _send(_one(which(of(world, fault.target)), fault), signal.SIGKILL)

    return begin


def _stops(which: Callable[[Host], list[int]]) -> Begin:
    def begin(world: World, fault: Fault) -> End:
        pids = _one(which(of(world, fault.target)), fault)
        _send(pids, signal.SIGSTOP)
        return lambda: _send(pids, signal.SIGCONT)

    return begin


def _kill_sshd(world: World, fault: Fault) -> None:
    host = of(world, fault.target)
    assert host.index is not None
    world.hosts.farm.kill_sessions(host.index)


def _freeze_sshd(world: World, fault: Fault) -> End:
    index = of(world, fault.target).index
    assert index is not None
    farm, number = world.hosts.farm, index
    farm.freeze(number)
    return lambda: farm.thaw(number)


def _link(order: str) -> Begin:
    def begin(world: World, fault: Fault) -> End | None:
        link = of(world, fault.target).link
        assert link is not None
        if order == "cut":
            link.cut()
            return None
        link.silence(order)
        return link.resume

    return begin


def _kill_resident(world: World, fault: Fault) -> End:
    server = of(world, fault.target).server
    assert server is not None
    resident = server
    resident.kill()
    return lambda: None if resident.alive else resident.start()


def _line(loss: float, delay_s: float) -> Begin:
    def begin(world: World, fault: Fault) -> End:
        link = of(world, fault.target).link
        assert isinstance(link, LossyLink)
        lossy = link
        lossy.line(loss, delay_s)
        return lambda: lossy.line(0.0, 0.0)

    return begin


def _kill_coordinator(world: World, fault: Fault) -> End:
    daemon = world.daemon
    assert daemon is not None
    daemon.kill()
    return lambda: None if daemon.alive else daemon.start()


def _stop(process: Process) -> End:
    stopped = process.process
    process.signal(signal.SIGSTOP)

    def go_on() -> None:
        if stopped is process.process:
            process.signal(signal.SIGCONT)

    return go_on


def _stop_coordinator(world: World, fault: Fault) -> End:
    assert world.daemon is not None
    return _stop(world.daemon)


def _stop_client(world: World, fault: Fault) -> End:
    return _stop(_client(world, fault.target))


def _kill_private(world: World, fault: Fault) -> None:
    _send(_client(world, fault.target).private(), signal.SIGKILL)


def _stop_private(world: World, fault: Fault) -> End:
    pids = _client(world, fault.target).private()
    _send(pids, signal.SIGSTOP)
    return lambda: _send(pids, signal.SIGCONT)


def _kill_client(world: World, fault: Fault) -> End:
    client = _client(world, fault.target)
    client.kill()
    return lambda: None if client.alive else client.start()


def _die(world: World, fault: Fault) -> End:
    client = _client(world, fault.target)
    client.order({"do": "die", "point": POINTS[fault.pick % len(POINTS)], "nth": 1 + fault.pick // 256 % 3})
    born = client.born

    def end() -> None:
        if client.born == born:  # a step that did not come is not waited for
            client.start()

    return end


def _fill_disk(world: World, fault: Fault) -> End:
    process = _client(world, fault.target).process
    assert process is not None
    _limit(process.pid, _FULL_BYTES)
    return lambda: _limit(process.pid, None)


def _limit(pid: int, size: int | None) -> None:
    """How far its files may grow; None for as far as they ever might."""
    with contextlib.suppress(ProcessLookupError):
        _, hard = resource.prlimit(pid, resource.RLIMIT_FSIZE)
        resource.prlimit(pid, resource.RLIMIT_FSIZE, (hard if size is None else size, hard))


def _rotate(name: str) -> Begin:
    def begin(world: World, fault: Fault) -> None:
        log = world.logs[fault.target]
        with log.lock:
            ROTATIONS[name](log)

    return begin


def _harm(name: str) -> Begin:
    def begin(world: World, fault: Fault) -> None:
        _client(world, fault.target).order(HARMS[name]())

    return begin


KINDS: Final[dict[str, Kind]] = {
    "runner killed": Kind(_kills(Host.runners), _hosts, weight=2),
    "child killed": Kind(_kills(Host.children), _hosts, weight=2),
    "runner stopped": Kind(_stops(Host.runners), _hosts, 0.1, 1.0),
    "child stopped": Kind(_stops(Host.children), _hosts, 0.1, 1.0),
    "sshd killed": Kind(_kill_sshd, _sshds, weight=1.5),
    "sshd stopped": Kind(_freeze_sshd, _sshds, 0.1, 1.0),
    "resident killed": Kind(_kill_resident, _residents, 0.0, 0.4),
    "link down": Kind(_link("both"), _sshds, 0.1, 1.0),
    "link one way": Kind(_link("there"), _sshds, 0.1, 1.0, 0.5),
    "link the other way": Kind(_link("back"), _sshds, 0.1, 1.0, 0.5),
    "link loses packets": Kind(_line(0.2, 0.005), _lossy, 0.3, 2.0),
    "link is slow": Kind(_line(0.01, 0.08), _lossy, 0.3, 2.0),
    "link reset": Kind(_link("cut"), _sshds, weight=1.5),
    "coordinator killed": Kind(_kill_coordinator, _daemon, 0.0, 0.4, 0.7),
    "coordinator stopped": Kind(_stop_coordinator, _daemon, 0.1, 1.0, 0.5),
    "private coordinator killed": Kind(_kill_private, _private, weight=0.7),
    "private coordinator stopped": Kind(_stop_private, _private, 0.1, 1.0, 0.5),
    "client killed": Kind(_kill_client, _durable, 0.0, 0.4, 0.7),
    "client killed at a step": Kind(_die, _durable, 0.3, 0.5, 1.5),
    "client stopped": Kind(_stop_client, _clients, 0.1, 1.0, 0.5),
    "disk full": Kind(_fill_disk, _durable, 0.2, 1.0),
    **{name: Kind(_rotate(name), _hosts) for name in ROTATIONS},
    **{name: Kind(_harm(name), _clients, weight=0.8) for name in HARMS},
}
