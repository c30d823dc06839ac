"""Plans that are read together, against each of them by itself."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from provider.runner.folding import Scan
from provider.runner.plan import Plan
from provider.runner.shared import together
from tests.property.test_compiled import CONDITIONS, KEYS, LINES, SUMMED, blocks, data_of, field, logs, text

SHARING = ("combined", "simple", "csv", "logfmt", "json")
WINDOW = ["time", 60, 30, 0]


@st.composite
def plans(draw: st.DrawFn, name: str) -> Plan:
    """One that could stand beside others of its format."""
    keys = [[key, field(key)] for key in draw(st.sampled_from(KEYS[name])) if key != "line"]
    if name in ("combined", "simple") and draw(st.booleans()):
        keys.append(["prefix", ["call", "prefix", field("path"), text(draw(st.integers(0, 2)))]])
    aggregates: list[Any] = [["count", None]] if draw(st.booleans()) else []
    aggregates += [["sum", each] for each in draw(st.lists(st.sampled_from(SUMMED.get(name, [text(2)])), max_size=2))]
    return Plan.of(
        {
            "version": 1,
            "format": data_of(name),
            "where": draw(st.sampled_from(CONDITIONS[name])),
            "keys": keys,
            "aggregates": aggregates or [["count", None]],
            "window": WINDOW if name == "combined" and draw(st.booleans()) else None,
        }
    )


def seen(scan: Scan) -> tuple[Any, ...]:
    """All that a scan would tell of what it was fed."""
    windows = scan.windows
    times = (windows.dropped(), windows.top) if windows else None
    # Of a plan that looks for a text, lines without it may or may not be looked at.
    odd = None if scan.source.literal else (scan.seen.odd, len(scan.seen.samples))
    return scan.taken(), scan.seen.lines, scan.seen.matched, odd, times


@pytest.mark.parametrize("name", SHARING)
@given(data=st.data())
@settings(max_examples=100, deadline=None)
def test_a_plan_among_others_is_the_same_as_alone(name: str, data: st.DataObject) -> None:
    """Whatever a log holds and however it is cut, plans that are read together each find what they find alone."""
    log = data.draw(logs(LINES[name]))
    log += b"" if log.endswith(b"\n") or not log else b"\n"
    asked = data.draw(st.lists(plans(name), min_size=2, max_size=5))
    ours, alone = ([Scan(plan) for plan in asked] for _ in range(2))
    shared = together(dict(enumerate(ours)))
    for block in data.draw(blocks(log, None)):
        given_to: dict[int, Any] = {}
        for each in shared:
            given_to.update(each.read(block))
        for number, (one, other) in enumerate(zip(ours, alone, strict=True)):
            one.feed(block, 0, len(block)) if number not in given_to else given_to[number]()
            other.feed(block, 0, len(block))
    assert [seen(scan) for scan in ours] == [seen(scan) for scan in alone]
