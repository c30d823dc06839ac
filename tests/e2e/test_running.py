"""A running query: following, prints, interrupts, readers that leave, and coordinators that are there already."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.rigs.program import ARGV, call, snapshots, started, wait_for_reader

COUNT_LINES = '"""Lines."""\ndef map(lines):\n    for line in lines:\n        yield 1\nreduce = "count"\n'
FOREVER = 'def map():\n    import time\n    yield "began", 1\n    time.sleep(3600)\nreduce = "count"\n'


def _query(tmp_path: Path, source: str) -> Path:
    path = tmp_path / "q.py"
    path.write_text(source)
    return path


def test_follow_counts_what_is_appended(tmp_path: Path) -> None:
    """Following starts at the end; Ctrl-C drains, and a following query that was asked to end is complete."""
    log = tmp_path / "app.log"
    log.write_text("old\n" * 100)
    with started("run", _query(tmp_path, COUNT_LINES), log, "-f", "-o", "jsonl", "--every", "100ms") as process:
        arriving = snapshots(process)
        while next(arriving)["coverage"]["states"] != {"running": 1}:
            pass
        wait_for_reader(log)
        counted = 0
        with log.open("a") as file:
            for n in range(20):
                file.write(f"new {n}\n")
                file.flush()
        while counted < 20:
            rows = next(arriving)["rows"]
            counted = rows[0]["count"] if rows else 0
        process.send_signal(signal.SIGINT)
        last = list(arriving)[-1]
        assert process.wait(20) == 0
    assert last["final"]
    assert last["complete"]
    assert last["rows"] == [{"count": 20}]
    assert last["coverage"]["providers"]["local"]["state"] == "running"


def test_a_finite_query_that_is_interrupted_is_partial(tmp_path: Path) -> None:
    """Ctrl-C on a read that had not come to its end: what there is, and 3."""
    body = "    import time\n    for line in lines:\n        yield 1\n        time.sleep(0.1)\n"
    source = f'def map(lines):\n{body}reduce = "count"\n'
    log = tmp_path / "app.log"
    log.write_text("line\n" * 1000)
    with started("run", _query(tmp_path, source), log, "-o", "jsonl", "--every", "100ms") as process:
        arriving = snapshots(process)
        while not next(arriving)["rows"]:
            pass
        process.send_signal(signal.SIGINT)
        last = list(arriving)[-1]
        assert process.wait(20) == 3
    assert 0 < last["rows"][0]["count"] < 1000
    assert not last["complete"]


def test_the_second_interrupt_aborts(tmp_path: Path) -> None:
    """130, at once, without a final snapshot, of a job that would be waited for to the end of its time."""
    swallows = "while True:\n        try: time.sleep(3600)\n        except BaseException: pass"
    source = FOREVER.replace("time.sleep(3600)", swallows)
    with started("run", _query(tmp_path, source), "-o", "jsonl", "--every", "100ms") as process:
        arriving = snapshots(process)
        while not next(arriving)["rows"]:
            pass
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        while "draining" not in process.stderr.readline():
            pass
        process.send_signal(signal.SIGINT)
        assert not [each for each in arriving if each["final"]]
        assert process.wait(20) == 130


def test_for_ends_it(tmp_path: Path) -> None:
    """--for drains like Ctrl-C does."""
    done = call("run", _query(tmp_path, FOREVER), "--for", "1s", "-o", "json")
    assert done.status == 0, done.err
    assert done.rows == [{"key": "began", "count": 1}]


def test_a_closed_stdout_ends_every_job(tmp_path: Path) -> None:
    """Whoever read has gone: the query ends by itself, quietly."""
    with started("run", _query(tmp_path, FOREVER), "-o", "jsonl", "--every", "100ms") as process:
        assert process.stdout is not None
        process.stdout.readline()
        process.stdout.close()
        assert process.wait(20) == 3
        assert process.stderr is not None
        assert "Error" not in process.stderr.read()
        process.stdout = None


def test_prints_are_labelled_on_stderr(tmp_path: Path) -> None:
    """What a script prints on a provider comes out on stderr with the provider's name, and never among the data."""
    source = 'def map():\n    print("hello\\x1b[2J")\n    yield "k", 1\nreduce = "sum"\n'
    done = call("run", _query(tmp_path, source), "-o", "json")
    assert done.rows == [{"key": "k", "sum": 1}]
    assert "local: hello\\x1b[2J\n" in done.err


