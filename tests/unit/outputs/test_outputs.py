"""Outputs, over snapshots made by the shipped reducer."""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime
from typing import Any

import pytest

from backplane.client.outputs import choose
from backplane.client.outputs.coverage import coverage_lines
from backplane.client.outputs.harmless import harmless
from backplane.client.outputs.table import LiveTable, PlainTable, newest_first
from backplane.reduce import folds
from backplane.reduce.answer import Answer
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot
from backplane.reduce.windows import Told
from backplane.wire.errors import UsageError
from backplane.wire.messages import Beat, Cut, NeedStart, State
from provider.runner.columns import values_payload

EVIL = "a\x1b]0;pwned\x07\x1b[2J\x9b31m\u202egpj\u200b\x7f\udcff\n\r\tend"


def snapshot(
    emitted: list[tuple[Any, Any]],
    *,
    final: bool = True,
    states: dict[str, tuple[str, str | None]] | None = None,
    fold: folds.Fold | None = None,
) -> Snapshot:
    """What the reducer shows of some emissions of web1, a key of None being none."""
    fold = fold or folds.FunctionFold(lambda a, b: a + b)
    states = states or {"web1": ("done", None)}
    answer = Answer(query="q", query_id="1", fold=fold, targets=states, clock=lambda: 1_795_165_200.0)
    keys = [key for key, _ in emitted]
    fold.values("web1", None if all(key is None for key in keys) else keys, [value for _, value in emitted])
    for name, (state, reason) in states.items():
        answer.handle(name, State(query="1", provider=name, state=state, reason=reason))
    return answer.snapshot(final=final)


def shown(name: str | None, *snapshots: Snapshot, **options: Any) -> str:
    out = io.StringIO(newline="")
    output = choose.make(name, out, **options)
    for each in snapshots:
        output.show(each)
    output.close()
    return out.getvalue()


def test_harmless_text_is_all_printable() -> None:
    """No control, bidi, zero-width or surrogate character is left; what was there can still be read."""
    text = harmless(EVIL)
    assert text.isprintable()
    assert text.startswith("a\\x1b]0;pwned\\x07")
    assert "\\u202e" in text
    assert "\\xff" in text
    assert harmless("plain, grüße, 日本") == "plain, grüße, 日本"


@pytest.mark.parametrize("name", [None, "table", "json", "jsonl", "csv"])
@pytest.mark.parametrize("streams", [False, True])
def test_nothing_escapes_to_a_terminal(name: str | None, streams: bool) -> None:
    """Whatever a log holds, a terminal gets no control of it: as key, value, host and reason, in every format."""
    fold = folds.StreamFold() if streams else None
    states = {"web1": ("done", None), EVIL: ("unreachable", EVIL)}
    made = snapshot([(EVIL, EVIL), ("k", [EVIL, {EVIL: EVIL}])], states=states, fold=fold)
    text = shown(name, made, isatty=True, streams=streams, size=lambda: (200, 50))
    text = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)  # rich's own colours
    assert not [each for each in text if not (each.isprintable() or each in "\r\n\t")]
    assert "pwned" in text
    assert "\x1b" not in "".join(coverage_lines(made))


def test_plain_table_is_aligned_and_written_once() -> None:
    """Off a terminal: a header and rows in columns, numbers at the right, from the final snapshot alone."""
    rows = [("/index.html", 9), ("/a", 1200)]
    text = shown("table", snapshot(rows, final=False), snapshot(rows))
    assert text == "key          value\n/a            1200\n/index.html      9\n"


def test_tables_take_wide_characters_for_two() -> None:
    """A column stays a column with characters of two cells in it."""
    lines = shown("table", snapshot([("日本", 1), ("abcd", 22)])).splitlines()
    assert lines[1:] == ["abcd     22", "日本      1"]


def test_live_table_is_cut_to_the_terminal_until_it_is_final() -> None:
    """While it grows it never outgrows the terminal; the final one has every row."""
    many = [(f"key{number:03d}", number) for number in range(100)]
    growing = shown("table", snapshot(many, final=False), isatty=True, size=lambda: (60, 20))
    assert "... 88 more rows" in growing
    assert growing.count("\n") < 2 * 20  # drawn once more when it is taken away
    assert "key099" not in growing
    final = shown("table", snapshot(many), isatty=True, size=lambda: (60, 20))
    assert "key099" in final
    assert "1 done" in final
    assert "more rows" not in final


