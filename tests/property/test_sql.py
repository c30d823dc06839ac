"""Questions in SQL: their rows are those of DuckDB, of one line and of a plain loop, and any text gives a sentence."""

from __future__ import annotations

import json
import string
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backplane.query.oneline import OneLineError, one_line
from backplane.query.sql import sql
from backplane.query.told import home, words
from tests.rigs.asked import rows
from tests.rigs.drawn import mutated

duckdb = pytest.importorskip("duckdb", reason="duckdb says what SQL means, and is not installed")

Record = tuple[int | None, str | None, int | None, str | None, str | None]
FORMAT = Path(__file__).parents[1] / "rigs" / "log.toml"
COLUMNS = "status INTEGER, path VARCHAR, took BIGINT, who VARCHAR, seen TIMESTAMP"
MOMENTS = ("17T10:05:03", "17T10:05:03.25", "17T10:05:59.999999", "17T10:06:00", "17T23:59:59", "18T00:00:00.000001")
RECORDS: st.SearchStrategy[Record] = st.tuples(
    st.one_of(st.none(), st.sampled_from([200, 404, 500, 503])),
    st.one_of(st.none(), st.sampled_from(["/a", "/a/b", "/B", "x%y", "", "/a_b"])),
    st.one_of(st.none(), st.integers(-3, 40)),
    st.one_of(st.none(), st.sampled_from(["ann", "Bob"])),
    st.one_of(st.none(), st.sampled_from([f"2015-05-{each}Z" for each in MOMENTS])),
)
LOGS = st.lists(st.lists(RECORDS, max_size=8), min_size=1, max_size=3)

NUMBERS = ("status", "took", "took + 1", "took * 2 - status", "abs(took)", "length(path)", "coalesce(took, 0)", "-took")
TEXTS = ("path", "who", "lower(path)", "substr(path, 1, 2)", "upper(who)", "coalesce(who, 'none')", "left(path, 2)")
MINUTE = "date_trunc('minute', seen)"
TIMES = ("seen", MINUTE, "date_trunc('hour', seen)", "nullif(seen, seen)", "CASE WHEN took > 3 THEN seen END")
CONDITIONS = (
    *("status >= 500", "status = 404", "took <> 3", "status IN (200, 503)", "took BETWEEN 0 AND 9", "who IS NULL"),
    *("path LIKE '/a%'", "path LIKE '%b'", "path LIKE '/a_b'", "path ILIKE '/b'", "path LIKE 'x!%y' ESCAPE '!'"),
    *("path NOT LIKE '%a%'", "who IS NOT NULL", "regexp_matches(path, '^/[ab]')", "path NOT IN ('/a', '')"),
    *("starts_with(path, '/a')", "contains(path, '%')", "CASE WHEN status > 300 THEN took > 3 ELSE took < 9 END"),
    *("nullif(took, 3) IS NULL", "(took > 5) IS TRUE", "(took > 5) IS NOT TRUE", "took NOT BETWEEN 2 AND 5"),
    *("seen > '2015-05-17T10:05:03Z'", "seen IS NULL", f"{MINUTE} = '2015-05-17T10:05:00Z'", "hour(seen) = 10"),
    *("who = 'ann'", "path < who", "took % 100 = 7", "path = ''", "took > status / 100"),
)
AGGREGATES = (
    *("count(*)", "count(took)", "sum(took)", "min(took)", "max(took)", "avg(took)", "min(path)", "max(who)"),
    *("count(DISTINCT who)", "count(*) FILTER (WHERE status >= 500)", "sum(took) FILTER (WHERE path LIKE '/a%')"),
    *("coalesce(count_if(took > 3), 0)", "sum(CASE WHEN status = 200 THEN 1 ELSE 0 END)", "sum(took) * 2 + count(*)"),
    *(
        "max(seen)",
        "min(seen)",
        "avg(seen)",
        "max(seen) - min(seen)",
        "count(DISTINCT seen)",
        "date_trunc('hour', max(seen))",
    ),
    *(
        "max(seen) FILTER (WHERE took > 3)",
        "epoch(min(seen))",
        "hour(max(seen))",
        "max(CASE WHEN took > 3 THEN seen END)",
    ),
    *("coalesce(sum(took), -1)", "max(took) - min(took)", "count(nullif(status, 200))", "stddev(took)"),
)

HAVING = ("count(*) > 1", "sum(took) >= 3", "max(who) IS NULL", "max(seen) > '2015-05-17T10:06:00Z'")


