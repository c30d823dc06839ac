"""A daemon's settings: which source counts, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from coordinator import config


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    (tmp_path / "logreduce").mkdir()
    return {"XDG_CONFIG_HOME": str(tmp_path), "XDG_RUNTIME_DIR": "/run/user/7", "HOME": "/home/me"}


def write(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "logreduce" / "coordinator.toml"
    path.write_text(text)
    return path


def test_flag_then_environment_then_file_then_default(tmp_path: Path, environ: dict[str, str]) -> None:
    """Setting by setting."""
    write(tmp_path, 'idle = 1\nclient_credit_mb = 2\nlog = "debug"\nadhoc = true\n')
    environ |= {"LOGREDUCE_IDLE": "10.5", "LOGREDUCE_CLIENT_CREDIT_MB": "20"}
    read = config.read({"idle": 100.0, "log": None}, None, environ)
    assert (read.idle, read.client_credit_mb, read.log, read.adhoc) == (100.0, 20, "debug", True)
    assert (read.total_credit_mb, read.listen) == (4096, None)
    assert (read.table, read.verdict_s) == (None, 30.0)
    write(tmp_path, 'table = "/of/file"\nverdict_s = 0\n')
    assert config.read({}, None, environ).table == "/of/file"
    environ |= {"LOGREDUCE_TABLE": "/of/env", "LOGREDUCE_VERDICT_S": "2.5"}
    assert config.read({}, None, environ).verdict_s == 2.5
    assert [config.read({"table": flag}, None, environ).table for flag in (None, "/of/flag")] == ["/of/env", "/of/flag"]


def test_places(environ: dict[str, str]) -> None:
    """The runtime directory, or without one a directory below the state that is as private."""
    assert config.read({}, None, environ).socket == "/run/user/7/logreduce/coordinator.sock"
    del environ["XDG_RUNTIME_DIR"]
    assert config.read({}, None, environ).socket == "/home/me/.local/state/logreduce/run/coordinator.sock"


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("adhok = true", r"coordinator\.toml: there is no setting 'adhok': did you mean 'adhoc'\?"),
        ("zzz = 1", "there are adhoc, client_credit_mb"),
        ('adhoc = "yes"', "adhoc is 'yes', which is not bool"),
        ("idle = true", "idle is True"),
        ("idle = 0", "must be over 0"),
        ("verdict_s = -1", r"verdict_s is -1, and must be 0 \(off\) or more"),
        ('table = ""', "which is no file"),
        ('log = "loud"', "none of debug, info"),
        ('listen = "ipc:///x"', "not tcp://HOST:PORT"),
        ("adhoc =", "coordinator.toml"),
        ('file = "x"', "no setting 'file'"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, environ: dict[str, str], text: str, says: str) -> None:
    """With the file, and near names."""
    write(tmp_path, text)
    with pytest.raises(UsageError, match=says):
        config.read({}, None, environ)


def test_wrong_environment_and_missing_file(tmp_path: Path, environ: dict[str, str]) -> None:
    """The variable is named; a file that is named must be there."""
    with pytest.raises(UsageError, match="LOGREDUCE_ADHOC is 'perhaps'"):
        config.read({}, None, environ | {"LOGREDUCE_ADHOC": "perhaps"})
    with pytest.raises(UsageError, match="no configuration at"):
        config.read({}, str(tmp_path / "none.toml"), environ)


def test_what_needs_a_restart_is_known(environ: dict[str, str]) -> None:
    """Terms and level change at a reload, addresses do not."""
    before = config.read({}, None, environ)
    changed = {"listen": "tcp://h:1", "table": "/t", "adhoc": True, "idle": 3.0, "verdict_s": 0.0, "log": "debug"}
    assert config.differing(before, config.read(changed, None, environ)) == ["listen", "table"]
