"""Standard input as a query's source, whatever it is connected to."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.rigs.program import ARGV, HANGS_S

QUERY = 'def map(lines):\n    for line in lines:\n        yield line, 1\n\n\nreduce = "count"\n'


@pytest.mark.parametrize("line", [False, True], ids=["file", "line"])
@pytest.mark.parametrize("kind", ["pipe", "file", "/dev/null", "closed"])
def test_any_stdin_is_read_to_its_end(kind: str, line: bool, tmp_path: Path) -> None:
    """A pipe, a file, and what cron and `ssh -n` give: epoll takes the first alone, and all of them end."""
    query, log = tmp_path / "lines.py", tmp_path / "in.log"
    query.write_text(QUERY)
    asked = ["raw | count by line | sort line", "-"] if line else [str(query), "-"]
    log.write_bytes(b"one\ntwo\none\n")
    argv = [*ARGV, "run", *asked, "-q", "-o", "csv"]
    if kind == "pipe":
        done = subprocess.run(argv, input=log.read_bytes(), capture_output=True, timeout=HANGS_S, check=False)
    elif kind == "closed":
        shell = ["/bin/sh", "-c", 'exec "$@" <&-', "sh", *argv]
        done = subprocess.run(shell, capture_output=True, timeout=HANGS_S, check=False)
    else:
        with open(log if kind == "file" else kind, "rb") as stdin:
            done = subprocess.run(argv, stdin=stdin, capture_output=True, timeout=HANGS_S, check=False)
    assert (done.returncode, done.stderr) == (0, b"")
    rows = done.stdout.decode().split()[1:]
    assert rows == (["one,2", "two,1"] if kind in ("pipe", "file") else [])
