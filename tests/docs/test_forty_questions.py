"""The forty questions of the how-to page, asked of real logs: both forms give what awk, sort and DuckDB find.

What these find stands in forty_answers.toml. Most questions are asked in this process, of all lines at one provider and
again dealt out to three; some by the program, as its users do.
"""

from __future__ import annotations

import functools
import math
import os
import re
import shutil
import subprocess
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import pytest

from backplane.query.oneline import OneLine, one_line
from backplane.query.sql import sql
from tests.rigs.asked import rows
from tests.rigs.program import call

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "forty-questions.md"
ANSWERS = Path(__file__).with_name("forty_answers.toml")
_QUESTION = re.compile(r"^### (\d+)\. (.+)\n\n```text\n(.+)\n```\n\n```sql\n((?:.+\n)+)```$", re.MULTILINE)
#: What is asked by the program itself: of each kind of question one.
BY_THE_PROGRAM = ((1, "run"), (12, "sql"), (21, "run"), (32, "sql"), (36, "run"))

pytestmark = pytest.mark.skipif(shutil.which("awk") is None, reason="awk says what is right, and is not there")


class Question(NamedTuple):
    """A question of the page."""

    number: int
    title: str
    line: str
    sql: str


class Answer(NamedTuple):
    """What others find: its log (several between blanks), how, and how far off a column may be."""

    question: str
    log: str
    shell: str = ""
    duckdb: str = ""
    within: Mapping[str, float] = MappingProxyType({})


_TOLD = tomllib.loads(ANSWERS.read_text("utf-8"))
QUESTIONS = [
    Question(int(found[1]), found[2], found[3], found[4]) for found in _QUESTION.finditer(PAGE.read_text("utf-8"))
]
FOUND = {each["question"]: Answer(**each) for each in _TOLD["answer"]}
MADE: dict[str, dict[str, str]] = _TOLD["made"]
Table = list[tuple[Any, ...]]


