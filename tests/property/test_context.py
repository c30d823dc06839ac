"""Lines around those that are found are grep's, however the log comes in blocks and however cuts fall between them."""

from __future__ import annotations

import itertools
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from backplane.reduce.context import ContextFold as Shown
from provider.runner.context import AFTER, BEFORE, BEGINS, KEPT, ContextFold
from provider.runner.pack import packb
from provider.runner.plan import Plan

Row = tuple[int, str]


def folding(before: int, after: int, form: dict[str, Any] | None = None) -> ContextFold:
    where = ["contains", ["field", "line"], "X"]
    data = {"version": 1, "format": form or {"kind": "raw"}, "where": where, "context": [before, after]}
    plan = Plan.of(data)
    return ContextFold(plan, packb(plan.data()), "local", 1)


def around(lines: list[str], before: int, after: int) -> list[Row]:
    """What grep would show of a file: a line, what it is, and whether a group begins at it."""
    kept = [number for number, line in enumerate(lines) if "X" in line]
    found: list[Row] = []
    last = -1
    for number, line in enumerate(lines):
        if number in kept:
            what = KEPT
        elif any(0 < number - each <= after for each in kept):
            what = AFTER
        elif any(0 < each - number <= before for each in kept):
            what = BEFORE
        else:
            continue
        found.append((what + BEGINS * (number != last + 1 or not found), line))
        last = number
    return found


LINES = st.lists(st.sampled_from(["X", "a", "b", "X", "aX", "", "a\r", "caf\u00e9 X", "caf\udce9 X"]), max_size=30)


@given(LINES, st.integers(0, 3), st.integers(0, 3), st.data())
def test_blocks_and_cuts_do_not_show(lines: list[str], before: int, after: int, data: st.DataObject) -> None:
    """The rows of a file are the same in one block and in many, taken at once and now and then."""
    fold = folding(before, after)
    rows: list[list[Any]] = []
    rest = list(lines)
    while rest:
        size = data.draw(st.integers(1, len(rest)))
        fold.feed("".join(f"{line}\n" for line in rest[:size]).encode("utf-8", "surrogateescape"), "/log")
        rest = rest[size:]
        if data.draw(st.booleans()):
            rows += fold.rows()
    rows += fold.rows()
    assert [tuple(row) for row in rows] == around([line.removesuffix("\r") for line in lines], before, after)
    assert fold.scan.seen.matched == sum("X" in line for line in lines)
    assert fold.scan.seen.lines == len(lines)


@given(st.lists(st.tuples(st.sampled_from(["/a", "/b"]), st.sampled_from(["X", "a", "b"])), max_size=30))
def test_sources_are_kept_apart(lines: list[tuple[str, str]]) -> None:
    """Files that grow at the same time have each their own lines around; a group ends where another file's begins."""
    fold = folding(1, 1)
    rows: list[tuple[str, Row]] = []
    for source, line in lines:
        fold.feed(f"{line}\n".encode(), source)
        rows += [(source, (what, text)) for what, text in fold.rows()]
    for source in ("/a", "/b"):
        alone = [(what & ~BEGINS, text) for at, (what, text) in rows if at == source]
        assert alone == [
            (what & ~BEGINS, text) for what, text in around([line for at, line in lines if at == source], 1, 1)
        ]
    for (one, _), (other, (what, _)) in itertools.pairwise(rows):
        assert one == other or what & BEGINS


@given(LINES, st.integers(0, 3), st.integers(0, 3), st.integers(1, 5))
def test_the_limit_counts_what_was_found(lines: list[str], before: int, after: int, limit: int) -> None:
    """With a limit of N there are the first N lines that were found and all around them, as `grep -m N` shows them."""
    fold = folding(before, after)
    fold.feed("".join(f"{line}\n" for line in lines).encode("utf-8", "surrogateescape"), "/log")
    shown = Shown(limit)
    for row in fold.rows():
        shown.values("host", None, [row])
    kept = [number for number, line in enumerate(lines) if "X" in line]
    upto = lines if len(kept) <= limit else lines[: kept[limit]]
    expected = around([line.removesuffix("\r") for line in upto], before, after)
    if len(kept) > limit:  # what stood before the first line that was not taken
        while expected and expected[-1][0] & ~BEGINS == BEFORE:
            expected.pop()
    assert [(row[1], row[2]) for row in shown.rows().rows] == [
        (text, what & ~BEGINS != KEPT) for what, text in expected
    ]
    assert shown.full == (len(kept) > limit)
    again = Shown(limit)
    for piece in shown.saved():
        again.restore(piece)
    assert again.rows() == shown.rows()


def test_records_of_several_lines() -> None:
    """Where a record may go on in the next line, what stands around is records."""
    form = {"kind": "regex", "pattern": r"(?P<level>[A-Z]+): (?P<message>.*)", "start": "[A-Z]+: "}
    fold = folding(1, 1, form)
    fold.feed(b"A: one\nB: two\n  more\nC: X\n  trace\nD: four\nE: five\n", "/log")
    assert fold.rows() == [[BEFORE + BEGINS, "B: two\n  more"], [KEPT, "C: X\n  trace"], [AFTER, "D: four"]]


def test_of_a_block_without_any_little_is_remembered() -> None:
    """A large block without a line that is kept leaves the last few only."""
    fold = folding(2, 0)
    fold.feed(b"a\n" * 100_000, "/log")
    assert fold.rows() == []
    assert len(fold._sources["/log"].before) == 2
    fold.feed(b"X\n", "/log")
    assert fold.rows() == [[BEFORE + BEGINS, "a"], [BEFORE, "a"], [KEPT, "X"]]
