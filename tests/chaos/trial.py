"""Mutants on trial: each gets a small world and the faults that should show it, until an answer is wrong.

Knows how much a mutant may take. A mutant that is not caught says that the worlds see less than they should.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.chaos.faults import KINDS, Fault
from tests.chaos.mutants import MUTANTS, Mutant
from tests.chaos.play import Figures, one
from tests.chaos.world import Plan, World, Wrong, world

#: After so many faults of the right kind a mutant is not caught.
MOST: Final = 60


@dataclass(frozen=True, slots=True)
class Trial:
    """What became of a mutant; ``caught`` says by what, and is None if it was not."""

    mutant: str
    caught: str | None
    faults: int
    took_s: float


def trial(mutant: str, directory: Path, number: int) -> Trial:
    """Put one on trial."""
    planted = MUTANTS[mutant]
    durable = any(kind.startswith("client") for kind, _ in planted.faults)
    named, adhoc = (planted.forms, ()) if durable else ((), planted.forms)
    plan = Plan(0, 2, named, adhoc, mutant=mutant, recover_s=12.0, sure_s=1.0)
    figures, caught = Figures(), None
    began = time.monotonic()
    try:
        with world(plan, directory / f"mutant-{number}", number) as made:
            while figures.count < MOST:
                one(made, _burst(made, planted), figures)
    except Wrong as exc:
        caught = str(exc)
    return Trial(mutant, caught, figures.count, time.monotonic() - began)


def _burst(made: World, planted: Mutant) -> list[Fault]:
    """All of them, on everybody whom they can hit."""
    return [Fault(kind, target, at_s, 0.0, 0) for kind, at_s in planted.faults for target in KINDS[kind].targets(made)]


def trials(directory: Path, names: list[str], beside: int = 2) -> Iterator[Trial]:
    """Put these on trial, some at a time."""
    with ThreadPoolExecutor(beside) as pool:
        yield from pool.map(lambda each: trial(each[1], directory, each[0]), enumerate(names))
