"""How long a query waits for its providers: pauses between attempts, the wait for all, the wait after a break.

Knows targets and times. What becomes of a provider for which the wait is over is `coordinator.plan`'s; reads no clock.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backplane.wire import limits
from coordinator.due import Due, soonest
from coordinator.target import Target

#: First pause after a failed attempt. A refused port is often a host that boots, and a dropped handshake sshd's
#: MaxStartups: both want some seconds, not milliseconds.
RETRY_FIRST_S: Final = 0.5
#: Longest pause. More would keep a host that came back waiting; less is noise in its logs.
RETRY_MOST_S: Final = 15.0
#: A job that broke off sooner after its start than this is brought back with a longer pause.
LASTING_S: Final = 5.0
#: The most of those pauses, as a power of two of the first: a link that flaps should not keep a provider away longer
#: than it needs to be tried.
_QUICK_MOST: Final = 2
#: Processes in a row that ended so soon from outside. A kernel that is out of memory would kill the next one too.
MOST_DEATHS: Final = 20
#: After a lease a runner that hears nothing has ended; what it needs on top to kill what runs there.
LEASE_OVER_S: Final = limits.LEASE_S + 2.0


class Waiting:
    """See above.

    Args:
        jitter: a random number from 0 to 1, so that providers that failed together do not come back together.
    """

    def __init__(self, jitter: Callable[[], float]) -> None:
        self._jitter = jitter
        #: The query's; None for ever.
        self.wait_s: float | None = None
        #: When to try again.
        self.retries = Due()
        #: By when those whose jobs broke off must be back.
        self.absences = Due()
        self._deadline: float | None = None
        #: The wait has ended, and whoever it ended for has been told.
        self._told = False

    def anew(self, at: float) -> None:
        """The wait for all begins."""
        self._deadline = None if self.wait_s is None else at + self.wait_s
        self._told = False

    def ends(self, at: float) -> bool:
        """It is over, and was not when this was last asked."""
        if self._told or not self.is_over(at):
            return False
        self._told = True
        return True

    def is_over(self, at: float, target: Target | None = None) -> bool:
        """For all, or for this one: it had one try after that, or a wait of its own since its job broke off."""
        if target is not None and target.broke is not None:
            return target.back_by is not None and at >= target.back_by
        return (self._deadline is not None and at >= self._deadline) or (target is not None and target.last_try)

    def pause(self, target: Target, at: float) -> None:
        """It is tried again after a pause, which doubles."""
        pause = min(RETRY_MOST_S, RETRY_FIRST_S * 2**target.attempts)
        target.attempts = min(target.attempts + 1, 16)
        self.retries.put(target.name, at + pause * (0.5 + self._jitter()))

    def count(self, target: Target, at: float, *, died: bool) -> None:
        """Its job broke off; ``died``: what broke is the job itself, and not the way to it."""
        quick = at - target.started_at < LASTING_S
        target.breaks = target.breaks + 1 if quick else 0
        target.deaths = target.deaths + 1 if quick and died else 0

    def absent(self, target: Target, at: float, reason: str, *, after_lease: bool) -> float:
        """Its job broke off and may be followed by another; from when on.

        Args:
            after_lease: what may run on until its lease is over must not meet its successor.
        """
        target.broke, target.failure, target.stage = reason, None, None
        target.attempts = min(target.breaks, _QUICK_MOST)
        allowed_at = at + LEASE_OVER_S if after_lease else at
        if self.wait_s is not None:
            target.back_by = allowed_at + self.wait_s
            self.absences.put(target.name, target.back_by)
        return allowed_at

    def back(self, target: Target) -> None:
        """Nothing of its absence is waited for any more."""
        target.broke = target.back_by = None
        self.absences.drop(target.name)

    def next(self) -> float | None:
        """When something is due."""
        return soonest(self.retries.next(), self.absences.next(), None if self._told else self._deadline)
