"""One real log over four providers gives the same rows whichever way it is reached, and on every Python."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path

import pytest

from backplane.cli.demo.farm import farm as demo_farm
from backplane.cli.demo.places import names as demo_names
from tests.rigs.program import Done, call, reach
from tests.rigs.pythons import at_hand
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


def test_resident(query: Path, quarters: list[bytes]) -> None:
    """Four resident providers, which speak the runner's protocol and nothing else."""
    with demo_farm(4) as hosts:
        places = hosts.places
        names = [name for name, _ in demo_names(4)]
        for name, piece in zip(names, quarters, strict=True):
            (places.root(name) / "access.log").write_bytes(piece)
        options: list[str | Path] = [
            "-i",
            places.inventory,
            "--known-hosts",
            places.known_hosts,
            "--ssh-config",
            os.devnull,
        ]
        done = call("run", query, *options, "-o", "json")
    _assert_counts(done)
    assert {row["level"] for row in done.snapshot["coverage"]["providers"].values()} == {"resident"}


@pytest.mark.sshd
@pytest.mark.parametrize("version", at_hand())
def test_ssh_on_every_python(query: Path, quarters: list[bytes], tmp_path: Path, version: str) -> None:
    """Four real sshds, whose python3 is each version from 3.6 to 3.13 that is at hand."""
    with SshdFarm(tmp_path / "farm", 4, {i: Knobs(python=at_hand()[version]) for i in range(4)}) as farm:
        for index, piece in enumerate(quarters):
            (farm.dir(index) / "access.log").write_bytes(piece)
        _assert_counts(call("run", query, *reach(farm), "-o", "json"))