@st.composite
def conditions(draw: st.DrawFn) -> str:
    """Some conditions joined."""
    parts = draw(st.lists(st.sampled_from(CONDITIONS), min_size=1, max_size=3))
    text = parts[0]
    for part in parts[1:]:
        text = f"{text} {draw(st.sampled_from(['AND', 'OR', 'AND NOT', 'OR NOT']))} ({part})"
    return text


@st.composite
def grouped(draw: st.DrawFn) -> str:
    """A SELECT of groups, sorted by all of its columns."""
    keys = draw(st.lists(st.sampled_from(NUMBERS + TEXTS + TIMES), max_size=2, unique=True))
    folded = draw(st.lists(st.sampled_from(AGGREGATES), min_size=0 if keys else 1, max_size=3, unique=True))
    named = [f"{part} AS c{number}" if draw(st.booleans()) else part for number, part in enumerate(keys + folded)]
    how = draw(st.sampled_from(["positions", "text"]))
    by = [str(number) for number in range(1, len(keys) + 1)] if how == "positions" else keys
    text = f"SELECT {', '.join(named)} FROM log"
    text += f" WHERE {draw(conditions())}" if draw(st.booleans()) else ""
    text += f" GROUP BY {', '.join(by)}" if keys else ""
    text += f" HAVING {draw(st.sampled_from(HAVING))}" * draw(st.integers(0, 1))
    return text + _sorting(draw, len(named))


def _sorting(draw: st.DrawFn, columns: int) -> str:
    order = [f"{number}{draw(st.sampled_from(['', ' DESC', ' ASC NULLS FIRST']))}" for number in range(1, columns + 1)]
    limit = draw(st.sampled_from(["", " LIMIT 2"]))
    return f" ORDER BY {', '.join(draw(st.permutations(order)))}{limit}"


@st.composite
def distinct(draw: st.DrawFn) -> str:
    """A SELECT of rows of which each is there once."""
    columns = draw(st.lists(st.sampled_from(NUMBERS + TEXTS + TIMES), min_size=1, max_size=3, unique=True))
    where = f" WHERE {draw(conditions())}" if draw(st.booleans()) else ""
    return f"SELECT DISTINCT {', '.join(columns)} FROM log{where}{_sorting(draw, len(columns))}"


def _log(records: Sequence[Record]) -> bytes:
    names = ("status", "path", "took", "who", "seen")
    return b"".join(json.dumps(dict(zip(names, record, strict=True))).encode() + b"\n" for record in records)


