"""Rotated and compressed files, parts of logs by time, and the journal, through a real runner."""

from __future__ import annotations

import bz2
import gzip
import lzma
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provider.runner import frames
from tests.rigs.pythons import at_hand
from tests.rigs.runner_link import RunnerLink, script

pytestmark = pytest.mark.linux

ECHO = "def map(lines):\n    for line in lines:\n        yield line\n"
BEGIN = 1795165200


@pytest.fixture(params=[str(path) for path in at_hand().values()], ids=list(at_hand()))
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on each Python at hand."""
    with RunnerLink(request.param) as runner:
        yield runner


def stamped(hour: int) -> str:
    """A line of that hour, with a line of its own that has no time."""
    at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(BEGIN + 3600 * hour))
    return f"{at} hour {hour}\n  of which more\n"


def rotated(folder: Path) -> Path:
    """Hours 0 to 9 in five files, compressed in each way that there is, and last written when they say."""
    log = folder / "app.log"
    parts = [(stamped(2 * n) + stamped(2 * n + 1)).encode() for n in range(5)]
    makers: list[tuple[str, Callable[[bytes], bytes]]] = [
        (".4.xz", lzma.compress),
        (".3.bz2", bz2.compress),
        (".2.gz", gzip.compress),
    ]
    for (suffix, squeeze), part in zip(makers, parts[:3], strict=True):
        (folder / f"app.log{suffix}").write_bytes(squeeze(part))
    (folder / "app.log.1").write_bytes(parts[3])
    log.write_bytes(parts[4])
    for n, suffix in enumerate([".4.xz", ".3.bz2", ".2.gz", ".1", ""]):
        os.utime(folder / f"app.log{suffix}", (BEGIN, BEGIN + 3600 * (2 * n + 1)))
    return log


def hours(link: RunnerLink, job: int = 1) -> list[int]:
    """The hours of the lines that came, each with its second line."""
    values = link.values(job)
    assert values[1::2] == ["  of which more"] * (len(values) // 2)
    return [int(line.rpartition(" ")[2]) for line in values[::2]]


def test_all_generations_are_read_in_order(link: RunnerLink, tmp_path: Path) -> None:
    """From the oldest to the log itself, as one source with one chain of positions, opened once and as the last."""
    log = rotated(tmp_path)
    link.start(1, script(ECHO, sources=[str(log)], rotated=True))
    link.end()
    assert hours(link) == list(range(10))
    assert [frame.header["last"] for frame in link.of(frames.OPEN)] == [True]
    assert not link.of(frames.GAP)


@pytest.mark.parametrize(("since", "until"), [(3, None), (None, 7), (3, 7), (9, None), (4, 5)])
def test_a_part_by_time_is_cut_at_its_lines(
    link: RunnerLink, tmp_path: Path, since: int | None, until: int | None
) -> None:
    """The first line at or after the one begins it, the first at or after the other ends it."""
    log = rotated(tmp_path)
    times = [None if hour is None else BEGIN + 3600.0 * hour for hour in (since, until)]
    link.start(1, script(ECHO, sources=[str(log)], since=times[0], until=times[1]))
    link.end()
    assert hours(link) == list(range(since or 0, until or 10))


def test_a_job_resumes_in_a_file_that_was_compressed_meanwhile(link: RunnerLink, tmp_path: Path) -> None:
    """Following goes on where the position is now, and through what was written after it."""
    log = tmp_path / "app.log"
    log.write_text("one\n")
    link.start(1, script(ECHO, sources=[str(log)]))
    link.end()
    position = link.cuts()[-1]["moves"][-1][2]
    (tmp_path / "app.log.2.gz").write_bytes(gzip.compress(log.read_bytes() + b"two\n"))
    (tmp_path / "app.log.1").write_text("three\n")
    log.unlink()
    log.write_text("four\n")
    fields = {"sources": [str(log)], "positions": [[str(log), position]], "resumed": True, "every_s": 0.1}
    link.start(2, script(ECHO, follow=True, **fields))
    link.until_values(3, 2)
    assert link.values(2) == ["two", "three", "four"]
    assert [frame.payload for frame in link.of(frames.OPEN, 2)] == [position]
    assert not link.of(frames.GAP, 2)


JOURNALCTL = """#!/bin/sh
cursor=; follow=; only=
for word; do case $word in --cursor=*) cursor=${word#*=};; -f) follow=1;; -n) only=1;; esac; done
print() { printf '{"__CURSOR":"s=%s","MESSAGE":"entry %s"}\\n' "$1" "$1"; }
last=$(cat "$JOURNAL")
if [ "$only" ]; then print "$last"; exit; fi
n=${cursor#s=}; n=${n:-1}
[ "$n" -ge "$(cat "$JOURNAL.first")" ] || n=$(cat "$JOURNAL.first")
while :; do
  while [ "$n" -le "$(cat "$JOURNAL")" ]; do print "$n"; n=$((n + 1)); done
  [ "$follow" ] || exit 0
  sleep 0.05
done
"""
MESSAGES = "import json\ndef map(lines):\n    for line in lines:\n        yield json.loads(line)['MESSAGE']\n"


@pytest.fixture
def journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The number of the last entry of a journal, which a journalctl of ours prints."""
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "journalctl").write_text(JOURNALCTL)
    (tmp_path / "bin" / "journalctl").chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path / 'bin'}:{os.environ['PATH']}")
    monkeypatch.setenv("JOURNAL", str(tmp_path / "last"))
    (tmp_path / "last").write_text("3")
    (tmp_path / "last.first").write_text("1")
    return tmp_path / "last"


@pytest.fixture
def reader(journal: Path) -> Iterator[RunnerLink]:
    """A runner that finds that journal."""
    assert journal.exists()
    with RunnerLink(str(next(iter(at_hand().values())))) as runner:
        yield runner


def test_the_journal_is_read_and_resumed_by_its_cursors(reader: RunnerLink, journal: Path) -> None:
    """To its end; from there on nothing is doubled; and what was vacuumed meanwhile is a gap."""
    fields = {"sources": ["journald:app"], "every_s": 0.1}
    reader.start(1, script(MESSAGES, **fields))
    reader.end()
    assert reader.values() == ["entry 1", "entry 2", "entry 3"]
    position = reader.cuts()[-1]["moves"][-1][2]
    journal.write_text("5")
    known = {"positions": [["journald:app", position]], "resumed": True, "follow": True}
    reader.start(2, script(MESSAGES, **fields, **known))
    reader.until_values(2, 2)
    assert reader.values(2) == ["entry 4", "entry 5"]
    assert not reader.of(frames.GAP, 2)
    reader.cancel(2)
    reader.end(2)
    journal.write_text("9")
    journal.with_name("last.first").write_text("7")
    reader.start(3, script(MESSAGES, **fields, **known))
    reader.until_values(3, 3)
    assert reader.values(3) == ["entry 7", "entry 8", "entry 9"]
    assert [frame.header["reason"] for frame in reader.of(frames.GAP, 3)] == ["vanished"]


def test_a_followed_journal_begins_at_its_end(reader: RunnerLink, journal: Path) -> None:
    """What was there is not read."""
    reader.start(1, script(MESSAGES, sources=["journald:"], follow=True, every_s=0.1))
    reader.until(lambda: bool(reader.of(frames.OPEN)), "an open journal")
    journal.write_text("4")
    reader.until_values(1)
    assert reader.values() == ["entry 4"]
    assert reader.of(frames.OPEN)[0].header["reason"] == "end"
