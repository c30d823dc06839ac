"""The providers of a world: sshds behind links that can be cut, residents, and runners behind a plain command.

Knows how each is reached and which processes are its own. Does not know what is asked.
"""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from provider import serve
from tests.chaos.logs import NAME
from tests.chaos.processes import Resident
from tests.rigs.links import LossyLink, SilentLink, lossy_why_not
from tests.rigs.sshd import MARK, SshdFarm, _children, _marked


@dataclass(frozen=True, slots=True)
class Host:
    """A provider.

    Attributes:
        folder: where its relative paths begin.
        entry: as a submit has it.
        mark: in the environment of all its processes; a resident's are those that it has started.
        index: its number in the farm of sshds; None for one behind a command.
        link: the way to it, if it can be cut; where that is possible, one of a world can lose packets.
    """

    name: str
    folder: Path
    entry: dict[str, Any]
    mark: str
    index: int | None = None
    link: SilentLink | None = None
    server: Resident | None = None

    def processes(self) -> list[int]:
        """Those that logins or commands have started there."""
        if self.server is not None:
            return _descendants(self.server)
        return _marked(f"{MARK}={self.mark}\0")

    def readers(self) -> int:
        """How many of them have the log open."""
        log = str(self.folder / NAME)
        return sum(any(_leads(fd, log) for fd in Path(f"/proc/{pid}/fd").glob("*")) for pid in self.processes())

    def runners(self) -> list[int]:
        """Of those, the ones that nobody there has started."""
        pids = self.processes()
        return [pid for pid in pids if parent(pid) not in pids]

    def children(self) -> list[int]:
        """Of those, the ones in which jobs run, and not the programs that jobs have started.

        A program of the user's that dies of a signal has failed: nobody can know that it was not its own doing.
        """
        pids = [pid for pid in self.processes() if _is_python(pid)]
        parents = {parent(pid) for pid in pids}
        return [pid for pid in pids if pid not in parents and parent(pid) in pids]


def parent(pid: int) -> int:
    """Its parent; 0 when it is gone."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])


def _leads(fd: Path, path: str) -> bool:
    try:
        return os.readlink(fd) == path
    except OSError:
        return False


def _is_python(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/comm").read_text().startswith("python")
    except OSError:
        return False


@dataclass(frozen=True, slots=True)
class Hosts:
    """All of them, and how those with an sshd are reached."""

    all: list[Host]
    farm: SshdFarm
    reach: dict[str, Any]


@contextlib.contextmanager
def hosts(directory: Path, sshds: int, commands: int, residents: int) -> Iterator[Hosts]:
    """So many of each kind, until the end of the context."""
    with contextlib.ExitStack() as stack:
        farm = stack.enter_context(SshdFarm(directory / "farm", sshds))
        found = [_linked(stack, farm, index) for index in range(sshds)]
        found += [_commanded(directory / name, name) for name in (f"c{number:02}" for number in range(commands))]
        stack.callback(_end, found)
        for number in range(residents):
            found.append(_resident(directory, f"r{number:02}", farm))
        yield Hosts(found, farm, {"known_hosts": str(farm.known_hosts), "allow_root": os.getuid() == 0})


def _linked(stack: contextlib.ExitStack, farm: SshdFarm, index: int) -> Host:
    site = farm.sites[index]
    lossy = index == 0 and lossy_why_not() is None
    link = stack.enter_context((LossyLink if lossy else SilentLink)(site.address, site.port))
    farm.known_at(index, link.address, link.port)
    entry = {
        "name": site.name,
        "address": link.address,
        "port": link.port,
        "user": farm.user,
        "key": str(farm.identity),
    }
    return Host(site.name, site.home, entry, site.mark, index, link)


def _commanded(folder: Path, name: str) -> Host:
    folder.mkdir(parents=True)
    mark = f"{uuid.uuid4().hex[:12]}-{name}"
    via = f"env -C {folder} {MARK}={mark}"
    return Host(name, folder, {"name": name, "reach": "command", "via": via}, mark)


def _resident(directory: Path, name: str, farm: SshdFarm) -> Host:
    home = directory / name
    home.mkdir()
    key = serve.KeyPair.fresh(name)
    (directory / f"{name}.key").write_bytes(key.private)
    server = Resident(name, directory, home, directory / f"{name}.key", farm.identity.with_suffix(".pub"))
    server.start()
    with farm.known_hosts.open("a") as known:
        known.write(f"[127.0.0.1]:{server.port} {' '.join(key.public.split()[:2])}\n")
    entry = {"name": name, "address": "127.0.0.1", "port": server.port, "user": "any", "key": str(farm.identity)}
    return Host(name, home, entry, "", server=server)


def _descendants(server: Resident) -> list[int]:
    if server.process is None:
        return []
    children, found = _children(), [server.process.pid]
    for pid in found:
        found += children.get(pid, [])
    return found[1:]


def _end(found: list[Host]) -> None:
    for host in found:
        if host.server is not None:
            host.server.kill()
            continue
        for pid in host.processes():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, 9)
