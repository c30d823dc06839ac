"""A job's credit at the client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backplane.client.credit import Window


@given(st.lists(st.integers(1, 400), max_size=50), st.integers(1600, 4000))
def test_never_more_than_a_window_is_out(sizes: list[int], window: int) -> None:
    """Whatever arrives in whatever sizes, what may still come is at most a window, and never less than half of one."""
    credit = Window(window)
    for size in sizes:
        credit.take(size)
        credit.grant()
        assert credit.granted - credit.received <= window
        assert credit.granted - credit.received > window // 2