def test_a_narrow_terminal_shortens_texts_and_no_numbers() -> None:
    """Where a row is wider than the terminal, the number that was asked for is still there, on one line."""
    text = shown(
        None,
        snapshot([("a long message " * 8, 123456)]),
        isatty=True,
        size=lambda: os.terminal_size((40, 24)),
        color=False,
    )
    row = next(line for line in text.splitlines() if "a long" in line)
    assert "…" in row and row.rstrip().endswith("123456")


def test_a_narrow_terminal_shortens_no_times() -> None:
    """The text beside a time is cut, and the time is not."""
    found = snapshot([("a long message " * 8, 0)])
    rows = ((found.rows[0][0], datetime(2015, 5, 17, 10, 5, 3, 250000, UTC)),)
    found = dataclasses.replace(found, table=found.table._replace(rows=rows, kinds=(("value", "time"),)))
    text = shown(None, found, isatty=True, size=lambda: os.terminal_size((40, 24)), color=False)
    row = next(line for line in text.splitlines() if "a long" in line)
    assert "…" in row and row.rstrip().endswith("2015-05-17T10:05:03.25Z")


def test_live_table_without_colour() -> None:
    """NO_COLOR leaves text only, and a table that is closed early gives the cursor back."""
    out = io.StringIO()
    table = LiveTable(out, lambda: (60, 20), color=False, title="Errors by \x1b[31mpath")
    table.show(snapshot([("a", 1)], final=False))
    table.close()
    assert "Errors by \\x1b[31mpath" in out.getvalue()
    assert not re.search(r"\x1b\[[0-9;]*3[0-7]m", out.getvalue())
    assert out.getvalue().rstrip().endswith("\x1b[2K") or "\x1b[?25h" in out.getvalue()


def test_json_is_the_contract() -> None:
    """One strict document with the fields of the contract, in order; providers in it because it is final."""
    states = {"web1": ("done", None), "web2": ("unreachable", "connection refused")}
    text = shown("json", snapshot([(200, 1)], final=False, states=states), snapshot([(200, 9126)], states=states))
    said = json.loads(text)
    assert list(said) == [
        "query", "query_id", "seq", "final", "at", "window", "revision", "columns", "rows", "complete", "inexact",
        "coverage",
    ]  # fmt: skip
    assert said["rows"] == [{"key": 200, "value": 9126}]
    assert said["at"] == "2026-11-20T09:00:00Z"
    assert said["complete"] is False
    assert said["coverage"]["targets"] == 2
    assert said["coverage"]["states"] == {"done": 1, "unreachable": 1}
    assert list(said["coverage"]["providers"]["web2"]) == [
        "state", "reason", "level", "profile", "lines", "bytes", "matched", "emitted", "dropped", "parse_errors",
        "watermark", "lag_s", "joined_at", "left_at", "away_s",
    ]  # fmt: skip


def test_json_keeps_bytes_and_floats_that_json_has_not() -> None:
    """Bytes, undecodable text, NaN and infinities come through as what they are, and the document stays strict."""
    made = snapshot([("b", b"\xff\x00"), ("f", float("nan")), ("i", float("-inf")), ("s", "caf\udce9")])
    rows = json.loads(shown("json", made), parse_constant=pytest.fail)["rows"]
    assert rows == [
        {"key": "b", "value": {"$bytes": "/wA="}},
        {"key": "f", "value": {"$float": "nan"}},
        {"key": "i", "value": {"$float": "-inf"}},
        {"key": "s", "value": {"$bytes": "Y2Fm6Q=="}},
    ]


def test_jsonl_has_a_line_a_snapshot() -> None:
    """Each snapshot is a line, also off a terminal; rows of providers stand in the final one only."""
    lines = shown("jsonl", snapshot([("a", 1)], final=False), snapshot([("a", 2)])).splitlines()
    first, last = map(json.loads, lines)
    assert ("providers" in first["coverage"], "providers" in last["coverage"]) == (False, True)


def test_csv_gives_every_text_back() -> None:
    """Commas, quotes, tabs, newlines, NUL and carriage returns come back from a CSV reader."""
    keys = ["a,b", 'q"q', "t\tt", "n\nn", "r\rr", "z\0z", "€", ""]
    text = shown("csv", snapshot([(key, number) for number, key in enumerate(keys)]))
    rows = list(csv.reader(io.StringIO(text, newline="")))
    assert rows[0] == ["key", "value"]
    assert {row[0]: int(row[1]) for row in rows[1:]} == {key: number for number, key in enumerate(keys)}


