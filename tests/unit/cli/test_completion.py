"""What completion answers at a place of the command line, without any shell."""

from __future__ import annotations

import shlex
import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backplane.cli.completion import lines
from backplane.cli.completion.answer import answer, main
from backplane.cli.completion.shell import for_bash, typed
from backplane.cli.main import VERBS
from backplane.query.oneline.aggregates import is_aggregate
from backplane.query.oneline.parser import STAGES


def offered(line: str) -> list[str]:
    """The candidates for the end of a line, as fish is given them."""
    return [each.partition("\t")[0] for each in answer("fish", line) if not each.startswith(":")]


@pytest.fixture
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A user's own state: a table of two providers, and a named query."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    place = tmp_path / "state" / "logreduce"
    (place / "queries" / "errors").mkdir(parents=True)
    (place / "queries" / "errors" / "state.db").touch()
    from coordinator.store import Store
    from coordinator.table import Provider

    store = Store(str(place / "providers.sqlite"))
    store.add(
        [Provider("web01", labels={"role": "web", "group": "front"}), Provider("db1", labels={"role": "db"})],
        replacing=False,
    )
    store.close()
    return place


def test_verbs_and_options() -> None:
    """The first word is a verb; what begins with a dash is an option of it, and choices are what an option takes."""
    assert set(offered("logreduce ")) == {name for name, verb in VERBS.items() if verb.module}
    assert offered("logreduce run --fo") == ["--follow", "--for"]
    assert offered("logreduce ps -o ") == ["table", "json"]
    assert offered("logreduce ps --output=j") == ["--output=json"]
    assert offered("logreduce nothing ") == []
    assert offered("cat x | logreduce comple") == ["completion"]


def test_queries_and_formats() -> None:
    """A question begins with a name of the library, a format or a path."""
    assert offered("logreduce run http") == ["http-status"]
    assert offered("logreduce run ngi") == ["nginx ", "nginx-error "]
    assert offered("logreduce run 'hdfs") == ["hdfs ", "hdfs-audit "]


def test_a_line_goes_on() -> None:
    """Within a line: stages after a |, fields of its format, and what it has named itself."""
    assert offered("logreduce run 'nginx a.log | wh") == ["nginx a.log | where"]
    assert offered("logreduce run 'nginx a.log | where sta") == [
        "nginx a.log | where status",
        "nginx a.log | where starts with",
    ]
    parse = "nginx a.log | parse 'x=(.*)' as wanted | count by wan"
    assert offered(f'logreduce run "{parse}') == [parse.removesuffix("wan") + "wanted"]
    assert offered("logreduce run 'nosuch a.log | where stat") == []
    assert offered('logreduce run \'raw a.log | where line contains "|" | so') == [
        'raw a.log | where line contains "|" | sort'
    ]
    assert offered("logreduce sql \"SELECT count(*) FROM 'ngi") == [
        "SELECT count(*) FROM 'nginx",
        "SELECT count(*) FROM 'nginx-error",
    ]
    assert offered('logreduce sql "SELECT count(*) FROM nginx WHERE stat') == [
        "SELECT count(*) FROM nginx WHERE status"
    ]


def test_what_is_offered_is_understood() -> None:
    """Stages and aggregates that are offered are the language's own."""
    assert set(lines._STAGES) <= set(STAGES)
    assert all(map(is_aggregate, lines._AGGREGATES))


def test_providers_of_the_table(state: Path) -> None:
    """Names, groups and labels of this user's table, behind a comma too; queries by the names that they were given."""
    assert offered("logreduce run x.py -w w") == ["web01"]
    assert offered("logreduce run x.py -w web01,d") == ["web01,db1"]
    assert offered("logreduce run x.py -w @") == ["@front"]
    assert offered("logreduce run x.py -g ") == ["front"]
    assert offered("logreduce run x.py -l role=") == ["role=db", "role=web"]
    assert offered("logreduce providers rm w") == ["web01"]
    for verb in ("attach", "cancel", "rm"):
        assert offered(f"logreduce {verb} e") == ["errors"]


def test_providers_of_an_inventory(tmp_path: Path, state: Path) -> None:
    """With -i the names are of that file. A program is never run for it."""
    hosts = tmp_path / "hosts"
    hosts.write_text("one01\none02\n")
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\ntouch {tmp_path}/ran\n")
    program.chmod(0o755)
    assert offered(f"logreduce run x.py -i {hosts} -w o") == ["one01", "one02"]
    assert offered(f"logreduce run x.py -i {program} -w ") == []
    assert offered(f"logreduce run x.py -i exec:{program} -w ") == []
    assert not (tmp_path / "ran").exists()


