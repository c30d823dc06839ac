"""Questions of one line, run in this process over generated lines, against plain loops."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from typing import Any

import pytest

from backplane.query.hosts import for_host, keeps, names
from backplane.query.oneline import OneLine, one_line
from backplane.reduce.aggregated import AggregateFold
from backplane.reduce.columns import Partials, decode
from backplane.reduce.finishing import Finishing
from backplane.reduce.rows import Rows
from provider.runner.aggregates.combiner import partials_payload
from provider.runner.folding import Scan
from provider.runner.plan import Plan

Record = dict[str, Any]
PATHS = ("/api/list", "/api/item", "/login", "/static/a.js")
STATUSES = (200, 200, 200, 404, 500, 502, 503)


def access(count: int = 300) -> list[Record]:
    """What stands in an access log."""
    return [
        {
            "client": f"10.0.0.{number % 7}",
            "path": PATHS[number * 7 % len(PATHS)],
            "status": STATUSES[number * 5 % len(STATUSES)],
            "bytes": number * 37 % 4000,
            "second": number % 60,
            "minute": number // 60,
        }
        for number in range(count)
    ]


def written(record: Record) -> str:
    """A record as nginx writes it."""
    at = f"20/Nov/2026:09:{record['minute']:02d}:{record['second']:02d} +0000"
    return (
        f'{record["client"]} - - [{at}] "GET {record["path"]} HTTP/1.1" {record["status"]} {record["bytes"]} "-" "curl"'
    )


LOG = "".join(f"{written(record)}\n" for record in access()).encode()


def scanned(asked: OneLine, log: bytes, name: str = "web1", labels: dict[str, str] | None = None) -> Scan:
    """The plan of a question, run over a log as a provider would."""
    scan = Scan(Plan.of(for_host(asked.plan, name, labels or {})), name)
    scan.feed(log, 0, len(log))
    return scan


def folded(asked: OneLine, logs: Iterable[tuple[str, bytes]]) -> Rows:
    """The rows of a question over the logs of some providers, finished as at home."""
    aggregates = [name for name, _ in asked.plan["aggregates"]]
    fold = AggregateFold(aggregates)
    for name, log in logs:
        taken = scanned(asked, log, name).take()
        keys = list(taken[0]) or list({key: None for states in taken for key in states})
        payload = partials_payload(aggregates, keys, [[states[key] for key in keys] for states in taken])
        content = decode("partials", payload)
        assert isinstance(content, Partials)
        fold.partials(name, fold.load(name, content))
    return Finishing(asked.keys, asked.values, asked.steps).finish(fold.rows())


def rows(text: str, log: bytes = LOG) -> list[tuple[Any, ...]]:
    """The rows of a question over one log."""
    return list(folded(one_line(text), [("web1", log)]).rows)


def lines(text: str, log: bytes = LOG) -> list[tuple[Any, ...]]:
    """The lines of a question without aggregates."""
    return scanned(one_line(text), log).rows()


def counted(wanted: Callable[[Record], bool], key: Callable[[Record], Any]) -> dict[Any, int]:
    """The plain loop."""
    return dict(Counter(key(record) for record in access() if wanted(record)))


CONDITIONS: dict[str, Callable[[Record], bool]] = {
    "status >= 500": lambda r: r["status"] >= 500,
    "status = 500 or status == 404": lambda r: r["status"] in (500, 404),
    "status in (500, 502)": lambda r: r["status"] in (500, 502),
    "status not in (200)": lambda r: r["status"] != 200,
    "not (status = 200)": lambda r: r["status"] != 200,
    "status != 200 and path starts with '/api'": lambda r: r["status"] != 200 and r["path"].startswith("/api"),
    "path ~ /^\\/api\\/(item|list)$/": lambda r: r["path"].startswith("/api"),
    "path !~ 'api'": lambda r: "api" not in r["path"],
    "path contains 'log' or path ends '.js'": lambda r: r["path"] in ("/login", "/static/a.js"),
    "bytes between 1KB and 2KiB": lambda r: 1000 <= r["bytes"] <= 2048,
    "bytes * 2 + 1 > 3000 - 1000": lambda r: r["bytes"] * 2 + 1 > 2000,
    "bytes > 1.5K and not status is null": lambda r: r["bytes"] > 1536,
    "user is null": lambda r: True,
    "user is not null": lambda r: False,
    "length(path) = 6": lambda r: len(r["path"]) == 6,
    "lower(method) = 'get' and part(client, '.', 4) = '3'": lambda r: r["client"].endswith(".3"),
    "-bytes < -3000": lambda r: r["bytes"] > 3000,
    "time >= '2026-11-20T09:01:00Z' and time < '2026-11-20T09:02:00+00:00'": lambda r: r["minute"] == 1,
}


@pytest.mark.parametrize("condition", CONDITIONS)
def test_a_condition_keeps_what_a_plain_loop_keeps(condition: str) -> None:
    """`where` means what it says."""
    found = rows(f"nginx access.log | where {condition} | count by path, status")
    expected = counted(CONDITIONS[condition], lambda r: (r["path"], r["status"]))
    assert {(path, status): count for path, status, count in found} == expected


def test_aggregates_by_expressions_are_those_of_a_plain_loop() -> None:
    """Several aggregates fold by fields and by what is computed of them."""
    found = rows("nginx f | sum(bytes), avg(bytes) as mean_bytes, max(bytes), distinct(client) by prefix(path) as top")
    groups: dict[str, list[Record]] = defaultdict(list)
    for record in access():
        groups["/" + record["path"].split("/")[1]].append(record)
    assert found == [
        (
            top,
            sum(r["bytes"] for r in group),
            pytest.approx(sum(r["bytes"] for r in group) / len(group)),
            max(r["bytes"] for r in group),
            len({r["client"] for r in group}),
        )
        for top, group in sorted(groups.items())
    ]


def test_rows_are_finished_at_home() -> None:
    """Sort, limit, conditions and columns of what was folded are done with the rows."""
    by_path = Counter(r["path"] for r in access() if r["status"] >= 500)
    most = sorted(by_path.items(), key=lambda item: (-item[1], item[0]))
    text = "nginx f | where status >= 500 | count by path"
    assert rows(f"{text} | sort -count | limit 2") == most[:2]
    assert rows(f"{text} | sort") == most
    assert rows(f"{text} | sort path desc") == sorted(by_path.items(), reverse=True)
    assert rows(f"{text} | sort count asc, path | tail 1") == sorted(by_path.items(), key=lambda i: (i[1], i[0]))[-1:]
    assert rows(f"{text} | where count > 32 | fields path") == [
        (p,) for p, count in sorted(by_path.items()) if count > 32
    ]
    halves = rows(f"{text} | let half = count / 2 | sort -half, path | fields half, path as p")
    assert halves == [(count / 2, path) for path, count in most]


def test_columns_are_named_after_what_they_hold() -> None:
    """A column is called as it was named, by its field, or by its aggregate as long as that is one."""
    asked = one_line(
        "nginx f | count, p99(bytes), sum(bytes), sum(status), top(3, path) by path as p, floor(bytes / 10)"
    )
    assert asked.keys == ("p", "floor(bytes / 10)")
    assert asked.values == ("count", "p99", "sum(bytes)", "sum(status)", "top")
    found = folded(one_line("nginx f | sum(bytes), sum(status) | sort -sum(bytes)"), [("a", LOG)])
    assert found.columns == ("sum(bytes)", "sum(status)")
    assert found.rows == ((sum(r["bytes"] for r in access()), sum(r["status"] for r in access())),)
    nothing = folded(one_line("nginx f | where status = 1 | count by path, status"), [("a", LOG)])
    assert (nothing.columns, nothing.rows) == (("path", "status", "count"), ())


def test_a_line_query_gives_lines_or_columns() -> None:
    """Without an aggregate it is lines, whole or in columns, and at most so many."""
    assert lines("nginx f | where status = 502 | limit 3") == [(written(r),) for r in access() if r["status"] == 502]
    assert one_line("nginx f | where status = 502 | limit 3").limit == 3
    assert lines("nginx f | where bytes > 3900 | fields path, bytes / 2 as half") == [
        (r["path"], r["bytes"] / 2) for r in access() if r["bytes"] > 3900
    ]


def test_words_and_phrases_are_looked_for_in_the_line() -> None:
    """A stage of words keeps lines that hold all of them, whatever the format."""
    log = b"Failed password for root\nFailed password for bob\nAccepted password for bob\nFailed key\n"
    assert lines('raw f | "Failed password" not root', log) == [("Failed password for bob",)]
    assert lines("raw f | Failed and (root or key)", log) == [("Failed password for root",), ("Failed key",)]
    assert lines("raw f | 'password for' bob | Accepted", log) == [("Accepted password for bob",)]
    assert rows("raw f | password | count", log) == [(3,)]


PARSED = b"took 12 ms for bob\nnothing here\ntook 7 ms for al\ntook 100 ms for bob\nTook 1 ms for x\n"


@pytest.mark.parametrize(
    "stage", ['parse "took * ms for *" as took, who', r"parse /^took (?<took>\d+) ms for (?<who>\w+)/ from line"]
)
def test_parse_takes_fields_out_of_a_text(stage: str) -> None:
    """Stars or named groups give fields, which are numbers where numbers are needed; other lines are not meant."""
    assert rows(f"raw f | {stage} | sum(took), max(took), count by who", PARSED) == [
        ("al", 7, 7, 1),
        ("bob", 112, 100, 2),
    ]
    assert rows(f"raw f | {stage} | where took > 7 | count by who", PARSED) == [("bob", 2)]


def test_parse_goes_on_with_a_field() -> None:
    """Any text can be taken apart, a parsed one too; signs of regular expressions stand for themselves."""
    log = b"GET /a?x=1(2)&y=5\nGET /b?x=3(4)&y=6\nPUT /c\n"
    text = 'raw f | parse "* *" as method, url | parse "?x=*(*)&" from url as x, z | fields method, x, z'
    assert lines(text, log) == [("GET", "1", "2"), ("GET", "3", "4")]


def test_json_and_logfmt_are_read_on_the_fly() -> None:
    """Of whole lines, and of a field of another format."""
    log = b'{"level":"error","took":5,"http":{"path":"/a"}}\n{"level":"info","took":7.5}\nno json\n'
    assert rows("raw f | json | where took > 1 | count, sum(took) by level", log) == [
        ("error", 1, 5.0),
        ("info", 1, 7.5),
    ]
    assert rows("json f | count by http.path | sort http.path", log) == [("/a", 1), (None, 1)]
    head = "Nov 20 09:00:0%d web1 app[1]: %s\n"
    inner = [json.dumps({"user": "bob", "n": 2}), json.dumps({"user": "al", "n": 40}), "plain"]
    syslog = "".join(head % (number, text) for number, text in enumerate(inner)).encode()
    text = "syslog f | json message | where user is not null | sum(n) by user"
    assert rows(text, syslog) == [("al", 40), ("bob", 2)]
    pairs = "".join(head % (n, t) for n, t in enumerate(['user=bob n=2 x="a b"', "user=al n=40 x=c", "plain"])).encode()
    text = "syslog f | logfmt from message | where user is not null | max(n), first(x) by user | sort -max"
    assert rows(text, pairs) == [("al", 40, "c"), ("bob", 2, "a b")]
    assert rows("logfmt f | where n > 9 | count by user", b"user=bob n=2\nuser=al n=40\n") == [("al", 1)]


def test_uniq_is_each_combination_once() -> None:
    """`uniq` gives what a set would hold."""
    assert rows("nginx f | where status >= 500 | uniq path, status") == sorted(
        {(r["path"], r["status"]) for r in access() if r["status"] >= 500}
    )


def test_timeslice_is_a_window_and_bin_a_key() -> None:
    """Windows are the plan's; a time cut by `bin` is a key like others."""
    assert one_line("nginx f | timeslice 5m/1m | count").plan["window"] == ["time", 300.0, 60.0, 0.0]
    assert one_line("json f | timeslice 90s on at | count").plan["window"] == ["at", 90.0, 90.0, 0.0]
    found = rows("nginx f | count by bin(time, 1m) as minute, date(time) as day")
    assert found == [(1795165200.0 + 60 * minute, "2026-11-20", 60) for minute in range(5)]


