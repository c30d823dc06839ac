"""Lines of files and positions in them: whole, exact at any line, found again or not believed."""

from __future__ import annotations

import errno
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.runner import files
from provider.runner.cuts import Cuts, Moves
from provider.runner.faults import Failure
from provider.runner.files import Log, absolute, expand, open_log
from provider.runner.host import Provider
from provider.runner.lines import Block, Handout, Lines, Source
from provider.runner.positions import parse
from provider.runner.text import splitter
from provider.runner.ticks import duration
from provider.runner.writer import Writer


class Recorded(Writer):
    """A writer that keeps what it is given: (kind, header, payload)."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, Any], bytes]] = []

    def send(self, kind: int, header: dict[str, Any], payload: bytes = b"") -> None:
        self.sent.append((kind, header, payload))


class Given(Source):
    """A source of blocks out of a list, with an offset for a position."""

    positioned = True

    def __init__(self, blocks: list[bytes | None]) -> None:
        self.given = blocks
        self.offset = 0
        self.told = 0
        self.waited = 0

    def blocks(self) -> Iterator[Block | None]:
        split = splitter("utf-8")
        for data in self.given:
            yield None if data is None else Block("given", split(data), data, self.taken)

    def taken(self, size: int) -> None:
        self.offset += size

    def wait(self) -> None:
        self.waited += 1

    def moves(self) -> Moves:
        if self.told == self.offset:
            return []
        move = ("given", b"%d" % self.told, b"%d" % self.offset)
        self.told = self.offset
        return [move]


def reading(path: Path) -> tuple[list[bytes], Log]:
    """All lines of a file as `Finish` reads them, and the log, still open."""
    log = Log("s", str(path))
    split = splitter(None)
    lines: list[bytes] = []
    while True:
        raw = log.read(log.size) or log.rest()
        if raw is None:
            return lines, log
        lines += split(raw.data)
        log.taken(raw.skipped + len(raw.data))


@given(
    lines=st.lists(st.binary(max_size=40).map(lambda b: b.replace(b"\n", b"")), max_size=40),
    block=st.integers(1, 64),
    ending=st.booleans(),
)
def test_lines_do_not_depend_on_blocks(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], block: int, ending: bool
) -> None:
    """Whatever the size of a read, the lines are those of the file, and the offset is its size in the end."""
    path = tmp_path_factory.mktemp("log") / "log"
    data = b"\n".join(lines) + (b"\n" if ending and lines else b"")
    path.write_bytes(data)
    before, files.BLOCK_BYTES = files.BLOCK_BYTES, block
    try:
        found, log = reading(path)
    finally:
        files.BLOCK_BYTES = before
    log.close()
    assert found == (data.split(b"\n")[:-1] if data.endswith(b"\n") or not data else data.split(b"\n"))
    assert log.offset == len(data)


@given(
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=12),
    most=st.integers(1, 20),
    block=st.integers(1, 16),
    ending=st.booleans(),
)
def test_only_lines_that_are_too_long_are_dropped(
    tmp_path_factory: pytest.TempPathFactory, sizes: list[int], most: int, block: int, ending: bool
) -> None:
    """Every line up to the limit comes; none that is over it by two reads; and the offset counts all."""
    path = tmp_path_factory.mktemp("log") / "log"
    lines = [bytes([65 + n % 26]) * size for n, size in enumerate(sizes)]
    path.write_bytes(b"\n".join(lines) + b"\n" * ending)
    before = files.BLOCK_BYTES, files.LINE_BYTES
    files.BLOCK_BYTES, files.LINE_BYTES = block, most
    try:
        found, log = reading(path)
    finally:
        files.BLOCK_BYTES, files.LINE_BYTES = before
    log.close()
    # Without an end the last line is none if it is empty.
    there = lines if ending or lines[-1] else lines[:-1]
    assert [line for line in found if len(line) <= most] == [line for line in there if len(line) <= most]
    assert all(len(line) <= most + 2 * block for line in found)
    assert log.dropped + len(found) == len(there)
    assert log.offset == path.stat().st_size


def test_a_position_is_found_again_and_only_there(tmp_path: Path) -> None:
    """After appends yes; in a file with another beginning, another text before it, or a shorter one, no."""
    path = tmp_path / "log"
    path.write_bytes(b"first\nsecond\nthird\n")
    _, log = reading(path)
    at = parse(log.position())
    log.close()
    assert at is not None
    for content, found in (
        (b"first\nsecond\nthird\nfourth\n", True),
        (b"First\nsecond\nthird\nfourth\n", False),
        (b"first\nsecond\nthirD\nfourth\n", False),
        (b"first\n", False),
    ):
        path.write_bytes(content)
        log = Log("s", str(path))
        assert log.holds(at) is found
        log.close()
    for nonsense in (b"\xc1", b"\x01", b"\x93\x01\x02\x03"):
        assert parse(nonsense) is None


def test_to_end_is_behind_the_last_whole_line(tmp_path: Path) -> None:
    """A line that is half written when following begins is read when it is whole."""
    path = tmp_path / "log"
    for content, offset in ((b"", 0), (b"a\nb\n", 4), (b"a\nhalf", 2), (b"half", 4)):
        path.write_bytes(content)
        log = Log("s", str(path))
        log.to_end()
        log.close()
        assert log.offset == offset


def test_only_regular_files_are_opened(tmp_path: Path) -> None:
    """A directory and a FIFO are refused at once, without hanging."""
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(IsADirectoryError):
        open_log(str(tmp_path))
    with pytest.raises(OSError, match="Not a regular file") as raised:
        open_log(str(tmp_path / "fifo"))
    assert raised.value.errno == errno.EINVAL


def test_a_name_with_glob_characters_is_itself_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file called `a[1].log` is that file; otherwise it is a pattern; a tilde is the home."""
    (tmp_path / "a1.log").touch()
    pattern = str(tmp_path / "a[1].log")
    assert expand(pattern) == [str(tmp_path / "a1.log")]
    (tmp_path / "a[1].log").touch()
    assert expand(pattern) == [pattern]
    monkeypatch.setenv("HOME", "/home/me")
    assert absolute("~/x") == "/home/me/x"


