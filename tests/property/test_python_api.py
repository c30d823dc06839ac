"""Four ways to ask: a builder, one line, SQL and a plain loop give equal rows of the same logs, however many."""

from __future__ import annotations

import asyncio
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, NamedTuple

from hypothesis import Phase, given, settings
from hypothesis import strategies as st

import backplane as lr
from backplane.query.oneline import one_line
from backplane.query.sql import sql
from tests.rigs.asked import rows

AT: Final = datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)
FORMAT = Path(__file__).parents[1] / "rigs" / "log.toml"


class Record(NamedTuple):
    """A line of a log."""

    status: int | None
    path: str | None
    took: int | None
    who: str | None
    seen: str | None

    @property
    def at(self) -> datetime | None:
        """When."""
        return None if self.seen is None else datetime.fromisoformat(self.seen)


class Fold(NamedTuple):
    """An aggregate: in one line, in SQL, and in Python what it folds and how."""

    line: str
    sql: str
    of: Callable[[Record], Any]
    plain: Callable[[list[Any]], Any]

    def folded(self, group: Iterable[Record], *, in_sql: bool) -> Any:
        """Of nothing but nulls one line says null, unless it counts, and SQL asks for another value here."""
        values = [value for record in group if (value := self.of(record)) is not None]
        counts = self.line.startswith(("count", "distinct"))
        return self.plain(values) if values or in_sql or counts else None


class Part(NamedTuple):
    """A part of a question: in one line, in SQL, and in Python."""

    line: str
    sql: str
    plain: Callable[[Any], Any]


def hour(times: list[datetime]) -> datetime | None:
    """The beginning of the last one's."""
    return max(times).replace(minute=0, second=0, microsecond=0) if times else None


CONDITIONS = (
    Part("seen > '2015-05-17T10:05:03Z'", "seen > '2015-05-17T10:05:03Z'", lambda r: r.seen is not None and r.at > AT),
    Part("status >= 500", "status >= 500", lambda r: r.status is not None and r.status >= 500),
    Part("took between 0 and 9", "took BETWEEN 0 AND 9", lambda r: r.took is not None and 0 <= r.took <= 9),
    Part("who is null", "who IS NULL", lambda r: r.who is None),
    Part("path starts with '/a'", "path LIKE '/a%'", lambda r: r.path is not None and r.path.startswith("/a")),
    Part("status in (200, 503)", "status IN (200, 503)", lambda r: r.status in (200, 503)),
    Part("path contains '%'", "contains(path, '%')", lambda r: r.path is not None and "%" in r.path),
    Part(
        "took > 3 or who = 'ann'",
        "(took > 3 OR who = 'ann')",
        lambda r: (r.took is not None and r.took > 3) or r.who == "ann",
    ),
)
KEYS = (
    Part("status", "status", lambda r: r.status),
    Part("path", "path", lambda r: r.path),
    Part("lower(who)", "lower(who)", lambda r: r.who and r.who.lower()),
    Part("seen", "seen", lambda r: r.at),
    Part("bin(seen, 1m)", "date_trunc('minute', seen)", lambda r: r.at and r.at.replace(second=0, microsecond=0)),
    Part("took + 1", "took + 1", lambda r: None if r.took is None else r.took + 1),
)
AGGREGATES = (
    Fold("count", "count(*)", lambda r: 1, len),
    Fold("count(took)", "count(took)", lambda r: r.took, len),
    Fold("min(took)", "min(took)", lambda r: r.took, lambda values: min(values, default=None)),
    Fold("max(took)", "max(took)", lambda r: r.took, lambda values: max(values, default=None)),
    Fold("min(seen)", "min(seen)", lambda r: r.at, lambda values: min(values, default=None)),
    Fold("max(bin(seen, 1h))", "date_trunc('hour', max(seen))", lambda r: r.at, hour),
    Fold("sum(took * 2)", "coalesce(sum(took * 2), 0)", lambda r: r.took, lambda values: 2 * sum(values)),
    Fold("distinct(who)", "count(DISTINCT who)", lambda r: r.who, lambda values: len(set(values))),
)
COUNTED = [AGGREGATES[0]]
RECORDS = st.builds(
    Record,
    st.one_of(st.none(), st.sampled_from([200, 404, 500, 503])),
    st.one_of(st.none(), st.sampled_from(["/a", "/a/b", "/B", "x%y", "", "/a_b"])),
    st.one_of(st.none(), st.integers(-3, 40)),
    st.one_of(st.none(), st.sampled_from(["ann", "Bob"])),
    st.one_of(
        st.none(), st.sampled_from([f"2015-05-17T{each}Z" for each in ("10:05:03", "10:05:59.000001", "12:00:00")])
    ),
)
LOGS = st.lists(st.lists(RECORDS, max_size=8), min_size=1, max_size=3)
Rows = list[tuple[Any, ...]]


