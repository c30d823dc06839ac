"""Keys told by number: one answer through resets, restarts, lost parts and damage, by numpy and without."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from backplane.reduce import aggregated, columns
from backplane.reduce.columns import Partials
from backplane.reduce.folds import AggregateFold, Saved
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider.runner.aggregates import Combiner, combiner, tag
from provider.runner.aggregates.combiner import partials_payload
from provider.runner.columns import column, key_column, little_endian

NAMES = ("count", "sum", "mean", "max")
_keys = st.sampled_from(["a", "b", "c", "d", ("t", 1), (), 7, math.nan])
_values = st.integers(-5, 5) | st.sampled_from(
    [0.1, 1e17, -1e17, 1e-300, math.inf, 2.0**970, -(2.0**970), (1 << 62) + 1, -(1 << 63), (1 << 64) - 1, 5e-324]
)
#: What a job emits between two cuts, for each of its cuts; None in between is a new job of the same provider.
_jobs = st.lists(
    st.lists(st.lists(st.tuples(_keys, _values), min_size=1, max_size=8) | st.none(), min_size=1, max_size=5),
    min_size=1,
    max_size=3,
)


@contextlib.contextmanager
def limits(many: int, most_keys: int) -> Iterator[None]:
    """From how many groups numpy adds, and when a dictionary is begun anew."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(aggregated, "MANY", many)
        patched.setattr(combiner, "_MOST_KEYS", most_keys)
        yield


def _payloads(jobs: list[Any]) -> list[list[bytes]]:
    every = []
    for number, cuts in enumerate(jobs):
        folding = Combiner(list(NAMES), tag(f"web{number}", 1))
        payloads = []
        for cut in cuts:
            if cut is None:
                folding = Combiner(list(NAMES), tag(f"web{number}", 2))
                continue
            folding.fold(cut)
            payloads += list(folding.payloads(1 << 22))
        every.append(payloads)
    return every


def _interleaved(payloads: list[list[bytes]], turns: list[int]) -> Iterator[tuple[str, bytes]]:
    waiting = [list(each) for each in payloads]
    turn = iter(turns * 50)
    while any(waiting):
        number = next(turn) % len(waiting)
        if waiting[number]:
            yield f"web{number}", waiting[number].pop(0)
        else:
            waiting[number] = []
            number = next(index for index, each in enumerate(waiting) if each)
            yield f"web{number}", waiting[number].pop(0)


def _take(fold: AggregateFold, provider: str, payload: bytes) -> None:
    partials = columns.decode("partials", payload)
    assert isinstance(partials, Partials)
    fold.partials(provider, fold.load(provider, partials))


@settings(deadline=None)  # the first one imports numpy
@given(_jobs, st.lists(st.integers(0, 2), min_size=1, max_size=6), st.sampled_from([1, 2, 3, 1 << 16]), st.booleans())
@example([[[("a", 0.1)], [("a", 1)], [("a", 1 << 63)]], [[("a", 1e17)], None, [("a", -1e17)]]], [0, 1], 1, False)
def test_one_answer_by_numpy_and_without(jobs: list[Any], turns: list[int], most_keys: int, by_host: bool) -> None:
    """The one of all values at once, told without a dictionary; however small it is, and saved in the middle."""
    whole = AggregateFold(NAMES, by_host=by_host)
    for number, cuts in enumerate(jobs):
        every = [pair for cut in cuts if cut is not None for pair in cut]
        if every:
            folding = Combiner(list(NAMES), tag(f"web{number}", 1))
            folding.fold(every)
            states = [list(each.values()) for each in folding._states]
            _take(whole, f"web{number}", partials_payload(list(NAMES), list(folding._states[0]), states))
    expected = repr(whole.rows())
    for many in (1, 1 << 30):
        with limits(many, most_keys):
            arriving = list(_interleaved(_payloads(jobs), turns))
            fold = AggregateFold(NAMES, by_host=by_host)
            for place, (provider, payload) in enumerate(arriving):
                if place == len(arriving) // 2:
                    restored = AggregateFold(NAMES, by_host=by_host)
                    for piece in fold.saved():
                        restored.restore(piece)
                    for later in arriving[place:]:
                        restored.restore(Saved(later[0], "partials", later[1]))
                _take(fold, provider, payload)
            assert repr(fold.rows()) == expected
            if arriving:
                assert repr(restored.rows()) == expected


