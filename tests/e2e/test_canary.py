"""`--canary`: a few providers are asked first, over real SSH, and what they say decides about the others."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rigs.plans import line
from tests.rigs.program import call, reach, started
from tests.rigs.sshd import SshdFarm

pytestmark = pytest.mark.sshd

COUNT = 5
#: The middle one of five.
FIRST = 2
#: Whoever runs it leaves a mark on the disk: an empty file, which is all that a script may write.
QUERY = '''
"""Lines, counted."""
logs = "app.log"


def map(lines):
    open("started", "w").close()
    for line in lines:
        if line == "poison":
            int("poison")
        yield 1


reduce = "count"
'''


def _query(tmp_path: Path) -> Path:
    path = tmp_path / "count.py"
    path.write_text(QUERY.lstrip())
    return path


def _logs(farm: SshdFarm, *poisoned: int) -> None:
    for index in range(COUNT):
        lines = ["fine"] * (10 + index) + (["poison"] if index in poisoned else [])
        (farm.dir(index) / "app.log").write_text("\n".join(lines) + "\n")


def _started(farm: SshdFarm) -> list[int]:
    return [index for index in range(COUNT) if (farm.dir(index) / "started").exists()]


def _logins(farm: SshdFarm) -> list[int]:
    """Who was logged in to, as its own sshd has it."""
    return [index for index in range(COUNT) if "Accepted publickey" in farm.log(index)]


def test_a_canary_that_fails_is_the_only_one_that_was_started(tmp_path: Path) -> None:
    """The others have never been logged in to; the answer names them as held back, and the status is 3."""
    with SshdFarm(tmp_path / "farm", COUNT) as farm:
        _logs(farm, *range(COUNT))
        done = call("run", _query(tmp_path), *reach(farm), "--canary", "1", "-o", "json")
        assert done.status == 3, done.err
        assert _started(farm) == _logins(farm) == [FIRST]
        names = [site.name for site in farm.sites]
    states = done.states
    assert states.pop(names[FIRST]) == "failed"
    assert states == {name: "unreachable" for index, name in enumerate(names) if index != FIRST}
    assert "held back" in done.reason(names[0])
    assert f"canaries: {names[FIRST]}; 4 others wait until they are well" in done.err
    assert f"stopped: {names[FIRST]} is not well: failed" in done.err


def test_canaries_that_are_well_are_not_asked_twice(tmp_path: Path) -> None:
    """One query id, one coverage, every line counted once, and each provider logged in to once."""
    with SshdFarm(tmp_path / "farm", COUNT) as farm:
        _logs(farm)
        done = call("run", _query(tmp_path), *reach(farm), "--canary", "2", "-o", "json")
        assert done.status == 0, done.err
        assert _started(farm) == list(range(COUNT))
        assert [farm.log(index).count("Accepted publickey") for index in range(COUNT)] == [1] * COUNT
    assert done.rows == [{"count": sum(10 + index for index in range(COUNT))}]
    assert set(done.states.values()) == {"done"}
    assert "the canaries are well: asking the others" in done.err


def test_a_format_that_half_of_the_lines_are_not_of_stops(tmp_path: Path) -> None:
    """A plan that runs well on lines that do not parse is not well."""
    with SshdFarm(tmp_path / "farm", COUNT) as farm:
        for index in range(COUNT):
            text = "".join(map(line, range(30))) if index != FIRST else "what is this\n" * 30
            (farm.dir(index) / "access.log").write_text(text)
        question = "combined access.log | count by status"
        done = call("run", question, *reach(farm), "--canary", "1", "-o", "json")
        assert done.status == 3, done.err
        assert "30 of 30 lines do not parse" in done.err
        assert _logins(farm) == [FIRST]


def test_a_following_query_goes_on_to_all_others(tmp_path: Path) -> None:
    """A canary that runs has no end: it is well when it has read something, or after a moment."""
    with SshdFarm(tmp_path / "farm", COUNT) as farm:
        _logs(farm)
        options = ["--canary", "1", "--follow", "--since", "1d", "--for", "12s", "-o", "json"]
        with started("run", _query(tmp_path), *reach(farm), *options) as process:
            out, err = process.communicate(timeout=80)
        assert process.returncode == 0, err
        assert "the canaries are well: asking the others" in err
        assert _started(farm) == list(range(COUNT)), out


def test_few_targets_are_all_asked_at_once(tmp_path: Path) -> None:
    """Where there are not more targets than canaries nobody waits for anybody, which is said."""
    log = tmp_path / "access.log"
    log.write_text("".join(map(line, range(30))))
    done = call("run", f"combined {log} | count", "--canary", "3", "-o", "json")
    assert done.status == 0, done.err
    assert "no more than 1 targets, so all are asked at once" in done.err
