"""Aggregates of nothing: one row where there are no groups, none where there are, and none of what nobody looked at."""

from __future__ import annotations

import pytest

from backplane.client.planned import plan_question
from backplane.query.oneline import one_line
from backplane.reduce.answer import Answer
from backplane.reduce.columns import Partials, decode
from backplane.reduce.finishing import Finishing
from backplane.reduce.folds import Fold
from backplane.wire.messages import State
from provider.runner.aggregates.combiner import partials_payload

NOTHING = [
    ("count", (0,)),
    ("count, sum(bytes), max(bytes), avg(bytes)", (0, None, None, None)),
    ("distinct(path), p99(bytes), top(3, path), first(path)", (0, None, None, None)),
    ("quantiles(bytes), count(path)", (None, None, None, 0)),
    ("count as n | let twice = n * 2", (0, 0)),
]


def fold(stages: str, *, window: bool = False, by_host: bool = False) -> Fold:
    """Of a question of one line that nothing has been found for."""
    asked = one_line(f"nginx access.log | {stages}")
    plan = {**asked.plan, "window": ["time", 60.0, 60.0, 0.0]} if window else asked.plan
    finishing = Finishing(asked.keys, asked.values, asked.steps).finish if asked.steps else None
    question = plan_question("t", plan, name="n", names=asked.values, finishing=finishing, by_host=by_host)
    return question.fold()


@pytest.mark.parametrize(("stages", "row"), NOTHING)
def test_without_groups_there_is_one_row(stages: str, row: tuple[object, ...]) -> None:
    """As in SQL: a count is 0, and the rest null. What comes behind it sees that row."""
    assert fold(stages).rows().rows == (row,)


def test_groups_of_nothing_are_none() -> None:
    """Nor are hosts or windows, and a condition on the row is one."""
    for each in (
        fold("count by path"),
        fold("count", by_host=True),
        fold("count", window=True),
        fold("count as n | where n > 0"),
    ):
        assert each.rows().rows == ()
        assert "count" in each.rows().columns or "n" in each.rows().columns


def test_a_count_of_nulls_is_no_null() -> None:
    """Of a group whose records had nothing to be counted, as in SQL."""
    grouped = fold("count, count(path), sum(bytes) by method")
    partials = decode("partials", partials_payload(["count", "count", "sum"], ["GET"], [[3], [None], [None]]))
    assert isinstance(partials, Partials)
    grouped.partials("p", grouped.load("p", partials))
    assert grouped.rows().rows == (("GET", 3, 0, None),)


@pytest.mark.parametrize(
    ("states", "rows"),
    [
        (["failed", "unreachable"], ()),
        (["done", "failed"], ((0,),)),
        (["filtered_out"], ((0,),)),
        (["running"], ((0,),)),
        (["connecting", "filtering"], ()),
        ([], ()),
    ],
)
def test_that_there_is_nothing_is_known_of_those_who_looked(states: list[str], rows: object) -> None:
    """A log that is nowhere, or hosts that are all down, are no 0."""
    answer = Answer(query="q", query_id="1", fold=fold("count"), targets=map(str, range(len(states))))
    for name, state in enumerate(states):
        answer.handle(str(name), State(query="1", provider=str(name), state=state))
    assert answer.snapshot(final=True).rows == rows
