"""A named query whose client is killed with -9 at every step there is, while its log grows: exact in the end."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.failpoints import ONCE, POINTS
from tests.rigs.named import kill, none_left, rows
from tests.rigs.program import HANGS_S, call, snapshots, started

pytestmark = [pytest.mark.linux, pytest.mark.timeout(1800)]

#: More of them take longer and show no more often what is wrong; a release is tried with 50.
KILLS = int(os.environ.get("LOGREDUCE_TEST_KILLS", "14"))
#: A step that does not come (nothing to tidy) is not waited for: it is killed wherever it is.
STEP_S = 15.0
#: What was there before the query, and until it is known to read: nobody can say how many of these are its business.
OLD = "z 1\n"
QUERY = """
logs = "none"
def map(lines):
    for line in lines:
        yield line.split()[0], int(line.split()[1])
reduce = ["count", "sum"]
"""


@contextlib.contextmanager
def growing(log: Path) -> Iterator[None]:
    """While entered, lines are appended, torn ones among them."""
    over = threading.Event()

    def write() -> None:
        dice = random.Random(7)
        with log.open("ab", buffering=0) as file:
            while not over.wait(0.01):
                for _ in range(dice.randrange(1, 6)):
                    line = b"%c %d\n" % (dice.choice(b"abc"), dice.randrange(1, 1 << 45))
                    cut = dice.randrange(len(line))
                    file.write(line[:cut])
                    file.write(line[cut:])

    writer = threading.Thread(target=write)
    writer.start()
    try:
        yield
    finally:
        over.set()
        writer.join()


def client(point: str, nth: int, words: list[str], said: Path) -> subprocess.Popen[bytes]:
    argv = [sys.executable, "-P", "-m", "tests.rigs.failpoints", point, str(nth), *words]
    root = str(Path(__file__).resolve().parents[2])
    path = os.pathsep.join(filter(None, (root, os.environ.get("PYTHONPATH"))))
    nothing = subprocess.DEVNULL
    environ = {**os.environ, "PYTHONPATH": path}
    with said.open("wb") as err:
        return subprocess.Popen(argv, stdin=nothing, stdout=nothing, stderr=err, env=environ)


def reached(log: Path) -> None:
    """Waits until the log is read, which begins where it ended then."""
    with started("attach", "live", "-o", "jsonl", "--every", "100ms") as attached, log.open("a") as file:
        for snapshot in snapshots(attached):
            if snapshot["rows"]:
                return
            file.write(OLD)
            file.flush()


def counted(log: Path) -> tuple[Counter[str], Counter[str]]:
    """What an independent count of the file as it was written says."""
    counts, sums = Counter[str](), Counter[str]()
    for line in log.read_text().replace(OLD, "").splitlines():
        key, number = line.split()
        counts[key] += 1
        sums[key] += int(number)
    return counts, sums


def test_killed_at_every_step_it_is_exact(home: Path, tmp_path: Path) -> None:
    """One run, one growing log, many clients: every line counts once."""
    log, query = tmp_path / "x.log", tmp_path / "q.py"
    log.write_text(OLD)
    query.write_text(QUERY)
    words = ["run", str(query), str(log), "--name", "live", "--follow", "-q"]
    said = tmp_path / "said"
    dice = random.Random(11)
    points = list(POINTS)
    dice.shuffle(points)
    fell: Counter[str] = Counter()
    with none_left():
        assert call(*words, "--detach").status == 0
        reached(log)
        with growing(log):
            with started("attach", "live", "-o", "jsonl", "--every", "100ms") as attached:
                assert any(snapshot["rows"] for snapshot in snapshots(attached))
            kill("live")
            for number in range(KILLS):
                point = points[number % len(points)]
                process = client(point, 1 if point in ONCE else dice.randrange(1, 4), words, said)
                try:
                    process.wait(STEP_S)
                    fell[point] += 1
                except subprocess.TimeoutExpired:
                    process.kill()
                assert process.wait(HANGS_S) == -signal.SIGKILL, f"{point}: {said.read_text()}"
            last = client("", 0, words, said)
            time.sleep(0.2)  # some more lines, while it reads; nothing depends on how many
        counts, sums = counted(log)
        try:
            with started("attach", "live", "-o", "jsonl", "--every", "200ms") as attached:
                for snapshot in snapshots(attached):
                    total = sum(row["count"] for row in snapshot["rows"] if row["key"] != "z")
                    assert total <= counts.total()
                    if total == counts.total():
                        break
            assert call("cancel", "live").status == 0
            done = call("attach", "live", "-o", "json")
        finally:
            last.kill()
            last.wait(HANGS_S)
    assert done.status == 0, done.err
    assert {key: count for key, count in rows(done).items() if key != "z"} == counts
    assert {row["key"]: row["sum"] for row in done.rows if row["key"] != "z"} == sums
    assert (done.status, done.snapshot["inexact"]) == (0, [])
    assert fell.total() >= KILLS // 2
