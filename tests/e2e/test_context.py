"""`run -C N` as its users see it: what grep shows, live too, and what was looked for is marked on a terminal."""

from __future__ import annotations

import json
import os
import pty
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.rigs.program import ARGV, call, started, wait_for_reader

ASK = "raw {log} | where line contains 'ERROR'"
HANGS_S = 60.0


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Large enough for several blocks, with few lines that are looked for."""
    path = tmp_path / "app.log"
    path.write_text("".join(f"line {n}{' ERROR' if n % 7919 in (0, 3) else ''}\n" for n in range(60_000)))
    return path


@pytest.mark.parametrize("options", [("-C", "2"), ("-A", "3"), ("-B", "4"), ("-C", "1", "-A", "5")])
def test_it_is_what_grep_shows(options: tuple[str, ...], log: Path) -> None:
    """The same lines, the same groups; the coverage counts what was found and nothing around it."""
    grep = shutil.which("grep")
    if grep is None:
        pytest.skip("grep is not on this machine")
    expected = subprocess.run([grep, "-H", *options, "ERROR", log.name], cwd=log.parent, capture_output=True, text=True)
    lines = [
        "--"
        if line == "--"
        else line.replace(log.name, "local", 1).replace("local:", "local: ").replace("local-", "local- ")
        for line in expected.stdout.splitlines()
    ]
    done = call("run", ASK.format(log=log), *options)
    assert done.status == 0, done.err
    assert done.out.splitlines() == lines
    told = call("run", ASK.format(log=log), *options, "-o", "json").snapshot
    found = [row for row in told["rows"] if not row["context"]]
    assert told["coverage"]["providers"]["local"]["matched"] == len(found) == 16


def test_a_limit_counts_lines_that_were_found(log: Path) -> None:
    """The second line is followed by its context, and the third is not shown."""
    done = call("run", ASK.format(log=log), "-A", "1", "--limit", "2", "-o", "jsonl")
    rows = json.loads(done.out.splitlines()[-1])["rows"]
    assert [(row["value"], row["context"]) for row in rows] == [
        ("line 0 ERROR", False),
        ("line 1", True),
        ("line 3 ERROR", False),
        ("line 4", True),
    ]
    assert (done.status, "logreduce: limit reached" in done.err) == (0, True)


def test_it_goes_on_as_a_log_grows(tmp_path: Path) -> None:
    """Following, what comes after a line is shown when it comes, and what came before it was remembered."""
    log = tmp_path / "app.log"
    log.write_text("old\n")
    with started("run", ASK.format(log=log), "-f", "-C", "1") as process:
        assert process.stdout is not None
        wait_for_reader(log)
        seen: list[str] = []
        for text, count in (("before\nERROR 1\n", 2), ("after\n", 3), ("no\nmore\nERROR 2\n", 6)):
            with log.open("a") as file:
                file.write(text)
            while len(seen) < count:
                seen.append(process.stdout.readline().rstrip("\n"))
        process.send_signal(signal.SIGINT)
        assert process.wait(HANGS_S) == 0
    assert seen == [
        "local- before",
        "local: ERROR 1",
        "local- after",
        "--",
        "local- more",
        "local: ERROR 2",
    ]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (("raw {log} | count", "-C", "2"), "-C 2 shows lines around others, and an aggregate shows none"),
        (("nginx {log} | fields path", "-A", "1"), "-A 1 shows whole lines: leave `fields` out"),
        (("./query.py", "-B", "3"), "-B 3 is for questions of one line"),
        (("raw {log}", "-C", "101"), "'101' is no number of lines from 0 to 100"),
        (("raw {log}", "-C", "-1"), "-C"),
    ],
)
def test_what_has_no_lines_has_none_around(
    words: tuple[str, ...], sentence: str, log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is refused in one sentence that says what to leave out."""
    monkeypatch.chdir(log.parent)
    (log.parent / "query.py").write_text('logs = "app.log"\ndef map(lines):\n    yield from lines\n')
    done = call("run", *(word.format(log=log) for word in words))
    assert done.status == 2
    assert sentence in done.err


@pytest.mark.parametrize("no_color", ["", "1"])
def test_a_terminal_shows_what_was_looked_for(no_color: str, tmp_path: Path) -> None:
    """Marked, if NO_COLOR does not forbid it; what a log wrote to a terminal is shown and not obeyed."""
    log = tmp_path / "app.log"
    log.write_bytes(b"\x1b[2Jan ERROR here\nERROR around\n".replace(b"ERROR around", b"around"))
    outer, inner = pty.openpty()
    environ = {**os.environ, "NO_COLOR": no_color, "TERM": "xterm"}
    process = subprocess.Popen(
        [*ARGV, "run", ASK.format(log=log), "-A", "1"], stdout=inner, stderr=subprocess.DEVNULL, env=environ
    )
    os.close(inner)
    seen, deadline = b"", time.monotonic() + HANGS_S
    try:
        while b"around" not in seen and time.monotonic() < deadline:
            if select.select([outer], [], [], 0.1)[0]:
                seen += os.read(outer, 4096)
        assert process.wait(HANGS_S) == 0
    finally:
        process.kill()
        process.wait()
        os.close(outer)
    word = b"ERROR" if no_color else b"\x1b[1;31mERROR\x1b[0m"
    assert b"local: \\x1b[2Jan " + word + b" here\r\nlocal- around\r\n" in seen
