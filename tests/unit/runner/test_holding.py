"""Records of several lines for a map: whole wherever blocks end, and exact wherever a job stops."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.query.formats import format_data
from provider.runner.cuts import Cuts
from provider.runner.finish import Finish
from provider.runner.follow import Follow
from provider.runner.formats.form import format_of
from provider.runner.holding import Holding
from provider.runner.host import Provider
from provider.runner.lines import RECORD_S, Block, Handout, Lines, Source
from provider.runner.records import Records
from provider.runner.sources import Scope, find
from provider.runner.text import splitter
from tests.rigs.quiet import Quiet

DEADLINE_S = 30.0
FORMAT = format_data("log4j")
HEAD = b"2015-10-18 18:01:47,978 INFO [main] org.a.B: "


class Given(Source):
    """A log in blocks; where it is, and what was taken, can be seen."""

    positioned = True

    def __init__(self, blocks: list[bytes], last: bool) -> None:
        self._blocks = blocks
        self._last = last
        self.offset = self._told = 0

    def blocks(self) -> Iterator[Block | None]:
        for number, data in enumerate(self._blocks, 1):
            whole = self._last and number == len(self._blocks)
            yield Block("log", splitter(None)(data), data, self._take, 0, "log", whole)
        self.leaving("log")

    def _take(self, size: int) -> None:
        self.offset += size

    def moves(self) -> list[tuple[str, bytes, bytes]]:
        before, self._told = self._told, self.offset
        return [("log", b"%d" % before, b"%d" % self.offset)] if before != self.offset else []


def whole(log: bytes) -> list[bytes]:
    """The records of a log by a plain loop: a line that is no beginning belongs to what is above it."""
    found: list[list[bytes]] = []
    for line in log.splitlines():
        if line.startswith(HEAD) or not found:
            found.append([])
        found[-1].append(line)
    return [b"\n".join(lines) for lines in found]


def parsed(log: bytes) -> list[str]:
    """Those that parse, as a map sees them."""
    return [each.decode() for each in whole(log) if each.startswith(HEAD)]


LINE = st.sampled_from([HEAD + b"one", HEAD + b"two", b"\tat a.b.c", b"", b"java.io.IOException: no"])


@given(st.lists(LINE, max_size=14), st.data(), st.booleans(), st.booleans())
def test_records_are_whole_wherever_blocks_end(lines: list[bytes], data: st.DataObject, last: bool, end: bool) -> None:
    """They are what a plain loop finds, and wherever a map stops home would go on with the rest."""
    log = b"".join(line + b"\n" for line in lines)
    log = log if end else log[:-1]
    cuts = sorted(data.draw(st.sets(st.integers(1, len(lines)), max_size=4))) if lines else []
    places = [sum(len(line) + 1 for line in lines[:cut]) for cut in cuts]
    blocks = [log[begin:stop] for begin, stop in zip([0, *places], [*places, len(log)], strict=True)]
    records = Records(Given([block for block in blocks if block], last), FORMAT, [])
    handout = Handout(records, Cuts(Quiet(), None, None, 60.0))
    iterator = Lines(handout, Provider("p", {}))
    stop = data.draw(st.integers(0, len(parsed(log))))
    found = [next(iterator)["line"] for _ in range(stop)]
    handout.settle()
    at = 0
    for _, begin, to in records.moves():
        assert int(begin) == at
        at = int(to)
    assert found + parsed(log[at:]) == parsed(log)
    assert found + [record["line"] for record in iterator] == parsed(log)
    handout.settle()
    assert sum(int(to) - int(begin) for _, begin, to in records.moves()) == len(log) - at
    assert records.parse_errors == len(whole(log)) - len(parsed(log))


def test_a_record_of_a_file_that_was_given_up() -> None:
    """Its bytes are taken at once; home hears where its source was before it, and of the record when it is used up."""
    log = HEAD + b"one\n" + HEAD + b"two\n\tat a.b.c\n"
    source = Given([log], last=False)
    holding = Holding(source, format_of(FORMAT).start)  # type: ignore[arg-type]  # log4j has one
    blocks = holding.blocks()
    first, at = next(blocks), len(HEAD) + 4
    assert first is not None and first.taken is not None
    first.taken(at)
    second = next(blocks)
    assert second is not None and second.taken is not None
    assert (source.offset, second.items) == (len(log), [HEAD + b"two\n\tat a.b.c"])
    assert holding.moves() == [("log", b"0", b"%d" % at)]
    second.taken(0)  # a cut before the map has asked for it
    assert holding.moves() == []
    second.taken(len(second.data))
    assert holding.moves() == [("log", b"%d" % at, b"%d" % len(log))]


# --- real files


class Heard:
    """What home knows of sources."""

    def __init__(self) -> None:
        self.at: dict[str, bytes] = {}

    def opened(self, log: Any, reason: str) -> None:
        log.told = log.told or log.position()
        self.at[log.source] = self.at.get(log.source) or log.told

    def begun(self) -> None:
        pass

    def gap(self, source: str, reason: str, lines: int | None = None, size: int | None = None) -> None:
        pass


class Job:
    """A script job as far as its records: one that follows logs, and hands out what it reads."""

    def __init__(self, log: Path, known: dict[str, bytes], scope: Scope) -> None:
        heard: Any = Heard()
        heard.at.update(known)
        self.home: dict[str, bytes] = heard.at
        self.follow = Follow([str(log)], dict(known), splitter(None), heard, False, scope)
        self.records = Records(self.follow, FORMAT, [])
        self.blocks = self.records.blocks()
        self.counted = 0

    def place(self) -> dict[str, bytes]:
        """Where home would go on, had there been a cut."""
        for source, begin, end in self.records.moves():
            assert self.home[source] == begin
            self.home[source] = end
        return dict(self.home)

    def step(self, each: Callable[[], None]) -> bool:
        """A block; False if there is none now."""
        block = next(self.blocks)
        each()  # in the middle: it was read and is not taken
        if block is None:
            return False
        self.counted += len(block.items)
        if block.taken is not None:
            block.taken(block.skipped + len(block.data))
        each()
        return True


def left(log: Path, known: dict[str, bytes]) -> int:
    """Records that another job finds from there on."""
    told: Any = Heard()
    files = find([str(log)], False, known)
    source = Finish(files, known, splitter(None), told, Scope(resumed=True, rotated=True))
    counted = 0
    with closing(source):
        for block in Records(source, FORMAT, []).blocks():
            assert block is not None
            counted += len(block.items)
            if block.taken is not None:
                block.taken(block.skipped + len(block.data))
    return counted


def record(number: int) -> str:
    """Three lines that are one."""
    return f"{HEAD.decode()}number {number}\njava.io.IOException: no\n\tat org.a.B.c\n"


def exact_throughout(job: Job, log: Path, whole: int) -> None:
    """Until all is counted; whenever there may be a cut, what was counted and what is left are all."""
    seen: dict[tuple[int, tuple[bytes, ...]], int] = {}

    def exact() -> None:
        at = job.place()
        known = job.counted, tuple(at.values())
        if known not in seen:
            seen[known] = job.counted + left(log, at)
        assert seen[known] == whole

    deadline = time.monotonic() + DEADLINE_S
    while job.counted < whole:
        if not job.step(exact):
            job.records.wait()
        assert time.monotonic() < deadline, (job.counted, whole)
    exact()


@pytest.mark.linux
def test_a_record_that_is_held_while_its_log_is_rotated(tmp_path: Path) -> None:
    """It counts once, before a break and after it; twice rotated, its file is given up while it is held."""
    log = tmp_path / "app.log"
    log.write_text(record(1) + record(2))
    job = Job(log, {str(log): b""}, Scope())
    with closing(job.follow):
        assert job.step(lambda: None) and job.counted == 1
        log.rename(tmp_path / "app.log.2")
        (tmp_path / "app.log.1").write_text(record(3) + record(4))
        log.write_text(record(5) + record(6))
        exact_throughout(job, log, 6)


@pytest.mark.linux
def test_a_record_that_is_held_while_its_log_is_copied_and_truncated(tmp_path: Path) -> None:
    """It counts once, and what follows is read from its beginning."""
    log = tmp_path / "app.log"
    log.write_text(record(1) + record(2))
    job = Job(log, {str(log): b""}, Scope())
    with closing(job.follow):
        assert job.step(lambda: None) and job.counted == 1
        (tmp_path / "app.log.1").write_text(log.read_text())
        log.write_text(record(3))
        exact_throughout(job, log, 3)


@pytest.mark.linux
def test_a_break_in_the_middle_of_a_record(tmp_path: Path) -> None:
    """Who goes on from there finds it whole, with what was written to it meanwhile."""
    log = tmp_path / "app.log"
    first, *rest = record(2).splitlines(keepends=True)
    log.write_text(record(1) + first)
    job = Job(log, {str(log): b""}, Scope())
    with closing(job.follow):
        assert job.step(lambda: None) and job.counted == 1
        at = job.place()
    with log.open("a") as file:
        file.writelines([*rest, record(3)])
    assert left(log, at) == 2


@pytest.mark.linux
def test_the_last_record_is_not_held_for_ever(tmp_path: Path) -> None:
    """When nothing is written for a while it is whole; until then what is written is a part of it."""
    log = tmp_path / "app.log"
    first, *rest = record(1).splitlines(keepends=True)
    log.write_text(first)
    job = Job(log, {str(log): b""}, Scope())
    with closing(job.follow), log.open("a") as file:
        begun = time.monotonic()
        while not job.records._holding.waits:
            job.step(lambda: None)
        file.writelines(rest)
        file.flush()
        if time.monotonic() - begun < RECORD_S:
            exact_throughout(job, log, 1)


@pytest.mark.linux
def test_late_records_of_a_generation_that_was_left(tmp_path: Path) -> None:
    """Records that are written to it in pieces, while its successor is read, each count once, whole."""
    log = tmp_path / "app.log"
    log.write_text(record(1))
    job = Job(log, {str(log): b""}, Scope())
    with closing(job.follow), log.open("a") as file:
        log.rename(tmp_path / "app.log.1")
        log.write_text(record(2))
        exact_throughout(job, log, 2)
        begun = time.monotonic()
        first, *rest = record(3).splitlines(keepends=True)
        for piece in ([first], [*rest, record(4)]):
            late = job.follow._followed[str(log)].late
            assert late is not None
            read_to = late.read_to
            file.writelines(piece)
            file.flush()
            while late.read_to == read_to:
                job.step(lambda: None)
                assert time.monotonic() < begun + DEADLINE_S
        in_time = time.monotonic() - begun < RECORD_S
        while job.counted < 4:
            job.step(lambda: None)
            assert time.monotonic() < begun + DEADLINE_S
        assert job.records.parse_errors == 0 or not in_time
        assert left(log, job.place()) == 0
