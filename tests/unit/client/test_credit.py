"""A job's credit at the client."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from backplane.client.credit import Fragments, Window
from provider.runner.frames import CUT, NOTE


@given(st.lists(st.integers(1, 400), max_size=50), st.integers(1600, 4000))
def test_never_more_than_a_window_is_out(sizes: list[int], window: int) -> None:
    """Whatever arrives in whatever sizes, what may still come is at most a window, and never less than half of one."""
    credit = Window(window)
    for size in sizes:
        credit.take(size)
        credit.grant()
        assert credit.granted - credit.received <= window
        assert credit.granted - credit.received > window // 2


def test_above_the_bound_only_the_oldest_value_goes_on() -> None:
    """One after another becomes whole, so that none starves."""
    fragments = Fragments(100)
    fragments.add(1, CUT, 60)
    assert fragments.admits(1)
    assert fragments.admits(2)
    fragments.add(2, CUT, 60)
    assert [fragments.admits(job) for job in (1, 2, 3)] == [True, False, False]
    fragments.add(1, CUT, 60)
    fragments.complete(1, CUT)
    assert [fragments.admits(job) for job in (1, 2, 3)] == [True, True, True]
    fragments.add(3, NOTE, 90)
    fragments.add(3, CUT, 90)
    assert [fragments.admits(job) for job in (1, 2, 3)] == [False, True, False]
    fragments.forget(3)
    fragments.forget(2)
    assert fragments.total == 0
