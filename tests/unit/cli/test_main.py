"""The program's first page, its verbs, and what it imports for them."""

from __future__ import annotations

import subprocess
import sys

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


def test_help_imports_nothing_heavy() -> None:
    """The first page costs neither the libraries nor our own rooms."""
    heavy = "asyncio asyncssh zmq msgpack rich structlog ClusterShell backplane.client.session coordinator.main"
    program = (
        "import sys; from backplane.cli.main import main; main(['--help']);"
        f"print(set({heavy.split()}) & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"
