"""Ten plans at a time on one file, equal ones and different ones, beside one alone: CPU seconds and bytes read.

They are asked of one runner, whose scan child a query that follows an empty file keeps alive; what is told is what the
child took, by the kernel's counters, from before a start to the last end. Ten are to take at most `MOST_CPU` of one's
CPU seconds and `MOST_READ` of its bytes. ``--size MB`` sets the size of the log (200 by default, 25 with ``--quick``).
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

from provider.runner import frames
from tests.bench import access_log
from tests.bench.pairs import add_pairs
from tests.rigs.plans import body, field, plan
from tests.rigs.runner_link import RunnerLink, descendants

MOST_CPU: Final = 1.3
MOST_READ: Final = 1.1
COUNT: Final = 10
#: Far above what a trial takes.
_HANGS_S: Final = 300.0
_TICK_S: Final = 1 / os.sysconf("SC_CLK_TCK")


class Cost(NamedTuple):
    """What the scan child took."""

    cpu_s: float
    read_bytes: int


def main() -> None:
    """Each set beside one plan, alternately."""
    parser = argparse.ArgumentParser(prog="bench_ten_plans")
    parser.add_argument("--size", type=int)
    add_pairs(parser)
    options = parser.parse_args()
    sets = {"equal": [plan()] * COUNT, "different": different()}
    with tempfile.TemporaryDirectory() as name:
        log, idle = Path(name) / "access.log", Path(name) / "idle.log"
        access_log.write(log, (options.size or (25 if options.pairs == 1 else 200)) << 20)
        idle.touch()
        for kind, plans in sets.items():
            pairs = [(cost(log, idle, plans), cost(log, idle, plans[:1])) for _ in range(options.pairs)]
            print(f"{COUNT} {kind} plans and one: median of {len(pairs)} pairs")
            _told("cpu", [ten.cpu_s / one.cpu_s for ten, one in pairs], MOST_CPU)
            _told("read", [ten.read_bytes / one.read_bytes for ten, one in pairs], MOST_READ)
            if kind == "different":
                alone = [sum(cost(log, idle, [each]).cpu_s for each in plans) for _ in range(options.pairs)]
                shared = [ten.cpu_s / each for (ten, _), each in zip(pairs, alone, strict=True)]
                print(f"  of the CPU of the same ten, one after the other: {statistics.median(shared):.2f}")


def different() -> list[dict[str, Any]]:
    """Ten of one format, no two of which can share what they fold; the first is the one that stands alone."""
    path = ["call", "prefix", field("path"), ["value", 1]]
    keys: list[list[Any]] = [[["status", field("status")]], [["method", field("method")]], [["section", path]], []]
    errors = [">=", field("status"), ["value", 500]]
    wheres: list[list[Any] | None] = [None, errors, ["=", field("status"), ["value", 404]]]
    found = [plan(keys=key, where=where) for where in wheres for key in keys]
    return found[:COUNT]


def cost(log: Path, idle: Path, plans: Sequence[dict[str, Any]]) -> Cost:
    """What these plans take together, each read to its end.

    Raises:
        RuntimeError: one of them failed, or has another number of lines than the first.
    """
    with RunnerLink() as link:
        assert link.process is not None
        last = len(plans) + 1
        link.start(last, body(plan(), [idle], follow=True), body="plan")
        link.until(lambda: bool(link.of(frames.VERDICT, last)))
        (scan,) = descendants(link.process.pid)
        before = _so_far(scan)
        payloads = [body(each, [log], every_s=1.0) for each in plans]
        for job, payload in enumerate(payloads, 1):
            link.start(job, payload, body="plan")
        ends = [link.end(job, _HANGS_S) for job in range(1, last)]
        after = _so_far(scan)
    if {(end["state"], end["counters"]["bytes"]) for end in ends} != {("done", log.stat().st_size)}:
        raise RuntimeError(f"a plan did not read all: {ends}")
    return Cost(after.cpu_s - before.cpu_s, after.read_bytes - before.read_bytes)


def _so_far(pid: int) -> Cost:
    """By the kernel's counters. `rchar` is what reads gave, from a disk or not."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    told = dict(line.split(": ") for line in Path(f"/proc/{pid}/io").read_text().splitlines())
    return Cost(sum(map(int, fields[11:13])) * _TICK_S, int(told["rchar"]))


def _told(what: str, ratios: list[float], most: float) -> None:
    spread = f"({min(ratios):.2f} to {max(ratios):.2f})"
    print(f"  {what:5} {statistics.median(ratios):6.2f}  {spread}   {most} wanted")


if __name__ == "__main__":
    main()
