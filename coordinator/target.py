"""What a query's plan knows of one of its providers.

Knows nothing of when it changes: that is `coordinator.plan`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Why a provider is not asked yet that is held back.
HELD: Final = "held back until those who are asked first are well"


@dataclass(slots=True)
class Target:
    """What is known of one provider. Only `coordinator.plan.Plan` touches it."""

    name: str
    state: str = "pending"
    #: Why the last attempt failed, once one has.
    failure: str | None = None
    #: Where the attempt under way is; None between attempts.
    stage: str | None = None
    attempts: int = 0
    #: The wait ended in its first try, or before it: there is no other.
    last_try: bool = False
    #: It is not asked before others are well.
    held: bool = False
    #: The job asked for or running, 0 without one.
    job: int = 0
    started: bool = False
    #: The state that `stalled` hides.
    before: str = ""
    level: str | None = None
    profile: str | None = None
    python: tuple[int, ...] = ()
    #: It has ended or was drained: nothing but coming back changes it any more.
    over: bool = False
    #: It is asked no more, and its job has been told so; and it has come back before that had answered.
    leaving: bool = False
    returning: bool = False
    #: What a start is asked for: ``ready``, or ``rejoined`` once it has left.
    reason: str = "ready"
    started_at: float = 0.0
    #: Why its job broke off, while it may come back; and by when, None for whenever.
    broke: str | None = None
    back_by: float | None = None
    #: Breaks and deaths in a row that came soon after a start.
    breaks: int = 0
    deaths: int = 0
    #: Its job is being ended: for good, or because another is wanted.
    ending: bool = False
    restarting: bool = False
    #: Its filter has left it out, and is asked again now and then: it may come (back) with a yes. And why that is.
    outside: bool = False
    outside_why: str | None = None
    #: It is leaving because of that.
    unfiltered: bool = False
    #: `coordinator.refilter`'s: the job that asks its filter again, 0 without one; the noes in a row so far.
    asked: int = 0
    asked_started: bool = False
    answered: bool = False
    noes: int = 0


def why(target: Target) -> str:
    """Why a provider has not been reached so far."""
    if target.held:
        return HELD
    if target.failure:
        return target.failure
    if target.stage:
        return f"still {target.stage}"
    return "still waiting for its turn to connect; --wait gives it more time, --fanout tries more at once"
