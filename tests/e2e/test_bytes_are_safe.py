"""What is in a log comes through unchanged, whatever bytes it is made of."""

from __future__ import annotations

import base64
from pathlib import Path
from typing import Any

from tests.rigs.program import call

LINES = [
    b"nul \x00 inside",
    b"invalid \xff\xfe utf-8",
    "euro €".encode(),
    "€".encode()[:2],
    b"comma,tab\tquote\"apostrophe'",
    b"carriage\rreturn",
    b"escape \x1b[31mred\x1b[0m",
    "bidi \u202e and zero\u200bwidth".encode(),
    b"",
    b"x" * (10 << 20),
]


def _value(cell: Any) -> bytes:
    """A cell's bytes: what is no text stands as base64."""
    if isinstance(cell, dict):
        return base64.b64decode(cell["$bytes"])
    return str(cell).encode()


def _write(tmp_path: Path, source: str) -> tuple[Path, Path]:
    log = tmp_path / "odd.log"
    log.write_bytes(b"\n".join(LINES) + b"\n")
    query = tmp_path / "odd.py"
    query.write_text(source)
    return query, log


def test_values(tmp_path: Path) -> None:
    """NUL, invalid UTF-8, the euro sign, control characters and a line of 10 MB, as values, in order."""
    query, log = _write(tmp_path, "def map(lines):\n    for line in lines:\n        yield line\n")
    done = call("run", query, log, "-o", "json", "--limit", "64MB")
    assert done.status == 0, done.err
    assert [_value(row["value"]) for row in done.rows] == LINES


def test_keys(tmp_path: Path) -> None:
    """The same as keys of a count."""
    source = 'def map(lines):\n    for line in lines:\n        yield line[:100], 1\nreduce = "count"\n'
    done = call("run", *_write(tmp_path, source), "-o", "json")
    assert done.status == 0, done.err
    assert {_value(row["key"]): row["count"] for row in done.rows} == {line[:100]: 1 for line in LINES}


def test_raw_bytes(tmp_path: Path) -> None:
    """With encoding None the map sees bytes, and bytes arrive."""
    source = "encoding = None\ndef map(lines):\n    for line in lines:\n        yield line[:100], 1\nreduce = 'sum'\n"
    done = call("run", *_write(tmp_path, source), "-o", "json")
    assert done.status == 0, done.err
    assert {_value(row["key"]) for row in done.rows} == {line[:100] for line in LINES}


def test_keys_with_newlines_in_csv(tmp_path: Path) -> None:
    """A key with commas, tabs, quotes and newlines is read back by any reader of CSV."""
    import csv
    import io

    query = tmp_path / "keys.py"
    keys = ["a,b", "a\tb", "a\nb", 'a"b', "a'b", " a "]
    query.write_text(f"def map():\n    for key in {keys!r}:\n        yield key, 1\nreduce = 'sum'\n")
    done = call("run", query, "-o", "csv")
    assert done.status == 0, done.err
    rows = list(csv.reader(io.StringIO(done.out, newline="")))
    assert rows[0] == ["key", "sum"]
    assert sorted(row[0] for row in rows[1:]) == sorted(keys)


def test_a_terminal_sees_no_control_characters(tmp_path: Path) -> None:
    """On a terminal, log text cannot move the cursor, change colours or reverse the reading order."""
    import os
    import pty
    import subprocess

    from tests.rigs.program import ARGV, HANGS_S

    body = "    for line in lines:\n        print(line[:99])\n        yield line[:99], 1\n"
    source = f"def map(lines):\n{body}reduce = 'sum'\n"
    query, log = _write(tmp_path, source)
    ours, theirs = pty.openpty()
    with subprocess.Popen(
        [*ARGV, "run", str(query), str(log)], stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        seen = b""
        while True:
            try:
                seen += os.read(ours, 65536)
            except OSError:  # the terminal's other side is closed
                break
        process.wait(HANGS_S)
    os.close(ours)
    assert b"invalid" in seen
    assert b"\x1b[31mred" not in seen
    assert "\u202e".encode() not in seen
    assert b"\x00" not in seen
