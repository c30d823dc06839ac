"""Files that are followed: appended, found, renamed away, truncated; every line once, and positions that chain."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from provider.runner import frames
from tests.rigs.pythons import at_hand
from tests.rigs.runner_link import RunnerLink, script

pytestmark = pytest.mark.linux

ECHO = "def map(lines):\n    for line in lines:\n        yield line\n"
NAMED = "def map(lines):\n    for line in lines:\n        yield lines.path.rpartition('/')[2], line\n"


@pytest.fixture
def link() -> Iterator[RunnerLink]:
    """A runner on the oldest Python at hand."""
    with RunnerLink(str(next(iter(at_hand().values())))) as runner:
        yield runner


def append(path: Path, text: str) -> None:
    """Adds to a log."""
    with path.open("a") as file:
        file.write(text)


def follow(link: RunnerLink, *sources: Path | str, job: int = 1, text: str = ECHO, **fields: object) -> None:
    """Starts a job that follows, and waits until its sources are open."""
    link.start(job, script(text, sources=list(map(str, sources)), follow=True, every_s=0.1, **fields))
    link.until(lambda: bool(link.of(frames.OPEN, job)), "an open source")


def chained(link: RunnerLink, job: int = 1) -> None:
    """Every move begins where the one before it ended, and the first at the position that was opened."""
    at = {frame.header["source"]: frame.payload for frame in link.of(frames.OPEN, job)}
    for cut in link.cuts(job):
        for source, before, after in cut["moves"]:
            assert at[source] == before
            at[source] = after


def test_a_followed_file_begins_at_its_end(link: RunnerLink, tmp_path: Path) -> None:
    """What was there is not read; what is appended is, once its line is whole; a drain ends the waiting."""
    log = tmp_path / "app.log"
    log.write_text("old\nhalf of a ")
    follow(link, log)
    append(log, "line\nnew\nno end yet")
    link.until(lambda: len(link.values()) == 2, "two lines")
    append(log, ", now\n")
    link.until(lambda: len(link.values()) == 3, "three lines")
    assert link.values() == ["half of a line", "new", "no end yet, now"]
    assert link.of(frames.OPEN)[0].header["reason"] == "end"
    link.cancel(1)
    end = link.end()
    assert (end["drained"], end["counters"]["lag_s"]) == (True, 0.0)
    chained(link)


def test_a_restart_loses_and_repeats_nothing(link: RunnerLink, tmp_path: Path) -> None:
    """A job that starts at the positions of another's last cut reads what was written since."""
    log = tmp_path / "app.log"
    log.write_text("old\n")
    follow(link, log)
    append(log, "one\n")
    link.until(lambda: link.values() == ["one"], "one")
    link.cancel(1, "abort")
    link.end()
    append(log, "two\n")
    position = link.cuts()[-1]["moves"][-1][2]
    follow(link, log, job=2, positions=[[str(log), position]])
    link.until(lambda: link.values(2) == ["two"], "two")
    assert link.of(frames.OPEN, 2)[0].payload == position


def test_a_position_in_another_file_is_not_believed(link: RunnerLink, tmp_path: Path) -> None:
    """A file that has taken the name is read from its beginning, behind a gap."""
    log = tmp_path / "app.log"
    log.write_text("first\nsecond\n")
    link.start(1, script(ECHO, sources=[str(log)]))
    link.end()
    position = link.cuts()[-1]["moves"][-1][2]
    log.write_text("other\nof the \nsame length or more\n")
    link.start(2, script(ECHO, sources=[str(log)], positions=[[str(log), position]]))
    link.end(2)
    assert link.values(2) == ["other", "of the ", "same length or more"]
    assert link.of(frames.GAP, 2)[0].header["reason"] == "generation"
    assert link.of(frames.OPEN, 2)[0].header["reason"] == "generation"


