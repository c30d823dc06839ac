"""What one process of several has folded of a file reaches the others whole."""

from __future__ import annotations

import marshal
from typing import Any

import pytest

from provider.runner.aggregates import chosen
from provider.runner.folding import Scan
from provider.runner.plan import Plan
from provider.runner.ranges import possible
from tests.rigs.plans import field, line, plan

LINES = "".join(map(line, range(3000))).encode() + b"odd\n"
AGGREGATES = [
    "count",
    "sum",
    "min",
    "max",
    "mean",
    "var",
    "stddev",
    "quantiles(0.5, 0.99)",
    "p90",
    "distinct",
    "top(5)",
    "histogram(10)",
]


def asked(names: list[str], keys: list[str]) -> Plan:
    """A plan with these aggregates of sizes, and columns of keys."""
    aggregates = [[name, field("bytes")] for name in names] + [["count", None]]
    return Plan.of(plan(aggregates=aggregates, keys=[[key, field(key)] for key in keys]))


def answer(scan: Scan, names: list[str]) -> Any:
    """What a scan would show, and what it has seen."""
    states = scan.take()
    rows = [
        {key: each.results(state) for key, state in groups.items()}
        for each, groups in zip(chosen([*names, "count"]), states, strict=True)
    ]
    return rows, scan.seen.lines, scan.seen.matched, scan.seen.odd, scan.seen.samples


def test_values_that_are_no_numbers_are_counted() -> None:
    """By field, once for all aggregates of it; nulls are none of them. What one process finds the other is told."""
    number = ["call", "number", field("path")]
    computed = ["call", "number", ["call", "lower", field("method")]]
    aggregates = [["max", number], ["sum", number], ["mean", ["*", number, ["value", 2]]], ["min", computed]]
    scan, other = (Scan(Plan.of(plan(aggregates=aggregates))) for _ in range(2))
    scan.feed(LINES, 0, len(LINES))
    assert scan.seen.no_numbers() == {"path": 3000, "": 3000}
    other.join(marshal.loads(marshal.dumps(scan.parcel())))
    assert (scan.seen.no_numbers(), other.seen.no_numbers()) == ({}, {"path": 3000, "": 3000})
    assert not any(other.take())


@pytest.mark.parametrize("keys", [[], ["status"], ["status", "path"]], ids=len)
def test_parts_make_the_whole(keys: list[str]) -> None:
    """Two scans, of which one tells the other what it has, say what one says of all lines."""
    wanted = asked(AGGREGATES, keys)
    middle = LINES.index(b"\n", len(LINES) // 2) + 1
    one, other, whole = Scan(wanted), Scan(wanted), Scan(wanted)
    whole.feed(LINES, 0, len(LINES))
    one.feed(LINES, 0, middle)
    other.feed(LINES, middle, len(LINES))
    one.join(marshal.loads(marshal.dumps(other.parcel())))
    assert answer(one, AGGREGATES) == answer(whole, AGGREGATES)
    assert answer(other, AGGREGATES) == ([{} for _ in range(len(AGGREGATES) + 1)], 0, 0, 0, [])


@pytest.mark.parametrize("windowed", [False, True], ids=["whole", "windows"])
def test_what_shares_a_fold_is_the_same_as_alone(windowed: bool) -> None:
    """Quantiles of one field are folded once, and each says what it would by itself: of another field, of its own."""
    names = [("p50", "bytes"), ("p99", "bytes"), ("var", "bytes"), ("p50", "status"), ("stddev", "bytes")]
    window = ["time", 60.0, 30.0, 0.0] if windowed else None

    def told(some: list[tuple[str, str]]) -> list[Any]:
        scan = Scan(Plan.of(plan(aggregates=[[name, field(of)] for name, of in some], window=window)))
        for _ in range(2):
            scan.feed(LINES, 0, len(LINES))
            scan.flush()
        made = chosen([name for name, _ in some])
        return [
            {key: each.results(state) for key, state in groups.items()}
            for taken in scan.taken()
            for each, groups in zip(made, taken.states, strict=True)
        ]

    alone = [told([name]) for name in names]
    assert told(names) == [each[place] for place in range(len(alone[0])) for each in alone]


def test_what_goes_by_order_has_one_process() -> None:
    """First and last values, windows and plans without aggregates know which line was earlier."""
    assert possible(asked(["sum"], []))
    assert not possible(asked(["first"], []))
    assert not possible(asked(["sample(3)"], []))
    assert not possible(Plan.of(plan(aggregates=[], keys=[], columns=[])))
    assert not possible(Plan.of(plan(window=["time", 60.0, 60.0, 0.0])))