def test_rows_without_a_reduce_are_lines(tmp_path: Path) -> None:
    """host: value, as they come; at a limit it stops and says so, and nothing is missing of what was asked."""
    query = _query(tmp_path, "def map(lines):\n    for line in lines:\n        yield line\n")
    log = tmp_path / "app.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    whole = call("run", query, log)
    assert (whole.status, whole.out) == (0, "".join(f"local: line {n}\n" for n in range(100)))
    cut = call("run", query, log, "--limit", "10")
    assert cut.out == "".join(f"local: line {n}\n" for n in range(10))
    assert (cut.status, "logreduce: limit reached" in cut.err) == (0, True)


@pytest.mark.parametrize("words", [["run", "raw {log} | limit 3"], ["sql", "SELECT * FROM 'raw:{log}' LIMIT 3"]])
def test_as_many_lines_as_were_asked_for_are_a_complete_answer(words: list[str], tmp_path: Path) -> None:
    """However many hosts there are, and however much of their logs is left unread, which is said by host."""
    log = tmp_path / "large.log"
    log.write_text("a line of a log\n" * 500_000)
    hosts = [{"targets": [f"web{n}"], "labels": {"via": "env"}} for n in range(1, 4)]
    (tmp_path / "hosts.json").write_text(json.dumps(hosts))
    verb, question = words[0], words[1].format(log=log)
    done = call(verb, question, "-i", tmp_path / "hosts.json", "-o", "json")
    told = done.snapshot
    assert (done.status, len(told["rows"]), told["complete"], told["inexact"]) == (0, 3, True, []), done.err
    unread = {name for name, row in told["coverage"]["providers"].items() if row["state"] != "done"}
    assert set(told["coverage"]["stopped"]) == unread
    assert "logreduce: limit reached" in done.err


def test_texts_that_are_to_be_numbers_are_counted(tmp_path: Path) -> None:
    """The largest of texts is no number: stderr and the JSON say how many there were, and data stays as it is."""
    log = tmp_path / "t.csv"
    log.write_text("a,b\n1,x\n2,y\n3,\n")
    done = call("run", f"csv {log} | max(b), sum(b), max(a), max(string(b)) as text", "-o", "csv")
    assert (done.status, done.out) == (0, "max(b),sum,max(a),text\r\n,,3,y\r\n")
    assert done.err.count("left out: 2 values of b that are no numbers") == 1
    told = call("run", f"csv {log} | max(b)", "-o", "json").snapshot
    assert told["coverage"]["providers"]["local"]["dropped"] == {"not_a_number:b": 2}
    assert "left out" not in call("run", f"csv {log} | max(a)").err


@pytest.mark.parametrize("aggregate", ["sum(ms)", "mean(ms)", "p50(ms)", "sum(ms * 2)", "stddev(ms)"])
def test_an_odd_value_is_left_out_and_counted(tmp_path: Path, aggregate: str) -> None:
    """A text among JSON's numbers ends no host: the groups are there, and what was left out is said."""
    log = tmp_path / "odd.jsonl"
    log.write_text('{"ms":1,"k":"a"}\n{"ms":"n/a","k":"a"}\n{"ms":"3","k":"b"}\n{"ms":null,"k":"b"}\n{"k":"b"}\n')
    told = call("run", f"json {log} | {aggregate} as x by k", "-o", "json").snapshot
    assert [row["k"] for row in told["rows"]] == ["a", "b"]
    assert told["coverage"]["providers"]["local"]["dropped"] == {"not_a_number:ms": 1}
    if aggregate == "sum(ms)":
        assert [row["x"] for row in told["rows"]] == [1, 3]


