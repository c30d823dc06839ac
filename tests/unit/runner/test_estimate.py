"""What an estimate says of real files: the bytes that a job would read, and what a sample of them is."""

from __future__ import annotations

import base64
import gzip
import os
import zlib
from pathlib import Path
from typing import Any

import pytest

from provider import ship
from provider.runner.estimate import estimate
from provider.runner.faults import Failure
from provider.runner.pack import packb
from tests.rigs.plans import line

PLAN: dict[str, Any] = {
    "version": 1,
    "format": {
        "kind": "template",
        "template": '{client} {ident} {user} [{time}] "{request}" {status} {bytes} "{referer}" "{agent}"',
        "fields": {"status": {"type": "int"}},
    },
    "paths": [],
    "where": None,
    "keys": [["status", ["field", "status"]]],
    "aggregates": [["count", None]],
}


def asked(*sources: Path | str, most_bytes: int = 1 << 20, plan: bool = True, **said: Any) -> dict[str, Any]:
    """The estimate of a plan, or of a script, over these sources."""
    body: dict[str, Any] = {"sources": list(map(str, sources)), **said}
    if plan:
        body["plan"] = PLAN
        body["modules"] = zlib.compress(packb(dict(ship.plan_modules())))
    return estimate(base64.b64encode(packb(body)).decode(), most_bytes, 30.0)


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A few thousand lines."""
    path = tmp_path / "access.log"
    path.write_text("".join(map(line, range(3000))))
    return path


def test_all_of_a_small_file_is_tried(log: Path) -> None:
    """Its bytes are its size, its lines and what the plan takes of them are counted, and it has a speed."""
    told = asked(log)
    size = log.stat().st_size
    assert (told["files"], told["bytes"], told["stored"], told["tried"]) == (1, size, size, size)
    assert (told["lines"], told["matched"], told["parse_errors"]) == (3000, 3000, 0)
    assert told["rows"] >= 1
    assert told["seconds"] == pytest.approx(size / told["speed"])


def test_a_large_file_is_tried_at_several_places(log: Path) -> None:
    """No more is read than was allowed (but for a line at each place), and what is odd in the middle is seen."""
    text = log.read_text()
    log.write_text(text + "odd\n" * (len(text) // 4) + text)
    size = log.stat().st_size
    told = asked(log, most_bytes=size // 8)
    assert told["bytes"] == size
    assert 0 < told["tried"] <= size // 8 + 4 * 200
    assert told["matched"] and told["parse_errors"] > told["matched"] // 10
    assert told["seconds"] == pytest.approx(size / told["speed"])


def test_lines_that_do_not_parse_are_those_of_the_log(log: Path) -> None:
    """A sample that begins in the middle of a file begins at a line, so no half line counts as odd."""
    assert asked(log, most_bytes=log.stat().st_size // 10)["parse_errors"] == 0


def test_a_script_is_only_read(log: Path) -> None:
    """Nothing is known of its lines."""
    told = asked(log, plan=False)
    assert (told["bytes"], told["lines"], told["matched"]) == (log.stat().st_size, 0, 0)
    assert told["seconds"] > 0


def test_a_time_chooses_a_part(log: Path) -> None:
    """From the first line of that time on, and up to the first of the other, to the byte."""
    began = 1431857100.0  # 17 May 2015 10:05:00
    stamps = [began + number for number in range(60)]
    log.write_text("".join(f"2015-05-17T10:05:{number:02}Z line {number}\n" for number in range(60)))
    width = log.stat().st_size // 60
    told = asked(log, plan=False, since=stamps[20])
    assert told["bytes"] == pytest.approx(40 * width, abs=2 * width)
    told = asked(log, plan=False, since=stamps[20], until=stamps[30])
    assert told["bytes"] == pytest.approx(10 * width, abs=2 * width)
    assert asked(log, plan=False, since=stamps[-1] + 60)["bytes"] == 0


def test_older_files_count_when_they_are_asked_for(log: Path) -> None:
    """`rotated` adds all siblings, compressed ones with what they hold."""
    size = log.stat().st_size
    log.with_name("access.log.1").write_bytes(log.read_bytes())
    log.with_name("access.log.2.gz").write_bytes(gzip.compress(log.read_bytes() * 20))
    assert asked(log)["bytes"] == size
    told = asked(log, rotated=True)
    assert told["bytes"] == 22 * size
    assert told["packed"] == 20 * size
    assert told["stored"] < told["bytes"] // 2
    assert told["seconds"] > 0


def test_following_begins_at_the_end(log: Path) -> None:
    """Nothing of what is there is read, what is there is tried all the same, and its growth is told."""
    os.utime(log, (1431857100.0 + 100, 1431857100.0 + 100))
    told = asked(log, follow=True)
    assert (told["bytes"], told["lines"]) == (0, 3000)
    assert told["growth"] > 0
    assert asked(log)["growth"] is None


@pytest.mark.parametrize("source", ["-", "cmd:yes", "tick:5s", "journald:ssh"])
def test_what_is_no_file_is_not_known(source: str) -> None:
    """Nobody knows how much it is."""
    told = asked(source, plan=False)
    assert told["bytes"] is None
    assert source in told["why"]


def test_a_log_that_is_not_there_fails_as_the_job_would(tmp_path: Path) -> None:
    """With the same sentence."""
    with pytest.raises(Failure, match="there is no"):
        asked(tmp_path / "nothing.log")


def test_no_bytes_take_no_time(tmp_path: Path) -> None:
    """An empty log is one, of nothing."""
    log = tmp_path / "empty.log"
    log.touch()
    told = asked(log)
    assert (told["files"], told["bytes"], told["seconds"], told["tried"]) == (1, 0, 0.0, 0)
