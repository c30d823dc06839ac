"""Wrong input gets one clear line that names the file, the line or the provider, and says what to do."""

from __future__ import annotations

from pathlib import Path

import asyncssh
import pytest

from tests.rigs.program import call, reach
from tests.rigs.pythons import at_hand
from tests.rigs.sshd import Knobs, SshdFarm


def _ask(tmp_path: Path, source: str, *args: str | Path) -> tuple[int, str]:
    """Status and stderr of a run of a query file ``q.py`` in its own directory."""
    (tmp_path / "q.py").write_text(source)
    done = call("run", "./q.py", *args, cwd=tmp_path)
    assert "Traceback" not in done.err or "q.py" in done.err
    return done.status, done.err


@pytest.mark.parametrize(
    ("source", "line"),
    [
        ("def map(lines)\n    yield 1\n", "logreduce: ./q.py:1: "),
        ("def filter(provider):\n    return True\n", "logreduce: ./q.py: "),
        ("import numpy\ndef map(lines):\n    yield numpy.sum([1])\n", "logreduce: ./q.py:1: "),
        (
            "def map(lines):\n    yield from filter(None, lines)\ndef filter(p):\n    return 1\n",
            "logreduce: ./q.py:2: ",
        ),
        ("def map(lines):\n    yield 1\nreduce = 'summ'\n", "logreduce: ./q.py:3: "),
        ("def map(lines):\n    yield 1\nlogs = 3\n", "logreduce: ./q.py:3: "),
    ],
    ids=["syntax", "no-map", "foreign-import", "builtin-filter", "no-such-aggregate", "logs-of-a-wrong-type"],
)
def test_query_files(tmp_path: Path, source: str, line: str) -> None:
    """What is wrong with a query file is one line with its place, before anything starts."""
    status, err = _ask(tmp_path, source, "/etc/hostname")
    assert status == 2
    (only,) = [each for each in err.splitlines() if "no target given" not in each]
    assert only.startswith(line)
    assert len(only) > len(line) + 10


@pytest.mark.parametrize(
    ("args", "parts"),
    [
        (["run", "./missing.py"], ["./missing.py"]),
        (["run", "no-such-query"], ["no-such-query"]),
        (["run", "http-statuss"], ["http-statuss", "http-status"]),
        (["run", "http-status", "--set", "flor=1"], ["flor"]),
        (["run", "http-status", "-i", "missing.json"], ["missing.json"]),
        (["run", "http-status", "-i", "broken.json"], ["broken.json"]),
        (["run", "http-status", "-i", "shape.json"], ["shape.json", "targets"]),
        (["run", "http-status", "--every", "soon"], ["--every", "soon"]),
        (["run", "http-status", "-w", "web[1-"], ["web[1-"]),
        (["run", "http-status", "-", "-w", "web1"], ["standard input"]),
        (["run", "nginx /var/log/x | cuont"], ["  ^^^^^"]),
    ],
    ids=lambda each: each[-1] if isinstance(each, list) else None,
)
def test_command_lines(tmp_path: Path, args: list[str], parts: list[str]) -> None:
    """What is wrong with a command line is a usage error that names it."""
    (tmp_path / "broken.json").write_text('[{"targets": ["web1:9100"}]')
    (tmp_path / "shape.json").write_text('[{"target": ["web1:9100"]}]')
    done = call(*args, cwd=tmp_path)
    assert done.status == 2, done.err
    assert done.out == ""
    said = done.err.splitlines()[-1]
    assert all(part in said for part in parts), said
    assert "Traceback" not in done.err


def test_a_name_that_does_not_resolve(tmp_path: Path) -> None:
    """The provider is unreachable at once, since another try would not help; nobody else is: status 4."""
    key = tmp_path / "id_test"
    asyncssh.generate_private_key("ssh-ed25519").write_private_key(key)
    key.chmod(0o600)
    done = call("run", "http-status", "-w", "no-such-host.invalid", "--identity", key, "-o", "json", cwd=tmp_path)
    assert done.status == 4, done.err
    assert done.states == {"no-such-host.invalid": "unreachable"}
    assert "does not resolve" in done.reason("no-such-host.invalid")


@pytest.mark.parametrize("kind", ["missing", "garbage"])
def test_a_key_that_cannot_be_read(tmp_path: Path, kind: str) -> None:
    """The key file is named, and the login is not tried."""
    key = tmp_path / "id_test"
    if kind == "garbage":
        key.write_text("no key\n")
        key.chmod(0o600)
    done = call("run", "http-status", "-w", "127.0.0.1", "--identity", key, "-o", "json", cwd=tmp_path)
    assert done.status == 4, done.err
    assert str(key) in done.reason("127.0.0.1")


def test_a_value_that_cannot_travel(tmp_path: Path) -> None:
    """The line of the yield, the type, and the provider."""
    status, err = _ask(tmp_path, "def map():\n    x = 1\n    yield 'key', object()\nreduce = 'collect'\n")
    assert status == 3
    assert "local" in err
    assert "q.py:3" in err or 'q.py", line 3' in err
    assert "object" in err


def test_a_remote_traceback_shows_file_line_and_text(tmp_path: Path) -> None:
    """As Python itself would show it here, and nothing of ours in it."""
    source = "def map(lines):\n    for line in lines:\n        yield check(line)\n\n"
    source += "\ndef check(line):\n    return {}[line]\n"
    (tmp_path / "x.log").write_text("gone\n")
    status, err = _ask(tmp_path, source, "x.log")
    assert status == 3
    assert '    File "./q.py", line 3, in map\n' in err
    assert '    File "./q.py", line 7, in check\n' in err
    assert "return {}[line]" in err
    assert "KeyError: 'gone'" in err
    assert "provider/runner" not in err


@pytest.mark.sshd
@pytest.mark.skipif("3.6" not in at_hand() and "3.7" not in at_hand(), reason="no Python older than 3.8 is at hand")
def test_syntax_too_new_for_a_provider(tmp_path: Path) -> None:
    """The provider with the old Python fails, with its version, file and line; the other answers."""
    old = at_hand().get("3.6") or at_hand()["3.7"]
    source = "def map():\n    if (n := 3) > 2:\n        yield 'walrus', n\nreduce = 'sum'\n"
    (tmp_path / "q.py").write_text(source)
    with SshdFarm(tmp_path / "farm", 2, {0: Knobs(python=old)}) as farm:
        done = call("run", "./q.py", *reach(farm), "-o", "json", cwd=tmp_path)
    assert done.status == 3, done.err
    assert done.states == {"p00": "failed", "p01": "done"}
    assert "./q.py:2" in done.reason("p00")
    assert "Python 3." in done.reason("p00")
    assert [row["sum"] for row in done.rows] == [3]
