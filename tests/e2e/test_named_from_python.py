"""Named queries of programs: kept, killed and gone on with from Python; the command line sees the same ones."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

import backplane as lr
from tests.rigs.named import alive, listed, none_left, pid, queries, rows, until
from tests.rigs.program import HANGS_S, call, snapshots, started

pytestmark = pytest.mark.linux

#: A program that follows a log under a name, and says each snapshot.
FOLLOWS = '''
import asyncio
import json
import sys

import backplane as lr


@lr.script(reduce="count")
def letters(lines):
    """By letter."""
    for line in lines:
        yield line[0], 1


async def main(log):
    async with lr.session() as session:
        how = {"files": log, "follow": True, "rotated": True, "every": "100ms", "name": "letters"}
        async for snapshot in session.run(letters, **how):
            print(json.dumps(dict(snapshot.rows)), flush=True)


asyncio.run(main(sys.argv[1]))
'''


@pytest.fixture(autouse=True)
def _ends(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    (tmp_path / "x.log").write_text("a 1\nb 2\n")
    (tmp_path / "follows.py").write_text(FOLLOWS)
    monkeypatch.chdir(tmp_path)
    with none_left():
        yield


@contextlib.contextmanager
def follows(log: Path) -> Iterator[subprocess.Popen[str]]:
    """The program, running."""
    process = subprocess.Popen(
        [sys.executable, "-P", str(log.parent / "follows.py"), str(log)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        env=dict(os.environ),
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait(HANGS_S)
        assert process.stdout is not None
        process.stdout.close()


def counted(process: subprocess.Popen[str], expected: dict[str, int]) -> None:
    """Read its snapshots until one is this; none may be beyond it."""
    assert process.stdout is not None
    for line in process.stdout:
        found = json.loads(line)
        if found == expected:
            return
        assert all(found.get(key, 0) <= count for key, count in expected.items()), found
    pytest.fail(f"never {expected}")


def test_a_program_that_is_killed_goes_on_where_it_was(tmp_path: Path) -> None:
    """Killed with -9 again and again while the log grows: each line counts once; then the command line goes on."""
    log = tmp_path / "x.log"
    expected = {"a": 1, "b": 1}
    for letter in "cde":
        with follows(log) as process:
            counted(process, expected)
            found = listed()["letters"]
            assert (found["status"], found["title"], found["pid"]) == ("running", "By letter.", process.pid)
            assert pid("letters") == process.pid
        with log.open("a") as file:
            file.write(f"{letter}\na\n")
        expected = {**expected, letter: 1, "a": expected["a"] + 1}
    with started("attach", "letters", "-o", "jsonl", "--every", "100ms") as attached:
        for snapshot in snapshots(attached):
            if {row["key"]: row["count"] for row in snapshot["rows"]} == expected:
                break
        # Another process runs it now, which the program is told.
        assert pid("letters") != process.pid
        with follows(log) as process:
            assert process.wait(HANGS_S) == 1
    until(lambda: listed()["letters"]["states"] == {"running": 1}, "it runs")
    detached = pid("letters")
    assert call("cancel", "letters").out == "letters has ended\n"
    until(lambda: not alive(detached), "its process is gone")
    with follows(log) as process:
        counted(process, expected)  # its last answer
        assert process.wait(HANGS_S) == 0


def test_one_that_is_ended_by_the_command_line_has_ended(tmp_path: Path) -> None:
    """`cancel` reaches the program: its last snapshot is final, and it ends by itself."""
    with follows(tmp_path / "x.log") as process:
        counted(process, {"a": 1, "b": 1})
        assert call("cancel", "letters").out == "letters has ended\n"
        assert process.wait(HANGS_S) == 0
    done = call("attach", "letters", "-o", "json")
    assert (done.status, rows(done)) == (0, {"a": 1, "b": 1})
    assert call("rm", "letters").status == 0
    assert not list(queries().iterdir())


def test_both_ask_the_same_question(tmp_path: Path) -> None:
    """What one has asked the other finds again by its name, if it says the same; another question is refused."""
    query = tmp_path / "q.py"
    query.write_text('def map(lines):\n    for line in lines:\n        yield line[0], 1\nreduce = "count"\n')
    log = tmp_path / "x.log"
    asked = call("run", "./q.py", "x.log", "--set", "x=1", "--name", "typed", "-o", "json")
    assert asked.status == 2  # no such parameter: nothing is left of it
    asked = call("run", "./q.py", "x.log", "--since", "2000-01-01T00:00:00", "--name", "typed", "-o", "json")
    assert rows(asked) == {"a": 1, "b": 1}, asked.err
    log.write_text("z 1\n")
    how: dict[str, Any] = {"files": "x.log", "since": "2000-01-01T00:00:00"}
    assert dict(lr.ask(Path("q.py"), **how, name="typed").rows) == {"a": 1, "b": 1}
    for other in ({"by_host": True}, {"files": "y.log"}, {"since": "2000-01-02T00:00:00"}):
        with pytest.raises(lr.UsageError, match="typed is another question"):
            lr.ask("./q.py", **{**how, **other}, name="typed")
    assert lr.ask("raw x.log | count", name="line").rows == ((1,),)
    log.write_text("z 1\nz 2\n")
    assert call("run", "raw x.log | count", "--name", "line", "-o", "json").rows == [{"count": 1}]
    assert call("rm", "line").status == 0
    assert lr.ask("raw x.log | count", name="line").rows == ((2,),)
    assert {name: each["status"] for name, each in listed().items()} == {"typed": "ended", "line": "ended"}


async def test_leaving_the_loop_stops_it_and_asking_again_goes_on(tmp_path: Path) -> None:
    """So does `stop`, which gives a final snapshot; once its time is up it has ended."""
    log = tmp_path / "x.log"
    how: dict[str, Any] = {"follow": True, "rotated": True, "every": "100ms", "name": "live"}
    question = lr.logs("raw", str(log)).count()
    async with lr.session() as session:
        await _until(session.run(question, **how), 2)
    assert listed()["live"]["status"] == "stopped"
    log.write_text(log.read_text() + "c\n")
    async with lr.session() as session:
        answers = session.run(question, **how)
        last = None
        async for snapshot in answers:
            last = snapshot
            if snapshot.rows == ((3,),):
                answers.stop()
        assert last is not None and last.final and last.rows == ((3,),)
        assert listed()["live"]["status"] == "stopped"
        final = await session.ask(question, **how, end_after="500ms")
        assert final.rows == ((3,),)
        assert listed()["live"]["status"] == "ended"
        assert (await session.ask(question, **how, end_after="500ms")).rows == ((3,),)


async def _until(answers: AsyncIterator[lr.Snapshot] | lr.Answers, count: int) -> None:
    async for snapshot in answers:
        if snapshot.rows == ((count,),):
            break


def test_what_cannot_be_kept_is_refused(tmp_path: Path) -> None:
    """In one sentence, and nothing is left of it."""

    @lr.script(logs="x.log", reduce=lambda a, b: a + b)
    def summed(lines: Any) -> Any:
        """Sums."""
        for _ in lines:
            yield 1

    password = "p"

    @lr.script(logs="x.log", reduce="count", secret=["password"])
    def hides(lines: Any) -> Any:
        """Counts."""
        for line in lines:
            yield password in line

    for query, how, says in (
        (summed, {}, "function of this program"),
        (hides, {}, "password is secret"),
        ("raw x.log | count", {"name": "not a name"}, "is no name"),
        ("raw x.log | count", {"follow": True}, "no end"),
        ("raw x.log | count", {"files": "-"}, "standard input"),
    ):
        with pytest.raises(lr.UsageError, match=says):
            lr.ask(query, **{"name": "kept", **how})  # type: ignore[arg-type]
    assert listed() == {}
    assert not queries().is_dir() or not list(queries().iterdir())