@settings(deadline=None)
@given(st.lists(st.lists(st.floats(-1e300, 1e300), min_size=2, max_size=2), min_size=1, max_size=12))
@example([[1e16, 1.0], [1.0, 1e-16], [-1e16, 1e-32]])
def test_sums_by_numpy_are_exact(cuts: list[list[float]]) -> None:
    """Rounded once, at the end, as fractions are."""
    with limits(1, 1 << 16):
        fold = AggregateFold(("sum",))
        folding = Combiner(["sum"], "t")
        for one, two in cuts:
            folding.fold([("a", one), ("b", two)])
            for payload in folding.payloads(1 << 22):
                _take(fold, "web1", payload)
    for place, row in enumerate(fold.rows().rows):
        try:
            exact = float(sum(Fraction(cut[place]) for cut in cuts))
        except OverflowError:
            return
        assert row[1] == exact


def test_windows_share_a_dictionary() -> None:
    """A key that was told in one window is no group of another."""
    for many in (1, 1 << 30):
        with limits(many, 1 << 16):
            fold = AggregateFold(("sum",))
            _take(fold, "w", partials_payload(["sum"], ["a", "b"], [[1, 2]], [0, 60], base=0))
            second = little_endian_ids(1, 2)
            _take(fold, "w", partials_payload(["sum"], ["c"], [[3, 4]], [60, 120], base=2, ids=second))
            assert fold.rows().rows == (
                ([0.0, 60.0], "a", 1), ([0.0, 60.0], "b", 2), ([60.0, 120.0], "b", 3), ([60.0, 120.0], "c", 4)
            )  # fmt: skip


def little_endian_ids(*ids: int) -> bytes:
    return b"".join(number.to_bytes(4, "little") for number in ids)


def test_a_key_is_told_once() -> None:
    """And then takes four bytes; a dictionary that would be too large is begun anew."""
    folding = Combiner(["count"], "t")
    keys = [f"/a/rather/long/path/{number}" for number in range(1000)]
    sizes = []
    for _ in range(3):
        folding.fold([(key, 1) for key in keys])
        (payload,) = folding.payloads(1 << 22)
        sizes.append(len(payload))
    assert sizes[0] > 30_000
    assert sizes[1] == sizes[2] < 8_200
    folding.fold([(key, 1) for key in keys[:700]])
    assert 8_400 < len(next(folding.payloads(1 << 22))) < 8_600
    with limits(1000, 1500):
        folding.fold([(f"other{number}", 1) for number in range(1000)])
        (payload,) = folding.payloads(1 << 22)
        assert codec.unpack(payload)["base"] == 0


def test_large_partials_are_split() -> None:
    """Each payload is within the bound, unless one group alone is not; nothing is lost, and later numbers hold."""
    folding = Combiner(["collect"], "t")
    fold = AggregateFold(["collect"])
    count = 0
    for _ in range(2):
        folding.fold([(f"k{number}", "x" * 1000 * (1 + number % 7)) for number in range(200)])
        folding.fold([("large", "x" * 100_000)])
        payloads = list(folding.payloads(50_000))
        assert sorted(map(len, payloads))[-2] <= 50_000 < max(map(len, payloads)) < 101_000
        count += len(payloads)
        for payload in payloads:
            _take(fold, "web1", payload)
    assert count > 20
    assert [(row[0], len(row[1])) for row in fold.rows().rows[:2]] == [("k0", 2), ("k1", 2)]
    assert len(fold.rows().rows) == 201


GOOD: dict[str, Any] = {
    "window": None, "aggregates": ["count"], "keys": key_column(["c"]), "states": [column([1, 2])], "base": 2, "new": 1,
    "ids": little_endian_ids(0, 2),
}  # fmt: skip


