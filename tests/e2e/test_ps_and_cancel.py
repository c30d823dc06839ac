"""`logreduce ps` and `logreduce cancel`: what runs, what became of it, and its end."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.rigs.listening import SLEEPS, coordinator
from tests.rigs.program import ARGV, call, snapshots, started

pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def _query(tmp_path: Path) -> None:
    """What is asked most."""
    (tmp_path / "q.py").write_text(SLEEPS)


def test_a_query_is_listed_told_and_ended(tmp_path: Path) -> None:
    """Found by its own socket; a query that somebody ends says so and prints what it has."""
    with (
        coordinator(),
        started("run", tmp_path / "q.py", "-o", "jsonl", "--every", "100ms") as asking,
    ):
        query = next(each["query_id"] for each in snapshots(asking) if each["rows"])
        (told,) = json.loads(call("ps", "-o", "json").out)
        assert (told["id"], told["targets"], told["states"]) == (query, 1, {"running": 1})
        assert query in call("ps").out
        story = call("ps", "--story", query, "local").out
        assert story.index("'pending'") < story.index("link up") < story.index("job started") < story.index("'running'")
        assert call("cancel", "nothing").status == 2
        assert call("cancel", query[:5]).out == f"{query} is being ended\n"
        last = list(snapshots(asking))[-1]
        assert last["final"] and last["rows"][0]["count"] == 1
        assert asking.stderr is not None
        assert "cancelled it" in asking.stderr.read()
        assert (call("ps").out, call("ps").err) == ("", "logreduce: no queries run: there is no named one\n")
        assert call("cancel", "--all").out == "no query to end\n"


@pytest.mark.parametrize(("form", "out"), [("table", ""), ("json", "[]\n")])
def test_without_a_coordinator_nothing_runs(home: Path, form: str, out: str) -> None:
    """That is an answer, and no failure; stderr says where it looked, and what starts one."""
    done = call("ps", "-o", form)
    assert (done.status, done.out) == (0, out)
    assert done.err.startswith("logreduce: no queries run: there is no named one, and no coordinator runs at ")
    assert str(home / "run") in done.err and done.err.count("\n") == 1
    assert (call("cancel", "--all").status, call("cancel", "--all").out) == (0, "no query to end\n")


def test_a_coordinator_that_is_named_has_to_answer(tmp_path: Path) -> None:
    """Nobody knows what runs there, which is no answer."""
    done = call("ps", "--coordinator", tmp_path / "gone.sock")
    assert (done.status, done.out) == (1, "")
    assert "gone.sock" in done.err


def test_a_name_that_is_none_is_said_first() -> None:
    """Where no coordinator runs either, a name that was misspelt is the likelier fault."""
    done = call("cancel", "statsuses")
    assert done.status == 1
    assert "there is no query 'statsuses': no named one, and no coordinator runs; `logreduce ps`" in done.err


def test_keys_by_the_command_line(home: Path) -> None:
    """Made, listed, allowed, revoked; the secret is on no stream, and wrong words are sentences."""
    made = call("coordinator", "keys", "new", "alice")
    key = made.out.split("'")[1]
    secret = (home / ".config" / "logreduce" / "keys" / "alice.key").read_text().strip()
    outputs = [made.out, call("coordinator", "keys", "allow", "alice", key).out]
    outputs.append(call("coordinator", "keys", "ls").out)
    assert outputs[-1].count(key) == 2
    with coordinator("--listen", "tcp://127.0.0.1:0") as process:
        assert process.stdout is not None
        server = [process.stdout.readline() for _ in range(3)][2].removeprefix("server key: ").strip()
    outputs.append(call("coordinator", "keys", "ls").out)
    assert len(server) == 40 and server in outputs[-1]
    outputs.append(call("coordinator", "keys", "revoke", "alice").out)
    assert all(secret not in each for each in outputs)
    for words, says in (
        (["keys", "nwe"], "did you mean 'new'"),
        (["keys", "new"], "keys new NAME"),
        (["kesy"], "logreduce coordinator keys"),
        (["--listen", "tcp://127.0.0.1:1"], "nobody may come in over TCP yet"),
    ):
        done = subprocess.run([*ARGV, "coordinator", *words], capture_output=True, text=True, timeout=30, check=False)
        assert done.returncode in (1, 2)
        assert says in done.stderr
        assert "Traceback" not in done.stderr
