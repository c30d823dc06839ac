"""A one-value Python job on many hosts over real SSH, beside ``clush -f64``; warm beside cold, resident beside exec.

Hosts are sshds of their own on loopback, so that both ends share this machine's processors: what is compared is what
each way costs, not a network. Ours is the whole program: client, coordinator, runners, coverage.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.pairs import Spread
from tests.bench.trees import Took, rss_bytes, took
from tests.rigs.program import ARGV, reach
from tests.rigs.sshd import SSHD, SshdFarm

#: Hosts, and how many pairs of runs: 500 take half a minute a run.
SIZES: Final = ((100, 3), (500, 1))
QUICK: Final = 20
#: What is aimed at, ours over theirs.
AIMS: Final = {"wall": 0.80, "cpu": 0.35, "memory": 0.50, "first answer": 0.6, "warm": 0.2, "KB a provider": 50.0}
QUERY: Final = '''"""One a host."""


def map():
    yield 1


reduce = "count"
'''


@dataclass(frozen=True, slots=True)
class Bench:
    """A farm with a query."""

    farm: SshdFarm
    query: Path

    @property
    def hosts(self) -> int:
        return len(self.farm.sites)

    def ours(self, *options: str, environ: dict[str, str] | None = None, only: str | None = None) -> Took:
        """One run of the program. Its answer is checked."""
        argv = [*ARGV, "run", str(self.query), *reach(self.farm), *options, "-o", "jsonl", "--every", "0.1s"]
        found = took([*argv, *(("-w", only) if only else ())], _has_rows, environ)
        count = json.loads(found.last)["rows"][0]["count"]
        if count != (1 if only else self.hosts):
            raise RuntimeError(f"ours answered for {count} of {self.hosts} hosts")
        return found

    def clush(self) -> Took:
        """One run of clush: the same hosts, keys and host keys, by ssh_config."""
        names = ",".join(site.name for site in self.farm.sites)
        job = f"exec python3 -c {shlex.quote('print(1)')}"
        config = f"-F {self.farm.ssh_config} -o StrictHostKeyChecking=yes -o GlobalKnownHostsFile=none"
        # -b folds what is equal: its last line is the one value that all printed.
        found = took([_clush(), "-q", "-S", "-f64", "-w", names, "-o", config, "-b", job], lambda line: False)
        if found.last != "1":
            raise RuntimeError(f"clush answered {found.last!r}")
        return found


def beside_clush(bench: Bench, pairs: int) -> None:
    """The same job both ways, in pairs."""
    ours: list[Took] = []
    theirs: list[Took] = []
    for number in range(pairs):
        for way in (0, 1) if number % 2 == 0 else (1, 0):
            if way == 0:
                ours.append(bench.ours("--private"))
            else:
                theirs.append(bench.clush())
    print(f"{bench.hosts} hosts, cold, beside clush -f64: median of {pairs} pairs (least to most)")
    both = list(zip(ours, theirs, strict=True))
    _row("wall", "s", [(a.wall_s, b.wall_s) for a, b in both])
    _row("cpu", "s", [(a.cpu_s, b.cpu_s) for a, b in both])
    _row("memory", "MB", [(a.peak_bytes / 1e6, b.peak_bytes / 1e6) for a, b in both])
    _line("first answer", "s", [a.at_s for a in ours])


def warm_and_held(bench: Bench, times: int) -> None:
    """A second query on connections that are held, and what holding them takes."""
    with _coordinator() as (pid, address):
        environ = {"LOGREDUCE_COORDINATOR": address}
        bench.ours(environ=environ, only=bench.farm.sites[0].name)
        before = rss_bytes(pid)
        cold = bench.ours(environ=environ)
        held = (rss_bytes(pid) - before) / 1000 / (bench.hosts - 1)
        warm = [bench.ours(environ=environ) for _ in range(times)]
    print(
        f"{bench.hosts} hosts, one coordinator: the first query {cold.wall_s:.2f} s, of {times} more on its connections"
    )
    _line("wall", "s", [one.wall_s for one in warm])
    _line("warm", "of cold", [one.wall_s / cold.wall_s for one in warm])
    _line("KB a provider", "KB", [held])


def _row(name: str, unit: str, pairs: Sequence[tuple[float, float]]) -> None:
    ours, theirs = Spread.of([a for a, _ in pairs]), Spread.of([b for _, b in pairs])
    ratio = Spread.of([a / b for a, b in pairs])
    print(
        f"  {name:14} ours {ours.median:8.2f} {unit:2}   clush {theirs.median:8.2f} {unit:2}   "
        f"ratio {_spread(ratio)}  aim {AIMS[name]:.2f}"
    )


def _line(name: str, unit: str, values: Sequence[float]) -> None:
    aim = f"  aim {AIMS[name]:g}" if (name in AIMS and unit != "s") or name == "first answer" else ""
    print(f"  {name:14} {_spread(Spread.of(values))} {unit}{aim}")


def _spread(spread: Spread) -> str:
    return f"{spread.median:6.2f} ({spread.least:.2f} to {spread.most:.2f})"


def _has_rows(line: str) -> bool:
    rows = json.loads(line)["rows"]
    return bool(rows and rows[0]["count"])


@contextlib.contextmanager
def _coordinator() -> Iterator[tuple[int, str]]:
    """A coordinator that is not private, and keeps its connections."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/coordinator.sock"
        argv = [sys.executable, "-P", "-m", "coordinator", "--socket", path]
        # The first of 500 hosts are done longer before the last than connections are kept by default.
        environ = {**os.environ, "LOGREDUCE_IDLE": "600"}
        with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, env=environ) as process:
            try:
                assert process.stdout is not None
                if process.stdout.readline() != b"ready\n":
                    raise RuntimeError("the coordinator did not start")
                yield process.pid, f"ipc://{path}"
            finally:
                process.terminate()


def _clush() -> str:
    found = shutil.which("clush", path=f"{Path(sys.executable).parent}:{os.environ.get('PATH', '')}")
    if found is None:
        sys.exit("clush is not on this machine")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(prog="bench_fanout")
    parser.add_argument("--pairs", type=int, help="for each size, instead of 3 at 100 hosts and 1 at 500")
    parser.add_argument("--hosts", type=int, help="this size alone")
    parser.add_argument("--quick", action="store_true", help=f"one pair at {QUICK} hosts: a trial, no figure")
    options = parser.parse_args()
    if SSHD is None:
        sys.exit("OpenSSH's sshd is not on this machine")
    sizes = [(hosts, pairs) for hosts, pairs in SIZES if options.hosts in (None, hosts)] or [(options.hosts, 3)]
    if options.quick:
        sizes = [(options.hosts or QUICK, 1)]
    for hosts, pairs in sizes:
        with tempfile.TemporaryDirectory() as directory, SshdFarm(Path(directory) / "farm", hosts) as farm:
            query = Path(directory) / "one.py"
            query.write_text(QUERY)
            bench = Bench(farm, query)
            beside_clush(bench, options.pairs or pairs)
            warm_and_held(bench, options.pairs or pairs)


if __name__ == "__main__":
    main()
