"""Questions of one line under random texts: only sentences, and what is written of a plan reads as the same plan."""

from __future__ import annotations

import string

from hypothesis import given, settings
from hypothesis import strategies as st

from backplane.query.oneline import OneLine, OneLineError, one_line
from backplane.query.told import words, written
from provider.runner.compile import source
from provider.runner.expressions import FUNCTIONS, Expression, evaluate
from provider.runner.plan import Plan
from tests.rigs.drawn import mutated

GOOD = (
    "nginx /var/log/nginx/access.log | where status >= 500 | count, p99(bytes) by path | sort | limit 10",
    "nginx a.log 'b c.log' | where status in (500, 502) and not path ~ /^\\/api/ | p50(bytes) as m by prefix(path, 2)",
    'raw app.log | parse "took * ms for *" as took, who | where took > 50 | avg(took), count by who | where count > 5',
    "raw app.log | parse /took (?<took>\\d+) ms/ from line | max(took)",
    "json a.json | where level = 'error' or http.status between 1 and 1.5K | count by http.path | sort -count",
    'syslog | "Failed password" (root or admin) not x | count by `host`, host.role',
    "syslog | json message | sum(took) by user | let half = sum / 2 | fields user, half as h | tail 3",
    "nginx | timeslice 5m/1m | top(10, path), quantiles(bytes, 0.5, 0.99) by bin(time, 5m) as at",
    "nginx | fields time, -bytes * 2 + 1 as b, status % 7 | limit 5",
    "logfmt x | uniq user, lower(trim(name)) as name",
    "nginx | where time >= '2026-11-20T09:00:00Z' and user is not null | stats by (path) count(*), distinct(client)",
)
PIECES = (
    *"|()/,'\"`~=<>!*+-% \\\n\t",
    "where ",
    "by ",
    "as ",
    "count",
    "in (",
    "not ",
    "is null",
    "5m",
    "1e9",
    "host",
    "\0",
)


def asked(text: str) -> None:
    """A question is understood and can be compiled, or there is a sentence with its place."""
    sentence = ""
    try:
        understood = one_line(text)
        words(understood.plan)
        assert {name for name, _ in understood.kinds} <= {*understood.keys, *understood.values, *_added(understood)}
    except OneLineError as exc:
        sentence = str(exc)
    assert not sentence or len(sentence.split("\n")) == 3


def _added(understood: OneLine) -> set[str]:
    """Names of the columns that stages behind the aggregates make."""
    lets = [step[1] for step in understood.steps if step[0] == "let"]
    return {*lets, *(name for step in understood.steps if step[0] == "columns" for name, _ in step[1])}


@settings(max_examples=400, deadline=None)
@given(mutated(GOOD, PIECES))
def test_a_mutated_question_gives_a_sentence_or_a_plan(text: str) -> None:
    """Whatever is typed, nobody sees a traceback."""
    asked(text)


@settings(max_examples=300, deadline=None)
@given(st.one_of(st.text(max_size=60), st.text(alphabet=string.printable, max_size=80).map("nginx f | where ".__add__)))
def test_any_text_gives_a_sentence_or_a_plan(text: str) -> None:
    """The same of texts that never were questions."""
    asked(text)


def test_good_questions_compile() -> None:
    """What is mutated above is good to begin with."""
    for text in GOOD:
        plan = dict(one_line(text).plan)
        if "host" not in text:
            source(Plan.of(plan))


FIELDS = {"status": "int", "bytes": "int", "path": "string", "user": "string"}
texts = st.text(alphabet="ab/'\"\\%*\n. é", min_size=1, max_size=5)


def named(kind: str) -> st.SearchStrategy[Expression]:
    """A field of a type."""
    return st.sampled_from([name for name, each in FIELDS.items() if each == kind]).map(lambda name: ["field", name])


strings: st.SearchStrategy[Expression] = st.one_of(named("string"), named("string").map(lambda e: ["call", "lower", e]))
numbers: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(
        named("int"), st.integers(0, 999).map(lambda n: ["value", n]), strings.map(lambda e: ["call", "length", e])
    ),
    lambda inner: st.tuples(st.sampled_from("+-*/%"), inner, inner).map(list),
    max_leaves=4,
)
conditions: st.SearchStrategy[Expression] = st.recursive(
    st.one_of(
        st.tuples(st.sampled_from(["=", "!=", "<", "<=", ">", ">="]), numbers, numbers).map(list),
        st.tuples(st.sampled_from(["contains", "starts", "ends"]), strings, texts).map(list),
        st.tuples(st.just("="), strings, texts.map(lambda text: ["value", text])).map(list),
        st.tuples(st.just("in"), named("int"), st.lists(st.integers(0, 9), min_size=1, max_size=3)).map(list),
        strings.map(lambda e: ["null", e]),
    ),
    lambda inner: st.one_of(
        inner.map(lambda e: ["not", e]),
        st.tuples(st.sampled_from(["and", "or"]), inner, inner).map(list),
        st.tuples(st.just("if"), inner, inner, inner).map(list),
    ),
    max_leaves=5,
)
records = st.fixed_dictionaries(
    {
        "status": st.one_of(st.none(), st.integers(0, 9)),
        "bytes": st.integers(0, 999),
        "path": texts,
        "user": st.one_of(st.none(), texts),
    }
)


@settings(max_examples=300, deadline=None)
@given(conditions, st.lists(records, min_size=1, max_size=4))
def test_a_written_condition_reads_as_the_same(condition: Expression, some: list[dict[str, object]]) -> None:
    """`explain` shows what would be asked again."""
    again = one_line(f"nginx f | where {written(condition)} | count").plan["where"]
    for record in some:
        assert evaluate(again, record) == evaluate(condition, record)


def test_every_function_can_be_called() -> None:
    """A line reaches all functions of plans, with as many values as they take."""
    values = {"string": "path", "int": "status", "number": "status", "time": "time", "any": "path"}
    for name, function in FUNCTIONS.items():
        call = f"{name}({', '.join(values[kind] for kind in function.takes)})"
        assert one_line(f"nginx f | count by {call}").keys == (call,)
