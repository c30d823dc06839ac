"""A compiled plan against the plain meaning of it: one line at a time, one dict a line, one loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backplane.query.formats import format_data
from provider.runner.expressions import evaluate
from provider.runner.folding import Scan
from provider.runner.formats.form import format_of
from provider.runner.plan import Plan

COMBINED = (
    b'10.0.0.1 - bob [17/May/2015:10:05:03 +0000] "GET /api/list?q=1 HTTP/1.1" 200 5123 "-" "curl/7.1"',
    b'10.0.0.2 - - [17/May/2015:10:05:04 +0200] "POST /img/x HTTP/1.1" 503 - "http://a/b" "Mozilla (X; Y)"',
    b'10.0.0.3 - - [17/May/2015:10:05:05 +0000] "-" 408 0 "-" "-"',
    b'10.0.0.4 - - [17/May/2015:10:05:06 +0000] "GET /a\\"b\\" 500 HTTP/1.1" 404 12 "-" "say \\"hi\\" 503 "',
    b'10.0.0.5 - - [17/May/2015:10:05:07 +0000] "GET /api/" 500 7 "" ""',
    b'10.0.0.6 - - [17/May/2015:10:05:08 +0000] "GET  HTTP/1.1" 400 7 "-" "-"',
)
LOGFMT = (
    b'level=info msg="hello world" status=200 took=12ms',
    b'level=error msg="say \\"status=500\\" twice" status=503 took=1.5s',
    b"level=warn status= took=x",
)
JSON = (
    b'{"level": "info", "status": 200, "took": 1.5, "http": {"path": "/api"}}',
    b'{"level": "error", "status": "503", "took": null, "msg": "\\u0065rror_at_start"}',
    b'{"level": true, "status": 5e2, "took": 12345678901234567890123}',
)
CSV = (b"200,info,/api,12", b'503,"er,r""or",/img,7', b'404,"",,"9"')
LOG4J = (
    b"2015-10-18 18:01:47,978 INFO [main] org.a.B: started",
    b"2015-10-18 18:01:48,001 ERROR [main] org.a.B: failed",
    b"java.io.IOException: no",
    b"\tat org.a.B.c(B.java:7)",
)
#: The last field ends where the line does, and fields may be empty.
SIMPLE = (b"INFO /a/b?x=1/y 12 all well", b"WARN /a//c/d - ", b"WARN  7 x", b"ERROR a/b 9 end ")
#: What gets into logs, and what separates fields, records and texts.
JUNK = (
    *(b'"', b"\\", b'\\"', b" ", b"\n", b"\r", b"\r\n", b"\0", b"\xff"),
    *(b"\xc3\xa9", b"[", b"]", b'" 500 ', b"-", b",", b"=", b"", b"\t"),
)


def field(name: str) -> list[Any]:
    return ["field", name]


def text(value: Any) -> list[Any]:
    return ["value", value]


CONDITIONS = {
    "combined": [
        None,
        ["if", [">=", field("status"), text(500)], ["contains", field("path"), "/a"], ["null", field("user")]],
        [">=", field("status"), text(500)],
        ["=", field("status"), text(200)],
        ["not", ["<", field("bytes"), text(100)]],
        ["=", field("method"), text("GET")],
        ["!=", field("user"), text("bob")],
        ["contains", field("line"), "503"],
        ["or", ["starts", field("path"), "/api"], ["null", field("bytes")]],
        ["in", field("method"), ["POST", "PUT"]],
        ["and", ["matches", field("agent"), "^(curl|say)"], ["ends", field("path"), "b"]],
        ["not", ["in", field("path"), ["/img/x", "/é"]]],
        [">", ["*", field("bytes"), text(2)], ["+", field("status"), text(1)]],
        [">=", field("time"), text(1431857104)],
        ["=", ["call", "lower", field("method")], text("get")],
        ["<", field("path"), text("/b")],
    ],
    "logfmt": [
        None,
        ["=", field("status"), text("503")],
        ["contains", field("msg"), "status=500"],
        ["not", ["=", field("level"), text("info")]],
        [">", ["call", "int", field("status")], text(300)],
    ],
    "json": [
        None,
        ["=", field("level"), text("error")],
        [">=", field("status"), text(500)],
        ["contains", field("msg"), "error_at_start"],
        ["not", ["=", field("level"), text(True)]],
        ["=", field("http.path"), text("/api")],
        ["null", field("took")],
        ["<", ["+", field("status"), field("took")], text(1000)],
    ],
    "csv": [
        None,
        [">", field("status"), text(300)],
        ["=", field("level"), text('er,r"or')],
        ["starts", field("path"), "/"],
    ],
    "simple": [None, [">", field("took"), text(8)], ["starts", field("path"), "/a"], ["!=", field("line"), text("x")]],
    "log4j": [None, ["=", field("level"), text("ERROR")], ["contains", field("message"), "IOException"]],
}
KEYS = {
    "combined": [[], ["status"], ["path", "user"], ["line"], ["bytes"]],
    "logfmt": [[], ["status"], ["msg", "level"]],
    "json": [["msg"], ["http.path"]],
    "csv": [[], ["status"], ["level", "path"], ["took"]],
    "simple": [[], ["level"], ["message"], ["line"]],
    "log4j": [[], ["level"], ["message"], ["line"]],
}
LINES = {"combined": COMBINED, "logfmt": LOGFMT, "json": JSON, "csv": CSV, "simple": SIMPLE, "log4j": LOG4J}
#: Of a number, or of none, so that sums are compared too.
SUMMED = {
    "combined": [field("bytes"), field("status"), ["call", "length", field("user")]],
    "simple": [field("took"), ["+", field("took"), text(1)]],
    "csv": [field("took")],
    "logfmt": [["call", "int", field("status")]],
}


def data_of(name: str) -> dict[str, Any]:
    if name == "csv":
        fields = {"status": {"type": "int"}, "took": {"type": "duration"}}
        return {"kind": "separated", "columns": ["status", "level", "path", "took"], "fields": fields}
    if name == "simple":
        fields = {"took": {"type": "int", "null": "-"}}
        return {"kind": "template", "template": "{level} {path} {took} {message}", "fields": fields}
    return format_data(name)


@st.composite
def logs(draw: st.DrawFn, lines: Sequence[bytes]) -> bytes:
    """Real lines, some of them cut, joined, or with something in them that belongs elsewhere."""
    made = []
    for _ in range(draw(st.integers(0, 12))):
        line = draw(st.sampled_from(lines))
        for _ in range(draw(st.sampled_from((0, 0, 0, 0, 1, 2)))):
            at, end = draw(st.integers(0, len(line))), draw(st.integers(0, 12))
            line = line[:at] + draw(st.sampled_from(JUNK)) + line[at + end :]
        made.append(line)
    ending = draw(st.sampled_from((b"\n", b"\n", b"\r\n")))
    return ending.join(made) + ending if made else b""


def records(log: bytes, start: Any) -> list[bytes]:
    found: list[bytes] = []
    for line in log[:-1].split(b"\n") if log else []:
        if start is not None and found and not start.match(line):
            found[-1] += b"\n" + line
        else:
            found.append(line)
    return found


def plain(plan: Plan, log: bytes) -> tuple[dict[Any, int], list[dict[Any, Any]], int]:
    """Counts by key, sums by key of all aggregates but the first, and how many did not parse."""
    counts: dict[Any, int] = {}
    sums: list[dict[Any, Any]] = [{} for _ in plan.aggregates[1:]]
    odd = 0
    for record in records(log, plan.format.start):
        found = plan.format.parse(record, plan.needed())
        if found is None:
            odd += 1
            continue
        if plan.where is not None and evaluate(plan.where, found) is not True:
            continue
        values = tuple(evaluate(each.value, found) for each in plan.keys)
        key = values[0] if len(values) == 1 else values
        counts[key] = counts.get(key, 0) + 1
        for each, column in zip(plan.aggregates[1:], sums, strict=True):
            value = None if each.value is None else evaluate(each.value, found)
            if value is not None:
                column[key] = column.get(key, 0) + value
    return counts, sums, odd


@pytest.mark.parametrize("name", LINES)
@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_compiled_plan_is_the_plain_loop(name: str, data: st.DataObject) -> None:
    """Whatever a log holds and however it is cut into blocks, a compiled plan counts and sums what the parser sees."""
    log = data.draw(logs(LINES[name]))
    log += b"" if log.endswith(b"\n") or not log else b"\n"
    keys = [[key, field(key)] for key in data.draw(st.sampled_from(KEYS[name]))]
    if data.draw(st.booleans()) and name == "combined":
        keys.append(["prefix", ["call", "prefix", field("user"), text(1)]])
        keys.append(["two", ["call", "prefix", field("path"), text(2)]])
        keys.append(["upper", ["call", "upper", field("method")]])
    if name == "simple":
        depths = data.draw(st.lists(st.integers(0, 2), max_size=2))
        keys += [["prefix", ["call", "prefix", field("path"), text(depth)]] for depth in depths]
    aggregates: list[Any] = [["count", None]]
    if name in SUMMED:
        taken_up = data.draw(st.lists(st.sampled_from(SUMMED[name]), max_size=3))
        aggregates += [["sum", value] for value in taken_up]
    plan = Plan.of(
        {
            "version": 1,
            "format": data_of(name),
            "where": data.draw(st.sampled_from(CONDITIONS[name])),
            "keys": keys,
            "aggregates": aggregates,
        }
    )
    scan = Scan(plan)
    for block in data.draw(blocks(log, plan.format.start)):
        scan.feed(b"?\n" + block + b"?\n?", 2, 2 + len(block))
    taken = scan.take()
    counts, sums, odd = plain(plan, log)
    assert taken[0] == counts
    for states, column in zip(taken[1:], sums, strict=True):
        found = {key: value if isinstance(value, int) else plan_sum(value) for key, value in states.items()}
        assert found == pytest.approx(column)
    assert scan.seen.lines == log.count(b"\n")
    assert scan.seen.matched == sum(counts.values())
    assert scan.seen.odd == odd if scan.source.literal is None else scan.seen.odd <= odd
    assert len(scan.seen.samples) == min(5, scan.seen.odd)


def plan_sum(state: list[Any]) -> float:
    return float(state[0] + sum(state[1:]))


@st.composite
def blocks(draw: st.DrawFn, log: bytes, start: Any) -> list[bytes]:
    """The log cut between records, anywhere."""
    found = [record + b"\n" for record in records(log, start)]
    made = []
    while found:
        size = draw(st.integers(1, len(found)))
        made.append(b"".join(found[:size]))
        found = found[size:]
    return made


@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_what_is_skipped_changes_nothing(data: st.DataObject) -> None:
    """A line that parses with all of its fields has the same ones when only some are asked for."""
    name = data.draw(st.sampled_from(sorted(LINES)))
    form = format_of(data_of(name))
    for line in records(data.draw(logs(LINES[name])), form.start):
        whole = form.parse(line)
        if whole is not None and form.layout.names:
            few = data.draw(st.lists(st.sampled_from(form.layout.names), unique=True))
            found = form.parse(line, few)
            assert found is not None
            assert all(found[each] == whole[each] for each in few)


def test_a_request_without_a_path_has_no_parts() -> None:
    """A pattern that captures a path's prefix needs a path, as the parser does: otherwise there is no method either."""
    keys = [["prefix", ["call", "prefix", field("path"), text(1)]], ["method", field("method")]]
    data = {"version": 1, "format": data_of("combined"), "keys": keys, "aggregates": [["count", None]]}
    scan = Scan(Plan.of(data))
    log = b"".join(COMBINED[place] + b"\n" for place in (0, 5))
    scan.feed(log, 0, len(log))
    assert scan.take() == [{("/api", "GET"): 1, (None, None): 1}]
