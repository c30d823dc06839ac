"""The program itself through breaks on real sshds: what it prints, says and exits with is that of a quiet day."""

from __future__ import annotations

import os
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rigs import breaks
from tests.rigs.program import coordinator_of, reach, snapshots, started
from tests.rigs.sshd import SshdFarm

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(240)]

LINES = 2500
QUERY = '''"""Words, slowly."""
import time
logs = "app.log"
def map(lines):
    for line in lines:
        time.sleep(0.002)
        yield line.split()[1], 1
reduce = "sum"
'''


@pytest.fixture
def query(tmp_path: Path) -> Path:
    path = tmp_path / "words.py"
    path.write_text(QUERY)
    return path


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SshdFarm]:
    with SshdFarm(tmp_path / "farm", 2) as farm:
        for index in range(2):
            (farm.dir(index) / "app.log").write_text("".join(f"{n} w{(n + index) % 5}\n" for n in range(LINES)))
        yield farm


def awk(farm: SshdFarm) -> Counter[str]:
    """An independent count of the same files."""
    logs = [str(farm.dir(index) / "app.log") for index in range(2)]
    program = "{ count[$2]++ } END { for (word in count) print word, count[word] }"
    out = subprocess.run(["awk", program, *logs], capture_output=True, text=True, check=True).stdout
    return Counter({word: int(count) for word, count in map(str.split, out.splitlines())})


KINDS: dict[str, tuple[Callable[[SshdFarm, subprocess.Popen[str]], None], ...]] = {
    "runner": (lambda farm, _: breaks.runner(farm, 0),),
    "coordinator": (lambda _, process: os.kill(coordinator_of(process.pid), signal.SIGKILL),),
    "child, then sshd": (lambda farm, _: breaks.child(farm, 0), lambda farm, _: breaks.session(farm, 1)),
    "coordinator, then runner": (
        lambda _, process: os.kill(coordinator_of(process.pid), signal.SIGKILL),
        lambda farm, _: breaks.runner(farm, 1),
    ),
}


@pytest.mark.parametrize("kind", sorted(KINDS))
def test_a_run_that_broke_prints_what_awk_counts(query: Path, farm: SshdFarm, kind: str) -> None:
    """Status 0, complete, nothing inexact; with -v each break and return is told, and without it none."""
    rhythm = ["-o", "jsonl", "--every", "200ms", "--coverage", "full", "--wait", "60"]
    with started("run", query, *reach(farm), *rhythm, "-v") as process:
        arriving = snapshots(process)
        for breaking in KINDS[kind]:
            _counting(arriving)
            breaking(farm, process)
            _away(arriving)
        last = list(arriving)[-1]
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(30) == 0, said
    assert Counter({row["key"]: row["sum"] for row in last["rows"]}) == awk(farm)
    assert (last["complete"], last["inexact"]) == (True, [])
    rows = last["coverage"]["providers"].values()
    assert [(row["state"], row["lines"]) for row in rows] == [("done", LINES)] * 2
    assert any(row["away_s"] > 0 for row in rows)
    assert " is back: its job 2 begins" in said
    if "coordinator" in kind:
        assert "the private coordinator ended by signal 9: attaching again" in said


def _counting(arriving: Iterator[dict[str, Any]]) -> None:
    """Until both providers run and have contributed."""
    for snapshot in arriving:
        rows = snapshot["coverage"].get("providers", {}).values()
        if snapshot["rows"] and len(rows) == 2 and all(row["lines"] and row["state"] == "running" for row in rows):
            return
    raise AssertionError("it ended before both had counted")


def _away(arriving: Iterator[dict[str, Any]]) -> None:
    """Until somebody is shown to be away."""
    for snapshot in arriving:
        if "lost" in snapshot["coverage"]["states"]:
            return
    raise AssertionError("it ended before anybody was away")


def test_one_that_does_not_come_back_is_named_and_the_status_is_3(query: Path, farm: SshdFarm) -> None:
    """Gone for longer than --wait: its lines and bytes so far, a reason, and all of the other."""
    rhythm = ["-o", "jsonl", "--every", "200ms", "--coverage", "full", "--wait", "2", "--by-host"]
    with started("run", query, *reach(farm), *rhythm) as process:
        arriving = snapshots(process)
        for snapshot in arriving:
            if len({row["host"] for row in snapshot["rows"]}) == 2:
                break
        farm.kill(1)
        last = list(arriving)[-1]
        assert process.wait(30) == 3
    row = last["coverage"]["providers"]["p01"]
    assert row["state"] == "lost" and "it has not come back within the wait" in row["reason"]
    assert 0 < row["lines"] < LINES and row["bytes"] > 0
    counts: Counter[str] = Counter()
    for each in last["rows"]:
        counts[each["host"]] += each["sum"]
    assert counts == {"p00": LINES, "p01": row["lines"]}
    assert last["inexact"] == ["p01: lost after having contributed"]
