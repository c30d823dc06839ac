"""Script jobs of a shipped runner whose lines are records of a format."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.query.formats import format_data
from backplane.query.starting import following, parsing, windowing
from provider.runner import frames
from tests.rigs.plans import by_status, line
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, column, descendants, script

pytestmark = pytest.mark.linux

MAP = "def map(records):\n    for record in records:\n        yield record['status'], record['bytes']\n"


@pytest.fixture(params=spread(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on the oldest Python, on this one and on the newest."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


def asked(name: str, text: str, log: Path, **fields: Any) -> bytes:
    """The payload of a START, with no more modules than such a query sends."""
    data = format_data(name)
    modules = {**parsing(data), **following()}
    return script(text, sources=[str(log)], format=data, modules=modules, **fields)


def statuses(values: list[Any]) -> dict[int, int]:
    """How many values each key has."""
    return {key: sum(1 for each, _ in values if each == key) for key in {key for key, _ in values}}


def test_a_map_is_handed_records(link: RunnerLink, tmp_path: Path) -> None:
    """With their types, provider and path; lines that do not parse are counted, and the first are printed."""
    log = tmp_path / "access.log"
    text = "".join(map(line, range(5000)))
    log.write_text("odd\n" + text + "odd\n" * 20)
    link.start(1, asked("nginx", MAP, log))
    tell = "def map(records):\n    yield next(records)['time'], records.path, records.provider.name\n"
    link.start(2, asked("nginx", tell, log))
    assert link.end()["state"] == "done", link.of(frames.FAULT)
    assert statuses(link.values()) == by_status(text)
    counters = link.end()["counters"]
    assert (counters["lines"], counters["parse_errors"], counters["bytes"]) == (5021, 21, log.stat().st_size)
    assert link.prints() == "does not parse: odd\n" * 5
    assert link.end(2)["state"] == "done"
    assert link.values(2) == [(1431857103.0, str(log), "p1")]


@pytest.mark.parametrize(
    ("name", "text", "values"),
    [
        ("json", '{"a": {"b": 1}}\nno\n{"a": 2}\n', [{"b": 1}, 2]),
        ("logfmt", 'a=1 b="x y"\nno\na=2\n', ["1", "2"]),
        ("csv", "a,b\n1,x\n2,y\n", ["1", "2"]),
        ("syslog", "<13>Oct 11 22:14:15 h a[7]: text\nno\n", [None]),
        ("raw", "x\ny\n", [None, None]),
    ],
)
def test_formats_of_each_kind(link: RunnerLink, tmp_path: Path, name: str, text: str, values: list[Any]) -> None:
    """Each kind's modules travel with the query that is of it."""
    log = tmp_path / "a.log"
    log.write_text(text)
    take = "def map(records):\n    for record in records:\n        yield record.get('a')\n"
    link.start(1, asked(name, take, log))
    assert link.end()["state"] == "done", link.of(frames.FAULT)
    assert link.values() == values


def test_a_killed_job_goes_on_exactly(link: RunnerLink, tmp_path: Path) -> None:
    """From the positions of its cuts another one has just the rest, odd lines between records or not."""
    log = tmp_path / "access.log"
    log.write_text("".join(line(number) + ("odd\n" if number % 3 == 0 else "") for number in range(20_000)))
    slow = MAP.replace("        yield", "        time.sleep(0.0001)\n        yield")
    link.start(1, asked("nginx", "import time\n" + slow, log, every_s=0.05), guard=False)
    link.until(lambda: len(link.cuts()) >= 3, "some cuts")
    (pid,) = descendants(link.process.pid)
    os.kill(pid, signal.SIGKILL)
    assert link.end()["broken"]
    cut = [frame.payload for frame in link.of(frames.OPEN)]
    position = ([move[2] for each in link.cuts() for move in each["moves"]] or cut)[-1]
    first = link.values()
    assert 0 < len(first) < 20_000
    link.start(2, asked("nginx", MAP, log, positions=[[str(log), position]], resumed=True))
    assert link.end(2)["state"] == "done"
    assert [value for _, value in first + link.values(2)] == list(range(20_000))


