"""The program's first page, its verbs, and what it imports for them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from backplane.cli.main import VERBS, main, overview


def test_help_names_every_verb() -> None:
    """Each verb of the contract is on the first page, those of later versions apart."""
    text = overview()
    assert all(name in text for name in VERBS)


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if verb.module is None])
def test_later_verbs_say_so(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """A verb of a later version is a usage error that says so."""
    assert main([name, "anything"]) == 2
    assert capsys.readouterr().err == f"logreduce: `logreduce {name}` is not in this version\n"


def test_unknown_verb_suggests(capsys: pytest.CaptureFixture[str]) -> None:
    """A slip of the finger is met with the near name."""
    assert main(["runn"]) == 2
    assert "did you mean `logreduce run`?" in capsys.readouterr().err


@pytest.mark.parametrize("name", [name for name, verb in VERBS.items() if verb.module])
def test_every_verb_has_help(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Each verb of this version explains its options."""
    assert main([name, "--help"]) == 0
    assert f"usage: logreduce {name}" in capsys.readouterr().out


def test_a_coordinator_that_cannot_be_asked_does_no_harm(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The program's own version is told all the same; what is said of the other is no escape sequence."""
    monkeypatch.setenv("LOGREDUCE_COORDINATOR", "tcp://\x1b[31mx:1")
    assert main(["version"]) == 0
    said = capsys.readouterr()
    assert said.out.startswith("logreduce ")
    assert said.err and "\x1b" not in said.err


def test_help_imports_nothing_heavy() -> None:
    """The first page costs neither the libraries nor our own rooms."""
    heavy = "asyncio asyncssh zmq msgpack rich structlog ClusterShell backplane.client.session coordinator.main"
    program = (
        "import sys; from backplane.cli.main import main; main(['--help']);"
        f"print(set({heavy.split()}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


@pytest.mark.parametrize(
    ("argv", "says"),
    [
        (["run", "x.py", "--wher", "web01"], "there is no option --wher; did you mean '--where'"),
        (["run", "x.py", "--set"], "--set: expected one argument"),
        (["run", "x.py", "--every", "2x"], "--every: '2x' is no duration"),
        (["run"], "missing: QUERY"),
        (["demo", "now"], "'now' is one too many"),
    ],
)
def test_wrong_usage_is_one_sentence(argv: list[str], says: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Wrong usage is met with one line that says what is wrong, and where to read on."""
    assert main(argv) == 2
    err = capsys.readouterr().err
    assert says in err and f"`logreduce {argv[0]} --help`" in err
    assert err.startswith("logreduce: ") and err.count("\n") == 1


@pytest.mark.parametrize("verb", ["run", "explain", "check", "sql"])
@pytest.mark.parametrize("blank", ["", "  ", "\n"])
def test_a_blank_question_is_one_sentence_with_an_example(
    verb: str, blank: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A variable that is empty makes one: there is nothing in it to be pointed at, and no near name."""
    assert main([verb, blank]) == 2
    err = capsys.readouterr().err
    assert err.startswith("logreduce: nothing is asked: write ") and err.count("\n") == 1
    assert f"logreduce {verb} " in err


@pytest.mark.parametrize("missing", ["some.thing", "backplane.gone"])
def test_a_package_that_is_missing(
    missing: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A sentence says how it comes; that a module of our own is missing is a mistake of ours, and looks like one."""

    def fails(args: object) -> int:
        raise ModuleNotFoundError(f"No module named {missing!r}", name=missing)

    monkeypatch.setattr("backplane.cli.version.run", fails)
    if missing == "backplane.gone":
        with pytest.raises(ModuleNotFoundError):
            main(["version"])
    else:
        assert main(["version"]) == 1
        assert "package some is not in this environment: `make setup`" in capsys.readouterr().err


def test_files_may_stand_last(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """FILES after the options are FILES all the same: that is where people put them."""
    query = tmp_path / "q.py"
    query.write_text("def map(lines):\n    for line in lines:\n        yield 1\n\n\nreduce = 'count'\n")
    assert main(["explain", "--offline", str(query), "-w", "web01", "/var/log/a.log", "/var/log/b.log"]) == 0
    assert "/var/log/a.log, /var/log/b.log" in capsys.readouterr().out


def test_help_of_a_verb(capsys: pytest.CaptureFixture[str]) -> None:
    """`logreduce help run` is `logreduce run --help`, and ends with examples that can be copied."""
    assert main(["help", "run"]) == 0
    said = capsys.readouterr().out
    assert main(["run", "--help"]) == 0
    assert said == capsys.readouterr().out
    assert "for example:\n  logreduce run ./errors.py access.log\n" in said
