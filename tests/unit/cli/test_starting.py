"""Times on the command line."""

from __future__ import annotations

import argparse
import time

import pytest

from backplane.cli.starting import MOST_PROCESSES, check, moment, of_file, processes
from backplane.wire.errors import UsageError
from provider.runner.scanjob import MOST_PARALLEL


def test_a_duration_is_so_long_ago() -> None:
    """It is counted from now, once."""
    before = time.time()
    assert before - 601 < moment("10m") < time.time() - 598
    assert before - 601 < moment("10m ago") < time.time() - 598


def test_days_and_moments_are_meant_here() -> None:
    """Today begins at this machine's midnight; a zone that is written counts."""
    today = time.localtime(moment("today"))
    assert (today.tm_hour, today.tm_min, today.tm_sec) == (0, 0, 0)
    assert moment("yesterday") < moment("today") <= moment("now")
    assert float(moment("2026-11-20T09:00:00+01:00")) == 1795165200 - 3600
    assert float(moment("2026-11-20 09:00")) == time.mktime((2026, 11, 20, 9, 0, 0, 0, 0, -1))


@pytest.mark.parametrize("text", ["", "ten", "2026-13-01", "-5m", "0"])
def test_what_is_no_time_is_refused(text: str) -> None:
    """With the forms that would do."""
    with pytest.raises(argparse.ArgumentTypeError, match="today"):
        moment(text)


@pytest.mark.parametrize(
    ("since", "until", "follow"), [(None, 1.0, True), (2.0, 1.0, False)], ids=["an end that goes on", "nothing between"]
)
def test_what_cannot_be_meant_is_refused(since: float | None, until: float, follow: bool) -> None:
    """An end and going on, and an end before the beginning."""
    with pytest.raises(UsageError):
        check(argparse.Namespace(since=since, until=until, follow=follow, parallel=1))


def test_several_processes_read_what_is_there() -> None:
    """A number of them is one that a provider would do, and what grows is read by one."""
    assert processes("64") == MOST_PROCESSES == MOST_PARALLEL
    for text in ("0", "65", "-1", "two", "1.5", ""):
        with pytest.raises(argparse.ArgumentTypeError, match="1 to 64"):
            processes(text)
    check(argparse.Namespace(since=None, until=None, follow=False, parallel=2))
    with pytest.raises(UsageError, match="--parallel"):
        check(argparse.Namespace(since=None, until=None, follow=True, parallel=2))


def test_a_script_has_one_process() -> None:
    """It may remember what it read; unless told otherwise it has one."""
    of_file(argparse.Namespace(parallel=1))
    with pytest.raises(UsageError, match="of one line"):
        of_file(argparse.Namespace(parallel=2))