@pytest.fixture(autouse=True)
def utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Times without a zone are of the host's, which is a different one on each machine."""
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.fixture(scope="module")
def plain(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real logs for awk, which takes a carriage return for a part of a line's last word, and those made of them."""
    place = tmp_path_factory.mktemp("plain")
    for name in {name for answer in FOUND.values() for name in answer.log.split()} - set(MADE):
        (place / name).parent.mkdir(exist_ok=True)
        (place / name).write_bytes((data / name).read_bytes().replace(b"\r\n", b"\n"))
    for name, each in MADE.items():
        (place / name).write_bytes(_said(["awk", each["awk"], str(place / each["log"])], {}))
    return place


def _paths(answer: Answer, data: Path, plain: Path) -> list[Path]:
    """What is asked: the logs as they are."""
    return [(plain if name in MADE else data) / name for name in answer.log.split()]


def _said(command: Sequence[str], environ: dict[str, str]) -> bytes:
    whole = {**os.environ, "LC_ALL": "C", "TZ": "UTC", "TAB": "\t", **environ}
    return subprocess.run(command, env=whole, stdin=subprocess.DEVNULL, capture_output=True, check=True).stdout


def right(answer: Answer, plain: Path) -> Table:
    """The rows that others find."""
    paths = [str(plain / name) for name in answer.log.split()]
    if answer.duckdb:
        duckdb = pytest.importorskip("duckdb", reason="duckdb says what is right, and is not installed")
        with duckdb.connect() as connection:
            found: Table = connection.execute(answer.duckdb.replace("$LOG", paths[0])).fetchall()
        return found
    environ = {"LOG": paths[0], "LOGS": " ".join(paths), "DATA": str(plain)}
    text = _said(["sh", "-c", answer.shell], environ).decode("utf-8", "surrogateescape")
    return [tuple(line.split("\t")) for line in text.removesuffix("\n").split("\n")]


def difference(ours: Sequence[Sequence[Any]], theirs: Table, within: Mapping[str, float], sorts: bool) -> str:
    """The first row that is another one, "" if there is none."""
    if not sorts:
        ours, theirs = sorted(ours, key=_key), sorted(theirs, key=_key)
    for number in range(max(len(ours), len(theirs))):
        a, b = (table[number] if number < len(table) else () for table in (ours, theirs))
        if len(a) != len(b) or not all(
            _same(*pair, within.get(str(at), 0)) for at, pair in enumerate(zip(a, b, strict=True))
        ):
            return f"row {number + 1} of {len(ours)} is {a}, of {len(theirs)} others say {b}"
    return ""


def _key(row: Sequence[Any]) -> tuple[str, ...]:
    """By the exact columns, of which all of these answers have the first."""
    return tuple("-" if value is None else f"{value:g}" if isinstance(value, float) else str(value) for value in row)


def _same(a: Any, b: Any, within: float) -> bool:
    if a is None or isinstance(a, str):
        return (("-" if a is None else a) == b) or (a is None and b is None)
    return math.isclose(float(a), float(b), rel_tol=within or 1e-9)


@functools.cache
def _lines(paths: tuple[Path, ...]) -> tuple[bytes, ...]:
    return tuple(line + b"\n" for path in paths for line in path.read_bytes().splitlines())


def _asked(question: OneLine, paths: Sequence[Path], providers: int) -> Sequence[Sequence[Any]]:
    lines = _lines(tuple(paths))
    size = len(lines) // providers + 1
    dealt = [lines[start : start + size] for start in range(0, len(lines), size)]
    found = rows(question, {f"p{number}": b"".join(some) for number, some in enumerate(dealt)}).rows
    return [[f"{each:%Y-%m-%dT%H:%M:%SZ}" if isinstance(each, datetime) else each for each in row] for row in found]


@pytest.mark.parametrize("question", QUESTIONS, ids=[f"{each.number}" for each in QUESTIONS])
def test_both_forms_give_what_others_find(question: Question, data: Path, plain: Path) -> None:
    """Row by row, and value by value: in one line and in SQL, at one provider and at three."""
    answer = FOUND[question.title]
    theirs = right(answer, plain)
    assert any(theirs[0]), "a question that finds nothing shows nothing"
    for form, asked, providers in (
        ("one line", one_line(question.line), 1),
        ("one line", one_line(question.line), 3),
        ("SQL", sql(question.sql), 3),
    ):
        ours = _asked(asked, _paths(answer, data, plain), providers)
        off = difference(ours, theirs, answer.within, "| sort" in question.line)
        assert not off, f"{form}, {providers} providers: {off}"


@pytest.mark.parametrize(("number", "form"), BY_THE_PROGRAM)
@pytest.mark.usefixtures("home")
def test_the_program_gives_what_others_find(number: int, form: str, data: Path, plain: Path) -> None:
    """The same from a command line, with FILES behind the question, of this machine."""
    question = QUESTIONS[number - 1]
    answer = FOUND[question.title]
    text = question.line if form == "run" else question.sql
    done = call(form, text, *_paths(answer, data, plain), "-q", "-o", "json")
    assert done.status == 0, done.err
    streams = one_line(question.line).streams
    ours = [tuple(value for name, value in row.items() if name != "host" or not streams) for row in done.rows]
    assert not difference(ours, right(answer, plain), answer.within, "| sort" in question.line)


def test_the_page_has_forty_questions_with_answers() -> None:
    """Numbered, each different, none without an answer and no answer without a question."""
    assert [each.number for each in QUESTIONS] == list(range(1, 41))
    assert {each.title for each in QUESTIONS} == set(FOUND)
    assert PAGE.read_text().count("\n### ") == 40


def test_a_wrong_answer_would_be_noticed() -> None:
    """A row more, a value off, another order, null for a text."""
    theirs: Table = [("a", "1"), ("b", "2")]
    assert not difference([("a", 1), ("b", 2)], theirs, {}, True)
    assert not difference([("b", 2), ("a", 1.0)], theirs, {}, False)
    assert not difference([("a", 1.005), ("b", 2)], theirs, {"1": 0.01}, True)
    for wrong in (
        [("a", 1)],
        [("b", 2), ("a", 1)],
        [("a", 1), (None, 2)],
        [("a", 1), ("b", 2.005)],
        [("a", 1), ("b", 2), ("c", 1)],
    ):
        assert difference(wrong, theirs, {}, True)
