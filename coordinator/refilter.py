"""The standing filter of a following query: when each provider is asked again whether it is kept, and what it said.

Knows targets, times and job numbers. What follows from an answer for a provider's state is `coordinator.plan`'s; reads
no clock.

A provider that runs is asked by a job of its own, which is the filter and nothing else: whatever becomes of that job,
the one that runs goes on. There is one such job a provider at most. Two answers in a row must be *no* before they mean
anything, and a filter that failed has given none. A provider that a filter has left out is asked with a whole start, so
that its map begins in the same trip when the answer is *yes*.

The times are spread over the interval, from half of it to one and a half: five hundred hosts that began together are
not asked together, and none is asked more often than was wanted on the average.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Final

from coordinator.due import Due
from coordinator.steps import AskStart, CancelJob
from coordinator.target import Target

#: More often would cost a host a process a second, for what is about deployments.
LEAST_S: Final = 1.0
#: All are asked within this time when the table has changed: at once, and yet not in one moment.
SOON_S: Final = 2.0
#: So many *no* in a row and a provider leaves.
NOES: Final = 2


class Refilter:
    """See above.

    Args:
        jobs: gives job numbers.
        jitter: a random number from 0 to 1.
    """

    def __init__(self, jobs: Iterator[int], jitter: Callable[[], float]) -> None:
        self._jobs = jobs
        self._jitter = jitter
        self._interval_s: float | None = None
        self._due = Due()
        self._asked: dict[int, Target] = {}

    @property
    def on(self) -> bool:
        """The query has a standing filter."""
        return self._interval_s is not None

    def every(self, interval_s: float | None) -> None:
        """Seconds between two questions; None for no more of them."""
        self._interval_s = None if interval_s is None else max(LEAST_S, interval_s)

    def later(self, target: Target, at: float) -> None:
        """Ask it again, an interval from now."""
        if self._interval_s is not None:
            self._due.put(target.name, at + self._interval_s * (0.5 + self._jitter()))

    def soon(self, targets: Iterable[Target], at: float) -> None:
        """Ask those again now who are to be asked again at all."""
        for target in targets:
            if target.name in self._due:
                self._due.put(target.name, at + min(SOON_S, self._interval_s or 0.0) * self._jitter())

    def due(self, at: float) -> Iterator[str]:
        """Whom to ask now."""
        return self._due.take(at)

    def next(self) -> float | None:
        """When somebody is to be asked."""
        return self._due.next()

    def ask(self, target: Target) -> AskStart:
        """Ask one that runs."""
        target.asked, target.asked_started, target.answered = next(self._jobs), False, False
        self._asked[target.asked] = target
        return AskStart(target.asked, target.name, "refilter")

    def is_of(self, job: int) -> bool:
        """Whether a job is a question of ours."""
        return job in self._asked

    def started(self, job: int) -> None:
        """It is on its way."""
        self._asked[job].asked_started = True

    def decided(self, job: int, *, keep: bool) -> Target | None:
        """It was answered; gives the provider if it is time for it to go."""
        target = self._asked[job]
        target.answered = True
        target.noes = 0 if keep else target.noes + 1
        return target if target.noes >= NOES and not target.leaving else None

    def ended(self, job: int, at: float) -> None:
        """It is over. Without an answer nothing is known, and what was said before is too old to count."""
        target = self._asked.pop(job)
        if not target.answered:
            target.noes = 0
        target.asked = 0
        self.later(target, at)

    def drop(self, target: Target) -> list[CancelJob]:
        """It runs no more: nothing is to be asked, and a question under way is to be ended."""
        self._due.drop(target.name)
        target.noes = 0
        job, target.asked = target.asked, 0
        self._asked.pop(job, None)
        return [CancelJob(job, "abort")] if job and target.asked_started else []
