"""Descriptors: the limit is raised, and links end before the process has none left."""

from __future__ import annotations

import resource

import pytest

from backplane.wire.errors import ReachError
from coordinator.descriptors import FILES, RESERVE, Descriptors, raise_limit


def test_the_soft_limit_becomes_the_hard_one() -> None:
    """1024 is what most logins have, and no administrator's wish."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (min(256, hard), hard))
        assert raise_limit() == hard
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


def test_a_link_that_would_leave_too_few_is_refused_with_numbers() -> None:
    """It may be tried again: others close."""
    held = Descriptors(RESERVE + 2)
    taken = [held.take("ssh"), held.take("ssh")]
    with pytest.raises(ReachError, match=rf"2 of the {RESERVE + 2} files .* raise its limit") as caught:
        held.take("ssh")
    assert caught.value.retry
    held.give_back(taken.pop())
    held.take("ssh")


def test_a_process_takes_more_than_a_socket() -> None:
    """Its pipes count."""
    with pytest.raises(ReachError):
        Descriptors(RESERVE + FILES["command"] - 1).take("command")


def test_no_limit_is_no_limit() -> None:
    """RLIM_INFINITY is a negative number in places."""
    held = Descriptors(-1)
    assert sum(held.take("ssh") for _ in range(5000)) == 5000
