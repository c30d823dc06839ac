"""Whatever happens to a log and wherever reading breaks off: each line once, or named in a gap.

A writer keeps its own record of what it wrote. The reader is built anew from the positions of its cuts after each
break, as a job is.
"""

from __future__ import annotations

import gzip
import os
import shutil
from pathlib import Path
from typing import IO, Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider.runner import files, follow, frames
from provider.runner.finish import Finish
from provider.runner.follow import Follow
from provider.runner.lines import Block
from provider.runner.sources import Scope, Told
from provider.runner.text import splitter
from provider.runner.writer import Writer

HEADER = b"time,status,what\n"


class Recorded(Writer):
    """Keeps what it is given."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, Any], bytes]] = []

    def send(self, kind: int, header: dict[str, Any], payload: bytes = b"") -> None:
        self.sent.append((kind, header, payload))


class Log:
    """A log and its generations, as a writer and a rotating program make them."""

    def __init__(self, folder: Path, *, dated: bool, header: bool) -> None:
        self.path = folder / "app.log"
        self.dated = dated
        self.header = header
        self.written: list[bytes] = []
        self.rotations = 0
        self.torn: IO[bytes] | None = None
        self.lost = False
        self.copied = False
        self.file = self.created()

    def created(self) -> IO[bytes]:
        file = self.path.open("ab", buffering=0)
        if self.header:
            file.write(HEADER)
        return file

    def write(self, count: int) -> None:
        self.mend()
        for _ in range(count):
            self.file.write(self.line())

    def line(self) -> bytes:
        line = b"%d of a log\n" % len(self.written)
        self.written.append(line[:-1])
        return line

    def tear(self) -> None:
        """Half a line, whose end comes with the next thing that is written, wherever that file is then."""
        self.mend()
        line = self.line()
        self.file.write(line[:3])
        self.torn, self.rest = self.file, line[3:]

    def mend(self) -> None:
        if self.torn is not None:
            self.torn.write(self.rest)
            if self.torn is not self.file:
                self.torn.close()
            self.torn = None

    def late(self) -> None:
        """A line for the file that the log was before it was rotated."""
        older = self.older()
        # Nobody writes to a copy; and a position does not know of a predecessor that was empty.
        if (
            older
            and older[-1].stat().st_size
            and not self.copied
            and not older[-1].name.endswith(".gz")
            and self.torn is None
        ):
            with older[-1].open("ab") as file:
                file.write(self.line())

    def older(self) -> list[Path]:
        """The oldest first."""
        found = [path for path in self.path.parent.iterdir() if path != self.path]
        return sorted(found, key=lambda p: int("".join(filter(str.isdigit, p.name))) * (1 if self.dated else -1))

    def next_name(self) -> Path:
        self.rotations += 1
        if self.dated:
            return self.path.with_name(f"app.log-20261120{self.rotations:02}")
        for path in self.older():
            number = int("".join(filter(str.isdigit, path.name)))
            path.rename(path.with_name(path.name.replace(f".log.{number}", f".log.{number + 1}")))
        return self.path.with_name("app.log.1")

    def rotate(self) -> None:
        self.copied = False
        self.path.rename(self.next_name())
        if self.torn is not self.file:
            self.file.close()
        self.file = self.created()

    def squeeze(self, name: Path) -> None:
        with gzip.open(f"{name}.gz", "wb") as file:
            file.write(name.read_bytes())
        name.unlink()

    def rotate_gzip(self) -> None:
        self.mend()
        name = self.next_name()
        self.path.rename(name)
        self.file.close()
        self.squeeze(name)
        self.file = self.created()

    def gzip_older(self) -> None:
        self.mend()
        for path in self.older()[:-1]:
            if path.suffix != ".gz":
                self.squeeze(path)

    def copy(self) -> None:
        self.mend()
        self.copied = True
        shutil.copy2(self.path, self.next_name())

    def copytruncate(self) -> None:
        self.copy()
        os.truncate(self.path, 0)
        if self.header:
            self.file.write(HEADER)

    def truncate(self) -> None:
        self.mend()
        self.lost = True
        os.truncate(self.path, 0)

    def drop_oldest(self) -> None:
        self.mend()
        if self.older():
            self.lost = True
            self.older()[0].unlink()


class Home:
    """Applies cuts, and starts reading anew where the last one ended."""

    def __init__(self, log: Log) -> None:
        self.log = log
        self.positions: dict[str, bytes] = {}
        self.applied: list[bytes] = []
        self.gaps: list[dict[str, Any]] = []
        self.source: Follow | Finish | None = None
        self.pending: list[bytes] = []
        self.writer = Recorded()
        self.ops: list[tuple[str, int]] = []

    def start(self, source: Follow | Finish | None = None) -> None:
        told = Told(self.writer)
        path = str(self.log.path)
        self.source = source or Follow(
            [path], dict(self.positions), splitter(None), told, scope=Scope(resumed=bool(self.positions), rotated=True)
        )
        self.blocks = self.source.blocks()
        self.heard()

    def heard(self) -> None:
        for kind, header, payload in self.writer.sent:
            if kind == frames.OPEN:
                known = self.positions.get(header["source"])
                assert known in (None, payload) or header["reason"] == "generation"
                self.positions[header["source"]] = payload
            else:
                assert kind == frames.GAP
                self.gaps.append(header)
        self.writer.sent.clear()

    def cut(self) -> None:
        """Applies what was taken."""
        assert self.source is not None
        self.heard()
        for source, before, after in self.source.moves():
            assert self.positions[source] == before
            self.positions[source] = after
        self.applied += self.pending
        self.pending = []

    def take(self, block: Block, count: int) -> None:
        lines = block.items[:count]
        rest = b"\n".join(block.items[count:])
        size = len(block.data) - (len(rest) + block.data.endswith(b"\n") if count < len(block.items) else 0)
        assert block.taken is not None
        block.taken(block.skipped + size)
        self.pending += lines

    def read(self, partly: int | None = None) -> None:
        """Reads all there is; or up to the middle of a block, after which reading must break off."""
        if self.source is None:
            self.start()
        assert self.source is not None
        idle = 0
        while idle < 4:
            if isinstance(self.source, Follow):
                self.source._sweep_at = 0.0
            block = next(self.blocks, None)
            self.heard()
            if block is None:
                idle += 1
                continue
            idle = 0
            if partly is not None:
                self.take(block, partly)
                return
            self.take(block, len(block.items))

    def look(self, *, sweep: bool) -> None:
        """One look at what there is, and at the names as well."""
        assert isinstance(self.source, Follow)
        if sweep:
            self.source._sweep_at = 0.0
        block = next(self.blocks, None)
        self.heard()
        if block is not None:
            self.take(block, len(block.items))

    def stop(self) -> None:
        """The reader is gone, with all that was not applied."""
        self.heard()
        if self.source is not None:
            self.source.close()
        self.source = None
        self.pending = []

    def check(self) -> None:
        lines = [line for line in self.applied if line + b"\n" != HEADER]
        assert len(lines) == len(set(lines)), f"a line came twice: {self.ops}"
        missing = [line for line in self.log.written if line not in set(lines)]
        assert set(lines) <= set(self.log.written)
        if not self.log.lost:
            assert not missing, f"lost: {missing}, gaps: {self.gaps}"
            assert all(gap["reason"] == "truncated" and not gap["bytes"] for gap in self.gaps), (self.gaps, self.ops)
        if missing:
            assert self.gaps, f"lost in silence: {missing}"


GENTLE = [
    "write",
    "tear",
    "late",
    "rotate",
    "rotate",
    "rotate_gzip",
    "gzip_older",
    "read",
    "cut",
    "break",
    "break_within",
]
ANY = [*GENTLE, "copytruncate", "truncate", "drop_oldest"]


def play(folder: Path, ops: list[tuple[str, int]], *, dated: bool, header: bool, block: int) -> Home:
    """Does all that, reads the rest, and returns what came of it."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    log = Log(folder, dated=dated, header=header)
    home = Home(log)
    home.ops = ops
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block)
        patch.setattr(follow, "_QUIET_S", 0.0)
        patch.setattr(follow, "_TORN_S", 1e9)
        home.start()
        try:
            for what, count in ops:
                do(home, log, what, count)
            log.mend()
            log.write(1)
            for _ in range(3):
                home.read()
                home.cut()
        finally:
            home.stop()
            log.file.close()
            if log.torn is not None:
                log.torn.close()
    return home


