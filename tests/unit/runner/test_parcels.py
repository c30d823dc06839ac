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
    "quantiles(0.5, 0.99)",
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


def test_what_goes_by_order_has_one_process() -> None:
    """First and last values, windows and plans without aggregates know which line was earlier."""
    assert possible(asked(["sum"], []))
    assert not possible(asked(["first"], []))
    assert not possible(asked(["sample(3)"], []))
    assert not possible(Plan.of(plan(aggregates=[], keys=[], columns=[])))
    assert not possible(Plan.of(plan(window=["time", 60.0, 60.0, 0.0])))