def test_parameters_of_the_query_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """Of a file, a folder or the library, with their defaults but for secrets; nothing of the query runs."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "q.py").write_text(
        f'open({str(tmp_path / "ran")!r}, "w")\nlogs = "x"\nfloor = 500\nflat: float = 0.5\ntoken = "hush"\n'
        'secret = ["token"]\nreduce = "count"\ndef map(lines):\n    yield floor\n'
    )
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "query.toml").write_text('logs = "x"\nfloor = 400\nsecret = ["key"]\nkey = "hush"\n')
    assert offered("logreduce run ./q.py --set ") == ["floor=", "flat=", "token="]
    assert offered("logreduce run ./q.py x.log -f --set flo") == ["floor="]
    assert offered("logreduce check ./q.py --set=flo") == ["--set=floor="]
    assert offered("logreduce explain ./folder --set ") == ["floor=", "key="]
    assert offered("logreduce run levels-per-minute --set ") == ["only="]
    assert offered("logreduce run ./q.py --set floor=") == offered("logreduce run --set ") == []
    told = list(answer("fish", "logreduce run ./q.py --set ")) + list(answer("fish", "logreduce run ./folder --set "))
    assert "floor=\t500" in told and "hush" not in "".join(told)
    assert not (tmp_path / "ran").exists()
    (tmp_path / "q.py").write_text("def map(lines\n")
    for line in ("./q.py", "./gone.py", "'raw x | count'"):
        assert main(["fish", f"logreduce run {line} --set "]) == 0
    assert capfd.readouterr() == ("", "")


def test_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A folder ends with a slash and goes on."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "a b.log").touch()
    assert offered("logreduce run ./q.py lo") == ["logs/"]
    assert ":nospace" in list(answer("bash", "logreduce run ./q.py lo"))
    assert list(answer("bash", "logreduce run ./q.py logs/")) == ["logs/a\\ b.log"]


def test_bash_takes_the_end_of_a_word() -> None:
    """readline replaces what is behind a break of its own, or behind a quote."""
    assert list(answer("bash", "logreduce ps --output=j")) == ["json"]
    assert list(answer("bash", "logreduce run 'nginx x | wh"))[:2] == [":nospace", "nginx x | where"]
    assert list(answer("bash", "logreduce run 'nginx x | wh", "63")) == [":nospace", "where"]


def test_nothing_is_said_where_something_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """A broken table gives no candidates, and no message in the middle of what is being typed."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    (tmp_path / "logreduce").mkdir()
    (tmp_path / "logreduce" / "providers.sqlite").write_bytes(b"no database at all" * 100)
    with pytest.raises(sqlite3.DatabaseError):
        list(answer("bash", "logreduce run x.py -w w"))
    assert main(["bash", "logreduce run x.py -w w"]) == 0
    assert main([]) == 0
    assert capfd.readouterr() == ("", "")


def test_a_tab_imports_little() -> None:
    """Nothing that asks, draws or parses options is imported to complete an option's name."""
    code = (
        "import sys; from backplane.cli.main import main; main(['_complete', 'bash', 'logreduce run --fo']);"
        "print(sorted({'argparse', 'asyncio', 'rich', 'msgpack', 'coordinator', 'ClusterShell'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert ran.stdout.splitlines() == ["--follow", "--for", "[]"]


@given(st.lists(st.text(st.characters(blacklist_categories=("Cs", "Cc")), max_size=8), min_size=1, max_size=4))
def test_words_are_read_as_a_shell_reads_them(words: list[str]) -> None:
    """What shlex quotes comes back as the same words."""
    assert typed(shlex.join(words)).words == tuple(words)


@given(st.text(st.characters(blacklist_categories=("Cs", "Cc")), min_size=1, max_size=12))
def test_a_candidate_is_the_same_word_again(text: str) -> None:
    """What readline is given reads as the candidate, with no quote and in either of the two."""
    assert typed(for_bash(text, typed("x "), "")).words == (text,)
    for quote in "'\"":
        assert typed(quote + for_bash(text, typed(f"x {quote}"), "") + quote).words == (text,)