def test_records_are_folded_on_the_provider(link: RunnerLink, tmp_path: Path) -> None:
    """As values of lines are."""
    log = tmp_path / "access.log"
    log.write_text("".join(map(line, range(700))))
    link.start(1, asked("nginx", MAP, log, combine=["sum"]))
    assert link.end()["state"] == "done", link.of(frames.FAULT)
    (partials,) = [each for cut in link.cuts() for each in cut["partials"]]
    sums = dict(zip(column(partials["keys"]), column(partials["states"][0]), strict=True))
    assert sums == {200 + left: sum(range(left, 700, 7)) for left in range(7)}


def test_nonsense_fails_in_a_sentence(link: RunnerLink, tmp_path: Path) -> None:
    """A format that is none, and a file that names no columns."""
    log = tmp_path / "empty.csv"
    log.write_text("")
    link.start(1, script(MAP, sources=[str(log)], format={"kind": "odd"}, modules=dict(parsing(format_data("csv")))))
    link.start(2, asked("csv", MAP, log))
    assert "a format has a kind" in link.end(1)["reason"]
    assert "names its columns" in link.end(2)["reason"]


# --- records of several lines

LINES = (
    "def map(records):\n    for record in records:\n"
    "        yield int(record['line'].split()[6]), record['line'].count('\\n')\n"
)


def record(number: int) -> str:
    """A message and as many lines of a stack trace as its number says."""
    head = f"2015-10-18 18:{number // 60 % 60:02}:{number % 60:02},978 INFO [main] org.a.B: number {number}\n"
    return head + "\tat org.a.B.c(B.java)\n" * (number % 4)


def test_a_map_is_handed_records_of_several_lines(link: RunnerLink, tmp_path: Path) -> None:
    """Whole, wherever a block of the file ends; what stands before the first is counted as one that does not parse."""
    log = tmp_path / "app.log"
    log.write_text("\tat an.older.Trace\n" + "".join(map(record, range(20_000))))
    assert log.stat().st_size > 10 * (128 << 10)
    link.start(1, asked("log4j", LINES, log))
    assert link.end()["state"] == "done", link.of(frames.FAULT)
    assert link.values() == [(number, number % 4) for number in range(20_000)]
    counters = link.end()["counters"]
    assert (counters["lines"], counters["parse_errors"], counters["bytes"]) == (20_001, 1, log.stat().st_size)
    assert link.prints() == "does not parse: \tat an.older.Trace\n"


def test_a_job_killed_within_records_of_several_lines(link: RunnerLink, tmp_path: Path) -> None:
    """From the positions of its cuts another one has just the rest, and no record in parts."""
    log = tmp_path / "app.log"
    log.write_text("".join(map(record, range(20_000))))
    slow = LINES.replace("        yield", "        time.sleep(0.0001)\n        yield")
    link.start(1, asked("log4j", "import time\n" + slow, log, every_s=0.05), guard=False)
    link.until(lambda: len(link.cuts()) >= 3, "some cuts")
    (pid,) = descendants(link.process.pid)
    os.kill(pid, signal.SIGKILL)
    assert link.end()["broken"]
    position = [move[2] for each in link.cuts() for move in each["moves"]][-1]
    first = link.values()
    assert 0 < len(first) < 20_000
    link.start(2, asked("log4j", LINES, log, positions=[[str(log), position]], resumed=True))
    assert link.end(2)["state"] == "done"
    assert first + link.values(2) == [(number, number % 4) for number in range(20_000)]


def test_a_record_that_nothing_follows(link: RunnerLink, tmp_path: Path) -> None:
    """It is handed out when it has been silent, with all of its lines; whatever comes later is another."""
    log = tmp_path / "app.log"
    log.write_text(record(2))
    link.start(1, asked("log4j", LINES, log, follow=True, positions=[[str(log), b""]], every_s=0.05))
    link.until_values(1)
    with log.open("a") as file:
        file.write(record(3) + record(1))
    link.until_values(3)
    link.cancel(1)
    assert link.end()["state"] == "done"
    assert link.values() == [(2, 2), (3, 3), (1, 1)]


# --- windows

MINUTE = "def map(records):\n    for record in records:\n        yield record['level'], record['line'].count('\\n')\n"


