"""Whatever interrupts a job, wherever its link breaks: committed and resumed, it is what a plain loop gives.

A trace function stands in for signals: it runs handlers between any two instructions of the code that must bear them.
"""

from __future__ import annotations

import sys
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from provider.runner import cuts as cuts_module
from provider.runner import files, finish, frames, lines
from provider.runner import sources as sources_module
from provider.runner.aggregates import Combiner
from provider.runner.cuts import BadValue, Cuts
from provider.runner.finish import Finish
from provider.runner.host import Provider
from provider.runner.lines import Block, Handout, Lines, Source
from provider.runner.pack import unpackb
from provider.runner.sources import Told, find
from provider.runner.text import splitter
from provider.runner.writer import Writer
from tests.rigs.runner_link import emitted

#: What a handler may interrupt.
WATCHED = {module.__file__ for module in (cuts_module, files, finish, lines, sources_module)} | {__file__}


class Recorded(Writer):
    """A writer that keeps what it is given: (kind, header, payload)."""

    def __init__(self) -> None:
        self.sent: list[tuple[int, dict[str, Any], bytes]] = []
        self.busy = False

    def send(self, kind: int, header: dict[str, Any], payload: bytes = b"") -> None:
        self.sent.append((kind, header, payload))


def yields(line: bytes) -> Iterator[bytes]:
    """None to three values of a line, by what is in it."""
    for n in range(zlib.crc32(line) % 4):
        yield line[n:]


def plain(data: bytes) -> list[bytes]:
    """What a loop without anything of ours gives."""
    found = data.split(b"\n")
    if not found[-1]:
        found.pop()
    return [value for line in found for value in yields(line)]


class Signals:
    """Runs a handler at each of some instructions."""

    def __init__(self, handout: Handout, cuts: Cuts, at: dict[int, str]) -> None:
        self._handout, self._cuts, self._at = handout, cuts, at
        self._count = 0

    def trace(self, frame: FrameType, event: str, _arg: object) -> Any:
        """For `sys.settrace`."""
        if frame.f_code.co_filename not in WATCHED:
            return None
        frame.f_trace_opcodes = True
        if event == "opcode":
            self._count += 1
            what = self._at.get(self._count)
            if what is not None:
                if what == "drain":
                    self._handout.stop = True
                else:
                    self._cuts.due = True
                self._handout.interrupt()
        return self.trace


def job(path: Path, positions: dict[str, bytes], at: dict[int, str]) -> tuple[list[tuple[list[bytes], bytes]], bool]:
    """Runs a job as its process does. Its complete cuts, as values and position; and whether it came to the end."""
    writer = Recorded()
    source = Finish(find([str(path)]), positions, splitter(None), Told(writer))
    cuts = Cuts(writer, None, source.moves, 3600.0)
    handout = Handout(source, cuts)

    def run() -> Iterator[bytes]:
        for line in Lines(handout, Provider("p", {})):
            yield from yields(line)

    values = run()
    before = sys.gettrace()
    sys.settrace(Signals(handout, cuts, at).trace)
    try:
        while True:
            room, count = cuts.room, cuts.emitted
            cuts.batch.extend(islice(values, room))
            got = cuts.emitted - count
            cuts.spill()
            assert cuts.emitted < 10000, "values without end"
            if got < room:
                break
        handout.settle()
        cuts.cut()
    finally:
        sys.settrace(before)
        source.close()  # which a job leaves to the end of its process
    return list(complete(writer)), not handout.stop


def complete(writer: Recorded) -> Iterator[tuple[list[bytes], bytes]]:
    """What home would apply."""
    values: list[bytes] = []
    position = b""
    for kind, header, payload in writer.sent:
        if kind != frames.CUT:
            continue
        content = unpackb(payload)
        if header["content"] == "values":
            values += emitted(content)
        else:
            for _, before, after in content:
                assert position in (b"", before)
                position = after
        if header["last"]:
            yield values, position
            values = []


