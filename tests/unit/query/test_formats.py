"""Formats: those that come with the program against real logs and independent parsers, and what is refused."""

from __future__ import annotations

import csv
import datetime
import io
import json
from pathlib import Path
from typing import Any

import apachelogs  # type: ignore[import-untyped]  # it comes without types
import pytest

from backplane.query.formats import format_data, formats
from backplane.wire.errors import UsageError
from provider.runner.expressions import ExpressionError, kind_of
from provider.runner.folding import Scan
from provider.runner.formats.base import FormatError
from provider.runner.formats.form import format_of
from provider.runner.formats.times import LayoutError, reader
from provider.runner.formats.values import duration_of, size_of
from provider.runner.pack import packb
from provider.runner.plan import Plan, PlanError

#: Real logs, their format, and how many of their records do not parse (with the reason why they should not).
LOGS = {
    "elastic/apache_logs": ("combined", 1),  # one line is cut within its last field
    "loghub/Apache_2k.log": ("apache-error", 0),
    "loghub/HDFS_2k.log": ("hdfs", 0),
    "loghub/Hadoop_2k.log": ("log4j", 0),
    "loghub/Linux_2k.log": ("syslog", 0),
    "loghub/OpenSSH_2k.log": ("syslog", 0),
    "loghub/Spark_2k.log": ("spark", 0),
    "loghub/Zookeeper_2k.log": ("zookeeper", 0),
    "hadoop/byteman-oneline-rpc.trace": ("raw", 0),
    "hadoop/byteman-seed-rules-namenode.out": ("raw", 0),
    "hadoop/chukwa-ClientTrace.log": ("client-trace", 0),
    "hadoop/dn1-clienttrace.log": ("client-trace", 0),
    "hadoop/dn3-clienttrace.log": ("client-trace", 0),
    "hadoop/job.log": ("log4j", 0),  # its tables belong to the message above them
    "hadoop/kelvin.trace": ("raw", 0),
    "hadoop/nn-audit-20k.log": ("hdfs-audit", 0),
    "hadoop/nn-audit-noreplay.log": ("hdfs-audit", 0),
    "hadoop/shuffle.trace": ("raw", 0),
    "hadoop/spark-eventlog-remote-shuffle.json": ("json", 0),
    "hadoop/spark-executor0-stderr.log": ("spark", 1),  # the command line above the first record
    "hadoop/spark-perf-stat.0": ("raw", 0),
    "hadoop/spark-perf-trace-s.0": ("raw", 0),
    "hadoop/spark-proc-samples.jsonl": ("json", 0),
    "hadoop/spark-strace-c.0": ("raw", 0),
    "hadoop/spark-worker1.log": ("spark", 1),  # what log4j says before it is set up
    "dynamometer/audit_trace_direct/audit0": ("hdfs-audit", 0),
    "dynamometer/audit_trace_hive/audit0": ("raw", 0),
}


def whole(path: Path) -> bytes:
    """A log's bytes, its last line ended."""
    log = path.read_bytes()
    return log if log.endswith(b"\n") else log + b"\n"


def scanned(log: bytes, of: dict[str, Any], keys: list[str]) -> tuple[dict[Any, int], Scan]:
    """Counts by some fields."""
    plan = {
        "version": 1,
        "format": of,
        "keys": [[key, ["field", key]] for key in keys],
        "aggregates": [["count", None]],
    }
    scan = Scan(Plan.of(plan))
    scan.feed(log, 0, len(log))
    return scan.take()[0], scan


@pytest.mark.parametrize("name", LOGS)
def test_real_logs_parse(data: Path, name: str) -> None:
    """Every record of every real log is of the format that it is said to be, but for those that are broken."""
    form, odd = LOGS[name]
    of = format_data(form)
    names = format_of(of).layout.names or ["line"]
    _, scan = scanned(whole(data / name), of, names)
    assert scan.seen.odd == odd, scan.seen.samples
    assert scan.seen.matched > 0


def test_every_real_log_is_looked_at(data: Path) -> None:
    """No file of the real logs is left out of the table above."""
    files = {str(path.relative_to(data)) for path in data.rglob("*") if path.is_file()}
    assert {name for name in files if Path(name).name not in ("LICENSE", "SOURCES.txt")} == set(LOGS)


