"""The client and the coordinator of a world as processes, started again as often as they are killed.

Knows how they are started, and keeps what a client has said last. Does not know whether that is right.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from tests.chaos.forms import Said, read

ROOT: Final = Path(__file__).parents[2]
#: Only a machine out of breath is this slow.
START_S: Final = 60.0


def _driven(mutant: str, *words: str) -> list[str]:
    return [sys.executable, "-P", "-m", "tests.chaos.driver", mutant, *words]


def _environ(place: Path) -> dict[str, str]:
    """State, configuration and sockets of this world's own."""
    made = {**os.environ, "PYTHONPATH": str(ROOT), "LOGREDUCE_LOG": "info"}
    for name in ("STATE_HOME", "CONFIG_HOME", "RUNTIME_DIR"):
        folder = place / name.lower()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        made[f"XDG_{name}"] = str(folder)
    made.pop("LOGREDUCE_COORDINATOR", None)
    return made


class Process:
    """A program that is started, stopped and killed."""

    def __init__(self, name: str, place: Path) -> None:
        self.name = name
        self.place = place
        self.process: subprocess.Popen[str] | None = None

    @property
    def alive(self) -> bool:
        """It runs, or is stopped."""
        return self.process is not None and self.process.poll() is None

    def signal(self, number: int) -> None:
        """Send a signal, if it is there."""
        if self.process is not None and self.process.poll() is None:
            self.process.send_signal(number)

    def kill(self) -> None:
        """As a crash would, and wait for its end."""
        if self.process is not None:
            self.process.kill()
            self.process.wait(START_S)

    def _started(self, argv: list[str], said: Any) -> subprocess.Popen[str]:
        with (self.place / f"{self.name}.log").open("ab") as log:
            return subprocess.Popen(
                argv,
                stdin=said,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=_environ(self.place),
                cwd=self.place,
            )

    def log(self) -> str:
        """What it has said on stderr."""
        return (self.place / f"{self.name}.log").read_text(errors="replace")


class Coordinator(Process):
    """One that is not private."""

    def __init__(self, place: Path, mutant: str) -> None:
        super().__init__("coordinator", place)
        self._mutant = mutant
        self.socket = place / "runtime_dir" / "s"

    @property
    def address(self) -> str:
        """Where it listens."""
        return f"ipc://{self.socket}"

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.kill()
        argv = _driven(self._mutant, "coordinator", "--socket", str(self.socket), "--keys", str(self.place / "keys"))
        self.process = self._started(argv, subprocess.DEVNULL)
        assert self.process.stdout is not None
        if self.process.stdout.readline() != "ready\n":
            raise RuntimeError(f"the coordinator did not start: {self.log()[-2000:]}")

    def kill(self) -> None:
        super().kill()
        if self.process is not None and self.process.stdout is not None:
            self.process.stdout.close()


class Resident(Process):
    """A resident provider, at the same port in each of its lives."""

    def __init__(self, name: str, place: Path, home: Path, host_key: Path, authorized: Path) -> None:
        super().__init__(name, place)
        self._files = home, host_key, authorized
        self.port = 0

    def start(self) -> None:
        """Start it, and wait until it listens."""
        self.kill()
        home, host_key, authorized = map(str, self._files)
        self.process = self._started(
            _driven("", "resident", home, str(self.port), host_key, authorized), subprocess.PIPE
        )
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())

    def kill(self) -> None:
        super().kill()
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    pipe.close()


class Client(Process):
    """A client that asks all its queries as soon as it is there.

    Attributes:
        asked: what it is told (see `tests.chaos.client`).
        heard: called with its name, a query's name and what its newest snapshot holds; from a thread.
    """

    def __init__(self, name: str, place: Path, mutant: str, asked: dict[str, Any]) -> None:
        super().__init__(name, place)
        self.asked = asked
        self.durable = any(query["store"] for query in asked["queries"])
        self._mutant = mutant
        self._reader: threading.Thread | None = None
        #: By query: the newest snapshot of this life, and what its rows say.
        self.newest: dict[str, dict[str, Any]] = {}
        self.says: dict[str, Said] = {}
        self.notices: list[str] = []
        self.heard: Callable[[Client, str], None] = lambda client, query: None
        self.born = 0.0

    def start(self) -> None:
        """Start it, and do not wait."""
        self.kill()
        self.newest, self.says = {}, {}
        self.born = time.monotonic()
        self.process = self._started(_driven(self._mutant, "client", json.dumps(self.asked)), subprocess.PIPE)
        self._reader = threading.Thread(target=self._read, args=(self.process,), name=f"reads {self.name}")
        self._reader.start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            try:
                said = json.loads(line)
            except ValueError:
                continue  # killed in the middle of a line
            if "notice" in said:
                self.notices.append(said["notice"])
            else:
                query = said["query"]
                self.says[query], self.newest[query] = read(said["rows"]), said
                self.heard(self, query)

    def order(self, order: dict[str, Any]) -> None:
        """Tell it to do something."""
        if self.process is not None and self.process.stdin is not None:
            with contextlib.suppress(BrokenPipeError, ValueError):  # it is gone
                self.process.stdin.write(json.dumps(order) + "\n")
                self.process.stdin.flush()

    def private(self) -> list[int]:
        """Its own coordinator, if it has one."""
        if self.process is None:
            return []
        found = []
        for task in Path(f"/proc/{self.process.pid}/task").glob("*/children"):
            with contextlib.suppress(OSError):
                found += [int(pid) for pid in task.read_text().split()]
        return found

    def kill(self) -> None:
        self.signal(signal.SIGCONT)
        super().kill()
        if self._reader is not None:
            self._reader.join(START_S)
        if self.process is not None:
            for pipe in (self.process.stdin, self.process.stdout):
                if pipe is not None:
                    with contextlib.suppress(OSError):
                        pipe.close()
