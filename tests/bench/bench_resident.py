"""What a resident daemon is worth: the same query at residents and at plain sshds, cold, and what each end spends.

Residents share one process here, sshds are one a host; so memory is not compared. CPU of the providers' end is that of
listeners and all that they started.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from tests.bench.bench_fanout import QUERY
from tests.bench.pairs import Spread, add_pairs
from tests.bench.trees import cpu_s, took
from tests.rigs.program import ARGV, reach
from tests.rigs.sshd import SSHD, SshdFarm

HOSTS = 20


@contextlib.contextmanager
def _residents(directory: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-P", "-m", "tests.bench.ways.residents", str(directory), str(HOSTS)]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the residents did not start")
        yield process


def _measured(query: Path, options: Sequence[str], spent_s: Callable[[], float]) -> tuple[float, float, float]:
    """First answer, all answers, CPU seconds of the providers' end."""
    before = spent_s()
    argv = [*ARGV, "run", str(query), *options, "--private", "-o", "jsonl", "--every", "0.05s"]
    found = took(argv, lambda line: bool(json.loads(line)["rows"]))
    if json.loads(found.last)["rows"] != [{"count": HOSTS}]:
        raise RuntimeError(f"it answered {found.last}")
    return found.at_s, found.wall_s, spent_s() - before


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_resident")
    add_pairs(parser)
    pairs = parser.parse_args().pairs
    if SSHD is None:
        sys.exit("OpenSSH's sshd is not on this machine")
    with tempfile.TemporaryDirectory() as text, SshdFarm(Path(text) / "farm", HOSTS) as farm:
        directory = Path(text)
        query = directory / "one.py"
        query.write_text(QUERY)
        listeners = [process.pid for process in farm._listeners.values()]
        with _residents(directory) as process:
            own = ["-i", str(directory / "inventory.json"), "--known-hosts", str(directory / "known_hosts")]
            resident, plain = [], []
            for _ in range(pairs):
                resident.append(_measured(query, own, lambda: cpu_s(process.pid)))
                plain.append(_measured(query, reach(farm), lambda: sum(map(cpu_s, listeners))))
    print(f"{HOSTS} hosts, resident beside exec: median of {pairs} pairs (least to most)")
    for name, a, b in zip(
        ("first answer", "all", "provider cpu"), zip(*resident, strict=True), zip(*plain, strict=True), strict=True
    ):
        ratio = Spread.of([x / y for x, y in zip(a, b, strict=True)])
        ours, theirs = Spread.of(a).median, Spread.of(b).median
        print(
            f"  {name:14} resident {ours:6.2f} s   exec {theirs:6.2f} s   "
            f"ratio {ratio.median:.2f} ({ratio.least:.2f} to {ratio.most:.2f})"
        )


if __name__ == "__main__":
    main()
