"""Bursts of faults on a world, after each of which every answer must be right; and how long that took.

Knows when faults begin and end, and when to look. Everything is drawn from a seed.
"""

from __future__ import annotations

import heapq
import itertools
import random
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Final

from tests.chaos.faults import KINDS, Fault, draw
from tests.chaos.world import World, Wrong

#: A burst's faults begin within so many seconds.
BURST_S: Final = 0.8
MOST_FAULTS: Final = 8


@dataclass
class Figures:
    """What came of it, by kind of fault."""

    faults: dict[str, int] = field(default_factory=dict)
    wrong: dict[str, int] = field(default_factory=dict)
    #: Seconds from the end of the last cause of its burst.
    recovered_s: dict[str, list[float]] = field(default_factory=dict)

    @property
    def count(self) -> int:
        """Faults in all."""
        return sum(self.faults.values())

    def add(self, burst: Iterable[Fault], recovered_s: float | None) -> None:
        """A burst is over; None if an answer is wrong."""
        for fault in burst:
            self.faults[fault.kind] = self.faults.get(fault.kind, 0) + 1
            if recovered_s is None:
                self.wrong[fault.kind] = self.wrong.get(fault.kind, 0) + 1
            else:
                self.recovered_s.setdefault(fault.kind, []).append(recovered_s)

    def merge(self, other: Figures) -> None:
        """Add those of another."""
        for mine, theirs in ((self.faults, other.faults), (self.wrong, other.wrong)):
            for kind, count in theirs.items():
                mine[kind] = mine.get(kind, 0) + count
        for kind, times in other.recovered_s.items():
            self.recovered_s.setdefault(kind, []).extend(times)

    def table(self) -> str:
        """Lines for people."""
        lines = [f"{'fault':34} {'count':>6} {'wrong':>6} {'p50 s':>7} {'p95 s':>7} {'most s':>7}"]
        lines += [
            _line(kind, self.faults[kind], self.wrong.get(kind, 0), self.recovered_s.get(kind, []))
            for kind in sorted(self.faults)
        ]
        every = [each for times in self.recovered_s.values() for each in times]
        lines.append(_line("all", self.count, sum(self.wrong.values()), every))
        return "\n".join(lines)


def _line(kind: str, count: int, wrong: int, times: list[float]) -> str:
    p50, p95, most = (f"{_quantile(times, q):7.2f}" if times else "      -" for q in (0.5, 0.95, 1.0))
    return f"{kind:34} {count:6} {wrong:6} {p50} {p95} {most}"


def _quantile(times: list[float], q: float) -> float:
    return sorted(times)[min(len(times) - 1, int(q * len(times)))]


def play(
    world: World,
    seed: int,
    faults: int,
    figures: Figures,
    kinds: Iterable[str] = tuple(KINDS),
    tell: Callable[[list[Fault]], None] = lambda burst: None,
) -> None:
    """So many faults, in bursts.

    Args:
        tell: called with each burst before it begins.

    Raises:
        Wrong: an answer is.
    """
    dice = random.Random(seed)
    left = faults
    kinds = list(kinds)
    while left > 0:
        burst = draw(world, dice, kinds, min(left, dice.randint(1, MOST_FAULTS)), BURST_S)
        left -= len(burst)
        tell(burst)
        one(world, burst, figures)


def one(world: World, burst: list[Fault], figures: Figures) -> None:
    """One burst, and what comes of it.

    Raises:
        Wrong: an answer is.
    """
    try:
        strike(world, burst)
        recovered_s = world.settle()
    except Wrong:
        figures.add(burst, None)
        raise
    figures.add(burst, recovered_s)
    for log in world.logs.values():
        with log.lock:
            log.tidy()


def strike(world: World, burst: Iterable[Fault]) -> None:
    """Let faults begin and end in their time; returns when the last cause has ended."""
    began = time.monotonic()
    order = itertools.count()
    due: list[tuple[float, int, Fault | Callable[[], None]]] = [(each.at_s, next(order), each) for each in burst]
    heapq.heapify(due)
    while due:
        at_s, _, what = heapq.heappop(due)
        time.sleep(max(0.0, began + at_s - time.monotonic()))
        if isinstance(what, Fault):
            end = KINDS[what.kind].begin(world, what)
            if end is not None:
                heapq.heappush(due, (time.monotonic() - began + what.for_s, next(order), end))
        else:
            what()
