"""The merge law: results do not depend on cuts, order, side or transport."""

from __future__ import annotations

import math
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from backplane.reduce import columns
from backplane.reduce.columns import Partials
from backplane.reduce.folds import AggregateFold
from provider.runner.aggregates import AGGREGATES, AggregateError, Combiner, chosen, tag
from provider.runner.aggregates.order import order
from provider.runner.pack import PackError
from tests.rigs.drawn import dealt

_numbers = (
    st.integers(-(1 << 70), 1 << 70) | st.floats() | st.booleans() | st.sampled_from([1e308, -1e308, 5e-324, 0.1])
)
_anything = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.floats() | st.text("aé", max_size=2) | st.binary(max_size=2)
    | st.sampled_from([0.0, -0.0, 1.0, 1, True, (1 << 60) + 1, float(1 << 60)]),
    lambda inner: st.lists(inner, max_size=2),
    max_leaves=4,
)  # fmt: skip
_keys = st.sampled_from(["a", "b", 3, ("t", 1), ()])


def _rows(fold: AggregateFold) -> list[str]:
    """Rows as text: types, signs and NaN told apart."""
    return [repr(row) for row in fold.rows().rows]


def _combined(names: list[str], cuts: list[list[tuple[Any, Any]]], arrival: list[int]) -> AggregateFold:
    """Each cut in a dictionary of its own, since those of one job come in order (`test_dictionaries`)."""
    payloads = []
    first = 0
    for cut in cuts:
        combiner = Combiner(names, tag("web1", 1), first)
        combiner.fold(cut)
        payloads += list(combiner.payloads(1 << 22))
        assert combiner.groups == 0
        first += len(cut)
    fold = AggregateFold(names)
    for number in arrival:
        partials = columns.decode("partials", payloads[number])
        assert isinstance(partials, Partials)
        fold.partials("web1", fold.load("web1", partials))
    return fold


@given(dealt(_keys, _numbers, 0, 14))
@example(([[("a", 1e308), ("a", 1e308)], [("a", -1e308)]], [1, 0]))
@example(([[("a", 1 << 63)], [("a", 0.5), ("a", True)]], [0, 1]))
def test_sums_are_exact_however_they_are_cut(dealt: tuple[list[list[tuple[Any, Any]]], list[int]]) -> None:
    """Count, sum and mean equal the exact ones of all values at once, rounded once."""
    cuts, arrival = dealt
    fold = _combined(["count", "sum", "mean"], cuts, arrival)
    groups: dict[Any, list[Any]] = {}
    for key, value in (pair for cut in cuts for pair in cut):
        groups.setdefault(key, []).append(value)
    expected = sorted(groups.items(), key=lambda item: order(item[0]))
    width = max((len(key) if isinstance(key, tuple) else 1 for key in groups), default=0)
    for (_, values), row in zip(expected, fold.rows().rows, strict=True):
        assert row[width] == len(values)
        assert repr(row[width + 1]) == repr(_sum(values))
        assert repr(row[width + 2]) == repr(_rounded(_sum(values, exact=True), len(values)))


def _sum(values: list[Any], *, exact: bool = False) -> Any:
    special = [value for value in values if isinstance(value, float) and not math.isfinite(value)]
    if special:
        return sum(special)
    total = sum((Fraction(value) for value in values), Fraction(0))
    if exact:
        return total
    return _rounded(total, 1) if any(isinstance(value, float) for value in values) else int(total)


def _rounded(total: Any, count: int) -> float:
    if isinstance(total, float):
        return total
    try:
        return float(total / count)
    except OverflowError:
        return math.inf if total > 0 else -math.inf


@given(dealt(_keys, _anything, 0, 14))
def test_extremes_and_collections_do_not_depend_on_cuts(dealt: tuple[list[list[tuple[Any, Any]]], list[int]]) -> None:
    """One cut or many, in any order of arrival, combined on the provider or folded raw at home: the same rows."""
    cuts, arrival = dealt
    names = ["min", "max", "collect"]
    whole = [pair for cut in cuts for pair in cut]
    expected = _rows(_combined(names, [whole] if whole else [], [0] if whole else []))
    assert _rows(_combined(names, cuts, arrival)) == expected
    raw = AggregateFold(names)
    for cut in cuts:
        values = [list(value) if isinstance(value, tuple) else value for _, value in cut]
        raw.values("web1", [key for key, _ in cut], values)
    assert _rows(raw) == expected


@given(_anything, _anything, _anything)
def test_the_order_is_total(one: Any, two: Any, three: Any) -> None:
    """Transitive, and only what is the same ties."""
    assert (order(one) < order(two)) + (order(two) < order(one)) + (order(one) == order(two)) == 1
    if order(one) <= order(two) <= order(three):
        assert order(one) <= order(three)
    if order(one) == order(two):
        assert repr(one) == repr(two)


def test_a_collection_is_bounded_and_says_so() -> None:
    """The first thousand by provider and ordinal stay, in whatever order they come; the rest are counted."""
    payloads = []
    for provider in ("web2", "web1"):
        combiner = Combiner(["collect"], tag(provider, 1))
        combiner.fold([("k", f"{provider} {number}") for number in range(700)])
        payloads.append(next(combiner.payloads(1 << 22)))
    tables = []
    for arrival in (payloads, payloads[::-1]):
        fold = AggregateFold(["collect"])
        for payload in arrival:
            partials = columns.decode("partials", payload)
            assert isinstance(partials, Partials)
            fold.partials("-", fold.load("-", partials))
        tables.append(fold.rows())
        assert fold.inexact() == ["collect left out 400 values of 1 key"]
    assert tables[0] == tables[1]
    ((_, kept),) = tables[0].rows
    assert kept == [f"web1 {number}" for number in range(700)] + [f"web2 {number}" for number in range(300)]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("sum", "12", "sum cannot take a value of type str (key '/a')"),
        ("mean", None, "mean cannot take a value of type NoneType (key '/a')"),
        ("max", {1}, "max cannot take a value of type set (key '/a')"),
    ],
)
def test_a_value_that_does_not_fit_is_named(name: str, value: Any, said: str) -> None:
    """Aggregate, type and key, in one sentence."""
    with pytest.raises(AggregateError) as caught:
        Combiner([name], "t").fold([("/ok", 1), ("/a", value)])
    assert str(caught.value) == said


def test_unknown_aggregates_and_impossible_keys_are_named() -> None:
    """So is what there is instead."""
    with pytest.raises(AggregateError, match=f"no aggregate 'avg'; there are {', '.join(AGGREGATES)}"):
        Combiner(["avg"], "t")
    with pytest.raises(AggregateError, match="no aggregate was named"):
        Combiner([], "t")
    combiner = Combiner(["count"], "t")
    with pytest.raises(PackError, match="emit a tuple"):
        combiner.fold([(["a"], 1)])
    assert combiner.groups == 0


@given(_anything, st.sampled_from(sorted(AGGREGATES)))
def test_a_state_from_elsewhere_is_a_state_or_an_error(dumped: Any, name: str) -> None:
    """What a provider says is a state is looked at: its result and its merge never raise."""
    aggregate = chosen([name])[0]
    try:
        state, other = aggregate.load(dumped), aggregate.load(dumped)
    except ValueError:
        return
    aggregate.result(aggregate.merge(state, other))
