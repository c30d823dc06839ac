"""The program as its users run it: a process with a command line, two streams and an exit status.

Knows how it is started and waited for. Knows nothing of queries.
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
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.rigs.sshd import SshdFarm

ARGV = (sys.executable, "-P", "-m", "backplane.cli")
#: Far above what any call here takes: only a program that hangs is this slow.
HANGS_S = 90.0


@dataclass(frozen=True, slots=True)
class Done:
    """What a call left: its exit status and what it printed."""

    status: int
    out: str
    err: str

    @property
    def snapshot(self) -> dict[str, Any]:
        """Its stdout as the one snapshot that ``-o json`` prints."""
        found: dict[str, Any] = json.loads(self.out)
        return found

    @property
    def rows(self) -> list[dict[str, Any]]:
        """The final snapshot's rows."""
        rows: list[dict[str, Any]] = self.snapshot["rows"]
        return rows

    @property
    def states(self) -> dict[str, str]:
        """Each provider's state in the final snapshot."""
        return {name: row["state"] for name, row in self.snapshot["coverage"]["providers"].items()}

    def reason(self, provider: str) -> str:
        """A provider's reason in the final snapshot."""
        return str(self.snapshot["coverage"]["providers"][provider]["reason"])


def until(true: Callable[[], object], seconds: float) -> bool:
    """Whether something comes true within so many seconds."""
    deadline = time.monotonic() + seconds
    while not true():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.02)
    return True


def coordinator_of(pid: int) -> int:
    """The private coordinator that a process has started, in whichever of its threads."""
    children = [child for file in Path(f"/proc/{pid}/task").glob("*/children") for child in file.read_text().split()]
    (found,) = [int(child) for child in children if b"coordinator" in Path(f"/proc/{child}/cmdline").read_bytes()]
    return found


def wait_for_reader(path: Path) -> None:
    """Until some process has a file open: `running` is said when the filter has, which is a moment before."""
    opened = until(lambda: any(_opens(fd, path) for fd in Path("/proc").glob("[0-9]*/fd/*")), HANGS_S)
    assert opened, f"nobody reads {path}"


def _opens(fd: Path, path: Path) -> bool:
    try:
        return fd.readlink() == path
    except OSError:  # it has been closed meanwhile
        return False


def call(*args: str | Path, cwd: Path | None = None, stdin: bytes = b"", **environ: str) -> Done:
    """Run it to its end."""
    done = subprocess.run(
        [*ARGV, *map(str, args)],
        input=stdin,
        capture_output=True,
        timeout=HANGS_S,
        cwd=cwd,
        env={**os.environ, **environ},
        check=False,
    )
    return Done(done.returncode, done.stdout.decode("utf-8", "surrogateescape"), done.stderr.decode("utf-8", "replace"))


@contextlib.contextmanager
def started(*args: str | Path, cwd: Path | None = None, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """The running program; killed at the end if it still runs."""
    process = subprocess.Popen(
        [*ARGV, *map(str, args)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        errors="surrogateescape",
        cwd=cwd,
        env={**os.environ, **environ},
    )
    try:
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
        process.wait(HANGS_S)
        for pipe in (process.stdout, process.stderr):
            if pipe is not None:
                pipe.close()


def snapshots(process: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    """The snapshots that a program started with ``-o jsonl`` prints, as they come; not for ever."""
    assert process.stdout is not None
    hangs = threading.Timer(HANGS_S, process.kill)
    hangs.start()
    try:
        for line in process.stdout:
            yield json.loads(line)
        assert hangs.is_alive(), f"what was awaited did not show in {HANGS_S:.0f} s"
    finally:
        hangs.cancel()


def reach(farm: SshdFarm) -> Sequence[str]:
    """The options that reach the providers of a farm. Its logins are those of whoever runs the tests, root included."""
    options = ["-i", str(farm.inventory_json), "--known-hosts", str(farm.known_hosts)]
    return [*options, "--allow-root"] if os.getuid() == 0 else options
