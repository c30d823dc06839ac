"""`logreduce demo` as a user runs it: its rows against a plain count, and nothing left however it ends."""

from __future__ import annotations

import contextlib
import json
import os
import shlex
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.program import ARGV, HANGS_S


class Demo:
    """A demo that runs, its outputs in files, its temporary files below ``tmp_path``."""

    def __init__(self, tmp_path: Path, *options: str) -> None:
        self.temporary = tmp_path / "tmp"
        self.temporary.mkdir()
        self._out = tmp_path / "stdout"
        self._err = tmp_path / "stderr"
        environ = {**os.environ, "TMPDIR": str(self.temporary), "PYTHONUNBUFFERED": "1"}
        with self._out.open("wb") as out, self._err.open("wb") as err:
            self.process = subprocess.Popen(
                [*ARGV, "demo", *options], env=environ, stdin=subprocess.DEVNULL, stdout=out, stderr=err
            )

    @property
    def out(self) -> str:
        return self._out.read_text()

    @property
    def err(self) -> str:
        return self._err.read_text()

    def until(self, condition: Callable[[], object]) -> None:
        deadline = time.monotonic() + HANGS_S
        while not condition():
            assert self.process.poll() is None, f"it ended with {self.process.returncode}: {self.err}"
            assert time.monotonic() < deadline, self.err
            time.sleep(0.02)

    def wait(self) -> int:
        return self.process.wait(HANGS_S)

    def interrupt(self) -> None:
        self.process.send_signal(signal.SIGINT)

    def places(self) -> Path:
        """The demo's own directory."""
        (directory,) = self.temporary.glob("logreduce-demo-*")
        return directory

    def left(self) -> list[str]:
        """Command lines of processes that have this demo's directory as theirs."""
        found = []
        for entry in Path("/proc").glob("[0-9]*"):
            try:
                if str(self.temporary) in os.readlink(entry / "cwd"):
                    found.append((entry / "cmdline").read_text().replace("\0", " "))
            except OSError:
                continue
        return found


@contextlib.contextmanager
def demo(tmp_path: Path, *options: str) -> Iterator[Demo]:
    running = Demo(tmp_path, *options)
    try:
        yield running
    finally:
        running.process.kill()
        running.process.wait()


def counted(logs: Path, coverage: dict[str, Any]) -> Counter[int]:
    """Requests by status in as many lines of each log as coverage says were read: a plain count, another way."""
    counts: Counter[int] = Counter()
    for name, provider in coverage["providers"].items():
        if provider["lines"]:
            lines = (logs / name / "nginx/access.log").read_text().splitlines()[: provider["lines"]]
            assert len(lines) == provider["lines"]
            counts.update(int(line.rpartition(' "-" ')[0].split()[-2]) for line in lines)
    return counts


def rows(snapshot: dict[str, Any]) -> Counter[int]:
    key, value = snapshot["columns"]
    return Counter({row[key]: row[value] for row in snapshot["rows"]})


def test_rows_are_a_plain_count_and_grow(tmp_path: Path) -> None:
    """The rows are what a plain count over the kept logs gives, and they grew while the logs did."""
    with demo(tmp_path, "--providers", "6", "--for", "4s", "--keep", "-o", "jsonl") as running:
        running.until(lambda: "Ctrl-C stops" in running.err)
        snapshots = [json.loads(line) for line in running.out.splitlines()]
        final = snapshots[-1]
        assert final["final"]
        assert rows(final) == counted(running.places() / "logs", final["coverage"])
        sums = [sum(rows(snapshot).values()) for snapshot in snapshots if snapshot["rows"]]
        assert sums == sorted(sums)
        assert sums[0] < sums[-1]
        states = {name: provider["state"] for name, provider in final["coverage"]["providers"].items()}
        assert states == {"db01": "filtered_out"} | {f"web0{number}": "running" for number in range(1, 6)}
        assert final["complete"]
        assert final["inexact"] == []
        running.interrupt()
        assert running.wait() == 0
        assert [path.name for path in running.places().iterdir()] == ["logs"]
        assert running.left() == []