def do(home: Home, log: Log, what: str, count: int) -> None:
    """One step."""
    if what == "write":
        log.write(count)
    elif what == "read":
        home.read()
    elif what == "cut":
        home.read()
        home.cut()
    elif what == "break":
        home.read()
        home.stop()
    elif what == "break_within":
        home.read(partly=count)
        home.cut()
        home.stop()
    elif what == "look":
        home.look(sweep=bool(count))
    elif what == "copied, read on and truncated":
        log.copy()
        log.write(count)
        home.read()
        os.truncate(log.path, 0)
    elif what == "copied and truncated at once":
        log.copytruncate()
    else:
        if what in ("copytruncate", "truncate", "drop_oldest"):
            # What nobody has ever seen nobody can know to be lost. So something was, and something was not.
            log.write(1)
            home.read()
            home.cut()
            log.write(count)
        getattr(log, what)()


def steps(names: list[str]) -> st.SearchStrategy[list[tuple[str, int]]]:
    return st.lists(st.tuples(st.sampled_from(names), st.integers(0, 9)), max_size=30)


RULES = settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=150
)


@RULES
@given(ops=steps(GENTLE), dated=st.booleans(), header=st.booleans(), block=st.sampled_from([7, 40, 1 << 17]))
def test_no_rotation_loses_or_doubles_a_line(
    tmp_path: Path, ops: list[tuple[str, int]], dated: bool, header: bool, block: int
) -> None:
    """Renamed, compressed, dated, torn, written late: after any breaks each line was applied exactly once."""
    if header:
        # Files that hold the same and were compressed within a second cannot be told apart after a break.
        ops = [("rotate" if "gzip" in what else what, count) for what, count in ops]
    play(tmp_path / "logs", ops, dated=dated, header=header, block=block).check()