@pytest.mark.parametrize("name", ["csv", None])
def test_undecodable_bytes_reach_a_file_as_they_were(name: str | None) -> None:
    """Off a terminal the bytes of a log line come out as they went in, whatever the stream's encoding says."""
    raw = io.BytesIO()
    out = io.TextIOWrapper(raw, encoding="ascii", errors="strict", newline="")
    output = choose.make(name, out, streams=True)
    output.show(snapshot([(None, "caf\udce9 €")], fold=folds.StreamFold()))
    assert b"caf\xe9 \xe2\x82\xac" in raw.getvalue()


def test_text_writes_each_line_once() -> None:
    """A stream's snapshots repeat their rows; its output does not."""
    fold = folds.StreamFold()
    one = snapshot([(None, "first")], final=False, fold=fold)
    two = snapshot([(None, "second")], fold=fold)
    assert shown(None, one, two, streams=True) == "web1: first\nweb1: second\n"


def test_coverage_lines_fold_hosts_and_say_why() -> None:
    """States with counts; hosts and reasons where there is something to do about them."""
    states: dict[str, tuple[str, str | None]] = {f"web{n:02d}": ("done", None) for n in range(1, 20)}
    states["web20"] = ("unreachable", "connection refused")
    states |= {f"db{n}": ("failed", "access.log is missing") for n in (1, 2, 3)}
    states |= {"app1": ("connecting", None), "app2": ("connecting", "its SSH port refuses connections; trying again")}
    assert coverage_lines(snapshot([], states=states)) == [
        "2 connecting · 19 done · 1 unreachable · 3 failed",
        "connecting app2: its SSH port refuses connections; trying again",
        "unreachable web20: connection refused",
        "failed db[1-3]: access.log is missing",
    ]


def test_coverage_lines_say_that_a_filter_kept_nothing() -> None:
    """An answer of nobody is complete, and most often not what was meant."""
    states: dict[str, tuple[str, str | None]] = {"web1": ("filtered_out", None), "web2": ("filtered_out", None)}
    counted, hint = coverage_lines(snapshot([], states=states))
    assert counted == "2 filtered out"
    assert "filter kept none of them" in hint
    assert coverage_lines(snapshot([], states=states | {"web3": ("done", None)})) == ["1 done · 2 filtered out"]
    assert coverage_lines(snapshot([], final=False, states=states)) == ["2 filtered out"]


def test_an_unknown_format_is_refused() -> None:
    """The message names those that there are."""
    with pytest.raises(UsageError, match="table, json, jsonl, csv"):
        choose.make("xml", io.StringIO())