def test_parameters_are_set(tmp_path: Path) -> None:
    """--set replaces a constant, typed by its default."""
    source = 'floor = 500\ndef map():\n    yield "floor", floor\nreduce = "sum"\n'
    assert call("run", _query(tmp_path, source), "-o", "json").rows == [{"key": "floor", "sum": 500}]
    done = call("run", _query(tmp_path, source), "--set", "floor=400", "-o", "json")
    assert done.rows == [{"key": "floor", "sum": 400}]


@pytest.mark.parametrize(
    ("reduce", "rows"),
    [
        ('"count"', [("a", 2), ("b", 1)]),
        ('["sum", "mean"]', [("a", 5, 2.5), ("b", 7, 7.0)]),
        ('["min", "max"]', [("a", 1, 4), ("b", 7, 7)]),
        ('"collect"', [("a", [1, 4]), ("b", [7])]),
        ("def reduce(a, b):\n    return a * 10 + b", [("a", 14), ("b", 7)]),
        (
            "class Reduce:\n    n = 0\n    def add(self, k, v): self.n += 1\n    def rows(self): return [self.n]",
            [(3,)],
        ),
    ],
    ids=["count", "sum-mean", "min-max", "collect", "function", "class"],
)
def test_every_form_of_reduce(tmp_path: Path, reduce: str, rows: list[tuple[object, ...]]) -> None:
    """Aggregates by name, a function, a class: each gives the rows that a plain loop would."""
    source = 'def map():\n    yield "a", 1\n    yield "b", 7\n    yield "a", 4\n'
    source += f"reduce = {reduce}\n" if reduce[0] in "\"'[" else f"{reduce}\n"
    done = call("run", _query(tmp_path, source), "-o", "json")
    assert done.status == 0, done.err
    assert [tuple(row.values()) for row in done.rows] == rows


def test_a_reduce_that_raises(tmp_path: Path) -> None:
    """The query is over with status 1 and the user's own line."""
    source = "def map():\n    yield 'k', 1\n    yield 'k', 2\n\ndef reduce(a, b):\n    return a / 0\n"
    done = call("run", _query(tmp_path, source), "-o", "json")
    assert done.status == 1
    assert "q.py:6" in done.err
    assert "ZeroDivisionError" in done.err


def test_ticks(tmp_path: Path) -> None:
    """A tick is a source of times."""
    body = "    for now in ticks:\n        yield type(now).__name__, 1\n"
    source = f'logs = "tick:100ms"\ndef map(ticks):\n{body}reduce = "sum"\n'
    done = call("run", _query(tmp_path, source), "--for", "1s", "-o", "json")
    assert done.status == 0, done.err
    assert done.rows[0]["key"] == "float"
    # A busy machine starts late and ends late: how well it keeps time is the runner's own tests' business.
    assert 1 <= done.rows[0]["sum"] <= 100


def test_a_running_coordinator_is_used(tmp_path: Path, home: Path) -> None:
    """The user's own live socket is found, and stderr says so; --private starts another all the same."""
    path = home / "run" / "logreduce" / "coordinator.sock"
    argv = [sys.executable, "-P", "-m", "coordinator", "--socket", str(path)]
    query = _query(tmp_path, 'def map():\n    yield "k", 1\nreduce = "sum"\n')
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE) as coordinator:
        assert coordinator.stdout is not None
        assert coordinator.stdout.readline() == b"ready\n"
        found = call("run", query, "-o", "json")
        private = call("run", query, "-o", "json", "--private")
        coordinator.send_signal(signal.SIGTERM)
        assert coordinator.wait(20) == 0
    assert (found.status, private.status) == (0, 0), found.err + private.err
    assert f"using the coordinator at {path}" in found.err
    assert "using the coordinator" not in private.err
    assert found.rows == private.rows == [{"key": "k", "sum": 1}]


