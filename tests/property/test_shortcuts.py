"""What the compiled scan does in a faster way than the obvious one gives what the obvious one gives."""

from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from provider.runner.folding import Tally
from provider.runner.locate import Finder, by_libc, plain

VALUES = st.one_of(st.sampled_from((b"200", b"2", b"20", b"", b"\xff\0")), st.binary(max_size=2))


@given(st.lists(st.lists(VALUES.filter(lambda value: b"\n" not in value), max_size=40), max_size=60))
def test_a_tally_counts(blocks: list[list[bytes]]) -> None:
    """Whatever values come, few or many, again or new, each is counted as often as it came."""
    counts: Counter[bytes] = Counter()
    tally = Tally(counts)
    for rows in blocks:
        tally.count(rows)
    assert +counts == Counter(row for rows in blocks for row in rows)


@given(st.binary(max_size=40).map(lambda data: data.translate(bytes([48, 49] * 128))), st.data())
def test_a_text_is_found_where_it_is(data: bytes, draw: st.DataObject) -> None:
    """The C library finds the same place in any part of a block as Python does, the edges included."""
    text = draw.draw(st.sampled_from((b"0", b"01", b"001", b"0110", b"10101")))
    start = draw.draw(st.integers(0, len(data)))
    end = draw.draw(st.integers(start, len(data)))
    find = by_libc()
    if find is None:
        pytest.skip("this C library has no memmem")
    assert find(data, text, start, end) == plain(data, text, start, end)
    assert Finder(text).of(data, start, end)(data, text, start, end) == plain(data, text, start, end)


def test_both_ways_are_tried_in_blocks_that_tell() -> None:
    """A small block is not measured; a large one is looked through to its end by both, and one of them stays."""
    text, block = b"needle", b"a straw\nthe needle\n" * 4000
    finder = Finder(text)
    assert finder.of(block, 0, 100) is plain
    chosen = finder.of(block, 0, len(block))
    assert finder.of(block, 0, len(block)) is chosen
    assert chosen(block, text, 0, len(block)) == block.index(text)
