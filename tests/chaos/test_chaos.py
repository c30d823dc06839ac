"""Faults of every kind on worlds of real processes, and planted bugs that such worlds must show.

What is run here is a sample; `make chaos` runs all of it.
"""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.mutants import MUTANTS
from tests.chaos.trial import trials
from tests.chaos.worlds import LIGHT, Failed, many

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(900)]

FAULTS = 100
#: Worlds at a time, and mutants: most of what they do is wait.
BESIDE = 3


def test_a_hundred_faults_leave_every_answer_right(tmp_path: Path) -> None:
    """All forms at a time, with stores and without: after each burst, what was written is what is answered."""

    def tell(found: Failed | None, _: object) -> None:
        assert found is None, found

    figures, failed = many(1, FAULTS, tmp_path, BESIDE, tell, LIGHT)
    assert not failed
    assert figures.count == FAULTS, figures.table()


def test_every_mutant_is_caught(tmp_path: Path) -> None:
    """No planted bug goes through the faults that are meant for it."""
    found = list(trials(tmp_path, list(MUTANTS), BESIDE))
    missed = [trial for trial in found if trial.caught is None]
    assert not missed
