"""Sketches and the rest of the aggregates: one answer for any cut and order, held against plain Python and numpy."""

from __future__ import annotations

import math
import statistics
import struct
from collections import Counter
from fractions import Fraction
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backplane.reduce.columns import Partials, decode
from backplane.reduce.folds import AggregateFold
from provider.runner.aggregates import Aggregate, AggregateError, Combiner, chosen, tag
from provider.runner.aggregates.order import order
from tests.rigs.drawn import Dealt, dealt

_keys = st.sampled_from(["a", "b", ()])
_special = [0.0, -0.0, 5e-324, 1e308, -1e308, 0.1, math.inf, -math.inf, math.nan, 1 << 70, -(1 << 1030), True, 1, 1.0]
_numbers = st.integers(-1000, 1000) | st.floats() | st.sampled_from(_special)
_plain = st.floats(1e-300, 1e300) | st.floats(-1e300, -1e-300) | st.just(0.0) | st.integers(-(10**9), 10**9)
_values = st.sampled_from(["a", "b", "é", 1, True, 1.0, None, b"a", (1, "x"), "caf\udce9"])

NUMERIC = (
    *("var", "stddev", "quantiles(0, 0.5, 0.99, 1)", "median", "p99.9", "histogram", "histogram(-1, 0, 0.5, 10)"),
    *("sum", "mean"),
)
ANY = ("top(3)", "distinct", "first", "last", "sample(3)", "collect(4)")


def _combined(names: tuple[str, ...], cuts: list[list[tuple[Any, Any]]], arrival: list[int]) -> AggregateFold:
    payloads, first = [], 0
    for cut in cuts:
        combiner = Combiner(list(names), tag("web1", 1), first)
        combiner.fold(cut)
        payloads.append(next(combiner.payloads(1 << 22)))
        first += len(cut)
    fold = AggregateFold(names)
    for number in arrival:
        partials = decode("partials", payloads[number])
        assert isinstance(partials, Partials)
        fold.partials("web1", fold.load("web1", partials))
    return fold


def _one_answer(names: tuple[str, ...], dealt: Dealt) -> None:
    cuts, arrival = dealt
    whole = [pair for cut in cuts for pair in cut]
    expected = repr(_combined(names, [whole], [0]).rows())
    assert repr(_combined(names, cuts, arrival).rows()) == expected
    raw = AggregateFold(names)
    for cut in cuts:
        raw.values("web1", [key for key, _ in cut], [_listed(value) for _, value in cut])
    assert repr(raw.rows()) == expected


def _listed(value: Any) -> Any:
    """As it would have come: there are no tuples on the wire."""
    return list(value) if isinstance(value, tuple) else value


@settings(deadline=None)
@given(dealt(_keys, _numbers, 1, 20))
@example(([[("a", math.nan)], [("a", 1.0), ("a", -0.0)], [("a", 0.0)]], [2, 0, 1]))
@example(([[("a", 1e200)], [("a", -1e200), ("a", 1e-200)]], [1, 0]))
def test_numbers_have_one_answer(dealt: Dealt) -> None:
    """Whatever the cuts and their order, folded on the provider or at home."""
    _one_answer(NUMERIC, dealt)


@settings(deadline=None)
@given(dealt(_keys, _values, 1, 20))
def test_other_values_have_one_answer(dealt: Dealt) -> None:
    """Likewise; types are told apart."""
    _one_answer(ANY, dealt)


