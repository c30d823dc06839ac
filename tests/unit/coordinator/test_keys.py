"""Key files: made once, private, and read back; the list of who may come in."""

from __future__ import annotations

import os
import socket
from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from backplane.wire.keys import Keys
from backplane.wire.zmq import is_key, new_pair
from coordinator.notify import notify


def test_the_server_pair_is_made_once(tmp_path: Path) -> None:
    """And is the same for every start."""
    assert Keys(tmp_path / "k").server() == Keys(tmp_path / "k").server()


def test_a_pair_is_never_written_over(tmp_path: Path) -> None:
    """A second `keys new` of a name is refused, and the first pair stays."""
    keys = Keys(tmp_path / "k")
    pair, path = keys.new("alice")
    with pytest.raises(UsageError, match="exists already"):
        keys.new("alice")
    assert path.read_text().strip() == pair.secret
    assert [each.name for each in (tmp_path / "k").iterdir()] == ["alice.key"]


def test_allow_and_revoke(tmp_path: Path) -> None:
    """A name has one key, a key has one name, and both go together."""
    keys, one, other = Keys(tmp_path / "k"), new_pair().public, new_pair().public
    keys.allow("alice", one)
    assert keys.allowed() == {one: "alice"}
    for name, key, says in (
        ("bob", one, "allowed already, as alice"),
        ("alice", other, "another key already"),
        ("bob", "short", "40 characters"),
        ("../bob", other, "cannot be a client's name"),
        ("server", other, "cannot be a client's name"),
    ):
        with pytest.raises(UsageError, match=says):
            keys.allow(name, key)
    keys.revoke("alice")
    assert keys.allowed() == {}
    with pytest.raises(UsageError, match="no client alice"):
        keys.revoke("alice")


@pytest.mark.parametrize("mode", [0o644, 0o660, 0o604])
def test_files_that_others_may_read_are_refused(tmp_path: Path, mode: int) -> None:
    """Whoever has a key may ask in its name."""
    keys = Keys(tmp_path / "k")
    keys.server()
    (tmp_path / "k" / "server.key").chmod(mode)
    with pytest.raises(UsageError, match="mode 0600"):
        keys.server()


def test_an_open_directory_is_refused(tmp_path: Path) -> None:
    """Before anything is written to it."""
    (tmp_path / "k").mkdir(mode=0o755)
    with pytest.raises(UsageError, match="mode 0700"):
        Keys(tmp_path / "k").new("alice")
    assert not list((tmp_path / "k").iterdir())


@pytest.mark.parametrize("text", ["", "x" * 39, "x" * 41, "\N{SNOWMAN}" * 40, "'" * 40])
def test_what_is_no_key(text: str) -> None:
    """Length and alphabet are looked at."""
    assert not is_key(text)


def test_no_new_public_key_looks_like_an_option() -> None:
    """It will stand on a command line."""
    assert not any(new_pair().public.startswith("-") for _ in range(200))


def test_systemd_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One datagram; and without a socket nothing, as without anybody behind it."""
    path = f"/tmp/notify-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(path)
        try:
            listener.settimeout(5)
            monkeypatch.setenv("NOTIFY_SOCKET", path)
            notify("READY=1")
            assert listener.recv(100) == b"READY=1"
        finally:
            Path(path).unlink()
    notify("READY=1")
    monkeypatch.delenv("NOTIFY_SOCKET")
    notify("READY=1")