def test_host_is_the_provider() -> None:
    """What speaks of providers alone prunes them; elsewhere each is told its own name and labels."""
    asked = one_line("nginx f | where host in ('web1', 'web2') and host.role = 'db' and status = 500 | count")
    assert names(asked.hosts) == ["web1", "web2"]
    assert keeps(asked.hosts, "web1", {"role": "db"})
    assert not keeps(asked.hosts, "web1", {})
    assert not keeps(asked.hosts, "web3", {"role": "db"})
    assert asked.plan["where"] == ["=", ["field", "status"], ["value", 500]]
    mixed = one_line("nginx f | where host = 'web1' or status = 500 | count by host, host.role")
    assert mixed.hosts is None
    found = folded(mixed, [("web1", LOG), ("web2", LOG)])
    fives = sum(r["status"] == 500 for r in access())
    assert found.rows == (("web1", None, 300), ("web2", None, fives))


def test_a_formats_own_host_is_in_backticks() -> None:
    """The field of syslog is reached, and the user is told that there are two."""
    log = b"Nov 20 09:00:00 relay app: x\nNov 20 09:00:01 web7 app: y\n"
    assert rows("syslog f | count by `host`", log) == [("relay", 1), ("web7", 1)]
    assert one_line("syslog f | count by `host`").notices == ()
    assert "backticks" in one_line("syslog f | where host = 'relay' | count").notices[0]


def test_paths_and_formats() -> None:
    """Paths and globs as they are or in quotes; none are the usual place of the format; others go instead."""
    assert one_line("nginx a.log '/var/my logs/*.log' /x?.gz | count").paths == (
        "a.log",
        "/var/my logs/*.log",
        "/x?.gz",
    )
    assert one_line("nginx | count").paths == ("/var/log/nginx/access.log",)
    assert one_line("json | count", ["a.json"]).paths == ("a.json",)
    assert one_line("raw -").paths == ("-",)