def test_json_is_the_final_snapshot(tmp_path: Path) -> None:
    """In -o json stdout holds the final snapshot and nothing else; without --keep nothing is left."""
    with demo(tmp_path, "--providers", "2", "--for", "2s", "-o", "json") as running:
        assert running.wait() == 0, running.err
        snapshot = json.loads(running.out)
        assert snapshot["query"] == "demo-status"
        assert snapshot["final"]
        assert sum(rows(snapshot).values()) > 0
        assert list(running.temporary.iterdir()) == []
        assert running.left() == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_interrupt_drains(tmp_path: Path, number: signal.Signals) -> None:
    """The first Ctrl-C prints the final snapshot, exits 0, and everything is gone."""
    with demo(tmp_path, "--providers", "3", "--for", "10m", "-o", "jsonl") as running:
        running.until(lambda: '"rows": [{' in running.out)
        running.process.send_signal(number)
        assert running.wait() == 0, running.err
        assert json.loads(running.out.splitlines()[-1])["final"]
        assert list(running.temporary.iterdir()) == []
        assert running.left() == []


def test_interrupt_before_the_query(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ctrl-C while the hosts still start exits 130 and leaves nothing."""
    gate = tmp_path / "gate"
    os.mkfifo(gate)
    # The process of the hosts starts by reading the gate, which holds it for as long as it takes to interrupt.
    (tmp_path / "sitecustomize.py").write_text(
        f"import sys\nif 'backplane.cli.demo.hosts' in sys.orig_argv:\n    open({str(gate)!r}).read()\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with demo(tmp_path, "--providers", "3") as running:
        held: list[int] = []

        def is_read() -> bool:
            with contextlib.suppress(OSError):
                held.append(os.open(gate, os.O_WRONLY | os.O_NONBLOCK))
            return bool(held)

        running.until(is_read)
        running.interrupt()
        os.close(held[0])
        assert running.wait() == 130, running.err
        running_hosts_are_gone(running)


def running_hosts_are_gone(running: Demo) -> None:
    deadline = time.monotonic() + HANGS_S
    while list(running.temporary.iterdir()) or running.left():
        assert time.monotonic() < deadline, "gone in time"
        time.sleep(0.02)


def test_killed_demo_leaves_nothing(tmp_path: Path) -> None:
    """A demo that is killed outright leaves no process and no file either."""
    with demo(tmp_path, "--providers", "3", "--for", "10m", "-o", "jsonl") as running:
        running.until(lambda: '"rows": [{' in running.out)
        running.process.kill()
        running.wait()
        running_hosts_are_gone(running)


def test_printed_commands_work(tmp_path: Path) -> None:
    """The commands that a demo prints to try next run as they stand, and answer."""
    with demo(tmp_path, "--providers", "6", "--for", "1s", "--keep", "-o", "json") as running:
        running.until(lambda: "Ctrl-C stops" in running.err)
        commands = [
            line.strip()
            for line in running.err.splitlines()
            if line.startswith("  ") and "inventory.json" in line and not line.strip().startswith("inventory:")
        ]
        assert len(commands) == 4
        for command in commands:
            words = [word.replace("10s", "1s") for word in shlex.split(command)]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, capture_output=True, timeout=HANGS_S)
            assert done.returncode == 0, (command, done.stderr)
            assert done.stdout
        running.interrupt()
        # Its own query had a second, in which a busy machine does not reach everybody.
        assert running.wait() in (0, 3)


@pytest.mark.parametrize("options", [["--providers", "0"], ["--providers", "many"], ["--for", "soon"], ["-o", "xml"]])
def test_wrong_options(tmp_path: Path, options: list[str]) -> None:
    """An option that makes no sense is a usage error, before anything starts."""
    with demo(tmp_path, *options) as running:
        assert running.wait() == 2
        assert options[0] in running.err or "demo" in running.err
        assert list(running.temporary.iterdir()) == []
