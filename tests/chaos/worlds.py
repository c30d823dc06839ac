"""Many small worlds, one after another and some beside each other, each from a seed of its own.

Knows what worlds are made of. Says what it sees by a callback, and prints nothing.
"""

from __future__ import annotations

import random
import shutil
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from tests.chaos.faults import Fault
from tests.chaos.play import Figures, play
from tests.chaos.world import Plan, Wrong, world

#: Between them all forms, both kinds of clients and coordinators, and three to five providers.
PLANS: Final = (
    Plan(2, 1, ("aggregates", "function", "windows"), ("plan", "executable")),
    Plan(1, 1, ("plan", "class"), ("aggregates", "windows"), residents=1),
    Plan(3, 1, ("windows", "combined"), ("function", "class")),
    Plan(2, 1, ("plan",), ("aggregates", "combined"), residents=2),
)
#: The same in three that cost less.
LIGHT: Final = (
    Plan(1, 1, ("aggregates", "windows"), ("class",)),
    Plan(2, 0, ("plan", "function"), ("combined",)),
    Plan(1, 0, ("class",), ("executable", "plan"), residents=1),
)
#: A world that has seen so many is followed by a new one.
EACH: Final = 40


@dataclass(frozen=True, slots=True)
class Failed:
    """A world that went wrong.

    Attributes:
        seed: with the count of faults, all that it takes to see the same faults again.
        bursts: what was done to it, the last one last.
    """

    seed: int
    plan: Plan
    why: str
    bursts: tuple[tuple[dict[str, Any], ...], ...]


def one(seed: int, faults: int, directory: Path, figures: Figures, plans: tuple[Plan, ...] = PLANS) -> Failed | None:
    """One world from its beginning to its end; what went wrong, if anything did."""
    plan = plans[seed % len(plans)]
    bursts: list[tuple[dict[str, Any], ...]] = []

    def tell(burst: list[Fault]) -> None:
        bursts.append(tuple(fault.to_dict() for fault in burst))

    place = directory / f"world-{seed}"
    try:
        with world(plan, place, seed) as made:
            play(made, seed, faults, figures, tell=tell)
    except Wrong as exc:
        return Failed(seed, plan, str(exc), tuple(bursts))
    shutil.rmtree(place, ignore_errors=True)
    return None


def many(
    seed: int,
    faults: int,
    directory: Path,
    beside: int,
    tell: Callable[[Failed | None, Figures], None],
    plans: tuple[Plan, ...] = PLANS,
) -> tuple[Figures, list[Failed]]:
    """Worlds until there have been so many faults.

    Args:
        beside: how many at a time.
        plans: what they are made of.
        tell: called after each world, from any thread but one at a time.
    """
    figures = Figures()
    failed: list[Failed] = []
    telling = threading.Lock()

    def run(number: int) -> None:
        own = Figures()
        count = min(EACH, faults - number * EACH)
        # Each plan in its turn, and a number that says all of it.
        own_seed = random.Random(f"{seed} {number}").randrange(1 << 30) * len(plans) + number % len(plans)
        found = one(own_seed, count, directory, own, plans)
        with telling:
            figures.merge(own)
            if found:
                failed.append(found)
            tell(found, figures)

    with ThreadPoolExecutor(beside) as pool:
        try:
            list(pool.map(run, range(-(-faults // EACH))))
        except BaseException:
            pool.shutdown(cancel_futures=True)  # those that run end what they have started
            raise
    return figures, failed
