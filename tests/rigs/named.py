"""Named queries as their users see them: found by name, killed as a reboot would, and none left behind by a test.

Knows the program's verbs and the state directory's layout. Knows nothing of stores.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from tests.rigs.program import HANGS_S, Done, call


def queries() -> Path:
    """Where this user's named queries lie."""
    return Path(os.environ["XDG_STATE_HOME"], "logreduce", "queries")


def pid(name: str) -> int:
    """The process that runs a named query, as it says."""
    return int(json.loads((queries() / name / "process").read_text())["pid"])


def listed() -> dict[str, dict[str, Any]]:
    """What `ps` says of named queries, by name."""
    done = call("ps", "-o", "json")
    if done.status:
        return {}
    return {each["name"]: each for each in json.loads(done.out) if "name" in each}


def until(there: Callable[[], bool], what: str) -> None:
    """Wait for a condition, far longer than it takes."""
    deadline = time.monotonic() + HANGS_S
    while not there():
        assert time.monotonic() < deadline, what
        time.sleep(0.02)


def kill(name: str) -> None:
    """End the process of a named query as a crash would, and wait until it is gone."""
    victim = pid(name)
    os.kill(victim, signal.SIGKILL)
    until(lambda: not alive(victim), f"{name} is killed")


def alive(number: int) -> bool:
    """A process runs that is no zombie."""
    try:
        return Path(f"/proc/{number}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def rows(done: Done) -> dict[str, int]:
    """Counts by key of an answer."""
    return {row["key"]: row["count"] for row in done.rows}


@contextlib.contextmanager
def none_left() -> Iterator[None]:
    """Whatever a test did, no named query of this state directory runs after it."""
    try:
        yield
    finally:
        for path in queries().glob("*/process") if queries().is_dir() else ():
            with contextlib.suppress(OSError, ValueError, KeyError):
                victim = int(json.loads(path.read_text())["pid"])
                if b"backplane.cli.detached" in Path(f"/proc/{victim}/cmdline").read_bytes():
                    os.kill(victim, signal.SIGKILL)
