"""Groups that had nothing but nulls for an aggregate: no state, and a null in the table until a value comes."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.reduce.columns import Partials, decode
from backplane.reduce.folds import AggregateFold
from provider.runner.aggregates.combiner import partials_payload

NAMES = ["count", "sum", "mean", "p99", "quantiles(0.5, 0.9)"]


def take(fold: AggregateFold, keys: list[int], valued: bool) -> None:
    """Partials of two records for each key, both of the value 5 or both null."""
    states: list[Any] = [None] * (len(NAMES) - 1)
    if valued:
        one = AggregateFold(NAMES[1:])
        one.values("p", [0, 0], [5, 5])
        states = [next(iter(each)) for table in one._tables.values() for each in table.states()]
    columns = [[2] * len(keys), *([state] * len(keys) for state in states)]
    partials = decode("partials", partials_payload(NAMES, list(keys), columns))
    assert isinstance(partials, Partials)
    fold.partials("p", fold.load("p", partials))


@pytest.mark.parametrize("groups", [3, 1500])
def test_a_null_gives_way_to_a_value_and_never_the_other_way(groups: int) -> None:
    """Few or many groups, in any order: a group is null only if all that came of it was."""
    fold = AggregateFold(NAMES)
    every = list(range(groups))
    take(fold, every[:-1], False)
    rows = {row[0]: row[1:] for row in fold.rows().rows}
    assert rows[0] == (2, None, None, None, None, None)
    take(fold, every[1:], True)
    take(fold, every, False)
    rows = {row[0]: row[1:] for row in fold.rows().rows}
    assert rows[0] == (4, None, None, None, None, None)
    assert rows[1][:3] == (6, 10, 5.0)
    assert rows[groups - 1][:3] == (4, 10, 5.0)
    assert None not in rows[1] + rows[groups - 1]


def test_nulls_are_saved() -> None:
    """A fold that was saved and restored shows the same nulls."""
    fold, other = AggregateFold(NAMES), AggregateFold(NAMES)
    take(fold, [1, 2], False)
    take(fold, [2], True)
    for saved in fold.saved():
        other.restore(saved)
    assert other.rows() == fold.rows()