class Question(NamedTuple):
    """What is asked, in parts."""

    conditions: Sequence[Part]
    keys: Sequence[Part]
    folded: Sequence[Fold]

    def built(self, *paths: str) -> lr.Logs:
        """By a builder, each aggregate by a method of its own where it has one."""
        asked = lr.logs(str(FORMAT), *(paths or ("/log",))).by(*(key.line for key in self.keys))
        for condition in self.conditions:
            asked = asked.where(condition.line)
        for number, part in enumerate(self.folded):
            name, _, of = part.line.removesuffix(")").partition("(")
            asked = getattr(asked, name)(of or None, name=f"c{number}")
        return asked

    def line(self) -> str:
        """In one line."""
        where = "".join(f" | where {condition.line}" for condition in self.conditions)
        folded = ", ".join(f"{part.line} as c{number}" for number, part in enumerate(self.folded))
        by = f" by {', '.join(key.line for key in self.keys)}" if self.keys else ""
        return f"{FORMAT} /log{where} | {folded}{by}"

    def select(self) -> str:
        """In SQL."""
        where = " AND ".join(f"({condition.sql})" for condition in self.conditions)
        columns = [key.sql for key in self.keys] + [f"{part.sql} AS c{n}" for n, part in enumerate(self.folded)]
        by = f" GROUP BY {', '.join(key.sql for key in self.keys)}" if self.keys else ""
        return f"SELECT {', '.join(columns)} FROM '{FORMAT}:/log'{f' WHERE {where}' if where else ''}{by}"

    def plain(self, records: Iterable[Record], *, in_sql: bool = False) -> Rows:
        """By a plain loop. There is a row of no record too, where nothing groups."""
        groups: dict[tuple[Any, ...], list[Record]] = {} if self.keys else {(): []}
        for record in records:
            if all(condition.plain(record) for condition in self.conditions):
                groups.setdefault(tuple(key.plain(record) for key in self.keys), []).append(record)
        return [(*key, *(part.folded(group, in_sql=in_sql) for part in self.folded)) for key, group in groups.items()]


QUESTIONS = st.builds(
    Question,
    st.lists(st.sampled_from(CONDITIONS), max_size=3, unique_by=lambda part: part.line),
    st.lists(st.sampled_from(KEYS), max_size=2, unique_by=lambda part: part.line),
    # A line's group of which nothing is folded is no row, and SQL's is: all are counted.
    st.lists(st.sampled_from(AGGREGATES[1:]), max_size=3, unique_by=lambda part: part.line).map(COUNTED.__add__),
)


def written(records: Iterable[Record]) -> bytes:
    return b"".join(json.dumps(record._asdict()).encode() + b"\n" for record in records)


def in_order(table: Iterable[Sequence[Any]]) -> list[str]:
    return sorted(repr(tuple(row)) for row in table)


@settings(max_examples=120)
@given(QUESTIONS, LOGS)
def test_four_ways_to_ask_give_equal_rows(question: Question, logs: list[list[Record]]) -> None:
    """Over one provider and over several; and what a builder asks is what its line asks, to the last bit."""
    lines = {f"p{number}": written(records) for number, records in enumerate(logs)}
    records = [record for records in logs for record in records]
    built = question.built().understood()
    assert built.plan == one_line(str(question.built())).plan == one_line(question.line()).plan
    assert in_order(rows(built, lines).rows) == in_order(question.plain(records))
    assert in_order(rows(sql(question.select()), lines).rows) == in_order(question.plain(records, in_sql=True))


# No shrinking: each example asks for real.
@settings(max_examples=2, phases=[Phase.generate])
@given(st.lists(st.tuples(QUESTIONS, LOGS), min_size=3, max_size=3))
def test_so_do_files_of_this_machine(cases: list[tuple[Question, list[list[Record]]]]) -> None:
    """Asked for real, in one session: builder, line, SQL and a function over one file and over several."""

    async def ask(folder: Path) -> list[tuple[list[list[str]], list[list[str]]]]:
        found: list[tuple[list[list[str]], list[list[str]]]] = []
        async with lr.session() as session:
            for number, (question, logs) in enumerate(cases):
                files = [folder / f"{number}-{each}.log" for each in range(len(logs))]
                for file, records in zip(files, logs, strict=True):
                    file.write_bytes(written(records))
                paths = [str(file) for file in files]
                answers = [
                    await session.ask(asked, files=paths)
                    for asked in (question.line(), question.select(), function(question))
                ]
                answers.append(await session.ask(question.built(*paths)))
                tables = [in_order(answer.rows) for answer in answers]
                tables[2] = in_order(refolded(question, answers[2].rows))
                all_of_them = [record for records in logs for record in records]
                wanted, total = (in_order(question.plain(all_of_them, in_sql=each)) for each in (False, True))
                found.append((tables, [wanted, total, wanted, wanted]))
        return found

    with tempfile.TemporaryDirectory() as folder:
        for tables, wanted in asyncio.run(ask(Path(folder))):
            assert tables == wanted


def function(question: Question) -> lr.Script:
    """A script that hands home what a plain loop needs."""

    @lr.script(logs="/log")
    def records(lines: Iterable[str]) -> Iterator[list[Any]]:
        for line in lines:
            yield list(json.loads(line).values())

    return records


def refolded(question: Question, table: Iterable[Sequence[Any]]) -> Rows:
    """The records of `function`, folded by the plain loop."""
    return question.plain(Record(*row[-1]) for row in table)
