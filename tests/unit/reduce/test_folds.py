"""The forms of a reduce: rows, columns, hosts, windows, and what is said when a user's reduce fails."""

from __future__ import annotations

import dataclasses
import datetime
from typing import Any

import pytest

from backplane.reduce import columns, folds
from backplane.reduce.columns import Partials
from backplane.reduce.faults import ReduceFault
from backplane.reduce.names import folded
from provider.runner.aggregates import Combiner


def fed(fold: folds.Fold, *batches: tuple[str, list[Any] | None, list[Any]]) -> folds.Fold:
    for provider, keys, values in batches:
        fold.values(provider, keys, values)
    return fold


def test_columns_are_key_then_names() -> None:
    """``key``; ``key1 ...`` for tuples, short ones filled up; none if no value has a key."""
    plain = fed(folds.AggregateFold(["count", "sum"]), ("w", ["b", "a", "b"], [1, 2, 3]))
    assert plain.rows()[:2] == (("key", "count", "sum"), (("a", 1, 2), ("b", 2, 4)))
    tuples = fed(folds.AggregateFold(["count"]), ("w", [("a", 1), "x", ("a",), ()], [0] * 4))
    assert tuples.rows().columns == ("key1", "key2", "count")
    assert set(tuples.rows().rows) == {("a", 1, 1), ("x", None, 1), ("a", None, 1), (None, None, 1)}
    bare = fed(folds.AggregateFold(["count"]), ("w", None, [5, 6]))
    assert bare.rows()[:2] == (("count",), ((2,),))


def test_rows_are_sorted_over_mixed_types() -> None:
    """One order for all that can be a key."""
    keys = ["b", 2, None, b"a", ("t", 1), True, 1.5, "a", (), float("nan")]
    fold = fed(folds.FunctionFold(max), ("w", keys, list(range(len(keys)))))
    assert [row[-1] for row in fold.rows().rows] == [2, 5, 6, 1, 9, 7, 0, 3, 8, 4]


def test_by_host_splits_any_fold() -> None:
    """`host` is the first column, and the same key of two providers stays two rows."""
    batches = [("web2", ["k"], [1]), ("web1", ["k", "k"], [2, 3])]
    expected = (("web1", "k", 5), ("web2", "k", 1))
    for fold in (
        folds.make("aggregates", aggregates=["sum"], by_host=True),
        folds.make("function", function=lambda a, b: a + b, by_host=True),
        folds.make("class", factory=_Adding, by_host=True),
    ):
        table = fed(fold, *batches).rows()
        assert table.columns[:2] == ("host", "key")
        assert tuple(sorted(table.rows)) == expected


class _Adding:
    """Sums, as a class; its rows are a dict."""

    def __init__(self) -> None:
        self.sums: dict[Any, int] = {}

    def add(self, key: Any, value: int) -> None:
        self.sums[key] = self.sums.get(key, 0) + value

    def rows(self) -> Any:
        return self.sums


def test_windows_keep_their_groups_apart() -> None:
    """Partials of two windows with the same key are two rows, in the order of time."""
    fold = folds.AggregateFold(["sum"])
    for start, value in ((60.0, 4), (0.0, 1), (60.0, 2)):
        combiner = Combiner(["sum"], "t")
        combiner.fold([("k", value)])
        partials = columns.decode("partials", next(combiner.payloads(1 << 22)))
        assert isinstance(partials, Partials)
        windowed = dataclasses.replace(partials, window=(start, start + 60))
        fold.partials("web1", fold.load("web1", windowed))
    assert fold.rows()[:2] == (("window", "key", "sum"), (([0.0, 60.0], "k", 1), ([60.0, 120.0], "k", 6)))


class _Shaped:
    """A reducer whose rows are given."""

    def __init__(self, given: Any) -> None:
        self._given = given

    def add(self, key: Any, value: Any) -> None:
        pass

    def rows(self) -> Any:
        return self._given


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ([{"a": 1}, {"b": 2, "a": 3}], (("a", "b"), ((1, None), (3, 2)))),
        ([("z", 1), ("a", 2)], (("key", "value"), (("z", 1), ("a", 2)))),
        ({"z": 1, "a": 2}, (("key", "value"), (("a", 2), ("z", 1)))),
        ([(("x", 1), 5)], (("key1", "key2", "value"), (("x", 1, 5),))),
        (iter([1, [2]]), (("value",), ((1,), ([2],)))),
        ([], (("key", "value"), ())),
        ([{"when": datetime.date(2026, 1, 2), "set": {2, 1}}], (("when", "set"), (("2026-01-02", [1, 2]),))),
    ],
)
def test_a_class_gives_dicts_pairs_or_values(given: Any, shown: Any) -> None:
    """In its own order, except a dict, which is sorted by key."""
    assert fed(folds.ClassFold(lambda: _Shaped(given)), ("w", None, [0])).rows()[:2] == shown


