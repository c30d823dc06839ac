"""Windows of what a query file's map yields, and records of several lines, through the whole program."""

from __future__ import annotations

import subprocess
from collections import Counter
from pathlib import Path

import pytest

from tests.rigs.program import call

TRACES = '''"""Records and lines by level."""

logs = "app.log"
format = "log4j"


def map(records):
    for record in records:
        yield record["level"], record["line"].count("\\n") + 1


reduce = ["count", "sum"]
'''
#: The same by lines alone: a line with a time begins a record, and any other belongs to the one above.
AWK = """/^2015-/ { key = substr($2, 1, 5) "," $3; records[key]++ } { lines[key]++ }
END { for (key in records) print key "," records[key] "," lines[key] }"""
ACCESS = '''"""Requests and bytes by status."""

logs = "access.log"
format = "common"


def map(records):
    for record in records:
        yield record["status"], record["bytes"]


reduce = ["count", "sum"]
'''


def _record(number: int) -> str:
    level = ("INFO", "WARN", "ERROR")[number % 3]
    second = number // 2 + (37 if number % 11 == 0 else 0)  # some are late
    head = (
        f"2015-10-18 {10 + second // 3600}:{second // 60 % 60:02}:{second % 60:02},978 {level} [main] a.B: {number}\n"
    )
    return head + "\tat a.B.c(B.java)\n" * (number % 5)


def _line(second: int, status: int = 200) -> str:
    at = f"{10 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f'h - - [17/May/2015:{at} +0000] "GET / HTTP/1.1" {status} {second % 10}\n'


def test_traces_by_the_minute_are_what_awk_counts(tmp_path: Path) -> None:
    """Each line belongs to the record above it, in the window of that one's time; without windows it is their sum."""
    log = tmp_path / "app.log"
    log.write_text("".join(map(_record, range(12_000))))
    (tmp_path / "q.py").write_text(TRACES)
    awk = subprocess.run(["awk", AWK, str(log)], capture_output=True, text=True, check=True).stdout
    expected = {f"2015-10-18T{minute}:00Z,{rest}" for minute, rest in (line.split(",", 1) for line in awk.splitlines())}
    done = call("run", "./q.py", "--window", "1m", "-q", "-o", "csv", cwd=tmp_path)
    assert done.status == 0, done.err
    header, *rows = done.out.splitlines()
    assert (header, len(rows)) == ("window,key,count,sum", len(expected))
    assert set(rows) == expected
    whole = call("run", "./q.py", "-q", "-o", "csv", cwd=tmp_path)
    sums: Counter[str] = Counter()
    for row in rows:
        sums[row.split(",")[1]] += int(row.split(",")[3])
    assert {row.split(",")[0]: int(row.split(",")[2]) for row in whole.out.splitlines()[1:]} == sums


@pytest.mark.parametrize("words", [["--window", "10m"], ["--window", "5m/2m", "--by-host"]], ids=" ".join)
def test_windows_are_those_of_one_line(tmp_path: Path, words: list[str]) -> None:
    """A map that yields what one line asks has its answer, of two logs out of order."""
    for name, first in (("a", 0), ("b", 1800)):
        lines = [_line(first + each + 40 * (each % 7), 200 + each % 3) for each in range(0, 3000, 2)]
        (tmp_path / f"{name}.log").write_text("".join(lines))
    (tmp_path / "q.py").write_text(ACCESS)
    files = ["a.log", "b.log"]
    asked = call("run", "./q.py", *files, *words, "-q", "-o", "json", cwd=tmp_path)
    line = call("run", "common a.log b.log | count, sum(bytes) by status", *words, "-q", "-o", "json", cwd=tmp_path)
    assert asked.status == line.status == 0, asked.err + line.err
    assert len(asked.rows) > 20
    assert [list(row.values()) for row in asked.rows] == [list(row.values()) for row in line.rows]