def _ours(text: str, logs: Sequence[Sequence[Record]]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    asked = sql(text.replace("FROM log", f"FROM '{FORMAT}:/log'"))
    found = rows(asked, {f"p{number}": _log(records) for number, records in enumerate(logs)})
    return tuple(found.columns), list(found.rows)


def _theirs(text: str, logs: Sequence[Sequence[Record]]) -> tuple[tuple[str, ...], list[tuple[Any, ...]]]:
    with duckdb.connect() as connection:
        connection.execute(f"CREATE TABLE log ({COLUMNS})")
        for records in logs:
            if records:
                connection.executemany("INSERT INTO log VALUES (?, ?, ?, ?, ?)", records)
        answer = connection.execute(text)
        return tuple(column[0] for column in answer.description), answer.fetchall()


def _plain(table: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Numbers as a float shows them, where they are none of the whole ones; times in UTC, said or not."""
    return [tuple(_number(value) for value in row) for row in table]


def _number(value: Any) -> Any:
    if isinstance(value, (bool, str)) or value is None:
        return value
    if isinstance(value, datetime):
        # Of a mean the last digit is anyone's.
        return "a time", round(value.replace(tzinfo=UTC).timestamp(), 5)
    if isinstance(value, timedelta):
        value = value.total_seconds()
    number = round(float(value), 6)
    return 0.0 if number == 0 else number


@settings(max_examples=150, deadline=None)
@given(st.one_of(grouped(), distinct()), LOGS)
def test_groups_are_what_duckdb_says(text: str, logs: list[list[Record]]) -> None:
    """Keys, aggregates, HAVING, ORDER BY and LIMIT, over one provider and over several: the same rows in order."""
    assert _plain(_ours(text, logs)[1]) == _plain(_theirs(text, logs)[1])


@settings(max_examples=80, deadline=None)
@given(st.lists(st.sampled_from(NUMBERS + TEXTS + TIMES), min_size=1, max_size=4, unique=True), conditions(), LOGS)
def test_lines_are_what_duckdb_says(columns: list[str], where: str, logs: list[list[Record]]) -> None:
    """Without an aggregate: the rows for which the condition is true, and not those for which it is unknown."""
    text = f"SELECT {', '.join(columns)} FROM log WHERE {where}"
    assert sorted(map(repr, _plain(_ours(text, logs)[1]))) == sorted(map(repr, _plain(_theirs(text, logs)[1])))


@pytest.mark.parametrize(
    "column",
    [
        *("count(*)", "COUNT(took)", "count( DISTINCT  who)", "sum(took)", "avg(took) + 1", "Lower( path )", "who"),
        *(
            "took::INT",
            "CAST(took AS VARCHAR)",
            "approx_quantile(took, 0.9)",
            "round(avg(took), 1)",
            "took * (2 + status)",
        ),
        *("took AS t", "substr(path, 1, 2)", "count()", "max(lower(path))", "-took", "log.who", "sum(took) AS total"),
    ],
)
def test_columns_are_called_as_duckdb_calls_them(column: str) -> None:
    """An alias, or the text of the expression as DuckDB writes it."""
    text = f"SELECT {column} FROM log"
    if sql(f"SELECT {column} FROM '{FORMAT}:/log' AS log").streams:
        ours = sql(f"SELECT {column} FROM '{FORMAT}:/log' AS log").values
    else:
        ours = _ours(text, [[(200, "/a", 1, None, None)]])[0]
    assert ours == _theirs(text, [[(200, "/a", 1, None, None)]])[0]


@settings(max_examples=50, deadline=None)
@given(LOGS)
def test_the_same_question_in_one_line_and_by_a_plain_loop(logs: list[list[Record]]) -> None:
    """Three ways to ask give one table."""
    text = "SELECT path, count(*), sum(took) FROM log WHERE status >= 404 AND took IS NOT NULL GROUP BY path"
    line = f"{FORMAT} /log | where status >= 404 and took is not null | count, sum(took) by path"
    loop: dict[str | None, list[int]] = {}
    for status, path, took, *_ in (record for records in logs for record in records):
        if status is not None and status >= 404 and took is not None:
            loop.setdefault(path, []).append(took)
    wanted = sorted(((path, len(some), sum(some)) for path, some in loop.items()), key=repr)
    assert sorted(_ours(text, logs)[1], key=repr) == wanted
    by_line = rows(one_line(line), {f"p{number}": _log(records) for number, records in enumerate(logs)})
    assert sorted(by_line.rows, key=repr) == wanted


GOOD = (
    "SELECT status, count(*) AS n FROM 'nginx:/var/log/a.log' WHERE status >= 500 GROUP BY status HAVING n > 1",
    "SELECT path, approx_quantile(bytes, 0.99), count(DISTINCT client) FROM ['nginx:/a', '/b'] GROUP BY ALL LIMIT 5",
    "SELECT CASE WHEN status > 1 THEN 'a' END k, sum(bytes) FILTER (WHERE path LIKE '/a%') FROM nginx GROUP BY k",
    "SELECT tumble(time, '1 minute'), percentile_cont(0.5) WITHIN GROUP (ORDER BY bytes) FROM nginx GROUP BY 1",
    "SELECT host, CAST(bytes AS DOUBLE) / 2 FROM nginx WHERE host.role = 'web' AND time > now() - INTERVAL 1 HOUR",
    "SELECT DISTINCT lower(\"host\") FROM 'json:/x' ORDER BY 1 DESC NULLS FIRST",
)
PIECES = (
    *"()',\"*=<>.;:[]%~|&-+/\\\n\0",
    "SELECT ",
    "FROM ",
    "NULL",
    "OVER ()",
    "CASE ",
    "END",
    "(SELECT 1)",
    "::",
    "1e999",
)


@settings(max_examples=300, deadline=None)
@given(
    st.one_of(
        mutated(GOOD, PIECES),
        mutated(GOOD, PIECES),
        st.text(max_size=60),
        st.text(alphabet=string.printable, max_size=60).map("SELECT path FROM nginx WHERE ".__add__),
    )
)
def test_any_text_gives_a_sentence_or_a_plan(text: str) -> None:
    """Whatever is typed, nobody sees a traceback: a sentence, the text, and carets below the place."""
    sentence = ""
    try:
        asked = sql(text)
        words(asked.plan)
        home(asked.steps)
        assert all(kind for _, kind in asked.kinds)
    except OneLineError as exc:
        sentence = str(exc)
    assert not sentence or len(sentence.split("\n")) == 3


def test_good_questions_are_good() -> None:
    """What is mutated above is good to begin with."""
    for text in GOOD:
        sql(text)
