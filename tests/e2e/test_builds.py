"""Processes of two builds of LogReduce: told in one sentence, before anything is asked that one could misread."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from backplane.wire import builds
from provider import serve, ship
from tests.rigs.builds import SAME, altered
from tests.rigs.listening import SLEEPS, coordinator
from tests.rigs.program import HANGS_S, call, coordinator_of, snapshots, started, until

#: A follow takes modules along that its runner has not.
COUNT = 'logs = "app.log"\n\n\ndef map(lines):\n    for line in lines:\n        yield 1\n\n\nreduce = "count"\n'
#: What changes in a build, and what of its name does: the runner's part, or the other.
RUNNER = {"provider/runner/text.py": ("from typing", "# another build\nfrom typing")}
MESSAGES = {"backplane/wire/messages.py": ("    first: tuple[str, ...] = ()\n", "    premier: tuple[str, ...] = ()\n")}
COORDINATOR = {"coordinator/terms.py": ("from __future__", "# another build\nfrom __future__")}
#: One of before builds had names.
NAMELESS = {"coordinator/service.py": ("instance=self._instance, build=ours)", "instance=self._instance)")}
#: Who is asked, and by way of whom.
SAID_BEFORE = ("logreduce: using the coordinator", "logreduce: no target given")
RESIDENT = "import sys; from tests.chaos.resident import main; main(sys.argv[1:])"


pytestmark = pytest.mark.usefixtures("home")


@pytest.fixture(autouse=True)
def _query(tmp_path: Path) -> None:
    """What is asked most."""
    (tmp_path / "q.py").write_text(SLEEPS)


@pytest.mark.parametrize("edits", [RUNNER, COORDINATOR, NAMELESS], ids=["runner", "coordinator", "nameless"])
def test_a_coordinator_of_another_build_is_asked_nothing(tmp_path: Path, edits: dict[str, tuple[str, str]]) -> None:
    """A question and its canaries are refused by one sentence with both builds; what runs there is seen and ended."""
    other = altered(tmp_path / "other", edits)
    with (
        coordinator(PYTHONPATH=other),
        started("run", tmp_path / "q.py", "-o", "jsonl", "--every", "100ms", PYTHONPATH=other) as asking,
    ):
        if edits is not NAMELESS:  # its own client would not ask it either
            query = next(each["query_id"] for each in snapshots(asking) if each["rows"])
        for extra in ((), ("-w", "a,b,c", "--canary", "1")):
            done = call("run", tmp_path / "q.py", *extra)
            assert (done.status, done.out) == (1, "")
            said = [line for line in done.err.splitlines() if not line.startswith(SAID_BEFORE)]
            assert len(said) == 1 and "the coordinator is of another build of LogReduce" in said[0]
            assert "restart the coordinator" in said[0] and builds.named() in said[0]
            assert ("an older one" in said[0]) == (edits is NAMELESS)
        done = call("providers", "add", "web1")
        assert done.status == 1 and "another build" in done.err
        version = json.loads(call("version", "-o", "json").out)
        assert version["build"] == builds.build() and not version["coordinator"]["same"]
        assert "another build" in call("version").out
        if edits is not NAMELESS:
            theirs = version["coordinator"]["build"].partition("+")[2]
            assert theirs in said[0] and theirs != builds.build()
            # The runner's part is the same where the runner is.
            assert (theirs.partition(".")[0] == ship.build()) == (edits is COORDINATOR)
            assert [each["id"] for each in json.loads(call("ps", "-o", "json").out)] == [query]
            assert call("cancel", query).status == 0
            assert list(snapshots(asking))[-1]["final"]


def test_a_coordinator_of_this_build_is_used_and_told_of(tmp_path: Path) -> None:
    """And `version` says that both are one."""
    assert json.loads(call("version", "-o", "json").out)["coordinator"] is None
    with coordinator(PYTHONPATH=SAME):
        (tmp_path / "app.log").write_text("a\nb\n")
        (tmp_path / "count.py").write_text(COUNT)
        done = call("run", tmp_path / "count.py", tmp_path / "app.log", "-o", "json")
        assert done.rows == [{"count": 2}], done.err
        told = json.loads(call("version", "-o", "json").out)["coordinator"]
        assert told["same"] and told["build"] == builds.named() and told["residents"] == {}
        assert f"coordinator {builds.named()}, at ipc://" in call("version").out


def test_a_word_that_the_coordinator_does_not_know_is_not_left_out(tmp_path: Path) -> None:
    """A daemon that knows no canaries would have asked everybody: the client does not let it."""
    other = altered(
        tmp_path / "other",
        {
            **MESSAGES,
            "coordinator/queries.py": ("submit.first", "submit.premier"),
            "coordinator/service.py": ("in submit.first)", "in submit.premier)"),
        },
    )
    with coordinator(PYTHONPATH=other):
        done = call("run", tmp_path / "q.py", "-w", "a,b,c", "--canary", "1")
    assert done.status == 1 and "another build" in done.err


def _follows(tmp_path: Path) -> list[str | Path]:
    """What asks for the lines of a log, those that are there and those to come."""
    (tmp_path / "app.log").write_text("a\n")
    (tmp_path / "count.py").write_text(COUNT)
    paths = [tmp_path / "count.py", tmp_path / "app.log"]
    return ["run", *paths, "--follow", "--rotated", "-o", "jsonl", "--every", "100ms"]


def _failed(asking: subprocess.Popen[str]) -> str:
    """What it said at its end, which is a failure."""
    assert asking.stderr is not None
    said = asking.stderr.read()
    assert asking.wait(HANGS_S) == 1, said
    assert "Traceback" not in said
    return said


def test_a_coordinator_that_comes_back_as_another_build_ends_what_runs(tmp_path: Path) -> None:
    """A client that attaches again says what is wrong and what to do, instead of going on with a stranger.

    What it kept by a name has only stopped: with a coordinator of its build it goes on where it was.
    """
    other = altered(tmp_path / "other", COORDINATOR)
    words = [*_follows(tmp_path), "--name", "kept"]
    with contextlib.ExitStack() as stack:
        first = stack.enter_context(coordinator(PYTHONPATH=SAME))
        asking = stack.enter_context(started(*words))
        next(each for each in snapshots(asking) if each["rows"])
        first.kill()
        first.wait(HANGS_S)
        stack.enter_context(coordinator(PYTHONPATH=other))
        said = _failed(asking)
        assert "another build" in said and "restart the coordinator" in said
        (kept,) = [each for each in json.loads(call("ps", "-o", "json").out) if each.get("name") == "kept"]
        assert kept["status"] == "stopped"
    (tmp_path / "app.log").write_text("a\nb\n")
    with coordinator(PYTHONPATH=SAME), started(*words) as asking:
        found = [next(each for each in snapshots(asking) if each["rows"] == [{"count": 2}])]
        assert found


def test_a_client_whose_program_is_replaced_does_not_go_on_with_the_new_one(tmp_path: Path) -> None:
    """Its own coordinator dies after an upgrade, and the next one is of what is installed then."""
    mine = altered(tmp_path / "mine", {})
    words = _follows(tmp_path)
    with started(*words, "--private", PYTHONPATH=mine) as asking:
        # Six seconds: after the first it knows what it is itself.
        seen = (each for each in snapshots(asking) if each["rows"])
        until(lambda: next(seen)["seq"] > 60, HANGS_S)
        changed = tmp_path / "mine" / "coordinator" / "terms.py"
        changed.write_text(changed.read_text() + "# another build\n")
        os.kill(coordinator_of(asking.pid), signal.SIGKILL)
        said = _failed(asking)
    assert "LogReduce was installed anew while this ran" in said and "ask again" in said


def _served(tmp_path: Path, path: str, stack: contextlib.ExitStack, name: str) -> dict[str, object]:
    """A resident of some build with a log of three lines; its group of an inventory."""
    home, host = tmp_path / name, serve.KeyPair.fresh(name)
    home.mkdir()
    (home / "app.log").write_text("a\nb\nc\n")
    (home / "key").write_bytes(host.private)
    words = [home, "0", home / "key", tmp_path / "id.pub"]
    process = stack.enter_context(
        subprocess.Popen(
            [sys.executable, "-P", "-c", RESIDENT, *map(str, words)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": path},
        )
    )
    stack.callback(process.kill)
    assert process.stdout is not None
    port = process.stdout.readline().strip()
    with (tmp_path / "known_hosts").open("a") as known:
        known.write(f"[127.0.0.1]:{port} {host.public}\n")
    labels = {"name": name, "ssh_port": port, "ssh_user": "any", "ssh_key": str(tmp_path / "id"), "level": "resident"}
    return {"targets": ["127.0.0.1"], "labels": labels}


def test_a_resident_of_another_build_is_refused_and_the_others_answer(tmp_path: Path) -> None:
    """Its reason names both builds and says what to do; the coordinator remembers which build it met."""
    own = serve.KeyPair.fresh("own")
    (tmp_path / "id").touch(mode=0o600)
    (tmp_path / "id").write_bytes(own.private)
    (tmp_path / "id.pub").write_text(own.public)
    (tmp_path / "count.py").write_text(COUNT)
    other = altered(tmp_path / "other", RUNNER)
    with contextlib.ExitStack() as stack:
        groups = [_served(tmp_path, SAME, stack, "same"), _served(tmp_path, other, stack, "old")]
        (tmp_path / "hosts.json").write_text(json.dumps(groups))
        options: list[str | Path] = [
            "-i",
            tmp_path / "hosts.json",
            "-a",
            "--known-hosts",
            tmp_path / "known_hosts",
            "-o",
            "json",
        ]
        stack.enter_context(coordinator(PYTHONPATH=SAME))
        # A follow ships modules to the runner.
        done = call("run", tmp_path / "count.py", *options, "--follow", "--rotated", "--for", "3s", "--wait", "20s")
        assert done.status == 3, done.err
        assert done.rows == [{"count": 3}] and done.states["old"] == "refused"
        assert "its resident runner is of another build of LogReduce" in done.reason("old")
        assert ship.build() in done.reason("old") and "restart" in done.reason("old")
        residents = json.loads(call("version", "-o", "json").out)["coordinator"]["residents"]
        assert residents.pop(ship.build()) == 1 and list(residents.values()) == [1]
        told = call("version").out
        assert f"1 resident provider of build {ship.build()}\n" in told
        assert f"1 resident provider of build {next(iter(residents))} (another build)\n" in told
