"""What a query's plan keeps of its providers: which there are, who is not over yet, and how a state is reported.

Knows the states. When they change is `coordinator.plan`'s business, which is a roster that hears events.
Reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from coordinator.refilter import Refilter
from coordinator.steps import Disconnect, Instruction, Report
from coordinator.target import Target
from coordinator.waiting import Waiting

LIVE: Final = frozenset(("pending", "connecting", "filtering", "running", "stalled"))
ENDED: Final = frozenset(("done", "left", "filtered_out", "refused", "unreachable", "failed", "killed", "lost"))


class Roster:
    """See above.

    Args:
        jobs: gives job numbers that no other plan of this coordinator is given.
        jitter: a random number from 0 to 1.
    """

    def __init__(self, jobs: Iterator[int], jitter: Callable[[], float]) -> None:
        self._targets: dict[str, Target] = {}
        self._by_job: dict[int, Target] = {}
        #: Targets that are not over yet. Counted, since looking at each of ten thousand for each event would be
        #: quadratic.
        self._open = 0
        self._waiting = Waiting(jitter)
        self._refilter = Refilter(jobs, jitter)
        self._out: list[Instruction] = []

    def states(self) -> dict[str, str]:
        """Each provider's state."""
        return {name: target.state for name, target in self._targets.items()}

    def holds(self, name: str) -> bool:
        """A provider is held back: it is not to be connected to yet."""
        target = self._targets.get(name)
        return target is not None and target.held

    def _connecting(self, name: str) -> Target | None:
        """The target if an attempt to reach it is what we wait for."""
        target = self._targets.get(name)
        return None if target is None or target.over or target.job else target

    def _give_up(self, target: Target, state: str, text: str | None) -> None:
        self._report(target, state, text)
        self._out.append(Disconnect(target.name))

    def _give_up_or_lose(self, target: Target, state: str, text: str | None) -> None:
        """It is not tried any more; if its job had broken off, that is what became of it."""
        if target.broke is not None:
            state, text = "lost", f"{target.broke}; {text}"
        elif target.outside:
            state, text = target.state, target.outside_why
        self._give_up(target, state, text)

    def _drop_job(self, target: Target) -> None:
        self._by_job.pop(target.job, None)
        target.job = 0
        target.started = target.restarting = False
        self._out.extend(self._refilter.drop(target))

    def _close(self, target: Target) -> None:
        target.over = True
        self._waiting.retries.drop(target.name)
        self._waiting.back(target)
        self._out.extend(self._refilter.drop(target))
        self._open -= 1

    def _report(self, target: Target, state: str, reason: str | None = None, *, again: bool = False) -> None:
        target.state = state
        if state in ENDED and not again and not target.over:
            self._close(target)
        again = again or (target.unfiltered and state in LIVE)
        self._out.append(Report(target.name, state, reason, target.level, target.profile, target.python, again))