def test_a_coordinator_says_where_it_is(tmp_path: Path) -> None:
    """Behind `ready` stands what --coordinator takes."""
    path = tmp_path / "c.sock"
    query = _query(tmp_path, 'def map():\n    yield "k", 1\nreduce = "sum"\n')
    with started("coordinator", "--socket", path) as coordinator:
        assert coordinator.stdout is not None
        assert coordinator.stdout.readline() == "ready\n"
        address = coordinator.stdout.readline().strip()
        assert address == f"ipc://{path}"
        done = call("run", query, "-o", "json", "--coordinator", address)
        coordinator.send_signal(signal.SIGTERM)
        assert coordinator.wait(20) == 0
    assert done.rows == [{"key": "k", "sum": 1}]


def test_quiet_says_nothing_of_refusals(tmp_path: Path) -> None:
    """What a provider lacks is coverage's to say: with -q stderr is empty, and the status tells."""
    query = _query(tmp_path, 'needs = ["exec:no-such-command"]\ndef map():\n    yield "k", 1\nreduce = "sum"\n')
    loud, quiet = call("run", query), call("run", query, "-q")
    assert "no-such-command" in loud.err
    assert (quiet.err, quiet.status) == ("", loud.status)
    raised = call("run", _query(tmp_path, "def map():\n    yield 1 / 0\n"), "-q")
    assert "ZeroDivisionError" in raised.err


def test_no_color_and_a_terminal(tmp_path: Path) -> None:
    """On a terminal the table grows in place; with NO_COLOR no colour is in it."""
    import pty

    query = _query(tmp_path, 'def map():\n    yield "k", 1\nreduce = "sum"\n')
    for environ, colours in (({}, True), ({"NO_COLOR": "1"}, False)):
        ours, theirs = pty.openpty()
        env = {**os.environ, "TERM": "xterm-256color", **environ}
        argv = [*ARGV, "run", str(query)]
        with subprocess.Popen(
            argv, stdin=subprocess.DEVNULL, stdout=theirs, stderr=subprocess.PIPE, env=env
        ) as process:
            os.close(theirs)
            seen = b""
            while True:
                try:
                    seen += os.read(ours, 65536)
                except OSError:  # the terminal's other side is closed
                    break
            assert process.wait(20) == 0
        os.close(ours)
        assert b"1 done" in seen
        assert (b"\x1b[32m" in seen) is colours


def test_json_is_the_contract(tmp_path: Path) -> None:
    """One document with exactly the fields that DESIGN names."""
    done = call("run", _query(tmp_path, 'def map():\n    yield "k", 1\nreduce = "sum"\n'), "-o", "json")
    snapshot = json.loads(done.out)
    assert list(snapshot) == [
        *("query", "query_id", "seq", "final", "at", "window", "revision", "columns", "rows"),
        *("complete", "inexact", "coverage"),
    ]
    row = snapshot["coverage"]["providers"]["local"]
    assert list(row) == [
        *("state", "reason", "level", "profile", "lines", "bytes", "matched", "emitted", "dropped", "parse_errors"),
        *("watermark", "lag_s", "joined_at", "left_at", "away_s"),
    ]


@pytest.mark.parametrize("follow", [[], ["-f", "--for", "1s"]], ids=["finish", "follow"])
def test_one_of_several_logs_is_enough_where_a_filter_has_looked(tmp_path: Path, follow: list[str]) -> None:
    """A filter that keeps a provider has seen its logs: one that is missing is counted. Without a filter it fails."""
    (tmp_path / "there.log").write_text("line\n")
    source = 'logs = ["there.log", "missing.log"]\n' + COUNT_LINES.partition("\n")[2]
    keeps = "def filter(provider):\n    return any(provider.readable(log) for log in logs)\n"
    (tmp_path / "q.py").write_text(source + keeps)
    kept = call("run", "./q.py", "-o", "json", *follow, cwd=tmp_path)
    assert kept.status == 0, kept.err
    assert kept.snapshot["coverage"]["providers"]["local"]["dropped"] == {"source_missing": 1}
    (tmp_path / "q.py").write_text(source)
    plain = call("run", "./q.py", "-o", "json", *follow, cwd=tmp_path)
    assert plain.status == 3
    assert "missing.log" in plain.reason("local")
