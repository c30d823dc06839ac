"""The demo's hosts as a process: started, ready, ended, and gone however it ends."""

from __future__ import annotations

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from backplane.cli.demo.farm import farm
from backplane.wire.errors import LogReduceError
from coordinator.inventory import file_sd

DEADLINE_S = 20.0


def eventually(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline, "in time"
        time.sleep(0.01)


@pytest.fixture(autouse=True)
def _own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def test_hosts_are_up(tmp_path: Path) -> None:
    """Once it is ready every host of the inventory listens, secrets are the owner's alone, and logs grow."""
    with farm(6) as hosts:
        places = hosts.places
        providers = file_sd.read(str(places.inventory))
        assert [provider.name for provider in providers] == ["db01", "web01", "web02", "web03", "web04", "web05"]
        for provider in providers:
            assert (provider.level, provider.user, provider.key) == ("resident", "demo", str(places.identity))
            with socket.create_connection((provider.address, provider.port), 5) as link:
                assert link.recv(100).startswith(b"SSH-2.0-LogReduce_0.1")
        assert stat.S_IMODE(places.directory.stat().st_mode) == 0o700
        assert stat.S_IMODE(places.identity.stat().st_mode) == 0o600
        log = places.root("web01") / "nginx/access.log"
        size = log.stat().st_size
        eventually(lambda: log.stat().st_size > size)
        assert log.read_bytes().endswith(b"\n")
        assert not (places.root("db01") / "nginx").exists()
    assert list(tmp_path.iterdir()) == []
    assert hosts.process.returncode == 0


def test_kept_logs_stay(tmp_path: Path) -> None:
    """With keep the logs stay, and keys and inventory do not."""
    with farm(2, keep=True) as hosts:
        pass
    assert {path.name for path in hosts.places.directory.iterdir()} == {"logs"}
    assert (hosts.places.root("web02") / "nginx/access.log").stat().st_size > 0


def test_an_error_takes_it_down(tmp_path: Path) -> None:
    """An error in the block ends the hosts and removes what they made."""
    with pytest.raises(ZeroDivisionError), farm(1) as hosts:
        raise ZeroDivisionError
    assert hosts.process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_killed_owner_leaves_nothing(tmp_path: Path) -> None:
    """When whoever started the hosts is killed outright, they end, and remove what they made."""
    code = (
        "import tempfile, time; from backplane.cli.demo.farm import farm\n"
        f"tempfile.tempdir = {str(tmp_path)!r}\n"
        "with farm(3) as hosts:\n    print(hosts.process.pid, flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as owner:
        assert owner.stdout is not None
        pid = int(owner.stdout.readline())
        assert list(tmp_path.iterdir()) != []
        owner.send_signal(signal.SIGKILL)
    eventually(lambda: not _alive(pid))
    assert list(tmp_path.iterdir()) == []


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    stat_file = Path(f"/proc/{pid}/stat")  # an orphan whose new parent has not reaped it yet
    return not (stat_file.exists() and stat_file.read_text().rpartition(")")[2].split()[0] == "Z")


def test_hosts_that_do_not_start(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A process that ends before it is ready is an error in one sentence, and nothing is left."""
    monkeypatch.setattr("sys.executable", "/bin/false")
    with pytest.raises(LogReduceError, match="did not start"), farm(1):
        pass
    assert list(tmp_path.iterdir()) == []


def test_hosts_that_end_by_themselves() -> None:
    """Hosts that are killed while somebody stays with them are said to have ended."""
    with farm(1) as hosts:
        hosts.process.kill()
        with pytest.raises(LogReduceError, match="ended by themselves"):
            hosts.wait()
