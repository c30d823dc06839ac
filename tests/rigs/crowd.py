"""A crowd of providers behind a few sshds, a daemon, and three clients that ask it all at once: what must hold of it.

Knows farm, daemon and clients; says in figures what it took. A provider here is a name: those of one sshd share its
address and its log, and each has a connection and a runner of its own, which is what a coordinator has to hold.

Two parts. First each client asks five queries, three at a time: every answer is exact and complete, and the filter that
all of them have has run once on each provider. Then the daemon is killed twice under running queries: what ended is
exact, what did not is named, nothing counts twice, and a new query works at once. A query whose jobs can begin again
where they were may come back complete; one whose jobs cannot names whom it lost.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from tests.integration.coordinator_rig import ROOT
from tests.integration.daemon_rig import Daemon, daemon
from tests.rigs.sshd import SshdFarm

SSHDS: Final = 4
CLIENTS: Final = 3
LINES: Final = 40
#: On any machine; only what hangs takes this long.
DEADLINE_S: Final = 600.0
PATIENT_S: Final = 120.0
#: Bounds of the coordinator's process, wide: Python and its libraries, and for each provider a connection with its
#: buffers; a descriptor for each, and those of clients, log and event loop.
MOST_MB: Final = 160.0
MOST_MB_EACH: Final = 0.5
MOST_FILES: Final = 128

_FILTER: Final = """
def filter(provider):
    import os, time
    open({marks!r} + "/" + provider.name + "." + str(time.monotonic_ns()), "w").close()
    return not provider.name.endswith("7")
"""
_BODIES: Final = {
    "words": 'def map(lines):\n    for line in lines:\n        yield line.split()[0], 1\nreduce = "sum"\n',
    "hosts": 'def map(lines):\n    for line in lines:\n        yield lines.provider.name, 1\nreduce = "count"\n',
    "least": 'def map(lines):\n    for line in lines:\n        yield int(line.split()[1])\nreduce = ["min", "max"]\n',
    "folded": "def map(lines):\n    for line in lines:\n        yield len(line), 1\n"
    "def reduce(a, b):\n    return a + b\n",
    "once": 'import os\ndef map():\n    yield os.getpid() > 0, 1\nreduce = "count"\n',
}
#: Each job waits with its last value, so that the daemon is killed under all of them. The first can begin again where
#: it was, the second cannot.
_WAITING: Final = {
    "again": """
replayable = True
def map(lines):
    for line in lines:
        while line.endswith(" 0") and not os.path.exists({gate!r}):
            time.sleep(2)
        yield lines.provider.name, 1
reduce = "sum"
""",
    "never": """
def map():
    yield socket, 1
    while not os.path.exists({gate!r}):
        time.sleep(2)
    yield socket, 1
reduce = "sum"
""",
}


@dataclass(slots=True)
class Figures:
    """What it took."""

    providers: int
    answers: int = 0
    filters: int = 0
    first_part_s: float = 0.0
    lost: int = 0
    done_again: int = 0
    restarts_s: float = 0.0
    coordinator_mb: float = 0.0
    coordinator_files: int = 0

    def __str__(self) -> str:
        return json.dumps({name: round(value, 1) for name, value in asdict(self).items()})


class Client:
    """One asker: what it was told to ask, and what it has said."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self.states: dict[str, dict[str, int]] = {}
        self.finals: dict[str, dict[str, Any]] = {}
        self.notices: list[str] = []
        self.said = asyncio.Condition()
        self.gone = False

    async def running(self, name: str, count: int) -> None:
        """Wait until a query runs on so many."""
        await self.until(lambda: self.states.get(name, {}).get("running") == count)

    def ask(self, name: str, file: Path, *, beside: bool = False) -> None:
        assert self._process.stdin
        order = {"name": name, "file": str(file), "beside": beside}
        self._process.stdin.write(json.dumps(order).encode() + b"\n")

    async def listen(self) -> None:
        assert self._process.stdout
        async for line in self._process.stdout:
            said = json.loads(line)
            async with self.said:
                if "notice" in said:
                    self.notices.append(said["notice"])
                elif "final" in said:
                    self.finals[said["name"]] = said["final"]
                else:
                    self.states[said["name"]] = said["states"]
                self.said.notify_all()
        async with self.said:
            self.gone = True
            self.said.notify_all()

    async def until(self, true: Callable[[], bool]) -> None:
        async with asyncio.timeout(DEADLINE_S), self.said:
            await self.said.wait_for(lambda: self.gone or true())
        assert true(), "the client has ended; what it had to say is on stderr"

    async def attached(self, times: int) -> None:
        """Wait until it has come back so often: it says first that it is ready, then each time why it had to."""
        await self.until(lambda: len(self.notices) > times)

    async def final(self, name: str) -> dict[str, Any]:
        await self.until(lambda: name in self.finals)
        return self.finals[name]


