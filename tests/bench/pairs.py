"""Two ways to do the same thing, run alternately in pairs, and what each took.

Knows processes and clocks, and nothing of what they do. A process's CPU seconds include those of all children that it
waited for. One whose work is done by processes that it does not wait for (a server, a runner at the other end of a
login) has to wait for them, or to report their seconds itself: see `Way.reports`.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import IO, Final

PAIRS: Final = 5
#: Far above any benchmark here: only one that hangs is this slow.
HANGS_S: Final = 300.0


@dataclass(frozen=True, slots=True)
class Way:
    """One of the two.

    Attributes:
        name: what the table calls it.
        argv: the process that does it once.
        reports: the last line of its stdout is a JSON object whose numbers ``cpu_s`` and ``wall_s`` take the place of
            what was measured from outside; for a process that prepares before it begins, or that others work for.
    """

    name: str
    argv: Sequence[str]
    reports: bool = False


@dataclass(frozen=True, slots=True)
class Run:
    """What one run took, and what it answered (its stdout, without a report)."""

    wall_s: float
    cpu_s: float
    answer: str


@dataclass(frozen=True, slots=True)
class Spread:
    """Median, minimum and maximum of several runs."""

    median: float
    least: float
    most: float

    @classmethod
    def of(cls, values: Sequence[float]) -> Spread:
        """The spread of at least one value.

        >>> Spread.of([3.0, 1.0, 2.0])
        Spread(median=2.0, least=1.0, most=3.0)
        """
        return cls(statistics.median(values), min(values), max(values))


@dataclass(frozen=True, slots=True)
class Comparison:
    """What `compare` found. Ratios are a's figure over b's, pair by pair."""

    name: str
    pairs: int
    a: str
    b: str
    a_wall_s: Spread
    b_wall_s: Spread
    a_cpu_s: Spread
    b_cpu_s: Spread
    wall_ratio: Spread
    cpu_ratio: Spread


def compare(name: str, a: Way, b: Way, same: Callable[[str, str], bool] | None = None) -> Comparison:
    """Run both in pairs, print the table, and return its figures.

    Args:
        name: what is compared.
        a: the first way; ratios are its figures over those of ``b``.
        b: the other way.
        same: whether two answers are equal; None asks for equal text, which ways that print nothing fulfil.

    Raises:
        RuntimeError: a run failed, hung, or answered something else than its pair.
    """
    options = _options()
    for way in (a, b):
        # Caches and compiled files are the first run's business, and nobody's result.
        run_once(way)
    ours: list[Run] = []
    theirs: list[Run] = []
    for number in range(options.pairs):
        for way, runs in ((a, ours), (b, theirs)) if number % 2 == 0 else ((b, theirs), (a, ours)):
            runs.append(run_once(way))
        if not (same or str.__eq__)(ours[-1].answer, theirs[-1].answer):
            raise RuntimeError(f"{name}: {a.name} answered {ours[-1].answer!r}, {b.name} {theirs[-1].answer!r}")
    found = Comparison(
        name=name,
        pairs=options.pairs,
        a=a.name,
        b=b.name,
        a_wall_s=Spread.of([run.wall_s for run in ours]),
        b_wall_s=Spread.of([run.wall_s for run in theirs]),
        a_cpu_s=Spread.of([run.cpu_s for run in ours]),
        b_cpu_s=Spread.of([run.cpu_s for run in theirs]),
        wall_ratio=Spread.of([_over(x.wall_s, y.wall_s) for x, y in zip(ours, theirs, strict=True)]),
        cpu_ratio=Spread.of([_over(x.cpu_s, y.cpu_s) for x, y in zip(ours, theirs, strict=True)]),
    )
    print(table(found))
    if options.json:
        with options.json.open("a") as file:
            file.write(json.dumps(asdict(found)) + "\n")
    return found


def run_once(way: Way) -> Run:
    """One run of one way, measured.

    Raises:
        RuntimeError: it exited with another status than 0, or hung.
    """
    with tempfile.TemporaryFile() as out:
        began = time.perf_counter()
        with subprocess.Popen(way.argv, stdin=subprocess.DEVNULL, stdout=out) as process:
            status, cpu_s = _reap(process)
            wall_s = time.perf_counter() - began
        if status:
            raise RuntimeError(f"{way.name} ended with status {status}: {_text(out)[-500:]}")
        lines = _text(out).splitlines()
    if way.reports:
        report = json.loads(lines.pop())
        wall_s, cpu_s = float(report.get("wall_s", wall_s)), float(report.get("cpu_s", cpu_s))
    return Run(wall_s, cpu_s, "\n".join(lines))


def _reap(process: subprocess.Popen[bytes]) -> tuple[int, float]:
    """Exit status and CPU seconds of the process and of all that it waited for.

    wait4, since getrusage(RUSAGE_CHILDREN) would add up over all runs and count what else this process has started.
    """
    deadline = time.monotonic() + HANGS_S
    while True:
        pid, status, usage = os.wait4(process.pid, os.WNOHANG)
        if pid:
            process.returncode = os.waitstatus_to_exitcode(status)
            return process.returncode, usage.ru_utime + usage.ru_stime
        if time.monotonic() > deadline:
            process.kill()
            raise RuntimeError(f"{process.args!r} took over {HANGS_S:.0f} s")
        time.sleep(0.0005)


def _text(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _over(ours: float, theirs: float) -> float:
    return ours / theirs if theirs else float("inf")


def table(found: Comparison) -> str:
    """The figures for people.

    >>> one = Spread(1.0, 0.5, 2.0)
    >>> print(table(Comparison("sum", 5, "ours", "bare", one, one, one, one, one, one)))
    sum: median of 5 pairs (least to most)
      ours   wall   1.000 s (0.500 to 2.000)   cpu   1.000 s (0.500 to 2.000)
      bare   wall   1.000 s (0.500 to 2.000)   cpu   1.000 s (0.500 to 2.000)
      ratio  wall   1.00   (0.50 to 2.00)     cpu   1.00   (0.50 to 2.00)
    """
    width = max(5, len(found.a), len(found.b))
    lines = [f"{found.name}: median of {found.pairs} pairs (least to most)"]
    for name, wall, cpu in ((found.a, found.a_wall_s, found.a_cpu_s), (found.b, found.b_wall_s, found.b_cpu_s)):
        lines.append(f"  {name:{width}}  wall {_seconds(wall)}   cpu {_seconds(cpu)}")
    lines.append(f"  {'ratio':{width}}  wall {_ratio(found.wall_ratio)}     cpu {_ratio(found.cpu_ratio)}")
    return "\n".join(lines)


def _seconds(spread: Spread) -> str:
    return f"{spread.median:7.3f} s ({spread.least:.3f} to {spread.most:.3f})"


def _ratio(spread: Spread) -> str:
    return f"{spread.median:6.2f}   ({spread.least:.2f} to {spread.most:.2f})"


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog=Path(sys.argv[0]).stem)
    add_pairs(parser)
    parser.add_argument("--json", type=Path)
    return parser.parse_args()


def add_pairs(parser: argparse.ArgumentParser, default: int | None = PAIRS) -> None:
    """The options that every benchmark has: how many pairs, or one alone to see whether it runs at all."""
    parser.add_argument("--pairs", type=int, default=default, help="how many pairs of runs")
    parser.add_argument("--quick", dest="pairs", action="store_const", const=1, help="one pair: a trial, no figure")