def test_a_renamed_file_is_drained_before_its_successor(link: RunnerLink, tmp_path: Path) -> None:
    """Rotation by rename and create: late lines of the old file come, then the new file from its beginning."""
    log = tmp_path / "app.log"
    log.write_text("")
    follow(link, log)
    for generation in range(3):
        with log.open("a") as writer:
            writer.write(f"{generation} early\n")
            writer.flush()
            for number in range(generation, 0, -1):
                os.rename(tmp_path / f"app.log.{number}", tmp_path / f"app.log.{number + 1}")
            os.rename(log, tmp_path / "app.log.1")
            log.write_text(f"{generation} of the next\n")
            writer.write(f"{generation} late\nand without an end")
        link.until_values(4 * (generation + 1))
    expected = [[f"{n} early", f"{n} late", "and without an end", f"{n} of the next"] for n in range(3)]
    assert link.values() == [line for lines in expected for line in lines]
    assert not link.of(frames.GAP)
    assert len(link.of(frames.OPEN)) == 1
    chained(link)


def test_a_glob_finds_files_and_knows_renamed_ones(link: RunnerLink, tmp_path: Path) -> None:
    """A file that appears is read from its beginning; one that was renamed within the glob is not read again."""
    log = tmp_path / "app.log"
    log.write_text("old\n")
    follow(link, tmp_path / "app.log*", text=NAMED)
    (tmp_path / "app.log.extra").write_text("found\n")
    link.until(lambda: ("app.log.extra", "found") in link.values(), "the found file")
    append(log, "one\n")
    os.rename(log, tmp_path / "app.log.1")
    log.write_text("two\n")
    link.until(lambda: ("app.log", "two") in link.values(), "the successor")
    append(tmp_path / "app.log.1", "very late\n")
    link.until(lambda: ("app.log", "very late") in link.values(), "its last line")
    expected = {("app.log.extra", "found"), ("app.log", "one"), ("app.log", "two"), ("app.log", "very late")}
    assert set(link.values()) == expected
    assert len(link.values()) == 4
    chained(link)


def test_a_truncated_file_is_a_gap(link: RunnerLink, tmp_path: Path) -> None:
    """Copytruncate is said, and reading goes on at the beginning."""
    log = tmp_path / "app.log"
    log.write_text("a line that is long enough\n")
    follow(link, log)
    log.write_text("")
    link.until(lambda: bool(link.of(frames.GAP)), "a gap")
    append(log, "anew\n")
    link.until(lambda: link.values() == ["anew"], "the new line")
    assert link.of(frames.GAP)[0].header["reason"] == "truncated"
    chained(link)


def test_a_glob_is_read_in_order_and_each_file_once(link: RunnerLink, tmp_path: Path) -> None:
    """To the end: sorted within a glob, in the order of the sources, and never beyond the size at the start."""
    for name in ("b", "a", "c"):
        (tmp_path / f"{name}.log").write_text(f"{name} 1\n{name} 2")
    link.start(1, script(NAMED, sources=[str(tmp_path / "c.log"), str(tmp_path / "*.log")]))
    link.end()
    names = [name for name, _ in link.values()]
    assert names == ["c.log", "c.log", "a.log", "a.log", "b.log", "b.log"]
    assert [frame.header["source"].rpartition("/")[2] for frame in link.of(frames.OPEN)] == ["c.log", "a.log", "b.log"]
    chained(link)


def test_a_file_can_be_followed_from_its_beginning(link: RunnerLink, tmp_path: Path) -> None:
    """An empty position is the beginning, which a source has before anyone has read it."""
    log = tmp_path / "app.log"
    log.write_text("old\n")
    follow(link, log, positions=[[str(log), b""]])
    append(log, "new\n")
    link.until(lambda: link.values() == ["old", "new"], "both lines")
    assert link.of(frames.OPEN)[0].header["reason"] == "begin"
    chained(link)


def test_relative_paths_begin_where_the_login_does(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A path without a leading slash is looked for in the working directory, one with a tilde in the login's home."""
    (tmp_path / "app.log").write_text("here\n")
    (tmp_path / "home").mkdir()
    (tmp_path / "home" / "app.log").write_text("home\n")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path)
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        link.start(1, script(ECHO, sources=["app.log", "~/app.log"]))
        link.end()
        assert link.values() == ["here", "home"]
