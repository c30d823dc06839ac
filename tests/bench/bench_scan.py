"""The compiled scan alone, beside what people use for the same: grep, ripgrep, mawk, perl, DuckDB.

``--size MB`` sets the size of the log (1,000 by default, 200 with ``--quick``), written to a temporary folder and
deleted at the end. ``--python`` is what runs our side; by default the system's, as on a provider. Every pair gives one
answer, or the benchmark fails. Ratios are beside their targets, unless it is but a trial. What is not installed is left
out, and said to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

from provider import ship
from tests.bench import access_log
from tests.bench.pairs import Comparison, Way, compare, run_once

SCAN: Final = Path(__file__).with_name("ways") / "scan_plan.py"
STATUS: Final = "{c[$9]++} END{for(k in c)print k,c[k]}"
ERRORS: Final = '$9>=500{split($7,a,/[\\/?]/);c["/"a[2]]++} END{for(k in c)print k,c[k]}'
QUANTILES: Final = '{split($7,a,/[\\/?]/);print "/"a[2],$10}'
#: Of sorted pairs, the values of the ranks that ours are meant to be of.
RANKS: Final = (
    "function told(){if(n)print key,v[int(0.5*(n-1))],v[int(0.99*(n-1))];n=0} $1!=key{told();key=$1} {v[n++]=$2} "
    "END{told()}"
)
CAPTURES: Final = (
    r'/^([^ ]+) ([^ ]+) ([^ ]+) \[([^]]+)\] "([A-Z]+) ([^ "]+) [^"]*" ([0-9]+) ([0-9-]+) .*$/ and $c{"$5 $7"}++;'
    r'END{print "$_ $c{$_}\n" for keys %c}'
)
DUCKDB: Final = (
    "import duckdb, sys; duckdb.sql('set enable_progress_bar = false'); "
    "rows = duckdb.sql(\"select regexp_extract(line, '\\\" (\\\\d{3}) ', 1) s, count(*) from "
    "read_csv('\" + sys.argv[1] + \"', columns={'line': 'VARCHAR'}, delim=chr(1), quote='', escape='', header=false) "
    'group by 1").fetchall(); print(*("%s %d" % row for row in rows), sep="\\n")'
)
Same = Callable[[str, str], bool]


class Target(NamedTuple):
    """What a ratio is to be at most: of CPU seconds, or of the wall's where ours are two processes or theirs."""

    most: float
    of_wall: bool = False


def main() -> None:
    """Every question, each with every other way to ask it that is installed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--size", type=int)
    parser.add_argument("--python", default=shutil.which("python3", path=os.defpath) or sys.executable)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        access_log.write(log, (options.size or (200 if "--quick" in rest else 1000)) << 20)
        Questions(str(log), options.python).ask()


class Questions:
    """All of them, of one log."""

    def __init__(self, log: str, python: str) -> None:
        self._log = log
        self._python = python

    def ask(self) -> None:
        """Prints a table and a verdict for each."""
        log = self._log
        for tool, count in (("grep", "LC_ALL=C grep -c"), ("rg", "rg -c --include-zero")):
            argv = ["sh", "-c", f"{count} 'no such thing' {log} || true"]
            self._pair("rare literal", "literal", tool, argv, Target(1.0) if tool == "grep" else None)
        mawk = ["mawk", STATUS, log]
        self._pair("count by status", "status", "mawk", mawk, Target(0.65))
        self._pair("count by status, two processes", "status", "mawk", mawk, Target(0.45, of_wall=True), processes=2)
        if importlib.util.find_spec("duckdb"):
            argv = [sys.executable, "-c", DUCKDB, log]
            self._pair("count by status", "status", "duckdb", argv, Target(1.0))
        else:
            print("count by status: duckdb is not installed")
        self._pair("errors by prefix", "errors", "mawk", ["mawk", ERRORS, log], Target(0.40))
        self._quantiles()
        argv = ["perl", "-ne", CAPTURES, log]
        self._pair("regular expression with captures", "captures", "perl", argv, Target(0.55))

    def _quantiles(self) -> None:
        """Its pairs do without the ranks, which make mawk slower; that ours are right is seen once."""
        if shutil.which("mawk") is None:
            print("p50 and p99 by prefix: mawk is not installed")
            return
        piped = f"mawk '{QUANTILES}' {self._log} | LC_ALL=C sort -k1,1 -k2,2n"
        exact = run_once(Way("exact", ["sh", "-c", f"{piped} | mawk '{RANKS}'"])).answer
        argv = ["sh", "-c", f"{piped} | tail -n 0"]
        same: Same = lambda ours, _: near(ours, exact)  # noqa: E731
        self._pair("p50 and p99 by prefix", "quantiles", "mawk", argv, Target(0.55), same=same)

    def _pair(
        self,
        name: str,
        question: str,
        tool: str,
        argv: list[str],
        target: Target | None,
        same: Same | None = None,
        processes: int = 1,
    ) -> None:
        if tool != "duckdb" and shutil.which(tool) is None:
            print(f"{name}: {tool} is not installed")
            return
        ours = Way("plan", [self._python, ship.FLAGS, str(SCAN), self._log, question, str(processes)])
        found = compare(name, ours, Way(tool, argv), same=same or _same_lines)
        if target and found.pairs > 1:
            print(verdict(found, target))


def _same_lines(ours: str, theirs: str) -> bool:
    return sorted(ours.split("\n")) == sorted(theirs.split("\n"))


def near(ours: str, exact: str) -> bool:
    """The same prefixes, with numbers within the 1 % that a sketch may be off.

    >>> near("/a 100.5 7.0", "/a 100 7"), near("/a 102 7.0", "/a 100 7"), near("", "/a 100 7")
    (True, False, False)
    """
    rows, others = ([line.split() for line in sorted(text.splitlines())] for text in (ours, exact))
    if [row[0] for row in rows] != [row[0] for row in others]:
        return False
    return all(
        abs(float(one) - float(other)) <= 0.01 * float(other)
        for row, other_row in zip(rows, others, strict=True)
        for one, other in zip(row[1:], other_row[1:], strict=True)
    )


def verdict(found: Comparison, target: Target) -> str:
    """Whether the median ratio meets its target."""
    ratio = (found.wall_ratio if target.of_wall else found.cpu_ratio).median
    kind = "wall" if target.of_wall else "cpu"
    return f"  {kind} {ratio:.2f}, to be at most {target.most:.2f}: {'met' if ratio <= target.most else 'MISSED'}"


if __name__ == "__main__":
    main()