def test_a_class_sees_no_key_as_none() -> None:
    """Where a value was emitted bare."""
    reducer = _Adding()
    fed(folds.ClassFold(lambda: reducer), ("w", ["k", ()], [1, 2]))
    assert reducer.sums == {"k": 1, None: 2}


QUERY = """\
import json

def helper(a):
    return json.loads(a)

def reduce(a, b):
    return helper(a)

class Reduce:
    def add(self, key, value):
        pass

    def rows(self):
        yield 1
        raise KeyError("gone")
"""


def test_a_failing_reduce_names_the_users_file_and_line() -> None:
    """The deepest line in the user's file, not one in the library that it called; the traceback is kept."""
    space: dict[str, Any] = {}
    exec(compile(QUERY, "errors.py", "exec"), space)
    with pytest.raises(ReduceFault, match=r"^errors.py:4: reduce failed: JSONDecodeError: ") as caught:
        fed(folds.FunctionFold(space["reduce"]), ("w", ["k", "k"], ["{", 2]))
    assert (caught.value.file, caught.value.line) == ("errors.py", 4)
    assert 'File "errors.py", line 7, in reduce' in caught.value.traceback
    with pytest.raises(ReduceFault, match=r"^errors.py:15: Reduce.rows failed: KeyError: 'gone'$"):
        fed(folds.ClassFold(space["Reduce"]), ("w", None, [1])).rows()


def test_a_reduce_that_cannot_even_be_called_says_so() -> None:
    """No frame of the user's own: no place, but the reason."""
    with pytest.raises(ReduceFault, match=r"^reduce failed: TypeError"):
        fed(folds.FunctionFold(lambda a: a), ("w", ["k", "k"], [1, 2]))  # type: ignore[arg-type,misc]
    with pytest.raises(ReduceFault, match=r"Reduce.rows failed: TypeError: .*NoneType"):
        fed(folds.ClassFold(lambda: _Shaped(None)), ("w", None, [0])).rows()


def test_a_raw_value_that_an_aggregate_cannot_take_is_named() -> None:
    """With its provider."""
    with pytest.raises(ReduceFault, match=r"^web1: sum cannot take a value of type str \(key 'k'\)$"):
        fed(folds.AggregateFold(["sum"]), ("web1", ["k"], ["x"]))


def test_a_stream_stops_at_rows_or_bytes() -> None:
    """Rows in the order of arrival, and then no more."""
    stream = fed(folds.StreamFold(limit=3), ("b", None, ["1"]), ("a", ["k"], ["2"]), ("a", None, ["3", "4", "5"]))
    assert stream.rows()[:2] == (("host", "key", "value"), (("b", None, "1"), ("a", "k", "2"), ("a", None, "3")))
    assert stream.full
    assert folds.StreamFold().rows()[:2] == (("host", "value"), ())
    heavy = fed(folds.StreamFold(most_bytes=1000), ("a", None, ["x" * 600, "x" * 600]))
    assert (heavy.full, len(heavy.rows().rows)) == (True, 1)
    assert (heavy.reached, stream.reached, stream.inexact()) == (False, True, [])
    (why,) = heavy.inexact()
    assert why == "only the first 1 rows are shown: their size is at its limit (--limit takes another)"
    exact = fed(folds.StreamFold(limit=2), ("a", None, ["1", "2"]))
    assert (exact.full, exact.reached, exact.inexact()) == (True, True, [])


def test_make_refuses_what_is_not_a_fold() -> None:
    """A kind without its argument, or no kind."""
    for kind in ("function", "aggregates", "class", "sql"):
        with pytest.raises(ValueError, match="no fold"):
            folds.make(kind)


@pytest.mark.parametrize(
    ("names", "shown"),
    [
        ([f"web{n:02d}" for n in range(8, 12)], "web[08-11]"),
        (["web9", "web10", "web11"], "web[9-11]"),
        (["a-1.x", "a-2.x", "b"], "a-[1-2].x,b"),
        (["10.0.0.1", "10.0.0.2"], "10.0.0.[1-2]"),
        (["n" * 5 + str(10**12)], "nnnnn1000000000000"),
        ([], ""),
    ],
)
def test_names_fold(names: list[str], shown: str) -> None:
    """Ranges where only one number differs, with their zeros."""
    assert folded(names) == shown