def test_combined_is_what_apachelogs_says(data: Path) -> None:
    """An independent parser of Apache's format finds the same client, time, request, status, size and agent."""
    theirs = apachelogs.LogParser(apachelogs.COMBINED, encoding="utf-8", errors="surrogateescape")
    ours = format_of(format_data("combined"))
    compared = 0
    for line in whole(data / "elastic/apache_logs").split(b"\n")[:-1]:
        found = ours.parse(line)
        if found is None:
            with pytest.raises(apachelogs.InvalidEntryError):
                theirs.parse(line.decode())
            continue
        entry = theirs.parse(line.decode())
        assert found["client"] == entry.remote_host
        assert found["time"] == entry.request_time.timestamp()
        assert found["request"] == entry.request_line
        assert (found["status"], found["bytes"]) == (entry.final_status, entry.bytes_sent)
        assert (found["agent"], found["referer"]) == (
            entry.headers_in["User-Agent"] or None,
            entry.headers_in["Referer"] or None,
        )
        compared += 1
    assert compared == 9999


_JAVA = {
    "log4j": "{day} {clock},{ms} {level} [{thread}] {logger} - {message}",
    "logback": "{day} {clock}.{ms} [{thread}] {level:5} {logger} - {message}",
    "spring": "{day}T{clock}.{ms}Z {level:>5} 4711 --- [{thread:>15}] {logger:40} : {message}",
}


@pytest.mark.parametrize("name", _JAVA)
def test_layouts_of_java_are_read_as_they_were_written(name: str) -> None:
    """Whatever a layout was filled with comes out of its line, and a stack trace belongs to the message."""
    ours = format_of(format_data(name))
    for level, thread, logger, message in (
        ("INFO", "main", "org.example.App", "ready - or not: [x] : y"),
        ("ERROR", "http-nio-8080-exec-1", "c.e.w.Handler", "it broke\n\tat c.e.w.Handler.run(Handler.java:7)"),
    ):
        parts = {"level": level, "thread": thread, "logger": logger, "message": message}
        found = ours.parse(_JAVA[name].format(day="2026-11-20", clock="09:00:07", ms="250", **parts).encode())
        assert found is not None
        assert {key: found[key] for key in parts} == parts
        zone = datetime.UTC if "Z " in _JAVA[name] else None  # as the others leave it: the host's own
        assert found["time"] == datetime.datetime(2026, 11, 20, 9, 0, 7, 250_000, zone).timestamp()


def test_json_is_what_json_says(data: Path) -> None:
    """Keys, and keys of objects in objects, are those of the standard parser."""
    ours = format_of(format_data("json"))
    for line in whole(data / "hadoop/spark-proc-samples.jsonl").split(b"\n")[:-1]:
        theirs = json.loads(line)
        found = ours.parse(line, list(theirs))
        assert found is not None
        assert {key: found[key] for key in theirs} == theirs
    nested = ours.parse(b'{"a": {"b": 3, "c": [1, "x"]}, "a.d": true}', ["a.b", "a.c", "a.d", "a.e"])
    assert nested == {"a.b": 3, "a.c": '[1,"x"]', "a.d": True, "a.e": None, "line": nested["line"] if nested else ""}


def test_syslog_without_a_program_is_syslog() -> None:
    """What a daemon says of itself names no program: all of it is the message."""
    ours = format_of(format_data("syslog"))
    told = ours.parse(b"Nov 20 09:00:01 web1 last message repeated 2 times")
    assert told is not None
    assert (told["host"], told["program"], told["message"]) == ("web1", None, "last message repeated 2 times")
    named = ours.parse(b"Nov 20 09:00:01 web1 cron[7]: done: all")
    assert named is not None
    assert (named["program"], named["pid"], named["message"]) == ("cron", 7, "done: all")


@pytest.mark.parametrize("dialect", [("csv", ","), ("tsv", "\t")])
def test_columns_are_what_csv_says(dialect: tuple[str, str]) -> None:
    """Quotes, doubled quotes and empty columns are read as the standard parser reads them."""
    rows = [["a", "b", "c"], ["1", "", "x y"], ["", "é", "-"], ['q"q', "with, comma", "'"], ['"', '""', ","]]
    name, separator = dialect
    if separator == "\t":
        rows = rows[:3]
    out = io.StringIO()
    csv.writer(out, delimiter=separator, lineterminator="\n").writerows(rows)
    form = format_of(format_data(name), rows[0])
    for line, row in zip(out.getvalue().encode().split(b"\n")[1:], rows[1:], strict=False):
        found = form.parse(line)
        assert found is not None
        assert [found[column] or "" for column in rows[0]] == row
    assert form.parse(b'1,"2') is None
    assert form.parse(separator.join("1234").encode()) is None