@RULES
@given(ops=steps(ANY), dated=st.booleans(), block=st.sampled_from([7, 40, 1 << 17]))
def test_what_is_lost_is_said(tmp_path: Path, ops: list[tuple[str, int]], dated: bool, block: int) -> None:
    """Truncated and deleted as well: no line twice, and none missing in silence."""
    play(tmp_path / "logs", ops, dated=dated, header=False, block=block).check()


@pytest.mark.parametrize("back", ["break", "read"])
def test_what_was_read_before_a_truncation_is_not_read_again_from_the_copy(tmp_path: Path, back: str) -> None:
    """Taken, not cut yet, and the log is copied and truncated: the next cut has these lines and moves past them."""
    before = [("write", 3), ("cut", 0), ("write", 4), ("read", 0)]
    ops = [*before, ("copied and truncated at once", 0), ("cut", 0), (back, 0)]
    play(tmp_path / "logs", ops, dated=False, header=False, block=1 << 17).check()


def test_what_was_copied_and_truncated_while_nobody_read_is_said(tmp_path: Path) -> None:
    """Nothing is missing of what was copied; but nobody knows what was written between the two."""
    home = play(
        tmp_path / "logs",
        [("write", 3), ("cut", 0), ("write", 2), ("break", 0), ("copied and truncated at once", 0), ("cut", 0)],
        dated=False,
        header=False,
        block=1 << 17,
    )
    home.check()
    assert [(gap["reason"], gap["bytes"]) for gap in home.gaps] == [("truncated", 0)]


@pytest.mark.parametrize("lines", [3, 600])
def test_a_copy_of_which_more_than_all_was_read_is_not_read(tmp_path: Path, lines: int) -> None:
    """Lines that were written after a log was copied were read before it was truncated: the copy has nothing new."""
    ops = [("write", lines), ("cut", 0), ("copied, read on and truncated", 2), ("cut", 0), ("write", 4), ("read", 0)]
    play(tmp_path / "logs", [*ops, ("break", 0)], dated=False, header=False, block=1 << 17).check()
    play(tmp_path / "again", ops, dated=True, header=False, block=1 << 17).check()


COPIED = ("copied and truncated at once", 0)


@pytest.mark.parametrize(
    "ops",
    [
        [("rotate", 0), ("look", 1), ("write", 5), COPIED, ("rotate", 0), ("look", 0)],
        [COPIED, ("look", 1), ("look", 0), ("write", 1), COPIED, ("rotate", 0)],
        [COPIED, ("cut", 0), ("write", 2), COPIED, COPIED, ("rotate", 0), ("read", 0)],
    ],
)
def test_a_log_that_waits_is_found_in_its_copy_under_another_name(tmp_path: Path, ops: list[tuple[str, int]]) -> None:
    """Copied, truncated and renamed before its turn came: the copy is read in its place."""
    for dated in (False, True):
        play(tmp_path / "logs", [("write", 3), ("cut", 0), *ops], dated=dated, header=False, block=1 << 17).check()


def test_a_log_without_a_name_that_was_truncated_is_none_of_the_empty_ones(tmp_path: Path) -> None:
    """Each rotation compresses at once, so that all are gone; the oldest is empty too, and what follows it was read."""
    ops = [("rotate_gzip", 0), ("write", 1), ("rotate_gzip", 0), ("truncate", 0), ("rotate_gzip", 0)]
    play(tmp_path / "logs", ops, dated=False, header=False, block=7).check()


@settings(max_examples=50)
@given(lines=st.integers(1, 900), looks=st.integers(0, 4), after=st.integers(1, 9))
def test_what_a_truncation_took_is_what_is_reported(
    tmp_path_factory: pytest.TempPathFactory, lines: int, looks: int, after: int
) -> None:
    """Of what was seen and not read, the bytes that are said are those of the lines that are missing."""
    looked = [("look", 0)] * looks
    ops = [("write", 1), ("read", 0), ("write", lines), *looked, ("truncate", 0), ("look", 0), ("write", after)]
    home = play(tmp_path_factory.mktemp("logs") / "logs", ops, dated=False, header=False, block=1 << 11)
    home.check()
    missing = sum(len(line) + 1 for line in set(home.log.written) - set(home.applied))
    assert sum(gap["bytes"] or 0 for gap in home.gaps) == (missing if looks else 0)
