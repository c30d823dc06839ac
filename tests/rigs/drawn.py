"""What several properties draw: questions with mistakes, and emissions dealt into cuts. Knows hypothesis alone."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hypothesis import strategies as st

Dealt = tuple[list[list[tuple[Any, Any]]], list[int]]


@st.composite
def mutated(draw: st.DrawFn, good: Sequence[str], pieces: Sequence[str]) -> str:
    """A good question with some of it taken out, put in, doubled or moved."""
    text = draw(st.sampled_from(good))
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.integers(0, 12)))
        middle = draw(
            st.one_of(st.just(""), st.sampled_from(pieces), st.text(max_size=3), st.just(text[start:end] * 2))
        )
        text = text[:start] + middle + text[end:]
    return text


@st.composite
def dealt(
    draw: st.DrawFn, keys: st.SearchStrategy[Any], values: st.SearchStrategy[Any], least: int, most: int
) -> Dealt:
    """One stream of emissions, dealt into cuts, and an order in which these arrive."""
    rest = draw(st.lists(st.tuples(keys, values), min_size=least, max_size=most))
    cuts = []
    while rest:
        size = draw(st.integers(1, len(rest)))
        cuts.append(rest[:size])
        rest = rest[size:]
    return cuts, draw(st.permutations(range(len(cuts))))
