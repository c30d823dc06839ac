"""A map's values in windows: each is in those of the record that the map was handed last."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.query.formats import format_data
from backplane.reduce.columns import Partials, decode
from provider.runner.aggregates import tag
from provider.runner.columns import numbers
from provider.runner.cuts import Cuts
from provider.runner.host import Provider
from provider.runner.lines import Block, Lines, Source
from provider.runner.pack import PackError
from provider.runner.records import Records
from provider.runner.stamped import Stamped, WindowedCombiner
from provider.runner.text import splitter
from provider.runner.windows import Window, Windows
from tests.rigs.quiet import Quiet

NOW = 1_795_165_200.0
NINE = 1_431_853_200.0
Map = Callable[[Iterator[Any]], Iterator[Any]]


class Given(Source):
    """Blocks out of a list, of two files in turn."""

    positioned = True

    def __init__(self, blocks: list[bytes]) -> None:
        self._blocks = blocks

    def blocks(self) -> Iterator[Block | None]:
        for number, data in enumerate(self._blocks):
            yield Block("/log", splitter(None)(data), data, None, 0, f"/{number % 2}")


def line(second: int) -> bytes:
    """Of 09:00:00 UTC and so many seconds."""
    at = f"{9 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f'h - - [17/May/2015:{at} +0000] "GET / HTTP/1.1" 200 1\n'.encode()


class Job:
    """A script job as far as its values."""

    def __init__(self, blocks: list[bytes], size_s: float = 60.0, every_s: float = 60.0) -> None:
        self.windows = Windows(Window("", size_s, every_s, 0.0), clock=lambda: NOW)
        self.combiner = WindowedCombiner(["count", "sum"], tag("h", 1), self.windows)
        records = Records(Given(blocks), format_data("common"), [], self.windows)
        self.handout = Stamped(records, Cuts(Quiet(), self.combiner, None, 60.0), self.combiner)
        #: Those that home knows by number.
        self.keys: list[Any] = []
        self.lines: Any = Lines(self.handout, Provider("p", {}))

    def folded(self, asked: Map) -> None:
        """All values of a map."""
        self.combiner.fold(list(self.handout.stamped(asked(self.lines))))

    def told(self) -> list[tuple[tuple[float, float], list[Any], list[Any], int]]:
        """Windows as home hears of them: keys, sums, and how many records they are made of."""
        found = []
        for payload in self.combiner.payloads(1 << 20):
            part = decode("partials", payload)
            assert isinstance(part, Partials) and part.window is not None
            self.keys += part.keys
            keys = self.keys if part.ids is None else [self.keys[number] for number in numbers("I", part.ids)]
            window = part.window[0] - NINE, part.window[1] - NINE
            found.append((window, list(keys), part.states[1].values(), part.records))
        return found


def test_a_value_is_in_the_window_of_its_record() -> None:
    """With a key or bare; a record with several values is one record."""

    def asked(records: Iterator[Any]) -> Iterator[Any]:
        for number, record in enumerate(records):
            yield record["method"], 1
            yield record["method"], 10
            if number == 2:
                yield 5

    job = Job([line(0) + line(59), line(60)])
    job.folded(asked)
    assert job.combiner.groups == 3
    assert job.told() == [((0.0, 60.0), ["GET"], [22], 2), ((60.0, 120.0), ["GET", ()], [11, 5], 1)]
    assert job.combiner.groups == 0
    assert job.told() == []


def test_windows_that_overlap() -> None:
    """A value is in each that holds its record's time."""
    job = Job([line(70)], size_s=120, every_s=60)
    job.folded(lambda records: (("k", record["bytes"]) for record in records))
    assert [window for window, *_ in job.told()] == [(0.0, 120.0), (60.0, 180.0)]


def test_a_map_that_holds_records() -> None:
    """What it yields belongs to the record that it was handed last, and at the end to the last one of all."""

    def pairs(records: Iterator[Any]) -> Iterator[Any]:
        before = None
        for record in records:
            if before is not None:
                yield "pair", int(before["time"] - NINE)
            before = record
        yield "end", 7

    job = Job([line(0) + line(61), line(122)])
    job.folded(pairs)
    assert job.told() == [((60.0, 120.0), ["pair"], [0], 1), ((120.0, 180.0), ["pair", "end"], [61, 7], 1)]


def test_values_of_no_window_are_counted() -> None:
    """Those before the first record, and of a time that cannot be; each record once."""

    def asked(records: Iterator[Any]) -> Iterator[Any]:
        yield "before", 1
        for _ in records:
            yield "k", 1
            yield "k", 1

    job = Job([line(0), line(1).replace(b"2015", b"2999")])
    job.folded(asked)
    assert [(keys, sums) for _, keys, sums, _ in job.told()] == [(["k"], [2])]
    assert job.windows.dropped() == {"no_time": 1, "future": 1}


def test_a_record_s_time_is_the_log_s() -> None:
    """Whatever a map does to the record that it is handed."""

    def asked(records: Iterator[Any]) -> Iterator[Any]:
        for record in records:
            record["time"] = 0.0
            yield 1

    job = Job([line(61)])
    job.folded(asked)
    assert [window for window, *_ in job.told()] == [(60.0, 120.0)]


def test_watermarks_follow_what_the_map_is_through_with() -> None:
    """A source's is that of the latest record that was used up, values or not; the least of all sources counts."""
    job = Job([line(10) + line(90) + line(70), line(30)])
    assert next(job.lines)["bytes"] == 1
    assert job.windows.watermark is None
    job.handout.settle()
    assert job.windows.marks() == [["/0", NINE + 10]]
    assert len(list(job.lines)) == 3
    assert job.windows.marks() == [["/0", NINE + 90], ["/1", NINE + 30]]
    assert job.windows.watermark == NINE + 30


def test_a_key_that_cannot_be_one() -> None:
    """It is named as the map yielded it."""
    job = Job([line(0)])
    with pytest.raises(PackError, match=r"a list cannot be a key: emit a tuple instead \(\[1\]\)"):
        job.folded(lambda records: (([1], 1) for _ in records))


@given(st.lists(st.lists(st.integers(0, 600), max_size=6), max_size=5), st.data())
def test_interrupted_anywhere(blocks: list[list[int]], data: st.DataObject) -> None:
    """A handler that takes the rest of the lines away, between any two values, puts none into another window."""
    skips = data.draw(st.lists(st.integers(0, 2), min_size=40, max_size=40))
    interrupts = data.draw(st.sets(st.integers(0, 120)))
    values = 0

    def asked(records: Iterator[Any]) -> Iterator[Any]:
        nonlocal values
        for number, record in enumerate(records):
            for _ in range(skips[number]):
                if values in interrupts:
                    job.handout.interrupt()
                values += 1
                yield int((record["time"] - NINE) // 60), 1

    job = Job([b"".join(map(line, block)) for block in blocks])
    job.folded(asked)
    expected: dict[int, int] = {}
    for second, times in zip((each for block in blocks for each in block), skips, strict=False):
        if times:
            expected[second // 60] = expected.get(second // 60, 0) + times
    assert {window[0] / 60: (keys, sums) for window, keys, sums, _ in job.told()} == {
        minute: ([minute], [count]) for minute, count in expected.items()
    }