@pytest.mark.parametrize(
    ("layout", "text"),
    [
        ("%d/%b/%Y:%H:%M:%S %z", "17/May/2015:10:05:03 -0730"),
        ("%Y-%m-%d %H:%M:%S,%f", "2015-10-18 18:01:47,978"),
        ("%y/%m/%d %H:%M:%S", "17/06/09 20:10:40"),
        ("%y%m%d %H%M%S", "081109 203615"),
        ("%a %b %d %H:%M:%S.%f %Y", "Sun Feb 29 04:47:44.123456 2004"),
    ],
)
def test_times_are_what_strptime_says(layout: str, text: str) -> None:
    """A layout means to us what it means to the standard library, with a zone and in the host's."""
    assert reader(layout)(text.encode()) == datetime.datetime.strptime(text, layout).timestamp()


def test_iso_times_and_epochs() -> None:
    """RFC 3339 in its variants, seconds and their parts since the epoch, and what is neither."""
    read = reader("iso")
    for text in (
        "2026-11-20T09:00:00Z",
        "2026-11-20 10:00:00.250+01:00",
        "2026-11-20T09:00:00,5",
        "2026-02-28 00:00:00",
    ):
        assert read(text.encode()) == datetime.datetime.fromisoformat(text).timestamp()
    assert read(b"2016-12-31T23:59:60Z") == 1483228800.0
    assert [read(text) for text in (b"2026-02-30T00:00:00Z", b"2026-11-20", b"", b"2026-11-20T09:00:00Zx")] == [
        None
    ] * 4
    assert reader("epoch_us")(b"1700000000123456") == 1700000000.123456
    assert reader("epoch")(b"nan") is None


def test_a_time_without_a_year_is_not_in_the_future() -> None:
    """It is of the last year in which it has been, a day ahead allowed for clocks that differ."""
    now = datetime.datetime(2026, 1, 2, 12).timestamp()
    read = reader("%b %d %H:%M:%S", now=lambda: now)
    assert read(b"Dec 31 23:00:00") == datetime.datetime(2025, 12, 31, 23).timestamp()
    assert read(b"Jan  3 10:00:00") == datetime.datetime(2026, 1, 3, 10).timestamp()
    assert read(b"Feb 29 10:00:00") == datetime.datetime(2024, 2, 29, 10).timestamp()


def test_durations_and_sizes() -> None:
    """They become seconds and bytes."""
    assert [duration_of(1.0)(text) for text in (b"1.5s", b"20ms", b"1h2m", b"7", b"x")] == [
        1.5,
        0.02,
        3720.0,
        7.0,
        None,
    ]
    assert [size_of(text) for text in (b"512", b"10K", b"3.5 MiB", b"3MB", b"MB")] == [
        512,
        10240,
        3670016,
        3000000,
        None,
    ]


def test_syslog_of_both_kinds() -> None:
    """RFC 5424's own example, and a line of the older kind with a version in its tag."""
    text = b'<165>1 2003-10-11T22:14:15.003Z host app - ID47 [ex@32473 iut="3" a="\\"]"] \xef\xbb\xbfAn event'
    found = format_of(format_data("syslog5424")).parse(text)
    assert found is not None
    assert (found["priority"], found["time"], found["pid"]) == (165, 1065910455.003, None)
    assert (found["data"], found["message"]) == ('[ex@32473 iut="3" a="\\"]"]', "An event")
    old = format_of(format_data("syslog")).parse(b"Jun 19 04:09:11 combo syslogd 1.4.1: restart.")
    assert old is not None
    assert (old["program"], old["message"]) == ("syslogd", "restart.")


def test_a_stack_trace_belongs_to_its_message() -> None:
    """A record goes on until the next one starts, and its text is the message's."""
    log = (
        b"2015-10-18 18:01:47,978 ERROR [main] a.B: boom\njava.io.IOException\n\tat x\n"
        b"2015-10-18 18:01:48,000 INFO [main] a.B: on\n"
    )
    counts, scan = scanned(log, format_data("log4j"), ["level", "message"])
    assert counts == {("ERROR", "boom\njava.io.IOException\n\tat x"): 1, ("INFO", "on"): 1}
    assert (scan.seen.lines, scan.seen.odd) == (4, 0)


