"""Which coordinator is used: flag, environment, configuration, own live socket, private, in this order."""

from __future__ import annotations

import argparse
import socket
from pathlib import Path

import pytest

from backplane.cli import finding
from backplane.wire.errors import UsageError
from backplane.wire.keys import Keys
from backplane.wire.zmq import new_pair


def coordinator(flag: str | None, private: bool, environ: dict[str, str], *more: str) -> finding.Found:
    """What is found with these options."""
    parser = argparse.ArgumentParser()
    finding.add_arguments(parser)
    argv = [*(["--coordinator", flag] if flag else []), *(["--private"] if private else []), *more]
    return finding.coordinator(parser.parse_args(argv), environ)


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment in which every place has its say."""
    (tmp_path / "logreduce").mkdir()
    (tmp_path / "logreduce" / "config.toml").write_text('coordinator = "ipc:///config"\n')
    return {"XDG_CONFIG_HOME": str(tmp_path), "XDG_RUNTIME_DIR": str(tmp_path), "LOGREDUCE_COORDINATOR": "/environ"}


def test_flag_first(environ: dict[str, str]) -> None:
    """A flag beats all."""
    assert coordinator("ipc:///flag", False, environ).address == "ipc:///flag"


def test_environment_second(environ: dict[str, str]) -> None:
    """LOGREDUCE_COORDINATOR beats the configuration; a bare path means ipc."""
    assert coordinator(None, False, environ).address == "ipc:///environ"


def test_configuration_third(environ: dict[str, str]) -> None:
    """The configuration file beats a live socket."""
    del environ["LOGREDUCE_COORDINATOR"]
    assert coordinator(None, False, environ).address == "ipc:///config"


def test_own_live_socket_fourth(tmp_path: Path) -> None:
    """A socket on which somebody listens is used, and stderr will say so; a left-over file is not."""
    (tmp_path / "logreduce").mkdir()
    path = tmp_path / "logreduce" / "coordinator.sock"
    environ = {"XDG_RUNTIME_DIR": str(tmp_path), "HOME": str(tmp_path)}
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        found = coordinator(None, False, environ)
        assert found.address == f"ipc://{path}"
        assert str(path) in (found.notice or "")
    assert coordinator(None, False, environ) == (None, None)


def test_private_beats_all(environ: dict[str, str]) -> None:
    """--private starts one whatever is configured."""
    assert coordinator("ipc:///flag", True, environ).address is None


@pytest.mark.parametrize("address", ["tcp://host", "host", "ipc://relative"])
def test_refuses_other_addresses(address: str) -> None:
    """What is no address is refused with the forms that would do."""
    with pytest.raises(UsageError, match="ipc:///path"):
        coordinator(address, False, {})


@pytest.mark.parametrize("text", ["coordinator = 3", "coordinator ="])
def test_broken_configuration(environ: dict[str, str], text: str, tmp_path: Path) -> None:
    """A configuration that cannot be used is named, with its path."""
    del environ["LOGREDUCE_COORDINATOR"]
    (tmp_path / "logreduce" / "config.toml").write_text(text)
    with pytest.raises(UsageError, match=r"config\.toml"):
        coordinator(None, False, environ)


def test_tcp_needs_both_keys(tmp_path: Path) -> None:
    """Without the server's, then without our own: each is a sentence that says where it could stand."""
    address, server = "tcp://host:7070", new_pair().public
    environ = {"XDG_CONFIG_HOME": str(tmp_path)}
    with pytest.raises(UsageError, match=r"--server-key, or server_key under .coordinators\."):
        coordinator(address, False, environ)
    with pytest.raises(UsageError, match="--key FILE"):
        coordinator(address, False, environ, "--server-key", server)
    with pytest.raises(UsageError, match="is no key"):
        coordinator(address, False, environ, "--server-key", "short", "--key", "x")


def test_keys_come_from_the_configuration(tmp_path: Path) -> None:
    """By address; and what is found shows no secret."""
    pair, path = Keys(tmp_path / "keys").new("me")
    server = new_pair().public
    (tmp_path / "logreduce").mkdir()
    keys = f"server_key = '{server}'\nkey = '{path}'\n"
    text = f'coordinator = "tcp://host:7070"\n[coordinators."tcp://host:7070"]\n{keys}'
    (tmp_path / "logreduce" / "config.toml").write_text(text)
    found = coordinator(None, False, {"XDG_CONFIG_HOME": str(tmp_path)})
    assert found.place and found.place.curve
    assert (found.place.curve.server, found.place.curve.own) == (server, pair)
    assert pair.secret not in repr(found)
    path.chmod(0o644)
    with pytest.raises(UsageError, match="mode 0600"):
        coordinator(None, False, {"XDG_CONFIG_HOME": str(tmp_path)})
