"""Queries that end before they are done: nothing connected yet, a reduce that misbehaves, a coordinator that goes."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import asyncssh
import pytest

from tests.integration.coordinator_rig import ROOT, alive
from tests.rigs.program import call, snapshots, started

MAP = "def map():\n    yield 'k', 1\n    yield 'k', 2\n"
SLEEPS = 'def map():\n    import os, time\n    yield os.getpid(), 1\n    time.sleep(3600)\nreduce = "count"\n'


def _query(tmp_path: Path, source: str) -> Path:
    path = tmp_path / "q.py"
    path.write_text(source)
    return path


def _until(true: Callable[[], Any], what: str, deadline_s: float = 30.0) -> Any:
    ends = time.monotonic() + deadline_s
    while not (found := true()):
        assert time.monotonic() < ends, what
        time.sleep(0.02)
    return found


@pytest.fixture
def nowhere(tmp_path: Path) -> Iterator[list[str]]:
    """Options that select three providers whose ports refuse connections."""
    key = tmp_path / "id_test"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    key.chmod(0o600)
    with socket.socket() as bound:  # and nobody listens: the port stays ours, and refuses
        bound.bind(("", 0))
        labels = {"ssh_port": str(bound.getsockname()[1])}
        groups = [{"targets": [f"127.0.0.{n}"], "labels": labels} for n in (1, 2, 3)]
        inventory = tmp_path / "inventory.json"
        inventory.write_text(json.dumps(groups))
        yield ["-i", str(inventory), "--identity", str(key), "--ssh-config", os.devnull, "--wait", "60s"]


def test_a_query_that_ends_before_anything_is_connected(tmp_path: Path, nowhere: list[str]) -> None:
    """Its providers were not reached, for one reason that is said once; and the status says that there were none."""
    done = call("run", _query(tmp_path, SLEEPS), *nowhere, "--for", "700ms", "-o", "json")
    assert set(done.states.values()) == {"unreachable"}, done.err
    assert {done.reason(name) for name in done.states} == {
        "cancelled before it had started; its SSH port refuses connections; is sshd running there?"
    }
    assert done.status == 4
    assert "unreachable 127.0.0.[1-3]: cancelled" in done.err


def test_an_interrupt_while_providers_are_connecting(tmp_path: Path, nowhere: list[str]) -> None:
    """The first Ctrl-C ends it with its coverage, at once."""
    with started("run", _query(tmp_path, SLEEPS), *nowhere, "-o", "jsonl", "--every", "100ms") as process:
        arriving = snapshots(process)
        while next(arriving)["coverage"]["states"] != {"connecting": 3}:
            pass
        process.send_signal(signal.SIGINT)
        last = list(arriving)[-1]
        assert process.wait(20) == 4
    assert last["coverage"]["states"] == {"unreachable": 3}


def test_prints_of_a_reduce_go_to_stderr(tmp_path: Path) -> None:
    """Standard output is data, whatever a reduce says while it is loaded and while it runs."""
    source = MAP + 'def reduce(a, b):\n    print("folding", a, b)\n    return a + b\n'
    done = call("run", _query(tmp_path, source), "-o", "json")
    assert done.rows == [{"key": "k", "value": 3}]
    assert "folding 1 2" in done.err
    assert done.status == 0


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ('raise ValueError("odd")', "q.py:5: reduce failed: ValueError: odd"),
        ("raise SystemExit(7)", "q.py:5: reduce failed: SystemExit: 7"),
        ("raise StopIteration", "q.py:5: reduce failed: StopIteration"),
    ],
)
def test_a_reduce_that_raises_ends_the_query(tmp_path: Path, body: str, says: str) -> None:
    """One sentence with file and line, no rows, and status 1."""
    done = call("run", _query(tmp_path, f"{MAP}def reduce(a, b):\n    {body}\n"), "-o", "json")
    assert done.status == 1
    assert done.out == ""
    assert says in done.err
    assert "Traceback" not in done.err


def test_a_reduce_without_end_is_left_behind_by_the_second_interrupt(tmp_path: Path) -> None:
    """130, and the process is gone."""
    flag = tmp_path / "folding"
    source = f'{MAP}def reduce(a, b):\n    open({str(flag)!r}, "w").close()\n    while True:\n        pass\n'
    with started("run", _query(tmp_path, source), "-o", "json") as process:
        _until(flag.exists, "the reduce was never called")
        assert process.stderr is not None
        process.send_signal(signal.SIGINT)
        while "draining" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert process.wait(20) == 130


@contextlib.contextmanager
def _daemon(path: Path) -> Iterator[subprocess.Popen[bytes]]:
    argv = [sys.executable, "-m", "coordinator", "--socket", str(path)]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.readline() == b"ready\n"
            yield child
        finally:
            child.kill()


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A socket's path."""
    directory = tmp_path / "run"
    directory.mkdir(mode=0o700)
    return directory / "s"


def _asking(tmp_path: Path, path: Path) -> contextlib.AbstractContextManager[subprocess.Popen[str]]:
    words = ("--coordinator", str(path), "-o", "jsonl", "--every", "100ms", "--by-host")
    return started("run", _query(tmp_path, SLEEPS), *words)


def _job(arriving: Iterator[dict[str, Any]]) -> int:
    """The pid of the map's process."""
    while True:
        for row in next(arriving)["rows"]:
            return int(row["key"])


def test_a_client_that_is_killed_leaves_no_job_behind(tmp_path: Path, path: Path) -> None:
    """The coordinator notices within beats, and another client's job goes on."""
    with _daemon(path), _asking(tmp_path, path) as one, _asking(tmp_path, path) as other:
        first, second = _job(snapshots(one)), _job(snapshots(other))
        one.kill()
        _until(lambda: not alive(first), "the killed client's job lives on", 10)
        assert alive(second)
        other.kill()


def test_a_coordinator_that_is_gone_ends_its_queries_with_what_they_have(tmp_path: Path, path: Path) -> None:
    """Also when another one listens there by then: it knows nothing of them, and says so."""
    with _daemon(path) as daemon, _asking(tmp_path, path) as client:
        arriving = snapshots(client)
        _job(arriving)
        daemon.kill()
        daemon.wait()
        assert path.exists(), "it had no time to take its socket away"
        with _daemon(path):
            last = list(arriving)[-1]
            assert client.wait(20) == 3
    assert last["final"]
    assert last["rows"][0]["count"] == 1
    row = last["coverage"]["providers"]["local"]
    assert (row["state"], row["reason"]) == (
        "lost",
        "the coordinator was restarted",
    )


def test_a_second_coordinator_does_not_take_a_live_ones_socket(tmp_path: Path, path: Path) -> None:
    """It ends with a sentence, and the first goes on to serve."""
    with _daemon(path):
        argv = [sys.executable, "-m", "coordinator", "--socket", str(path)]
        second = subprocess.run(argv, capture_output=True, text=True, timeout=30, cwd=ROOT, check=False)
        assert second.returncode == 1
        assert f"a coordinator listens at {path} already" in second.stderr
        source = 'def map():\n    yield 1\nreduce = "count"\n'
        assert call("run", _query(tmp_path, source), "--coordinator", path, "-o", "json").status == 0