@pytest.mark.parametrize(
    "encoding", ["utf-16", "utf-32", "no-such", "utf-8-sig", "idna", "", "a\0b", "hz", "utf-7", "raw_unicode_escape"]
)
def test_encodings_whose_newline_is_another_are_refused(encoding: str) -> None:
    """Files are cut at the byte 10, so an encoding that has it elsewhere, or newlines without it, is unusable."""
    with pytest.raises(Failure, match="encoding"):
        splitter(encoding)


@given(st.binary(max_size=200))
def test_text_comes_back_byte_for_byte(data: bytes) -> None:
    """In UTF-8 with surrogates, lines joined again are the bytes."""
    for encoding in ("utf-8", "ascii"):
        lines = splitter(encoding)(data + b"\n")
        assert "\n".join(lines).encode(encoding, "surrogateescape") == data
    assert splitter("latin-1")(data + b"\n") == (data.decode("latin-1")).split("\n")


@pytest.mark.parametrize("text", ["", "s", "5x", "-1s", "nan", "inf", "0", "1e400s", "0.001s"])
def test_what_is_no_rhythm_is_refused(text: str) -> None:
    """A tick needs a duration that a clock can keep."""
    with pytest.raises(Failure, match="rhythm"):
        duration(text)
    assert [duration(each) for each in ("500ms", "2s", "1.5m", "1h", "1d", "3")] == [0.5, 2, 90, 3600, 86400, 3]


@given(
    blocks=st.lists(st.lists(st.text("abé", max_size=5), min_size=1, max_size=8), max_size=5),
    interrupts=st.sets(st.integers(0, 40)),
    stop=st.integers(-1, 40),
)
def test_cuts_fall_between_lines_wherever_they_are_asked_for(
    blocks: list[list[str]], interrupts: set[int], stop: int
) -> None:
    """Interrupted and stopped at any lines, each cut's position is behind exactly the lines whose values it has."""
    data = [("\n".join(lines) + "\n").encode() for lines in blocks]
    source = Given([each for block in data for each in (block, None)])
    writer = Recorded()
    seen = 0
    at_cut: list[tuple[int, int]] = []

    class Watched(Cuts):
        def cut(self) -> None:
            super().cut()
            at_cut.append((seen, source.offset))

    cuts = Watched(writer, None, source.moves, 3600.0)
    handout = Handout(source, cuts)
    lines = Lines(handout, Provider("p", {}))
    everything = [line for block in blocks for line in block]
    for line in lines:
        assert line == everything[seen]
        seen += 1
        cuts.batch.append(line)
        assert handout.lines == seen
        if seen in interrupts:
            cuts.due = True
            handout.interrupt()
            handout.interrupt()
        if seen == stop:
            handout.stop = True
            handout.interrupt()
    handout.settle()
    handout.settle()
    cuts.cut()
    assert seen == (min(stop, len(everything)) if stop > 0 else len(everything))
    for count, offset in at_cut:
        assert offset == sum(len(line.encode()) + 1 for line in everything[:count])
    assert len(at_cut) == len({n for n in interrupts if 0 < n <= seen}) + 1
    assert cuts.emitted == seen
