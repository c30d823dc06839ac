"""What a process and all that it started took: wall time, CPU seconds, memory at its peak, and when it said what.

Knows processes and clocks, and nothing of what they do.
"""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

#: Between two looks at the memory. A look at a tree of 64 processes takes 3 ms, for both ways alike.
SAMPLE_S: Final = 0.1
_PAGE: Final = os.sysconf("SC_PAGE_SIZE")
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Took:
    """One run.

    Attributes:
        wall_s: from its start to its end.
        cpu_s: of all processes of the tree that were waited for.
        peak_bytes: most resident memory of the tree at a time; what processes share counts for each.
        at_s: when the first line came for which ``mark`` was true; infinite without one.
        last: the last line of stdout.
    """

    wall_s: float
    cpu_s: float
    peak_bytes: int
    at_s: float
    last: str


def took(argv: Sequence[str], mark: Callable[[str], bool], environ: Mapping[str, str] | None = None) -> Took:
    """Run a process to its end and measure it.

    Raises:
        RuntimeError: it failed.
    """
    began = time.perf_counter()
    at_s, last = float("inf"), ""
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env={**os.environ, **(environ or {})},
    ) as process:
        peak = _Peak(process.pid)
        assert process.stdout is not None
        for line in process.stdout:
            last = line.rstrip("\n") or last
            if at_s == float("inf") and mark(line):
                at_s = time.perf_counter() - began
        peak_bytes = peak.end()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{argv[0]} ended with status {process.returncode}: {last[-500:]}")
    return Took(time.perf_counter() - began, usage.ru_utime + usage.ru_stime, peak_bytes, at_s, last)


class _Peak:
    """Looks at a tree's memory until told to end."""

    def __init__(self, root: int) -> None:
        self._root = root
        self._peak = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def end(self) -> int:
        self._ended.set()
        self._thread.join()
        return self._peak

    def _look(self) -> None:
        while not self._ended.wait(SAMPLE_S):
            self._peak = max(self._peak, sum(map(rss_bytes, _tree(self._root))))


def rss_bytes(pid: int) -> int:
    """Resident memory of one process; 0 once it is gone."""
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE
    except (OSError, IndexError):
        return 0


def cpu_s(pid: int) -> float:
    """CPU seconds of one process that runs, and of its children that it has waited for."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return sum(map(int, fields[11:15])) * _TICK_S


def _tree(root: int) -> list[int]:
    found = [root]
    for pid in found:
        try:
            for task in os.listdir(f"/proc/{pid}/task"):
                found += map(int, Path(f"/proc/{pid}/task/{task}/children").read_text().split())
        except OSError:
            continue
    return found
