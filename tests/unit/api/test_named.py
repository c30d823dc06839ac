"""What a program says of a question that has a name, in the command line's words: so that both mean one question."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, cast

import pytest

from backplane.api import named
from backplane.api.asking import Ask, How, prepared
from backplane.cli import named as typed
from backplane.cli import run as running
from backplane.cli import sql, targets
from backplane.cli.parsing import Parser
from backplane.client.named.keeping import HOW
from backplane.client.store.asked import Asked
from backplane.wire.errors import UsageError

pytestmark = pytest.mark.linux

LINE = "raw x.log | count"
FILE = "./q.py"
SAID: list[tuple[Ask, dict[str, Any], list[str]]] = [
    (LINE, {}, [LINE]),
    (FILE, {"files": ["a.log", "b.log"]}, [FILE, "a.log", "b.log"]),
    (Path("q.py"), {"settings": {"floor": 7}}, [FILE, "--set", "floor=7"]),
    (FILE, {"settings": {"floor": 8}, "follow": True, "rotated": True}, [FILE, "--set", "floor=8", "-f", "--rotated"]),
    (LINE, {"hosts": "web[1-2]", "groups": ["db"], "exclude": "x"}, [LINE, "-w", "web[1-2]", "-g", "db", "-x", "x"]),
    (LINE, {"inventory": "hosts.json", "labels": "a=b"}, [LINE, "-i", "hosts.json", "-a", "-l", "a=b"]),
    (LINE, {"hosts": "web1", "via": "env", "user": "me", "sudo": True}, [LINE, "-w", "web1", "--via", "env"]),
    (LINE, {"since": "2026-11-20T09:00"}, [LINE, "--since", "2026-11-20T09:00"]),
    (LINE, {"until": "1h"}, [LINE, "--until", "1h"]),
    (LINE, {"by_host": True, "parallel": 2, "wait": "3s"}, [LINE, "--by-host"]),
    (FILE, {"limit": 5, "every": "1s", "end_after": 9}, [FILE]),
]  # fmt: skip


@pytest.fixture(autouse=True)
def _files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "hosts.json").write_text('[{"targets": ["web1"], "labels": {"a": "b"}}]')
    (tmp_path / "q.py").write_text('logs = "x.log"\nfloor = 3\ndef map(lines):\n    yield floor\nreduce = "count"\n')
    monkeypatch.chdir(tmp_path)


def said(how: dict[str, Any]) -> How:
    """Options with a name."""
    return cast(How, {**how, "name": "n"})


def of_program(query: Ask, how: How, where: dict[str, Any] | None = None) -> Asked:
    return named._asked(query, how, where or {}, prepared(query, how))


def of_line(words: list[str], verb: Any = running) -> Asked:
    parser = Parser("run")
    verb.add_arguments(parser)
    args = parser.read(words)
    selection = targets.selection(args)
    return typed._asked(args, running.load_question(args, selection), selection)


@pytest.mark.parametrize(("query", "how", "words"), SAID)
def test_what_says_the_same_is_the_same_question(query: Ask, how: dict[str, Any], words: list[str]) -> None:
    """To be gone on with; and there is a word for each option that a command line has."""
    program, line = of_program(query, said(how)), of_line(words)
    assert set(program.words) == set(line.words)
    assert program.differs(line, but=HOW) == line.differs(program, but=HOW) == []
    assert (program.texts, program.folder, program.cwd, program.local) == (
        line.texts,
        line.folder,
        line.cwd,
        line.local,
    )
    assert program.entries == line.entries and program.select == line.select and program.title == line.title


def test_sql_is_one_question_by_whichever_verb() -> None:
    """A program has none, and `logreduce run` takes it too."""
    text = "SELECT count(*) FROM 'raw:x.log'"
    program, line, in_sql = of_program(text, said({})), of_line([text]), of_line([text], sql)
    assert program.differs(in_sql, but=HOW) == in_sql.differs(line, but=HOW) == []


@pytest.mark.parametrize(("query", "how", "words"), SAID)
def test_the_command_line_reads_what_a_program_has_kept(query: Ask, how: dict[str, Any], words: list[str]) -> None:
    """Each word is of the type that the parser would have made of it, so that `attach` can go on."""

    store = argparse.Namespace(facts={"asked": of_program(query, said(how)).to_fact()})
    asked, args = typed.kept(store)  # type: ignore[arg-type]
    question = running.load_question(args, targets.Selection((), select={} if asked.select is not None else None))
    assert question.title == asked.title
    running.plan(argparse.Namespace(**{**vars(args), "named": None}), question)


@pytest.mark.parametrize(
    ("how", "where", "differs"),
    [
        ({"by_host": True}, {}, ["by host"]),
        ({"hosts": "web1"}, {}, ["where"]),
        ({"end_after": "1h", "wait": 9, "user": "me"}, {}, []),
        ({}, {"private": True}, ["private"]),
        ({}, {"coordinator": "/x"}, ["coordinator"]),
    ],
)
def test_what_makes_another_question(how: dict[str, Any], where: dict[str, Any], differs: list[str]) -> None:
    """As on a command line: not how long, how patiently and as whom it is asked."""
    asked = of_program(LINE, said(how), where)
    assert asked.differs(of_program(LINE, How(name="n")), but=HOW) == differs


def test_a_misspelt_name_is_refused() -> None:
    """Before a directory is made of it."""
    with pytest.raises(UsageError, match="is no name"), named.named(LINE, How(name="../x"), {}):
        pass
