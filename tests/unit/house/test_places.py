"""Tests keep nothing where the user who runs them keeps things."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from backplane.wire import places


@pytest.mark.parametrize("time", [1, 2])
def test_places_are_a_tests_own(time: int) -> None:
    """State, configuration and socket lie in an empty directory, for the test and for what it starts."""
    for place in (places.state(os.environ), places.config(os.environ), places.socket(os.environ).parent):
        assert place.is_relative_to(tempfile.gettempdir()) and not place.exists()
        place.mkdir(parents=True)  # which the second time does not find
    program = "import os; from backplane.wire import places; print(places.state(os.environ))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert Path(done.stdout.strip()) == places.state(os.environ)
    assert len(str(places.socket(os.environ))) < 100
