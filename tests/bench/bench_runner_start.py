"""What a runner costs its host until it has said hello, over a bare ``python3 -IS``: at most 40 ms of CPU.

Each figure is one process, from its start to its HELLO, after which it is killed; so what it did between the HELLO and
the kill is counted too. Pairs alternate as in `pairs`, whose `compare` would count our own side of the pipe.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess

from provider import ship
from provider.runner import frames
from tests.bench.pairs import add_pairs
from tests.rigs.pythons import at_hand

BUDGET_MS = 40.0


def cpu_ms(process: subprocess.Popen[bytes]) -> float:
    """Reaps a process; its CPU time in milliseconds."""
    _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return (usage.ru_utime + usage.ru_stime) * 1000


def bare(python: str) -> float:
    """An interpreter that does nothing."""
    with subprocess.Popen([python, "-IS", "-c", "pass"], stdin=subprocess.DEVNULL) as process:
        return cpu_ms(process)


def to_hello(python: str) -> float:
    """A runner up to its HELLO."""
    with subprocess.Popen(ship.argv(python), stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(ship.payload())
        splitter = frames.Splitter(frames.PREAMBLE)
        while not splitter.feed(process.stdout.read(4096)):
            continue
        process.kill()
        return cpu_ms(process)


def main() -> None:
    """Prints a line for each Python at hand."""
    parser = argparse.ArgumentParser()
    add_pairs(parser, 15)
    pairs = parser.parse_args().pairs
    print(
        f"CPU ms over a bare python3 -IS until HELLO, median of {pairs} pairs (least to most), budget {BUDGET_MS:.0f}"
    )
    for version, python in at_hand().items():
        bare(str(python)), to_hello(str(python))
        over = sorted(to_hello(str(python)) - bare(str(python)) for _ in range(pairs))
        print(f"  Python {version:5} {statistics.median(over):5.1f} ({over[0]:.1f} to {over[-1]:.1f})")


if __name__ == "__main__":
    main()
