"""Windows of event time through the whole program."""

from __future__ import annotations

import json
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.named import kill, none_left
from tests.rigs.program import call, snapshots, started

MAP = "def map(records):\n    for record in records:\n        yield 1\n"
BY_STATUS = MAP.replace("yield 1", 'yield record["status"], 1')
COUNT = 'reduce = "count"\n'


@pytest.fixture
def kept(home: Path) -> Iterator[None]:
    """No named query of a test outlives it."""
    with none_left():
        yield


def _line(second: int, status: int = 200, year: int = 2015) -> str:
    at = f"{10 + second // 3600:02}:{second // 60 % 60:02}:{second % 60:02}"
    return f'h - - [17/May/{year}:{at} +0000] "GET / HTTP/1.1" {status} 1\n'


def _window(minute: int, size: int = 1) -> list[str]:
    return [f"2015-05-17T{10 + each // 60:02}:{each % 60:02}:00Z" for each in (minute, minute + size)]


def _counts(snapshot: dict[str, Any], column: str = "status") -> dict[int, int]:
    return {row[column]: row["count"] for row in snapshot["rows"]}


@pytest.mark.parametrize(
    ("query", "column"), [("common access.log | count by status", "status"), ("./q.py", "key")], ids=["line", "file"]
)
def test_windows_close_as_a_log_grows(tmp_path: Path, query: str, column: str) -> None:
    """Each once, when the log is past it or idle; what is late repeats its window; what cannot be true is counted."""
    log = tmp_path / "access.log"
    log.write_text(_line(0) + _line(65, 404) + _line(31) + _line(131))
    words = ["--window", "1m", "--lateness", "2s", "-f", "--since", "2015-01-01", "-o", "jsonl", "--every", "100ms"]
    (tmp_path / "q.py").write_text('logs = "access.log"\nformat = "common"\n' + BY_STATUS + COUNT)
    with started("run", query, *words, cwd=tmp_path) as process:
        arriving = snapshots(process)
        told = [next(arriving) for _ in range(3)]  # the last when the log has been idle for the lateness
        assert [(each["window"], each["revision"], _counts(each, column)) for each in told] == [
            (_window(0), 0, {200: 2}),
            (_window(1), 0, {404: 1}),
            (_window(2), 0, {200: 1}),
        ]
        assert all(each["complete"] and not each["final"] for each in told)
        with log.open("a") as file:
            file.write(_line(40, 500) + _line(9, year=2999))
        late = next(arriving)
        assert (late["window"], late["revision"], _counts(late, column)) == (_window(0), 1, {200: 2, 500: 1})
        process.send_signal(signal.SIGINT)
        last = list(arriving)[-1]
        assert process.wait(20) == 0
    assert (last["final"], last["complete"], last["window"]) == (True, True, None)
    assert [(row["window"], row[column], row["count"]) for row in last["rows"]] == [
        (_window(0), 200, 2), (_window(0), 500, 1), (_window(1), 404, 1), (_window(2), 200, 1)
    ]  # fmt: skip
    assert last["coverage"]["providers"]["local"]["dropped"] == {"future": 1}


def test_an_answer_that_ends_has_all_windows(tmp_path: Path) -> None:
    """Of two logs, one far behind the other: every window once, whole, and all of them at the end, each finished."""
    for name, first in (("a", 0), ("b", 3000)):
        (tmp_path / f"{name}.log").write_text("".join(_line(first + each, 200 + each % 3) for each in range(0, 600, 7)))
    query = f"common {tmp_path}/*.log | timeslice 2m/1m | count by status | sort -status | limit 2"
    done = call("run", query, "-o", "jsonl", "--lateness", "1m")
    assert done.status == 0, done.err
    *closed, last = [json.loads(line) for line in done.out.splitlines()]
    expected = {}
    for minute in range(-1, 60):
        inside = [each for each in range(0, 600, 7) for first in (0, 3000) if 0 <= first + each - minute * 60 < 120]
        counts = {status: sum(200 + each % 3 == status for each in inside) for status in (202, 201)}
        if inside:
            begins = [f"2015-05-17T{(600 + at) // 60:02}:{(600 + at) % 60:02}:00Z" for at in (minute, minute + 2)]
            expected[tuple(begins)] = {status: count for status, count in counts.items() if count}
    assert {tuple(each["window"]): _counts(each) for each in closed} == expected
    assert [each["revision"] for each in closed] == [0] * len(expected)
    assert [tuple(row["window"]) for row in last["rows"]] == [window for window in sorted(expected) for _ in range(2)]


