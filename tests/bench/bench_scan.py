"""The compiled scan alone, beside what people use for the same: grep, ripgrep, mawk, perl, DuckDB.

``--size MB`` sets the size of the log (1,000 by default), written to a temporary folder and deleted at the end.
What is not installed is left out, and said to be.
"""

from __future__ import annotations

import argparse
import importlib.util
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Final

from tests.bench import access_log
from tests.bench.pairs import Way, compare

SCAN: Final = Path(__file__).with_name("ways") / "scan_plan.py"
STATUS: Final = "{c[$9]++} END{for(k in c)print k,c[k]}"
ERRORS: Final = '$9>=500{split($7,a,/[\\/?]/);c["/"a[2]]++} END{for(k in c)print k,c[k]}'
QUANTILES: Final = '{split($7,a,/[\\/?]/);print "/"a[2],$10}'
CAPTURES: Final = (
    r'/^([^ ]+) ([^ ]+) ([^ ]+) \[([^]]+)\] "([A-Z]+) ([^ "]+) [^"]*" ([0-9]+) ([0-9-]+) .*$/ and $c{"$5 $7"}++;'
    r'END{print "$_ $c{$_}\n" for keys %c}'
)
DUCKDB: Final = (
    "import duckdb, sys; rows = duckdb.sql(\"select regexp_extract(line, '\\\" (\\\\d{3}) ', 1) s, count(*) from "
    "read_csv('\" + sys.argv[1] + \"', columns={'line': 'VARCHAR'}, delim=chr(1), quote='', escape='', header=false) "
    'group by 1").fetchall(); print(*("%s %d" % row for row in rows), sep="\\n")'
)


def main() -> None:
    """Every question, each with every other way to ask it that is installed."""
    parser = argparse.ArgumentParser(add_help=False)
    parser.add_argument("--size", type=int, default=1000)
    options, rest = parser.parse_known_args()
    sys.argv[1:] = rest
    with tempfile.TemporaryDirectory() as folder:
        log = Path(folder) / "access.log"
        access_log.write(log, options.size << 20)
        _ask(str(log))


def _ask(log: str) -> None:
    shell = ["sh", "-c"]
    _pair(
        "rare literal", "literal", log, "grep", [*shell, f"LC_ALL=C grep -c 'no such thing' {log} || true"], none=True
    )
    _pair("rare literal", "literal", log, "rg", [*shell, f"rg -c 'no such thing' {log} || true"], none=True)
    _pair("count by status", "status", log, "mawk", ["mawk", STATUS, log])
    if importlib.util.find_spec("duckdb"):
        _pair("count by status", "status", log, "duckdb", [sys.executable, "-c", DUCKDB, log])
    _pair("errors by prefix", "errors", log, "mawk", ["mawk", ERRORS, log])
    piped = f"mawk '{QUANTILES}' {log} | LC_ALL=C sort -k1,1 -k2,2n | tail -n 0"
    _pair("p50 and p99 by prefix", "quantiles", log, "mawk", [*shell, piped], none=True)
    _pair("regular expression with captures", "captures", log, "perl", ["perl", "-ne", CAPTURES, log])


def _pair(name: str, question: str, log: str, tool: str, argv: list[str], none: bool = False) -> None:
    """``none``: the other way's answer has another form, or there is none to compare."""
    if tool != "duckdb" and shutil.which(tool) is None:
        print(f"{name}: {tool} is not installed")
        return
    ours = Way("plan", [sys.executable, str(SCAN), log, question])
    compare(name, ours, Way(tool, argv), same=lambda a, b: none or sorted(a.split("\n")) == sorted(b.split("\n")))


if __name__ == "__main__":
    main()
