"""Questions of one line through the whole product, on this machine and over SSH, beside the scan alone and tools.

``--size MB`` sets the size of the log (1,000 by default, 150 with ``--quick``), written to a temporary folder and
deleted at the end. Ours is all that one command takes: client, coordinator, runner, scan. Each answer is compared. The
scan alone is `bench_scan`'s, on the Python that the runner gets; beyond `START_S` the whole may be `MOST` of its wall.
Over SSH the runner is no descendant of the command, so that its CPU seconds are not counted.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from provider import ship
from tests.bench import access_log
from tests.bench.bench_scan import DUCKDB, ERRORS, SCAN, STATUS, near
from tests.bench.pairs import Way, compare
from tests.rigs.program import ARGV, reach
from tests.rigs.sshd import SSHD, SshdFarm

#: What a question may take before it begins to read, and how much longer than the scan alone it may be from there.
START_S: Final = 0.5
MOST: Final = 1.15
#: By their names in `ways/scan_plan.py`.
QUESTIONS: Final[Mapping[str, str]] = {
    "literal": '"no such thing" | count',
    "status": "count by status",
    "errors": "where status >= 500 | count by prefix(path, 1)",
    "quantiles": "p50(bytes), p99(bytes) by prefix(path, 1)",
}


def main() -> None:
    """On this machine, then on a provider."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--size", type=int)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    python = shutil.which("python3") or sys.executable
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "access.log"
        access_log.write(log, (options.size or (150 if "--quick" in rest else 1000)) << 20)
        for question in QUESTIONS:
            _beside_scan(f"{question}, local", _ours(question, log), _scan(python, log, question))
        _beside_tools(str(log))
        if SSHD is None:
            print("OpenSSH's sshd is not on this machine")
            return
        with SshdFarm(Path(name) / "farm", 1) as farm:
            for question in QUESTIONS:
                ours = _ours(question, log, *reach(farm))
                _beside_scan(f"{question}, over ssh", ours, _scan(python, log, question))


def _ours(question: str, log: Path, *more: str) -> Way:
    text = f"nginx {log} | {QUESTIONS[question]}"
    return Way("logreduce", [*ARGV, "run", text, *more, "--private", "-q", "-o", "csv"])


def _scan(python: str, log: Path, question: str) -> Way:
    return Way("scan", [python, ship.FLAGS, str(SCAN), str(log), question, "1"])


def _beside_scan(name: str, ours: Way, scan: Way) -> None:
    found = compare(name, ours, scan, same=_same)
    beyond = (found.a_wall_s.median - START_S) / found.b_wall_s.median
    start = found.a_cpu_s.median - found.b_cpu_s.median
    print(
        f"  beyond {START_S} s: {beyond:.2f} of the scan's wall ({MOST} wanted); {start:.2f} s more CPU than the scan"
    )


def _beside_tools(log: str) -> None:
    shell = ["sh", "-c"]
    for tool, count in (("grep", "LC_ALL=C grep -c"), ("rg", "rg -c --include-zero")):
        _pair("literal", tool, [*shell, f"{count} 'no such thing' {log} || true"], log)
    _pair("status", "mawk", ["mawk", STATUS, log], log)
    _pair("status", "mawk", ["mawk", STATUS, log], log, "--parallel", "2")
    perl = '(split / /)[8] =~ /(.*)/ and $c{$1}++; END{print "$_ $c{$_}\\n" for keys %c}'
    _pair("status", "perl", ["perl", "-ne", perl, log], log)
    if importlib.util.find_spec("duckdb"):
        _pair("status", "duckdb", [sys.executable, "-c", DUCKDB, log], log)
    else:
        print("status: duckdb is not installed")
    _pair("errors", "mawk", ["mawk", ERRORS, log], log)


def _pair(question: str, tool: str, argv: list[str], log: str, *more: str) -> None:
    if tool != "duckdb" and shutil.which(tool) is None:
        print(f"{question}: {tool} is not installed")
        return
    ours = _ours(question, Path(log), *more)
    name = " ".join([question, *more, "and", tool])
    compare(name, ours, Way(tool, argv), same=_same)


def _same(ours: str, theirs: str) -> bool:
    """The first line of ours names its columns."""
    return near(ours.partition("\n")[2].replace(",", " "), theirs)


if __name__ == "__main__":
    main()
