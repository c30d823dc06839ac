"""Times as values, through the whole program: every output shows them, however it is asked, and seconds compute."""

from __future__ import annotations

import csv
import io
import json
import signal
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import backplane as lr
from tests.rigs.named import none_left
from tests.rigs.program import call, snapshots, started

FIRST, SECOND, THIRD = "2015-05-17T10:05:03Z", "2015-05-17T10:05:04.25Z", "2015-05-17T10:07:00.000001Z"
AT = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
FORMAT = """kind = "json"
time = "time"
[fields]
time = "time"
path = "string"
"""


@pytest.fixture
def asked(tmp_path: Path) -> str:
    """A format with a time in fractions of a second, and a log of it, as a question begins."""
    lines = [{"time": at, "path": path} for at, path in ((FIRST, "/a"), (SECOND, "/a"), (THIRD, "/b"), (None, "/c"))]
    (tmp_path / "x.log").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (tmp_path / "x.toml").write_text(FORMAT)
    return f"{tmp_path}/x.toml {tmp_path}/x.log"


def select(columns: str, asked: str, rest: str = "") -> str:
    return f"SELECT {columns} FROM '{asked.replace(' ', ':')}' {rest}"


def test_a_line_and_sql_show_times(asked: str) -> None:
    """The largest by key, null where there is none, a difference in seconds, and rows chosen and sorted by time."""
    line = f"{asked} | max(time) as last, min(time) as first, count by path | let took = last - first | sort -last"
    line += " | fields path, last, first, took"
    text = select(
        "path, max(time) AS last, min(time) AS first, max(time) - min(time) AS took",
        asked,
        "GROUP BY path ORDER BY last DESC",
    )
    wanted = [
        {"path": "/b", "last": THIRD, "first": THIRD, "took": 0.0},
        {"path": "/a", "last": SECOND, "first": FIRST, "took": 1.25},
        {"path": "/c", "last": None, "first": None, "took": None},
    ]
    for done in (call("run", line, "-q", "-o", "json"), call("sql", text, "-q", "-o", "json")):
        assert (done.status, done.err) == (0, "")
        assert done.rows == wanted
    late = f"{asked} | max(time) as last by path | where last > '{SECOND}' | fields path"
    assert call("run", late, "-q", "-o", "csv").out.split() == ["path", "/b"]


def test_every_output_shows_them(asked: str) -> None:
    """Table, CSV, both forms of JSON, and lines with some of their fields; whole lines are as they were."""
    line = f"{asked} | last(time), count by bin(time, 1m) as minute"
    minutes = [("2015-05-17T10:05:00Z", SECOND, "2"), ("2015-05-17T10:07:00Z", THIRD, "1")]
    table = call("run", line, "-q", "-o", "table")
    assert [tuple(each.split()) for each in table.out.splitlines()[-2:]] == minutes
    told = call("run", line, "-q", "-o", "csv")
    assert [tuple(row) for row in csv.reader(io.StringIO(told.out))][-2:] == minutes
    for form in ("json", "jsonl"):
        (said,) = call("run", line, "-q", "-o", form).out.splitlines()[-1:]
        assert [(row["minute"], row["last"], str(row["count"])) for row in json.loads(said)["rows"]][-2:] == minutes
    fields = call("run", f"{asked} | where path = '/a' | fields time, path", "-q")
    assert fields.out == f"local: {FIRST}\t/a\nlocal: {SECOND}\t/a\n"
    whole = call("run", f"{asked} | where path = '/b'", "-q")
    assert whole.out == 'local: {"time": "2015-05-17T10:07:00.000001Z", "path": "/b"}\n'


def test_windows_hold_times(asked: str) -> None:
    """The largest of each window is one, beside the window's own."""
    done = call("run", f"{asked} | where time is not null | timeslice 1m | max(time)", "-q", "-o", "json")
    assert done.rows == [
        {"window": ["2015-05-17T10:05:00Z", "2015-05-17T10:06:00Z"], "max": SECOND},
        {"window": ["2015-05-17T10:07:00Z", "2015-05-17T10:08:00Z"], "max": THIRD},
    ]


def test_python_has_aware_times(asked: str) -> None:
    """By a builder, one line and SQL: a datetime in UTC, or None."""
    format_, log = asked.split()
    built = lr.logs(format_, log).max("time", name="last").count().by("path").sort("path")
    line = f"{asked} | max(time) as last, count by path | sort path"
    text = select("path, max(time) AS last, count(*) AS count", asked, "GROUP BY path ORDER BY path")
    for query in (built, line, text):
        answer = lr.ask(query)
        assert answer.rows == (
            ("/a", AT + timedelta(seconds=1.25), 2),
            ("/b", datetime(2015, 5, 17, 10, 7, 0, 1, UTC), 1),
            ("/c", None, 1),
        )
        assert answer.kinds == {"path": "string", "last": "time", "count": "int"}
        assert answer.to_dict()["rows"][0]["last"] == SECOND
        assert all(at is None or at.utcoffset() == timedelta() for _, at, _ in answer.rows)


@pytest.mark.linux
@pytest.mark.usefixtures("home")
def test_a_named_query_shows_them(asked: str) -> None:
    """Those who attach see times while it runs, and so does who looks when nobody runs it any more."""
    line = f"{asked} | max(time) as last"
    with none_left():
        assert call("run", line, "--name", "times", "--since", "2015-01-01", "--follow", "--detach").status == 0
        with started("attach", "times", "-o", "jsonl", "--every", "100ms") as attached:
            assert any(snapshot["rows"] == [{"last": THIRD}] for snapshot in snapshots(attached))
            attached.send_signal(signal.SIGINT)
            assert attached.wait(60) == 0
        assert call("cancel", "times").status == 0
        assert call("attach", "times", "-o", "json").rows == [{"last": THIRD}]
        assert call("rm", "times").status == 0