def test_names_of_formats(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A user's own goes before ours, a path is read as one, and a misspelt name is answered with a near one."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    folder = tmp_path / "logreduce" / "formats"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text('kind = "regex"\npattern = "(?P<a>.*) (?P<b>.*)"\n')
    assert format_data("mine") == {"name": "mine", "kind": "regex", "pattern": "(?P<a>.*) (?P<b>.*)"}
    assert format_data(str(folder / "mine.toml"))["name"] == "mine"
    assert format_data("nginx")["template"] == format_data("combined")["template"]
    with pytest.raises(UsageError, match="did you mean 'syslog"):
        format_data("sislog")
    (folder / "bad.toml").write_text('kind = "regex"\npattern = "("\n')
    with pytest.raises(UsageError, match="is no regular expression"):
        format_data("bad")
    assert set(formats()) >= {"mine", "combined", "json"}


@pytest.mark.parametrize("name", sorted(formats()))
def test_a_format_travels(name: str) -> None:
    """Each one that comes with the program is checked, and is data that msgpack can say."""
    assert packb(format_data(name))


@pytest.mark.parametrize(
    ("data", "why"),
    [
        ({}, "has a kind"),
        ({"kind": "raw", "pattern": "x"}, "no part 'pattern'"),
        ({"kind": "regex", "pattern": "(a)"}, "have names"),
        ({"kind": "regex", "pattern": "(?P<a>.)", "fields": {"b": "int"}}, "has only a"),
        ({"kind": "regex", "pattern": "(?P<a>.)", "fields": {"a": "number"}}, "there are any, bool"),
        ({"kind": "regex", "pattern": "(?P<a>.)", "time": "a"}, "type time"),
        ({"kind": "template", "template": "{a}{b}"}, "needs a text between"),
        ({"kind": "json", "fields": {"t": {"type": "time", "layout": "%Q"}}}, "no part of a time's layout"),
        ({"kind": "separated", "separator": "ab"}, "one byte"),
    ],
)
def test_what_is_no_format_is_refused(data: dict[str, Any], why: str) -> None:
    """In one sentence that says what is wrong."""
    with pytest.raises((FormatError, LayoutError), match=why):
        format_of(data)


COMMON = {"version": 1, "format": format_data("common"), "aggregates": [["count", None]]}


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"version": 2}, "version 2 is not known"),
        ({"whom": None}, "no part 'whom'"),
        ({"where": ["=", ["field", "statsu"], ["value", 1]]}, "no field 'statsu'; there are bytes, client"),
        ({"where": ["=", ["field", "path"], ["value", 1]]}, "path is of type string and cannot be compared with int"),
        ({"where": ["field", "path"]}, "needs a condition"),
        ({"where": ["matches", ["field", "path"], "("]}, "no regular expression"),
        ({"where": ["call", "system", ["value", "rm"]]}, "is no expression"),
        ({"keys": [["a", ["call", "lower", ["field", "status"]]]]}, "lower needs a string, and status is of type int"),
        ({"aggregates": [], "keys": [["path", ["field", "path"]]]}, "there is no aggregate"),
        ({"window": ["path", 60, 60, 0]}, "path has none"),
        ({"window": ["time", 60, 0, 0]}, "step is above 0"),
        ({"since": "10m"}, "seconds since the epoch"),
        ({"paths": "x"}, "list of texts"),
    ],
)
def test_what_is_no_plan_is_refused(change: dict[str, Any], why: str) -> None:
    """A plan comes from outside, so each part is looked at before anything is compiled."""
    with pytest.raises(PlanError, match=why):
        Plan.of({**COMMON, **change})


def test_a_plan_is_data_again() -> None:
    """What a plan was made of is what it gives."""
    data = {**COMMON, "where": ["null", ["field", "user"]], "window": ["time", 60.0, 30.0, 5.0], "since": 1.0}
    plan = Plan.of(data)
    assert Plan.of(plan.data()).data() == plan.data()
    assert plan.data().items() >= data.items()
    assert packb(plan.data())


def test_windows_and_since() -> None:
    """Event time gives each record its windows; without a time, or before `since`, it is in none."""
    log = b"".join(b'h - - [17/May/2015:10:05:%02d +0000] "GET / HTTP/1.1" 200 1\n' % second for second in (3, 31, 59))
    start = 1431857100.0
    plan = Plan.of({**COMMON, "window": ["time", 60, 30, 0], "since": start + 4})
    scan = Scan(plan)
    scan.feed(log, 0, len(log))
    assert [(window[0], states[0][()]) for window, _, states in scan.taken() if window] == [(start, 2), (start + 30, 2)]


def test_lines_and_columns_without_an_aggregate() -> None:
    """Matching lines come as they are, or as the columns that were asked for."""
    log = b'h - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 404 1\nodd\n'
    base = {**COMMON, "aggregates": [], "where": [">=", ["field", "status"], ["value", 400]]}
    for columns, expected in (([], (log[:-5].decode(),)), ([["p", ["field", "path"]]], ("/a",))):
        scan = Scan(Plan.of({**base, "columns": columns}))
        scan.feed(log, 0, len(log))
        assert scan.rows() == [expected]


def test_expressions_are_bounded() -> None:
    """One that is nested deeper than a person writes is refused, not compiled."""
    deep: list[Any] = ["field", "a"]
    for _ in range(100):
        deep = ["not", deep]
    with pytest.raises(ExpressionError):
        kind_of(deep, {"a": "bool"})