LINE = st.one_of(st.binary(max_size=6), st.binary(min_size=60, max_size=300)).map(lambda b: b.replace(b"\n", b"x"))
SIGNALS = st.one_of(
    st.dictionaries(st.integers(1, 3000), st.sampled_from(["timer", "drain"]), max_size=6),
    # One handler at every so many instructions.
    st.integers(3, 200).map(lambda every: dict.fromkeys(range(every, 20000, every), "timer")),
)


@settings(
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow], deadline=None, max_examples=100
)
@given(
    given_lines=st.lists(LINE, max_size=15),
    ending=st.booleans(),
    block=st.integers(1, 200),
    part=st.integers(16, 400),
    runs=st.lists(st.tuples(SIGNALS, st.integers(0, 12)), max_size=3),
)
def test_a_resumed_job_gives_what_the_plain_loop_gives(
    tmp_path: Path,
    given_lines: list[bytes],
    ending: bool,
    block: int,
    part: int,
    runs: list[tuple[dict[int, str], int]],
) -> None:
    """Jobs that are interrupted anywhere and lose all behind any of their cuts add up to the values of one loop."""
    data = b"\n".join(given_lines) + (b"\n" if ending and given_lines else b"")
    path = tmp_path / "some.log"
    path.write_bytes(data)
    committed: list[bytes] = []
    positions: dict[str, bytes] = {}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(files, "BLOCK_BYTES", block)
        patch.setattr(cuts_module, "PART_BYTES", part)
        for at, kept in runs:
            found, _ = job(path, positions, at)
            for values, position in found[:kept]:
                committed += values
                positions = {str(path): position} if position else positions
        found, ended = job(path, positions, {})
    assert ended
    assert committed + [value for values, _ in found for value in values] == plain(data)


# --- what fails half done


class Failing(Source):
    """One block, then something that is wrong."""

    def blocks(self) -> Iterator[Block | None]:
        yield Block("p", ["a", "b"])
        raise OSError(5, "Input/output error")

    def wait(self) -> None:
        """Never asked."""


def test_what_a_map_catches_is_kept() -> None:
    """An error of the source that the map takes for the end of its lines is still there for whoever runs it."""
    handout = Handout(Failing(), Cuts(Recorded(), None, None, 3600.0))
    seen: list[str] = []
    with pytest.raises(OSError, match="Input/output"):
        seen.extend(Lines(handout, Provider("p", {})))
    assert seen == ["a", "b"]
    assert isinstance(handout.failed, OSError)


def test_no_value_is_sent_twice_when_memory_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """Half of a batch is out when memory ends: a last cut does not send it again."""
    writer = Recorded()
    cuts = Cuts(writer, None, None, 3600.0)
    monkeypatch.setattr(frames, "MAX_PAYLOAD_BYTES", 200)
    full = [False]

    def send(kind: int, header: dict[str, Any], payload: bytes = b"") -> None:
        if full[0]:
            full[0] = False
            raise MemoryError
        writer.sent.append((kind, header, payload))
        full[0] = True

    monkeypatch.setattr(writer, "send", send)
    cuts.batch.extend(bytes([n]) * 90 for n in range(4))
    for again in (cuts.spill, cuts.cut):
        with pytest.raises(MemoryError):
            again()
    assert [value for _, _, payload in writer.sent for value in emitted(unpackb(payload))] == [b"\0" * 90]


@pytest.mark.parametrize("names", [["count", "sum"], ["sum", "count"]])
def test_what_was_folded_half_is_not_sent(names: list[str]) -> None:
    """Where one aggregate took a batch and the next refused it, the states disagree: there is no cut of them."""
    writer = Recorded()
    cuts = Cuts(writer, Combiner(names, "p"), None, 3600.0)
    cuts.batch.extend([("k", 1), ("k", "text")])
    for again in (cuts.spill, cuts.cut):
        with pytest.raises(BadValue, match="sum cannot take"):
            again()
    assert writer.sent == []