def test_rich_is_not_loaded_for_plain_output() -> None:
    """A pipe pays nothing for the live table."""
    code = (
        "import sys; from backplane.client.outputs import choose; choose.make('table', sys.stdout); "
        "assert 'rich' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=os.getcwd(), timeout=30)


def test_an_empty_answer_is_shown_as_such() -> None:
    """No rows: a header, and no error in any format."""
    for name in ("table", "json", "jsonl", "csv", None):
        for isatty in (False, True):
            shown(name, snapshot([], final=False), snapshot([]), isatty=isatty, streams=name is None)
    assert PlainTable(io.StringIO()).live is False


def windowed(rows: Rows, *told: Told, final: bool = False) -> Snapshot:
    """A snapshot with these rows and closed windows."""
    return dataclasses.replace(snapshot([], final=final), table=rows, windows=told)


def test_windows_are_told_as_they_close_and_when_they_change() -> None:
    """JSON lines: each closed window once a revision, without its column, and all of them in the final snapshot."""
    rows = Rows(("window", "key", "n"), (([0.0, 60.0], "a", 1), ([0.0, 60.0], "b", 2), ([60.0, 120.0], "a", 3)))
    told = Told((0.0, 60.0), 0, 1, ())
    again = told._replace(revision=1, serial=2)
    every = [windowed(rows, *some) for some in ((), (told,), (told,))] + [windowed(rows, again, final=True)]
    lines = [json.loads(line) for line in shown("jsonl", *every).splitlines()]
    assert [(each["window"], each["revision"], each["final"], len(each["rows"])) for each in lines] == [
        (["1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z"], 0, False, 2),
        (["1970-01-01T00:00:00Z", "1970-01-01T00:01:00Z"], 1, False, 2),
        (None, 0, True, 3),
    ]
    assert lines[0]["rows"][0] == {"key": "a", "n": 1}
    assert lines[2]["rows"][2] == {"window": ["1970-01-01T00:01:00Z", "1970-01-01T00:02:00Z"], "key": "a", "n": 3}


def test_a_window_that_lacks_somebody_is_not_complete() -> None:
    """Who was not waited for is named in the windows that lack it."""
    rows = Rows(("window", "n"), (([0.0, 60.0], 1),))
    whole = windowed(rows, Told((0.0, 60.0), 0, 1, ("b: lost",)))
    (one,) = whole.of_each(whole.windows or ())
    assert (one.complete, one.inexact[:1]) == (False, ("b: lost",))


def test_the_newest_window_stands_at_the_top_while_a_table_grows() -> None:
    """Rows of one window stay in order."""
    rows = Rows(("window", "n"), (([0.0, 60.0], 1), ([60.0, 120.0], 2), ([60.0, 120.0], 3)))
    assert [row[1] for row in newest_first(windowed(rows)).rows] == [2, 3, 1]


def test_columns_that_are_not_exact_are_named() -> None:
    """Below the table, by how far they may be off; data stays as it is."""
    fold = folds.AggregateFold(["count", "p50", "p99", "distinct"])
    given = snapshot([(None, number) for number in range(20_000)], fold=fold)
    lines = coverage_lines(given)
    assert lines[1:] == ["approximate p50, p99: within 1 %", "approximate distinct: 1.6 % (standard error)"]
    assert "approximate" not in shown("csv", given) + shown("table", given)
    assert "approximate p50, p99: within 1 %" in shown("table", given, isatty=True)
    assert coverage_lines(snapshot([(None, 1)], fold=folds.AggregateFold(["count", "distinct"])))[1:] == []


def test_a_table_shows_no_digits_that_are_not_known() -> None:
    """Three of what is within a per cent, in the table alone."""
    rows = Rows(("path", "p99", "mean"), (("/a", 587.973, 587.973), ("/b", 12.5, 1.0)), (("p99", "within 1 %"),))
    one = dataclasses.replace(snapshot([("a", 1)]), table=rows)
    assert shown(None, one).splitlines()[1:3] == ["/a     588  587.973", "/b    12.5      1.0"]
    assert "587.973,587.973" in shown("csv", one)


def test_who_was_stopped_at_a_limit_is_named() -> None:
    """As a state of its own, and not as one that still runs or could not be reached."""
    answer = Answer(query="q", query_id="1", fold=folds.StreamFold(limit=1), targets=["web1", "web2", "web3"])
    answer.handle("web1", NeedStart(job=1, query="1", provider="web1"))
    answer.handle("web1", Cut(job=1, epoch=1, seq=1, last=True, content="values", payload=values_payload(["a"])))
    for name, state in (("web1", "running"), ("web2", "unreachable"), ("web3", "done")):
        reason = "cancelled before it had started" if state == "unreachable" else None
        answer.handle(name, State(query="1", provider=name, state=state, reason=reason))
    assert coverage_lines(answer.snapshot(final=True)) == [
        "1 done · 2 stopped",
        "limit reached: web[1-2] not read to the end",
    ]


def test_values_that_are_no_numbers_are_said() -> None:
    """Of all providers together, by field; what they call a field is shown as harmless text, and five of them."""
    answer = Answer(query="q", query_id="1", fold=folds.AggregateFold(["max"]), targets=["web1", "web2"])
    for name, dropped in (("web1", {"not_a_number:b": 1200, "line_too_long": 3}), ("web2", {"not_a_number:b": 34})):
        answer.handle(name, State(query="1", provider=name, state="running"))
        answer.handle(name, Beat(lines=1, dropped=dropped))
    assert coverage_lines(answer.snapshot())[1:] == ["left out: 1,234 values of b that are no numbers"]
    many = {f"not_a_number:\x1b{n}": n for n in range(9)} | {"not_a_number:": 99}
    answer.handle("web2", Beat(lines=1, dropped=many))
    lines = coverage_lines(answer.snapshot())[1:]
    assert lines[0] == "left out: 99 values that are no numbers"
    assert len(lines) == 5 and all(map(str.isprintable, lines))