@pytest.mark.parametrize(
    ("query", "words", "says"),
    [
        ("common x.log | count", ["--window", "1m/5m"], "what is between two windows"),
        ("common x.log | count", ["--window", "soon"], "is no window: write 1m"),
        ("common x.log | count", ["--window", "1h/1s"], "more than 100 windows"),
        ("common x.log | count", ["--lateness", "5s"], "add --window 1m"),
        ("common x.log | timeslice 1m | count", ["--window", "1m"], "a timeslice already"),
        ("common x.log", ["--window", "1m"], "add an aggregate"),
        ("raw x.log | count", ["--window", "1m"], "a format whose lines have a time"),
        ("./lines.py", ["--window", "1m"], "`map` takes lines: name what they are"),
        ("./raw.py", ["--window", "1m"], "those of raw have none"),
        ("./shown.py", ["--window", "1m"], 'takes an aggregate, as in reduce = "count", and here `reduce` is none'),
        ("./own.py", ["--window", "1m"], "here `reduce` is class Reduce of line 6"),
        ("./good.py", ["--lateness", "5s"], "add --window 1m"),
    ],
)
def test_windows_that_cannot_be(tmp_path: Path, query: str, words: list[str], says: str) -> None:
    """Each is a sentence about what to write instead."""
    (tmp_path / "x.log").write_text(_line(0))
    own = "class Reduce:\n    def add(self, key, value): pass\n    def rows(self): return []\n"
    forms = {"lines": ("", COUNT), "raw": ("raw", COUNT), "shown": ("common", ""), "own": ("common", own)}
    for name, (form, reduce) in {**forms, "good": ("common", COUNT)}.items():
        text = f"logs = 'x.log'\n{f'format = {form!r}' if form else ''}\n{MAP}{reduce}"
        (tmp_path / f"{name}.py").write_text(text)
    done = call("run", query, *words, cwd=tmp_path)
    assert done.status == 2
    assert says in done.err
    assert "Traceback" not in done.err


@pytest.mark.usefixtures("kept")
def test_windows_of_a_named_query_outlive_its_process(tmp_path: Path) -> None:
    """Killed with -9 while its log grows: who attaches sees each closed window, and what came meanwhile is in it."""
    log = tmp_path / "access.log"
    log.write_text(_line(0) + _line(65))
    words = ["--window", "1m", "--lateness", "1s", "-f", "--since", "2015-01-01", "--name", "live", "--detach"]
    again = ("run", f"common {log} | count by status", *words)
    assert call(*again).status == 0
    with started("attach", "live", "-o", "jsonl", "--every", "100ms") as process:
        arriving = snapshots(process)
        told = [next(arriving) for _ in range(2)]
        assert [(each["window"], _counts(each)) for each in told] == [(_window(0), {200: 1}), (_window(1), {200: 1})]
        process.send_signal(signal.SIGINT)
        process.wait(20)
    kill("live")
    with log.open("a") as file:
        file.write(_line(30, 404) + _line(130))
    assert call(*again).status == 0
    with started("attach", "live", "-o", "jsonl", "--every", "100ms") as process:
        arriving = snapshots(process)
        newest: dict[tuple[str, ...], tuple[int, dict[int, int]]] = {}
        while len(newest) < 3 or len(newest[tuple(_window(0))][1]) < 2:
            each = next(arriving)
            assert newest.get(tuple(each["window"]), (-1, {}))[0] < each["revision"]
            newest[tuple(each["window"])] = each["revision"], _counts(each)
        process.send_signal(signal.SIGINT)
        process.wait(20)
    assert [newest[tuple(_window(minute))][1] for minute in range(3)] == [{200: 1, 404: 1}, {200: 1}, {200: 1}]
    assert call("cancel", "live").status == 0
    last = json.loads(call("attach", "live", "-o", "json").out)
    assert [(row["window"], row["status"], row["count"]) for row in last["rows"]] == [
        (_window(0), 200, 1), (_window(0), 404, 1), (_window(1), 200, 1), (_window(2), 200, 1)
    ]  # fmt: skip
