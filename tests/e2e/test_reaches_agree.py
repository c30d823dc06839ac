"""One real log over four providers gives the same rows whichever way it is reached, and on every Python."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.program import Done, call, reach
from tests.rigs.sshd import Knobs, SshdFarm

COUNTS = {"200": 9126, "304": 445, "404": 213, "301": 164, "206": 45, "500": 3, "403": 2, "416": 2}
QUERY = '''
"""Requests by status."""
logs = "access.log"


def map(lines):
    for line in lines:
        yield line.split('"')[2].split()[0], 1


def reduce(a, b):
    return a + b
'''


@pytest.fixture
def query(tmp_path: Path) -> Path:
    path = tmp_path / "status.py"
    path.write_text(QUERY.lstrip())
    return path


@pytest.fixture
def quarters(data: Path) -> list[bytes]:
    """The log in four pieces of whole lines."""
    lines = (data / "elastic" / "apache_logs").read_bytes().splitlines(keepends=True)
    return [b"".join(lines[i::4]) for i in range(4)]


def _assert_counts(done: Done) -> None:
    assert done.status == 0, done.err
    assert {row["key"]: row["value"] for row in done.rows} == COUNTS
    assert done.snapshot["complete"] is True
    assert done.snapshot["inexact"] == []


def test_local(query: Path, quarters: list[bytes], tmp_path: Path) -> None:
    """Four files on this machine."""
    paths = [tmp_path / f"access-{i}.log" for i in range(4)]
    for path, piece in zip(paths, quarters, strict=True):
        path.write_bytes(piece)
    _assert_counts(call("run", query, *paths, "-o", "json"))


def test_stdin(query: Path, quarters: list[bytes]) -> None:
    """The whole log on standard input."""
    _assert_counts(call("run", query, "-", "-o", "json", stdin=b"".join(quarters)))


def test_command(query: Path, quarters: list[bytes], tmp_path: Path) -> None:
    """Four providers reached by a command, each in a directory of its own."""
    groups = []
    for index, piece in enumerate(quarters):
        home = tmp_path / f"host{index}"
        home.mkdir()
        (home / "access.log").write_bytes(piece)
        labels = {"name": f"host{index}", "via": f"env -C {home}", "python": sys.executable}
        groups.append({"targets": [f"host{index}"], "labels": labels})
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps(groups))
    _assert_counts(call("run", query, "-i", inventory, "-o", "json"))


def _pythons() -> Iterator[str]:
    """Every interpreter from 3.6 to 3.13 that can be found, one of each version, and the one that runs this."""
    seen = {f"3.{sys.version_info[1]}": sys.executable}
    for minor in range(6, 14):
        found = shutil.which(f"python3.{minor}") or _of_pyenv(minor)
        if found:
            seen.setdefault(f"3.{minor}", found)
    yield from seen.values()


def _of_pyenv(minor: int) -> str | None:
    root = Path.home() / ".pyenv" / "versions"
    return next((str(path) for path in sorted(root.glob(f"3.{minor}.*/bin/python3"))), None)


@pytest.mark.sshd
@pytest.mark.parametrize("python", _pythons(), ids=lambda path: _version(path))
def test_ssh_on_every_python(query: Path, quarters: list[bytes], tmp_path: Path, python: str) -> None:
    """Four real sshds, whose python3 is each version from 3.6 to 3.13 that is at hand."""
    with SshdFarm(tmp_path / "farm", 4, {i: Knobs(python=python) for i in range(4)}) as farm:
        for index, piece in enumerate(quarters):
            (farm.dir(index) / "access.log").write_bytes(piece)
        _assert_counts(call("run", query, *reach(farm), "-o", "json"))


def _version(python: str) -> str:
    line = subprocess.run([python, "-V"], capture_output=True, text=True, check=True).stdout
    return ".".join(line.split()[1].split(".")[:2])