class Crowd:
    """See the module."""

    def __init__(self, directory: Path, farm: SshdFarm, served: Daemon, count: int) -> None:
        self._directory = directory
        self._farm = farm
        self._daemon = served
        self._names = [f"h{n:03}" for n in range(count)]
        self._kept = [name for name in self._names if not name.endswith("7")]
        self._gate = directory / "gate"
        self._marks = directory / "marks"
        self.figures = Figures(count)

    def prepare(self) -> None:
        """Logs, queries and the inventory."""
        self._marks.mkdir()
        for index in range(SSHDS):
            (self._farm.dir(index) / "app.log").write_text(
                "".join(f"word{n % 5} {LINES - n - 1}\n" for n in range(LINES))
            )
        for name, body in _BODIES.items():
            logs = "" if "def map()" in body else 'logs = "app.log"\n'
            text = logs + body + _FILTER.format(marks=str(self._marks))
            (self._directory / f"{name}.py").write_text(text)
        for name, body in _WAITING.items():
            logs = "" if "def map()" in body else 'logs = "app.log"\n'
            text = "import os, socket, time\n" + logs + body.format(gate=str(self._gate))
            (self._directory / f"{name}.py").write_text(text.replace("yield socket,", "yield socket.gethostname(),"))
        sites = self._farm.sites
        entries = [
            {
                "name": name,
                "reach": "ssh",
                "address": sites[n % SSHDS].address,
                "port": sites[n % SSHDS].port,
                "user": self._farm.user,
                "key": str(self._farm.identity),
            }
            for n, name in enumerate(self._names)
        ]
        # The crowd's own machine is the client's too: its logins take as long as it has other things to do.
        patient = {"connect_s": PATIENT_S, "login_s": PATIENT_S}
        reach = {"known_hosts": str(self._farm.known_hosts), "allow_root": os.getuid() == 0} | patient
        (self._directory / "inventory.json").write_text(json.dumps({"entries": entries, "reach": reach}))

    @contextlib.asynccontextmanager
    async def clients(self) -> AsyncIterator[list[Client]]:
        """Three, ready."""
        argv = [sys.executable, "-m", "tests.rigs.asker", self._daemon.place.address]
        pipe = asyncio.subprocess.PIPE
        async with contextlib.AsyncExitStack() as stack:
            made: list[Client] = []
            listening = await stack.enter_async_context(asyncio.TaskGroup())
            for _ in range(CLIENTS):
                process = await asyncio.create_subprocess_exec(
                    *argv, str(self._directory / "inventory.json"), stdin=pipe, stdout=pipe, cwd=ROOT, limit=1 << 24
                )
                stack.push_async_callback(_end, process)
                await asyncio.to_thread(_before_the_crowd, process)
                made.append(Client(process))
                listening.create_task(made[-1].listen())
            for client in made:
                await client.attached(0)
            yield made

    async def ask_all(self, clients: list[Client]) -> None:
        """Part one."""
        began = time.monotonic()
        for client in clients:
            for name in _BODIES:
                client.ask(name, self._directory / f"{name}.py")
        for client in clients:
            for name in _BODIES:
                self._check(name, await client.final(name))
                self.figures.answers += 1
        self.figures.first_part_s = time.monotonic() - began
        ran = Counter(path.name.partition(".")[0] for path in await asyncio.to_thread(list, self._marks.iterdir()))
        assert ran == dict.fromkeys(self._names, 1), ran.most_common(5)
        self.figures.filters = ran.total()
        await self._measure()

    def _check(self, name: str, final: Mapping[str, Any]) -> None:
        wanted = {key: ["done" if key in self._kept else "filtered_out", None] for key in self._names}
        assert final["providers"].keys() == wanted.keys()
        wrong = {key: said for key, said in final["providers"].items() if said != wanted[key]}
        assert not wrong, f"{name}: {len(wrong)} providers, such as {list(wrong.items())[:3]}"
        assert final["complete"] and final["inexact"] == [], final["inexact"]
        assert final["rows"] == self._expected(name), (name, final["rows"][:10])

    def _expected(self, name: str) -> list[list[Any]]:
        kept = len(self._kept)
        if name == "words":
            return [[f"word{n}", LINES // 5 * kept] for n in range(5)]
        if name == "hosts":
            return [[host, LINES] for host in self._kept]
        if name == "least":
            return [[0, LINES - 1]]
        if name == "once":
            return [[True, kept]]
        lengths = Counter(len(f"word0 {n}") for n in range(LINES))
        return [[length, count * kept] for length, count in sorted(lengths.items())]

    async def kill_twice(self, clients: list[Client]) -> None:
        """Part two."""
        began = time.monotonic()
        waiting = dict(zip(clients, ("again", "never", "again"), strict=True))
        # One after the other: hosts of their own would not start each other's jobs more slowly.
        for client, name in waiting.items():
            client.ask(name, self._directory / f"{name}.py")
            await client.running(name, len(self._names))
        for number in (1, 2):
            await asyncio.to_thread(self._daemon.kill)
            await self._daemon.start()
            await asyncio.to_thread(_before_the_crowd, self._daemon.process)
            for client in clients:
                await client.attached(number)
            name = f"new{number}"
            for client in clients:
                client.ask(name, self._directory / "hosts.py", beside=True)
            for client in clients:
                self._check("hosts", await client.final(name))
            await self._measure()
        await asyncio.to_thread(self._gate.touch)
        for client, name in waiting.items():
            self._check_broken(name, await client.final(name))
            assert all("restarted" in text for text in client.notices[1:]), client.notices
        self.figures.restarts_s = time.monotonic() - began

    def _check_broken(self, name: str, final: Mapping[str, Any]) -> None:
        """Exact where it is done, named where it is not, and nothing more than there is."""
        assert set(final["providers"]) == set(self._names)
        states = {key: state for key, (state, _) in final["providers"].items()}
        assert set(states.values()) <= {"done", "lost"}, Counter(states.values())
        lost = {key for key, state in states.items() if state == "lost"}
        assert final["complete"] is not bool(lost)
        assert all(final["providers"][key][1] for key in lost), final["providers"]
        counts: dict[str, int] = dict(final["rows"])
        if name == "again":
            for key in self._names:
                assert counts.get(key, 0) == LINES if key not in lost else counts.get(key, 0) < LINES, (key, counts)
        else:
            # A finite job that cannot begin again is lost, each of them, and had said one thing at most.
            assert lost == set(self._names)
            assert sum(counts.values()) <= len(self._names), counts
        self.figures.lost += len(lost)
        self.figures.done_again += len(states) - len(lost)

    async def _measure(self) -> None:
        assert self._daemon.process
        pid = self._daemon.process.pid
        status = await asyncio.to_thread(Path(f"/proc/{pid}/status").read_text)
        peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) / 1024
        files = len(await asyncio.to_thread(os.listdir, f"/proc/{pid}/fd"))
        self.figures.coordinator_mb = max(self.figures.coordinator_mb, peak)
        self.figures.coordinator_files = max(self.figures.coordinator_files, files)
        assert peak < MOST_MB + MOST_MB_EACH * len(self._names), f"{peak:.0f} MB"
        assert files < MOST_FILES + len(self._names), f"{files} descriptors"


def _before_the_crowd(process: subprocess.Popen[bytes] | asyncio.subprocess.Process | None) -> None:
    """Lets a process of home's go before those of the hosts, where it may: they would not share its machine."""
    assert process
    for thread in Path(f"/proc/{process.pid}/task").iterdir():
        with contextlib.suppress(PermissionError, ProcessLookupError):
            os.setpriority(os.PRIO_PROCESS, int(thread.name), -15)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.kill()
    await process.wait()


async def show(directory: Path, count: int) -> Figures:
    """All of it.

    Raises:
        AssertionError: something does not hold.
        TimeoutError: something hangs.
    """
    (directory / "daemon").mkdir()
    with SshdFarm(directory / "farm", SSHDS) as farm, daemon(directory / "daemon") as served:
        # Long enough for the slowest machine: what is looked at is once, not how long.
        served.config.write_text(f"verdict_s = {DEADLINE_S}\nidle = {DEADLINE_S}\n")
        await served.start()
        await asyncio.to_thread(_before_the_crowd, served.process)
        crowd = Crowd(directory, farm, served, count)
        await asyncio.to_thread(crowd.prepare)
        async with crowd.clients() as clients:
            await crowd.ask_all(clients)
            await crowd.kill_twice(clients)
        return crowd.figures