@settings(deadline=None)
@given(st.lists(_numbers, min_size=1), st.lists(_numbers, min_size=1), st.lists(_numbers, min_size=1))
def test_sketches_are_the_same_bytes(one: list[Any], two: list[Any], three: list[Any]) -> None:
    """Merging is associative and commutative to the last byte."""
    for name in ("quantiles", "histogram", "histogram(0, 5)", "distinct"):
        (aggregate,) = chosen([name])

        def state(values: list[Any], aggregate: Aggregate = aggregate) -> Any:
            return aggregate.batch([()] * len(values), values, "t", 0)[()]

        def joined(*states: Any, aggregate: Aggregate = aggregate) -> Any:
            merged = states[0]
            for each in states[1:]:
                merged = aggregate.merge(merged, each)
            return merged

        left = aggregate.dump(joined(joined(state(one), state(two)), state(three)))
        right = aggregate.dump(joined(state(three), joined(state(two), state(one))))
        assert repr(left) == repr(right) == repr(aggregate.dump(state(one + two + three)))


def _result(name: str, values: list[Any]) -> Any:
    (row,) = _combined((name,), [[((), value) for value in values]], [0]).rows().rows
    return row[0]


@settings(deadline=None)
@given(st.lists(_plain, min_size=2, max_size=30))
@example([1e15 + 0.1, 1e15 + 0.2, 1e15 + 0.3])
@example([1e-200, 2e-200])
def test_a_variance_is_the_exact_one_rounded_once(values: list[Any]) -> None:
    """As fractions give it, where no square is out of what floats hold."""
    exact = [Fraction(value) for value in values]
    mean = sum(exact) / len(exact)
    variance = sum((each - mean) ** 2 for each in exact) / (len(exact) - 1)
    if variance and min(abs(value) for value in values if value) < 1e-140:
        return
    try:
        expected = float(variance)
    except OverflowError:
        expected = math.inf
    assert _result("var", values) == expected
    assert _result("stddev", values) == math.sqrt(expected)


def test_variances_agree_with_statistics_and_say_nothing_of_one_value() -> None:
    """The sample's, with n - 1."""
    values = [1.5, 2, 4.25, 9, -3]
    assert _result("var", values) == pytest.approx(statistics.variance(values), rel=1e-15)
    assert _result("stddev", values) == pytest.approx(statistics.stdev(values), rel=1e-15)
    assert (_result("var", [4]), _result("var", [4, 4]), repr(_result("var", [1, math.inf]))) == (None, 0.0, "nan")


@settings(deadline=None)
@given(st.lists(_plain, min_size=1, max_size=200), st.floats(0, 1))
@example([1e-300] * 3 + [-5.0, 0.0], 0.5)
@example([1.0, 1.0156249], 0.0)
def test_a_quantile_is_within_one_percent_of_the_value_of_its_rank(values: list[Any], share: float) -> None:
    """That of numpy's ``lower``; the ends are exact."""
    (aggregate,) = chosen([f"quantiles({share:.6f}, 0, 1)"])
    state = aggregate.batch([()] * len(values), values, "t", 0)[()]
    found, least, greatest = aggregate.results(state)
    exact = float(np.quantile(np.array(values, float), round(share, 6), method="lower"))
    assert abs(found - exact) <= 0.01 * abs(exact)
    assert (least, greatest) == (float(min(values)), float(max(values)))


def test_quantiles_of_a_large_sample_are_those_of_numpy() -> None:
    """Each of several shares, over eight orders of magnitude, of both signs."""
    made = np.random.default_rng(7)
    values = (made.lognormal(0, 4, 20_000) * made.choice([-1, 1, 1], 20_000)).tolist()
    fold = _combined(("p1", "p50", "p90", "p99", "p99.9"), [[((), value) for value in values]], [0])
    exact = np.percentile(values, [1, 50, 90, 99, 99.9], method="lower").tolist()
    for found, expected in zip(fold.rows().rows[0], exact, strict=True):
        assert found == pytest.approx(expected, rel=0.01)
    assert fold.rows().columns == ("p1", "p50", "p90", "p99", "p99.9")
    assert fold.rows().errors == tuple((name, "within 1 %") for name in fold.rows().columns)


