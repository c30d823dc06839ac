"""Durations on the command line."""

from __future__ import annotations

import argparse

import pytest

from backplane.cli.durations import seconds, wait


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("10", 10), ("10s", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86400)]
)
def test_reads_every_unit(text: str, value: float) -> None:
    """A number and a unit, seconds where none is given."""
    assert seconds(text) == value


@pytest.mark.parametrize(
    ("text", "value"),
    [("1 hour", 3600), ("1hour", 3600), ("90 min", 5400), ("2 days", 172800), ("3 seconds", 3), ("1 hr", 3600)],
)
def test_reads_words(text: str, value: float) -> None:
    """As SQL has them, with or without a blank."""
    assert seconds(text) == value


@pytest.mark.parametrize(
    "text", ["", "1 ho", "1 month", "1 mins s", "hour", "s", "-1s", "0", "0s", "1w", "ten", "1 2s", "inf", "nan"]
)
def test_says_what_is_a_duration(text: str) -> None:
    """Anything else is refused with the forms that would do."""
    with pytest.raises(argparse.ArgumentTypeError, match="write 500ms, 10s"):
        seconds(text)


@pytest.mark.parametrize(("text", "value"), [("0", 0.0), ("0s", 0.0), ("100ms", 0.1), ("1m", 60)])
def test_a_wait_may_be_none(text: str, value: float) -> None:
    """Nought is no duration, but is how long one does not wait."""
    assert wait(text) == value


def test_a_wait_is_a_duration_otherwise() -> None:
    """Refused as any other."""
    with pytest.raises(argparse.ArgumentTypeError, match="write 500ms, 10s"):
        wait("-1s")