@pytest.mark.parametrize("many", [1, 1 << 30])
@pytest.mark.parametrize(
    "wrong",
    [
        {"base": 1}, {"base": 3}, {"base": -1}, {"base": 1 << 60}, {"base": "2"}, {"base": 2.0},
        {"new": 0}, {"new": 2}, {"new": -1}, {"new": 1 << 60, "keys": None}, {"keys": None, "new": 3},
        {"ids": little_endian_ids(0, 3)}, {"ids": little_endian_ids(0, 0xFFFFFFFF)}, {"ids": b"\0\0\0"}, {"ids": 3},
        {"ids": little_endian_ids(0)}, {"ids": little_endian_ids(0, 1, 2)}, {"ids": None},
        {"states": [column([1, -2])]}, {"states": [{"t": "i", "b": b"\0" * 9}]}, {"states": [column([1.0, 2.0])]},
        {"states": [column([1, "x"])]}, {"keys": {"t": "i", "b": b"\0" * 12}}, {"aggregates": ["sum"]},
    ],
)  # fmt: skip
def test_a_payload_that_lies_is_refused_and_changes_nothing(many: int, wrong: dict[str, Any]) -> None:
    """Numbers out of range, other lengths, another dictionary: an error, and the good one still counts afterwards."""
    with limits(many, 1 << 16):
        fold = AggregateFold(["count"])
        _take(fold, "w", partials_payload(["count"], ["a", "b"], [[1, 1]], base=0))
        with pytest.raises(RemoteProtocolError):
            _take(fold, "w", codec.pack({**GOOD, **wrong}))
        assert fold.rows().rows == (("a", 1), ("b", 1))
        _take(fold, "w", codec.pack(GOOD))
        assert fold.rows().rows == (("a", 2), ("b", 1), ("c", 2))


@pytest.mark.parametrize("many", [1, 1 << 30])
def test_parts_of_one_cut_build_on_each_other(many: int) -> None:
    """All are looked at before the first one counts."""
    with limits(many, 1 << 16):
        fold = AggregateFold(["count"])
        parts = [
            columns.decode(
                "partials", partials_payload(["count"], [key], [[1]], base=number, ids=little_endian_ids(number))
            )
            for number, key in enumerate("abc")
        ]
        loaded = [fold.load("w", part) for part in parts if isinstance(part, Partials)]
        assert fold.rows().rows == ()
        for each in loaded:
            fold.partials("w", each)
        assert fold.rows().rows == (("a", 1), ("b", 1), ("c", 1))


@pytest.mark.parametrize("many", [1, 1 << 30])
def test_a_number_that_comes_twice_counts_twice(many: int) -> None:
    """NaN is one key at home and may be several on a provider."""
    with limits(many, 1 << 16):
        fold = AggregateFold(["count", "sum"])
        keys = [math.nan, float("nan"), "a"]
        _take(
            fold,
            "w",
            partials_payload(
                ["count", "sum"], keys, [[1, 2, 3], [[0, 0.0, each] for each in (0.5, 0.25, 1.0)]], base=0
            ),
        )
        assert repr(fold.rows().rows) == "((nan, 3, 0.75), ('a', 3, 1.0))"


def test_ids_are_little_endian() -> None:
    """As `little_endian` writes them, on whatever host."""
    from array import array

    assert little_endian(array("I", [1, 258])) == little_endian_ids(1, 258)


@given(st.lists(st.tuples(st.sampled_from(["b", "a"]), st.integers(-3, 3)) | st.text("aé", max_size=2), min_size=1))
def test_rows_by_the_column_are_those_by_the_group(keys: list[Any]) -> None:
    """Many groups have a shorter way, and it is the same table."""
    fold = AggregateFold(["sum", "quantiles(0, 1)"])
    fold.values("w", keys, list(range(len(keys))))
    apart = AggregateFold(["sum", "quantiles(0, 1)"], by_host=True)
    apart.values("w", keys, list(range(len(keys))))
    assert [row[1:] for row in apart.rows().rows] == list(fold.rows().rows)
    assert apart.rows().columns[1:] == fold.rows().columns