@pytest.mark.parametrize("count", [0, 1, 499, 500, 501, 2_000, 10_000, 60_000])
def test_distinct_is_exact_while_there_are_few_and_near_then(count: int) -> None:
    """At most 4 standard errors away; the error is said where there is one."""
    values = [f"10.{number >> 8}.{number & 255}" for number in range(count)] * 2 or ["none"]
    cuts = [[((), value) for value in values[start : start + 7_000]] for start in range(0, len(values), 7_000)]
    rows = _combined(("distinct",), cuts, list(range(len(cuts)))[::-1]).rows()
    ((found,),) = rows.rows
    expected = count or 1
    if expected <= 500:
        assert (found, rows.errors) == (expected, ())
    else:
        assert abs(found - expected) <= 4 * 0.01625 * expected
        assert rows.errors == (("distinct", "1.6 % (standard error)"),)


@settings(deadline=None)
@given(st.lists(_plain, max_size=100))
def test_a_histogram_counts_between_its_bounds(values: list[Any]) -> None:
    """From each bound to below the next one, as numpy does."""
    if not values:
        return
    found = _result("histogram(-5, 0, 0.5, 1000)", values)
    bounds = [-math.inf, -5, 0, 0.5, 1000, math.inf]
    counts = np.histogram(np.array(values, float), np.array(bounds))[0].tolist()
    shown = {(each[0], each[1]): each[2] for each in found}
    ends = [None, -5, 0, 0.5, 1000, None]
    assert [shown.get(pair, 0) for pair in pairwise(ends)] == counts


def test_a_histogram_without_bounds_has_powers_of_two() -> None:
    """Negative ones, zero and NaN have their own buckets."""
    found = _result("histogram", [1, 1.5, 3, -3, 0, -0.0, math.nan, math.inf, 1 << 2000])
    shown = [[-4.0, -2.0, 1], [0.0, 0.0, 2], [1.0, 2.0, 2], [2.0, 4.0, 1], [math.inf, math.inf, 2]]
    assert found[:-1] == shown
    assert repr(found[-1]) == "[nan, nan, 1]"


@settings(deadline=None)
@given(st.lists(st.sampled_from("abcdefg") | st.integers(0, 3), min_size=1, max_size=60))
def test_a_top_of_few_values_is_exact(values: list[Any]) -> None:
    """By count, then by value."""
    counted = sorted(Counter(values).items(), key=lambda pair: (-pair[1], order(pair[0])))
    assert _result("top(3)", values) == [list(pair) for pair in counted[:3]]


def test_a_top_of_many_values_says_how_far_it_may_be_off() -> None:
    """No count is too high, none is lower than by the error, and what is frequent enough is there."""
    values = [f"rare{number}" for number in range(9_000)] + ["often"] * 900 + ["seldom"] * 300
    values = [values[number * 7919 % len(values)] for number in range(len(values))]
    cuts = [[((), value) for value in values[start : start + 1_000]] for start in range(0, len(values), 1_000)]
    for arrival in (list(range(len(cuts))), list(range(len(cuts)))[::-1]):
        rows = _combined(("top(2)",), cuts, arrival).rows()
        ((name, said),) = rows.errors
        error = int(said.rpartition(" ")[2])
        assert (name, said) == ("top(2)", f"counts may be too low by up to {error}")
        assert 0 < error <= 2 * len(values) // 1000
        (((one, often), (two, seldom)),) = rows.rows[0]
        assert (one, two) == ("often", "seldom")
        assert 900 - error <= often <= 900
        assert 300 - error <= seldom <= 300


def test_first_and_last_are_by_provider_and_then_by_order() -> None:
    """However cuts of several providers come in."""
    payloads = {}
    for name in ("web2", "web1", "web10"):
        combiner = Combiner(["first", "last"], tag(name, 1))
        combiner.fold([("k", f"{name} {number}") for number in range(3)])
        payloads[name] = next(combiner.payloads(1 << 22))
    for arrival in (sorted(payloads), sorted(payloads, reverse=True)):
        fold = AggregateFold(["first", "last"])
        for name in arrival:
            partials = decode("partials", payloads[name])
            assert isinstance(partials, Partials)
            fold.partials(name, fold.load(name, partials))
        assert fold.rows().rows == (("k", "web1 0", "web2 2"),)


