"""Named queries: kept by name, in this process or one of their own, through crashes and reboots, to their removal."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.rigs.named import alive, kill, listed, none_left, pid, queries, rows, until
from tests.rigs.program import Done, call, snapshots, started

pytestmark = pytest.mark.linux

QUERY = '''"""By letter."""
logs = "none"
def map(lines):
    for line in lines:
        yield line[0], 1
reduce = "count"
'''


@pytest.fixture(autouse=True)
def _ends(home: Path, tmp_path: Path) -> Iterator[None]:
    (tmp_path / "q.py").write_text(QUERY)
    (tmp_path / "x.log").write_text("a 1\nb 2\n")
    with none_left():
        yield


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "x.log"


def asked(log: Path, *options: str) -> Done:
    return call("run", log.parent / "q.py", log, *options)


def append(log: Path, text: str) -> None:
    with log.open("a") as file:
        file.write(text)


def counted(name: str, expected: dict[str, int]) -> None:
    """Attach until the running answer is this one, then detach."""
    with started("attach", name, "-o", "jsonl", "--every", "100ms") as attached:
        for snapshot in snapshots(attached):
            found = {row["key"]: row["count"] for row in snapshot["rows"]}
            if found == expected:
                break
            assert all(found.get(key, 0) <= count for key, count in expected.items()), found
        else:
            pytest.fail(f"never {expected}: {attached.stderr.read() if attached.stderr else ''}")
        attached.send_signal(signal.SIGINT)
        assert attached.wait(60) == 0


def test_a_name_keeps_an_answer(log: Path) -> None:
    """Asked again it shows what it had, though the log has grown; another question is refused; removed, it is new."""
    first = asked(log, "--name", "letters", "-o", "json")
    assert (first.status, rows(first)) == (0, {"a": 1, "b": 1})
    append(log, "c 3\n")
    again = asked(log, "--name", "letters", "-o", "json")
    assert (again.status, rows(again)) == (0, {"a": 1, "b": 1})
    assert "has ended" in again.err
    other = asked(log, "--name", "letters", "--by-host")
    assert other.status == 2
    assert "by host differs" in other.err
    assert listed()["letters"]["status"] == "ended"
    assert call("rm", "letters").out == "letters is removed\n"
    assert not list(queries().iterdir())
    assert rows(asked(log, "--name", "letters", "-o", "json")) == {"a": 1, "b": 1, "c": 1}


def test_an_edited_query_is_another_question(log: Path) -> None:
    """The name stays with the text that was asked."""
    assert asked(log, "--name", "letters").status == 0
    (log.parent / "q.py").write_text(QUERY.replace("line[0]", "line[-1]"))
    done = asked(log, "--name", "letters")
    assert done.status == 2
    assert "the text of the query differs" in done.err


def test_detached_attached_cancelled_removed(log: Path) -> None:
    """The whole life of one that follows a log, by its name alone."""
    assert asked(log, "--name", "live", "--follow", "--detach").out == "live\n"
    until(lambda: listed()["live"]["states"] == {"running": 1}, "it runs")
    append(log, "a\na\nb\n")
    counted("live", {"a": 2, "b": 1})
    append(log, "c\n")
    counted("live", {"a": 2, "b": 1, "c": 1})
    for form in ("csv", "json", "table"):  # of one snapshot: as it is now, and no waiting for an end
        shown = call("attach", "live", "-o", form)
        assert (shown.status, "1 running" in shown.err) == (0, True), shown.err
        if form == "json":
            assert (rows(shown), shown.snapshot["final"]) == ({"a": 2, "b": 1, "c": 1}, False)
        else:
            assert "a" in shown.out
    found = listed()["live"]
    assert (found["status"], found["title"], found["pid"]) == ("running", "By letter.", pid("live"))
    for refused, says in (
        (call("rm", "live"), "is being run by process"),
        (asked(log, "--name", "live", "--follow"), f"process {pid('live')}"),
    ):
        assert refused.status == 2
        assert says in refused.err
    process = pid("live")
    assert call("cancel", "live").out == "live has ended\n"
    until(lambda: not alive(process), "its process is gone")
    last = call("attach", "live", "-o", "json")
    assert (last.status, rows(last), last.snapshot["final"]) == (0, {"a": 2, "b": 1, "c": 1}, True)
    assert last.states == {"local": "running"}
    assert call("cancel", "live").out == "no query to end\n"
    assert call("rm", "live").status == 0
    assert call("attach", "live").status == 2


def test_it_goes_on_after_a_crash(log: Path) -> None:
    """Killed with -9 again and again while its log grows: each line counts once, those of the time between too."""
    assert asked(log, "--name", "live", "--follow", "--detach").status == 0
    until(lambda: listed()["live"]["states"] == {"running": 1}, "it runs")
    expected = {"a": 0, "b": 0}
    for number in range(3):
        append(log, "a\nb\n" * 50)
        expected = {key: count + 50 for key, count in expected.items()}
        if number != 1:  # once it is killed while what came is on its way
            counted("live", expected)
        kill("live")
        assert listed()["live"]["status"] == "stopped"
        append(log, "a\n" * 10)
        expected["a"] += 10
    counted("live", expected)
    assert call("cancel", "live").status == 0
    last = call("attach", "live", "-o", "json")
    assert (last.status, rows(last), last.snapshot["inexact"]) == (0, expected, [])


def test_it_goes_on_after_a_reboot(log: Path, home: Path) -> None:
    """All its processes killed, its sockets and temporary files gone, its query file edited meanwhile."""
    assert asked(log, "--name", "live", "--follow", "--detach").status == 0
    until(lambda: listed()["live"]["states"] == {"running": 1}, "it runs")
    append(log, "a\n")
    counted("live", {"a": 1})
    kill("live")
    for path in queries().glob("live/*"):
        if path.name in ("socket", "process", "lock"):
            path.unlink()
    (log.parent / "q.py").unlink()
    append(log, "b\n")
    counted("live", {"a": 1, "b": 1})
    assert call("rm", "--force", "live").status == 0
    assert listed() == {}


def test_ctrl_c_stops_and_the_same_command_goes_on(log: Path) -> None:
    """In the foreground: it has not ended."""
    command = ("run", log.parent / "q.py", log, "--name", "live", "--follow", "-o", "jsonl", "--every", "100ms")
    with started(*command) as running:
        until(lambda: listed().get("live", {}).get("states") == {"running": 1}, "it runs")
        append(log, "a\n")
        assert any(snapshot["rows"] for snapshot in snapshots(running))
        running.send_signal(signal.SIGINT)
        assert running.wait(60) == 0
        assert running.stderr is not None
        assert "`logreduce attach live` goes on with it" in running.stderr.read()
    assert listed()["live"]["status"] == "stopped"
    append(log, "b\n")
    with started(*command) as running:
        for snapshot in snapshots(running):
            if len(snapshot["rows"]) == 2:
                break
        assert [row["count"] for row in snapshot["rows"]] == [1, 1]
        assert call("cancel", "live").out == "live has ended\n"
        assert running.wait(60) == 0
    assert listed()["live"]["status"] == "ended"


def test_one_snapshot_of_what_has_stopped_starts_nothing(log: Path) -> None:
    """`-o json` of a following query that stopped is its answer as it was then; without it would never come."""
    assert asked(log, "--name", "live", "--follow", "--detach").status == 0
    until(lambda: listed()["live"]["states"] == {"running": 1}, "it runs")
    append(log, "a\n")
    counted("live", {"a": 1})
    os.kill(pid("live"), signal.SIGTERM)
    until(lambda: listed()["live"]["status"] == "stopped", "it has stopped")
    append(log, "b\n")
    last = call("attach", "live", "-o", "json")
    assert rows(last) == {"a": 1}
    assert "live has stopped, and this is its last answer" in last.err
    assert call("attach", "live", "-o", "csv", "-q").err == ""
    assert listed()["live"]["status"] == "stopped"
    counted("live", {"a": 1, "b": 1})


def test_a_time_that_passes_is_the_same_question(log: Path) -> None:
    """`--since 10m` means what it meant when it was first said; another text is another question."""
    assert asked(log, "--name", "recent", "--since", "10m").status == 0
    assert asked(log, "--name", "recent", "--since", "10m").status == 0
    done = asked(log, "--name", "recent", "--since", "20m")
    assert (done.status, "since differs" in done.err) == (2, True)


def test_how_long_it_goes_on_is_no_other_question(log: Path) -> None:
    """One that was stopped goes on for as long as the new command line says, and then it has ended."""
    assert asked(log, "--name", "brief", "--follow", "--detach").out == "brief\n"
    until(lambda: listed()["brief"]["states"] == {"running": 1}, "it runs")
    os.kill(pid("brief"), signal.SIGTERM)
    until(lambda: listed()["brief"]["status"] == "stopped", "it has stopped")
    again = asked(log, "--name", "brief", "--follow", "--for", "500ms", "--wait", "5s", "--fanout", "2")
    assert again.status in (0, 3), again.err  # by how far it got in that time
    assert listed()["brief"]["status"] == "ended"
    other = asked(log, "--name", "brief", "--for", "9s")
    assert (other.status, "(follow differs)" in other.err) == (2, True)


def test_what_cannot_be_kept_is_refused_at_once(log: Path, tmp_path: Path) -> None:
    """A secret on the command line, standard input, a reduce that cannot be saved: each says what to do."""
    (tmp_path / "secret.py").write_text('token = ""\nsecret = ["token"]\n' + QUERY)
    (tmp_path / "prog").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "prog").chmod(0o755)
    (tmp_path / "prog.py").write_text(QUERY.replace('reduce = "count"', 'reduce = "./prog"'))
    (tmp_path / "class.py").write_text(
        QUERY.replace(
            'reduce = "count"',
            "class Reduce:\n    def add(self, key, value):\n        pass\n    def rows(self):\n        return []",
        )
    )
    for words, says in (
        (("secret.py", log, "--set", "token=hunter2"), "--set token=@FILE"),
        (("q.py", "-"), "name a file instead of -"),
        (("prog.py", log), "cannot be kept"),
        (("class.py", log), "def save(self)"),
    ):
        done = call("run", tmp_path / words[0], *words[1:], "--name", "no")
        assert done.status == 2, done.err
        assert says in done.err
        assert "hunter2" not in done.err
    assert not queries().exists() or not list(queries().iterdir())
    (tmp_path / "token").write_text("hunter2")
    done = call("run", tmp_path / "secret.py", log, "--set", f"token=@{tmp_path}/token", "--name", "yes")
    assert done.status == 0, done.err
    kept = b"".join(path.read_bytes() for path in (queries() / "yes").rglob("*") if path.is_file())
    assert b"hunter2" not in kept


def test_what_a_store_suffers_is_a_sentence(log: Path, tmp_path: Path) -> None:
    """Damaged, newer, in a place that cannot be written: the way out is named, and works."""
    assert asked(log, "--name", "kept").status == 0
    database = queries() / "kept" / "state.db"
    database.write_bytes(b"x" * 5000)
    done = asked(log, "--name", "kept")
    assert (done.status, "logreduce rm kept" in done.err) == (1, True)
    assert "broken" in listed()["kept"]["status"]
    assert call("rm", "kept").status == 0
    (tmp_path / "file").write_text("")
    done = call("run", tmp_path / "q.py", log, "--name", "kept", XDG_STATE_HOME=str(tmp_path / "file"))
    assert done.status == 2
    assert "XDG_STATE_HOME" in done.err
    assert "Traceback" not in done.err


def test_a_detached_question_that_is_refused_says_so(log: Path) -> None:
    """By the command that asked it, and nothing stays behind."""
    done = call("run", log.parent / "q.py", "-w", "nobody", "--coordinator", "ipc:///nowhere/at/all", "--detach")
    assert done.status != 0
    assert done.out == ""
    done = call("run", log.parent / "q.py", log, "--name", "a/b")
    assert (done.status, "is no name" in done.err) == (2, True)


def test_names_end_with_all(log: Path) -> None:
    """`cancel --all` ends named ones, without any coordinator that it could ask."""
    assert asked(log, "--name", "one", "--follow", "--detach").status == 0
    name = asked(log, "--follow", "--detach").out.strip()
    assert sorted(json.loads(call("ps", "-o", "json").out)[index]["name"] for index in (0, 1)) == sorted(("one", name))
    assert sorted(call("cancel", "--all").out.splitlines()) == sorted((f"{name} has ended", "one has ended"))
    assert os.listdir(queries()) and call("rm", "one", name).status == 0


def test_a_reduce_that_fails_is_one_sentence(log: Path) -> None:
    """Not a traceback of ours; the query has stopped, and is removed like any other."""
    (log.parent / "q.py").write_text(QUERY.replace('reduce = "count"', 'def reduce(a, b):\n    raise ValueError("no")'))
    log.write_text("a 1\na 2\n")
    done = asked(log, "--name", "fails")
    assert done.status == 1 and "reduce failed: ValueError: no" in done.err
    assert "Traceback" not in done.err and "Exception Group" not in done.err
    assert listed()["fails"]["status"] == "stopped"
    assert call("rm", "--force", "fails").status == 0
