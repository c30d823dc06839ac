"""Whether `run` begins a coordinator of its own before its command line is parsed."""

from __future__ import annotations

import contextlib
import os
import socket
from pathlib import Path

import pytest

from backplane.cli import early
from backplane.wire import places


@pytest.mark.parametrize(
    ("words", "begins"),
    [
        (["q.py", "access.log"], True),
        (["q.py", "-h"], False),
        (["q.py", "--help"], False),
        ([], False),
        (["q.py", "--coordinator", "/run/x.sock"], False),
        (["q.py", "--coordinator=/run/x.sock", "--private"], True),
    ],
)
def test_a_coordinator_is_begun_where_none_is_named(home: Path, words: list[str], begins: bool) -> None:
    """One is begun where the command line names no other and is not a question for help."""
    assert early.wanted(words, os.environ) is begins


def test_none_is_begun_where_another_may_be_used(home: Path) -> None:
    """The environment, a configuration file or the user's own socket may name another; --private overrides them."""
    assert not early.wanted(["q.py"], {**os.environ, "LOGREDUCE_COORDINATOR": "/run/x.sock"})
    config = places.config(os.environ) / "config.toml"
    config.parent.mkdir(parents=True)
    config.touch()
    assert not early.wanted(["q.py"], os.environ)
    assert early.wanted(["q.py", "--private"], os.environ)
    config.unlink()
    assert early.wanted(["q.py"], os.environ)
    own = places.socket(os.environ)
    own.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(own))
        assert not early.wanted(["q.py"], os.environ)


@pytest.mark.parametrize(
    ("words", "logins"),
    [
        (["q.py", "access.log"], False),
        (["q.py", "-w", "web01"], True),
        (["q.py", "-wweb01"], True),
        (["q.py", "--inventory=hosts.json", "--all"], True),
        (["q.py", "--where-not"], False),
    ],
)
def test_it_loads_what_logins_take_where_targets_are_given(words: list[str], logins: bool) -> None:
    """Whoever asks this machine alone does not pay for SSH."""
    assert early.abroad(words) is logins


def test_what_was_begun_for_nothing_is_gone(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its process is over and its directory removed when the verb ends, whatever the verb did."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    with contextlib.suppress(ZeroDivisionError), early.begun(["q.py"]) as begun:
        assert begun is not None and begun.process.poll() is None
        process, directory = begun.process, Path(begun.address.removeprefix("ipc://")).parent
        assert directory.stat().st_mode & 0o777 == 0o700
        _ = 1 / 0
    assert process.poll() is not None and not directory.exists()
