"""A filter, a map and a reduce give the same rows whichever language each of them is written in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from tests.rigs.program import call, reach
from tests.rigs.sshd import SshdFarm

COUNTS = {"200": 9126, "304": 445, "404": 213, "301": 164, "206": 45, "500": 3, "403": 2, "416": 2}
CONSTANTS = 'title = "Requests by status"\nlogs = "access.log"\n'
SUM = 'reduce = "sum"\n'

FILTERS = {
    "python": ("filter.py", "def filter(provider):\n    return provider.readable(logs)\n"),
    "perl": ("filter", '#!/usr/bin/env perl\nexit(-r $ENV{"logs"} ? 0 : 1);\n'),
    "sh": ("filter", '#!/bin/sh\ntest -r "$logs"\n'),
}
MAPS = {
    "python": ("map.py", "def map(lines):\n    for line in lines:\n        yield line.split('\"')[2].split()[0], 1\n"),
    "awk": ("map", '#!/usr/bin/awk -f\nBEGIN { FS = "\\"" }\n{ split($3, part, " "); print part[1] "\\t" 1 }\n'),
    "perl": ("map", '#!/usr/bin/perl -n\nmy @part = split /"/; print((split " ", $part[2])[0], "\\t1\\n");\n'),
    "python program": (
        "map",
        """#!/usr/bin/env python3
import sys

for line in sys.stdin.buffer:
    print(line.split(b'"')[2].split()[0].decode() + "\\t1")
""",
    ),
}
REDUCES = {
    "aggregate": ("query.toml", CONSTANTS + SUM),
    "python": ("reduce.py", "def reduce(a, b):\n    return a + b\n"),
    "bash": (
        "reduce",
        r"""#!/usr/bin/env bash
declare -A n
while IFS= read -r line; do
    [[ $line =~ \"key\":\"([^\"]*)\",\"value\":([0-9]+) ]] && ((n[${BASH_REMATCH[1]}] += BASH_REMATCH[2]))
done
for key in "${!n[@]}"; do printf '%s\t%s\n' "$key" "${n[$key]}"; done
""",
    ),
    "awk": (
        "reduce",
        '#!/usr/bin/awk -f\nBEGIN { FS = "\\"" }\n{ n[$4]++ }\nEND { for (key in n) print key "\\t" n[key] }\n',
    ),
}
#: Each language of each part at least once.
MIXES = [
    ("python", "python", "aggregate"),
    ("perl", "awk", "bash"),
    ("sh", "perl", "python"),
    ("perl", "awk", "aggregate"),
    ("python", "python program", "aggregate"),
    ("sh", "python", "awk"),
]
Options = Sequence[str | Path]


@pytest.fixture
def quarters(data: Path) -> list[bytes]:
    """The log in four pieces of whole lines."""
    lines = (data / "elastic" / "apache_logs").read_bytes().splitlines(keepends=True)
    return [b"".join(lines[i::4]) for i in range(4)]


def folder(tmp_path: Path, mix: tuple[str, str, str]) -> Path:
    """The query of a mix."""
    for word in (word for words in mix for word in words.split()):
        if word in ("awk", "perl", "bash") and shutil.which(word) is None:
            pytest.skip(f"needs {word}")
    path = tmp_path / "query"
    path.mkdir()
    (path / "query.toml").write_text(CONSTANTS)
    for name, text in (FILTERS[mix[0]], MAPS[mix[1]], REDUCES[mix[2]]):
        (path / name).write_text(text)
    return path


def _same_rows(query: Path, options: Options) -> None:
    done = call("run", query, *options, "-o", "json")
    assert done.status == 0, done.err
    assert {row["key"]: row[next(name for name in row if name != "key")] for row in done.rows} == COUNTS
    assert done.snapshot["inexact"] == []


def _filtered(query: Path, remove: Callable[[], None], options: Options) -> None:
    remove()
    done = call("run", query, *options, "-o", "json")
    assert sorted(done.states.values()) == ["done", "done", "done", "filtered_out"], done.err


@pytest.mark.parametrize("mix", MIXES, ids="-".join)
def test_local(mix: tuple[str, str, str], quarters: list[bytes], tmp_path: Path) -> None:
    """Four providers on this machine; without its log one is filtered out."""
    query = folder(tmp_path, mix)
    groups = []
    for index, piece in enumerate(quarters):
        home = tmp_path / f"host{index}"
        home.mkdir()
        (home / "access.log").write_bytes(piece)
        groups.append({"targets": [home.name], "labels": {"name": home.name, "via": f"env -C {home}"}})
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps(groups))
    _same_rows(query, ["-i", inventory])
    _filtered(query, (tmp_path / "host2" / "access.log").unlink, ["-i", inventory])


@pytest.mark.sshd
@pytest.mark.parametrize("mix", MIXES[:3], ids="-".join)
def test_ssh(mix: tuple[str, str, str], quarters: list[bytes], tmp_path: Path) -> None:
    """Four real sshds; without its log one is filtered out."""
    query = folder(tmp_path, mix)
    with SshdFarm(tmp_path / "farm", 4) as farm:
        for index, piece in enumerate(quarters):
            (farm.dir(index) / "access.log").write_bytes(piece)
        _same_rows(query, reach(farm))
        _filtered(query, (farm.dir(2) / "access.log").unlink, reach(farm))
        assert [pid for index in range(4) for pid in farm.processes(index)] == []


def test_a_program_that_fails_is_named(tmp_path: Path) -> None:
    """With its status and its last line; an interpreter that is not there is a refusal."""
    (tmp_path / "a.log").write_text("x\n")
    query = tmp_path / "query"
    query.mkdir()
    (query / "query.toml").write_text('logs = "a.log"\n')
    (query / "map").write_text("#!/bin/sh\necho why >&2\nexit 4\n")
    done = call("run", query, "-o", "json", cwd=tmp_path)
    assert (done.status, done.states) == (3, {"local": "failed"})
    assert done.reason("local").endswith("/map ended with status 4: why")
    (query / "map").write_text("#!/opt/nosuch -f\n")
    done = call("run", query, "-o", "json", cwd=tmp_path)
    assert (done.status, done.states) == (3, {"local": "refused"})
    assert "needs /opt/nosuch, which is not on this provider" in done.reason("local")


def test_a_reduce_that_fails_ends_the_query(tmp_path: Path) -> None:
    """It is this machine's own fault, with exit status 1 and the program's words."""
    (tmp_path / "a.log").write_text("x\n")
    (tmp_path / "sum.sh").write_text("#!/bin/sh\necho broken >&2\nexit 4\n")
    (tmp_path / "q.py").write_text(
        'logs = "a.log"\n\n\ndef map(lines):\n    for line in lines:\n        yield line\n\n\nreduce = "./sum.sh"\n'
    )
    done = call("run", "./q.py", cwd=tmp_path)
    assert done.status == 1
    assert "sum.sh ended with status 4: broken" in done.err


def test_a_command_is_a_source(tmp_path: Path) -> None:
    """By a query file, and in the place of its logs."""
    (tmp_path / "q.py").write_text(
        "logs = \"cmd:printf 'a\\\\nb\\\\n'\"\n\n\ndef map(lines):\n    for line in lines:\n        yield line, 1\n\n\n"
        'reduce = "count"\n'
    )
    done = call("run", "./q.py", "-o", "json", cwd=tmp_path)
    assert {row["key"]: row["count"] for row in done.rows} == {"a": 1, "b": 1}, done.err
    done = call("run", "./q.py", "--from", "cmd:echo c", "-o", "json", cwd=tmp_path)
    assert [row["key"] for row in done.rows] == ["c"], done.err
