"""Faults of every kind on a world of real processes: after each burst, every answer is that of an independent count."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.chaos.play import Figures, play
from tests.chaos.world import Plan, world

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(600)]


def test_a_few_faults_leave_every_answer_right(tmp_path: Path) -> None:
    """All forms at a time, and faults that were drawn from a seed."""
    figures = Figures()
    with world(Plan(), tmp_path / "world", 1) as made:
        play(made, 1, 25, figures)
    assert figures.count == 25, figures.table()