def windowed(text: str, log: Path, **fields: Any) -> bytes:
    """The payload of a START of a map of log4j whose values are summed by the minute."""
    data = format_data("log4j")
    modules = {**parsing(data), **following(), **windowing(["sum"])}
    own = {"format": data, "modules": modules, "combine": ["sum"], "window": [60.0, 60.0, 0.0]}
    return script(text, sources=[str(log)], **own, **fields)


class Summed:
    """What a client has of jobs: sums by window and key, records of each window, and the latest watermark."""

    def __init__(self) -> None:
        self.sums: Counter[Any] = Counter()
        self.records: Counter[float] = Counter()
        self.mark = 0.0

    def take(self, link: RunnerLink, job: int) -> None:
        """All that a job has said in complete cuts, from its first frame on."""
        keys: list[Any] = []
        for cut in link.cuts(job):
            for partials in cut["partials"]:
                keys = [] if partials["base"] == 0 else keys
                keys += [()] * partials["new"] if partials["keys"] is None else column(partials["keys"])
                ids = partials["ids"]
                numbers = range(len(keys)) if ids is None else memoryview(ids).cast("I")
                for number, value in zip(numbers, column(partials["states"][0]), strict=True):
                    self.sums[partials["window"][0], keys[number]] += value
                self.records[partials["window"][0]] += partials.get("records", 0)
            for _, mark in cut["marks"]:
                assert mark is None or mark >= self.mark
                self.mark = mark or self.mark


def minutes(numbers: range) -> tuple[dict[Any, int], dict[float, int]]:
    """The same by a plain loop."""
    sums: Counter[Any] = Counter()
    records: Counter[float] = Counter()
    for number in numbers:
        begin = EVENING + number // 60 % 60 * 60
        sums[begin, "INFO"] += number % 4
        records[begin] += 1
    return dict(sums), dict(records)


EVENING = 1_445_191_200.0


def test_values_are_folded_by_the_window_of_their_record(link: RunnerLink, tmp_path: Path) -> None:
    """A sum for each minute of event time, exact through a kill; the watermark is the last time that was used up."""
    log = tmp_path / "app.log"
    log.write_text("".join(map(record, range(3600))))
    slow = MINUTE.replace("        yield", "        time.sleep(0.0005)\n        yield")
    link.start(1, windowed("import time\n" + slow, log, every_s=0.05), guard=False)
    link.until(lambda: len(link.cuts()) >= 3, "some cuts")
    (pid,) = descendants(link.process.pid)
    os.kill(pid, signal.SIGKILL)
    assert link.end()["broken"]
    summed = Summed()
    summed.take(link, 1)
    assert EVENING <= summed.mark < EVENING + 3599
    position = [move[2] for each in link.cuts() for move in each["moves"]][-1]
    link.start(2, windowed(MINUTE, log, positions=[[str(log), position]], resumed=True))
    assert link.end(2)["state"] == "done", link.of(frames.FAULT, 2)
    summed.take(link, 2)
    assert (dict(summed.sums), dict(summed.records)) == minutes(range(3600))
    assert summed.mark == EVENING + 3599.978
    assert link.end(2)["counters"]["watermark"] == summed.mark


def test_values_of_no_window_are_dropped_and_counted(link: RunnerLink, tmp_path: Path) -> None:
    """Of a record whose time cannot be, which closes nothing; and without a format there is no window at all."""
    log = tmp_path / "app.log"
    log.write_text(record(1) + record(2).replace("2015", "2999") + record(3))
    link.start(1, windowed("def map(records):\n    yield 'before', 1\n" + MINUTE.partition("\n")[2], log))
    assert link.end()["state"] == "done", link.of(frames.FAULT)
    summed = Summed()
    summed.take(link, 1)
    assert dict(summed.sums) == {(EVENING, "INFO"): 4}
    assert link.end()["counters"]["dropped"] == {"no_time": 1, "future": 1}
    assert summed.mark == EVENING + 3.978
    lines = {"window": [60.0, 60.0, 0.0], "modules": dict(windowing(["sum"])) | dict(parsing(format_data("log4j")))}
    link.start(2, script(MINUTE, sources=[str(log)], **lines))
    assert "windows take a map of records and an aggregate" in link.end(2)["reason"]
