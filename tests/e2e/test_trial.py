"""`--dry-run`: one provider is asked for two seconds, nobody else, and the cost of all is told by that."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.rigs.plans import line
from tests.rigs.program import call, reach
from tests.rigs.sshd import SshdFarm

QUERY = '''
"""Lines, counted."""
import time

logs = "app.log"


def map(lines):
    open("started", "w").close()
    for line in lines:
        if line == "slow":
            time.sleep(0.05)
        yield line, 1


reduce = "count"
'''


@pytest.mark.sshd
def test_one_is_asked_and_all_are_projected(tmp_path: Path) -> None:
    """The middle one alone is logged in to; what it has is taken three times, and a job that is not done is ended."""
    query = tmp_path / "count.py"
    query.write_text(QUERY.lstrip())
    with SshdFarm(tmp_path / "farm", 3) as farm:
        for index in range(3):
            (farm.dir(index) / "app.log").write_text("fine\nwell\n" * 5000)
        done = call("run", query, *reach(farm), "--dry-run", "-o", "json")
        assert done.status == 0, done.err
        (farm.dir(1) / "app.log").write_text("fine\nslow\n" * 5000)
        shown = call("run", query, *reach(farm), "--dry-run")
        assert shown.status == 0, shown.err
        assert [(farm.dir(index) / "started").exists() for index in range(3)] == [False, True, False]
        assert ["Accepted publickey" in farm.log(index) for index in range(3)] == [False, True, False]
        name = farm.sites[1].name
    found = json.loads(done.out)
    assert (found["provider"], found["targets"]) == (name, 3)
    assert (found["tried"]["state"], found["tried"]["lines"], found["tried"]["groups"]) == ("done", 10_000, 2)
    assert found["projected"]["bytes"] == 3 * 50_000
    assert found["projected"]["groups_at_most"] == 6
    assert found["projected"]["values_per_second"] > 0
    assert f"tried       {name}, 1 of 3: running" in shown.out
    assert "bytes       150.0 kB to read on all 3, if they are alike" in shown.out
    assert "the other 2 targets are not asked" in shown.err


def test_the_exit_status_is_that_of_the_one(tmp_path: Path) -> None:
    """A log that is not there is said, as by `run`, with status 3; nothing is projected."""
    done = call("run", f"raw {tmp_path}/nothing.log | count", "--dry-run")
    assert done.status == 3
    assert "there is no" in done.out
    assert "values" not in done.out


def test_a_limit_ends_it(tmp_path: Path) -> None:
    """Where lines come up to a limit, all of them would give no more either."""
    log = tmp_path / "access.log"
    log.write_text("".join(map(line, range(200))) * 100)
    text = f"SELECT path FROM 'combined:{log}'"
    found = json.loads(call("sql", text, "--dry-run", "--limit", "50", "-o", "json").out)
    assert found["projected"]["groups_at_most"] == 50
    assert found["projected"]["bytes"] == log.stat().st_size


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--canary", "2"], "use one of the two"),
        (["--name", "x"], "leave --name and --detach out"),
        (["-"], "standard input"),
    ],
)
def test_what_makes_no_sense_is_refused(words: list[str], told: str) -> None:
    """With a sentence, and status 2."""
    done = call("run", "raw | count", *words, *([] if "-" in words else ["/x"]), "--dry-run")
    assert (done.status, told in done.err) == (2, True), done.err
