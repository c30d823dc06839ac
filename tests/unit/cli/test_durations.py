"""Durations on the command line."""

from __future__ import annotations

import argparse

import pytest

from backplane.cli.durations import seconds


@pytest.mark.parametrize(
    ("text", "value"), [("500ms", 0.5), ("10", 10), ("10s", 10), ("1.5m", 90), ("2h", 7200), ("1d", 86400)]
)
def test_reads_every_unit(text: str, value: float) -> None:
    """A number and a unit, seconds where none is given."""
    assert seconds(text) == value


@pytest.mark.parametrize("text", ["", "s", "-1s", "0", "0s", "1w", "ten", "1 2s", "inf", "nan"])
def test_says_what_is_a_duration(text: str) -> None:
    """Anything else is refused with the forms that would do."""
    with pytest.raises(argparse.ArgumentTypeError, match="write 500ms, 10s"):
        seconds(text)