def test_a_sample_is_fair() -> None:
    """Of many disjoint groups, each tenth of the stream gives about a tenth of the samples."""
    combiner = Combiner(["sample(2)"], tag("web1", 1))
    combiner.fold([(f"k{number % 200}", number // 200) for number in range(20_000)])
    fold = AggregateFold(["sample(2)"])
    for payload in combiner.payloads(1 << 22):
        partials = decode("partials", payload)
        assert isinstance(partials, Partials)
        fold.partials("web1", fold.load("web1", partials))
    drawn = [value for _, sample in fold.rows().rows for value in sample]
    assert len(drawn) == 400
    assert all(15 <= count <= 70 for count in Counter(value // 10 for value in drawn).values())
    assert len({value // 10 for value in drawn}) == 10


def test_a_collection_is_bounded_in_bytes_too() -> None:
    """A value is kept while those before it are not over the bound."""
    for sizes in ([10], [3, 7], [1] * 10):
        texts = iter("x" * 300_000 for _ in range(10))
        cuts = [[("k", next(texts)) for _ in range(size)] for size in sizes]
        fold = _combined(("collect",), cuts, list(range(len(cuts)))[::-1])
        assert len(fold.rows().rows[0][1]) == 4
        assert fold.inexact() == ["collect left out 6 values of 1 key"]


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("quantiles(0.5, 0.99)", ("p50", "p99")),
        ("quantiles(0.5,0.999)", ("p50", "p99.9")),
        ("quantiles", ("p50", "p90", "p99")),
        ("p99.9", ("p99.9",)),
        ("median", ("median",)),
        ("top(10)", ("top(10)",)),
    ],
)
def test_names_say_their_columns(name: str, columns: tuple[str, ...]) -> None:
    """Several where there are several results."""
    assert chosen([name])[0].columns == columns


@pytest.mark.parametrize(
    "name", ["top(0)", "top(1.5)", "top(x)", "top(1,2)", "count(1)", "p101", "p", "quantiles(2)", "histogram(2, 1)",
             "histogram(nan)", "sample(-1)", "top(3", "avg", "", "quantiles()x", "collect(1000000000)"],
)  # fmt: skip
def test_names_that_mean_nothing_are_refused(name: str) -> None:
    """In one sentence."""
    with pytest.raises(AggregateError):
        chosen([name])


_bytes = st.binary(max_size=24) | st.lists(st.integers(-(1 << 31), (1 << 31) - 1), max_size=3).map(
    lambda each: struct.pack(f"<{len(each)}i", *each)
)
_item = st.lists(st.sampled_from(["t", "t\0001", 1, 0, -1]), max_size=4)
_scalar = st.none() | st.floats() | st.integers(-2, 1 << 62) | _bytes | st.text(max_size=3)
_dumped = st.recursive(_scalar | _item, lambda inner: st.lists(inner, max_size=4), max_leaves=8)


@settings(deadline=None)
@given(_dumped, st.sampled_from(NUMERIC + ANY))
@example([1.0, 2.0, b"\0\0\0\0", b"\1\0\0\0\0\0\0\0"], "median")
@example([0, [[b"\xc1"]], [1]], "top(3)")
@example([0, ["a", "a"], [1, 1]], "top(3)")
@example(b"h", "distinct")
@example(b"r" + b"\xff" * 4096, "distinct")
def test_a_state_from_elsewhere_is_a_state_or_an_error(dumped: Any, name: str) -> None:
    """What a provider says is a state is looked at: its result and its merge never raise."""
    (aggregate,) = chosen([name])
    try:
        state, other = aggregate.load(dumped), aggregate.load(dumped)
    except (ValueError, OverflowError):
        return
    aggregate.results(aggregate.merge(state, other))
