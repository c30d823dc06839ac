"""Script jobs of a shipped runner whose lines are records of a format."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.query.formats import format_data
from backplane.query.starting import following, parsing
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
