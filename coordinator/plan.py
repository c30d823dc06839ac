"""One query's plan: what state each of its providers is in, and what is to be done next.

Knows the states, in which order they may follow, and when to give up. Does no I/O, starts no task, reads no clock:
events come in with their time, instructions go out, and whoever drives it (`coordinator.queries`) carries them out.
Nothing here knows connections, sockets or frames.

Theory of operation
-------------------
A provider of a query is in exactly one state:

    pending --LinkTrying--> connecting --LinkUp--> (ready: a job is asked for) --Started--> filtering
       |                     |  ^                                                               |
       |                     |  `- LinkFailed with retry: again, later                     VerdictPassed
       |                     |                                                                  v
       `------ the wait ends, or a failure that is final                              running <--> stalled
                             |                                                             |
                             v                                                             v
                 unreachable, refused                                   JobEnded: done failed killed filtered_out ...
                                                                        LinkLost: lost

* Live states are those of `LIVE`, all others have ended, and change only with the set of targets.
* Every change of state is one `Report`, in the order of the changes. Nobody else says what state a provider is in.
* ``connecting`` lasts through failures that another try may mend, with a pause that doubles and is jittered, until
  the query's wait is over; then the provider is ``unreachable`` for its last failure's reason, or for the stage in
  which the attempt under way hangs. A failure that is final (a key, a name, a policy) ends it at once.
* When a link comes up the plan asks for a start under a new job number (`AskStart`); the client answers with START,
  which is `Started`. A link that breaks before that is a failed attempt; after it the provider is ``lost``. A later
  version that resumes jobs asks here for a start again, with a new job number and the reason ``resumed``: `_lost` is
  that seam.
* ``stalled`` is what silence looks like before it is long enough to end the link; the state before it comes back with
  the first byte.
* A job that ends because it was asked to drain keeps its provider's state (``running`` is well when a following query
  ends).
* The set of targets may change (`TargetsChanged`). Who joins begins like any other, with a wait of its own. Who leaves
  is drained if its job runs, and is ``left`` when that has answered; if it had none, at once. One that leaves after
  having ended keeps that state, unless it only says that nobody got there (``unreachable``, ``refused``): then it is
  ``left`` too, and the answer is complete without it. Who comes back begins anew, with a new job asked for as
  ``rejoined``.
* A query is over (`Forget`) when no provider can say anything any more: each has ended or has been drained.

Events about a provider or job that the plan does not know, or that has ended, do nothing: they crossed on their way.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from coordinator.gate import WAITING_FOR_TURN
from coordinator.steps import (
    AskStart,
    CancelAsked,
    CancelJob,
    ClientGone,
    Connect,
    Disconnect,
    Event,
    Forget,
    Instruction,
    JobEnded,
    LinkFailed,
    LinkHeard,
    LinkLost,
    LinkQuiet,
    LinkTrying,
    LinkUp,
    QuerySubmitted,
    Report,
    Started,
    TargetsChanged,
    TimePassed,
    VerdictPassed,
    WakeAt,
)

LIVE: Final = frozenset(("pending", "connecting", "filtering", "running", "stalled"))
ENDED: Final = frozenset(("done", "left", "filtered_out", "refused", "unreachable", "failed", "killed", "lost"))

#: First pause after a failed attempt. A refused port is often a host that boots, and a dropped handshake sshd's
#: MaxStartups: both want some seconds, not milliseconds.
RETRY_FIRST_S: Final = 0.5
#: Longest pause. More would keep a host that came back waiting; less is noise in its logs.
RETRY_MOST_S: Final = 15.0
#: Whose turn came later than this after the query began has not had the wait, and gets its first try to the end.
LATE_S: Final = 2.0

#: Why a provider has left.
_LEFT: Final = "the provider table does not select it any more"


@dataclass(slots=True)
class _Target:
    """What is known of one provider. Only `Plan` touches it."""

    name: str
    state: str = "pending"
    #: Why the last attempt failed, once one has.
    failure: str | None = None
    #: Where the attempt under way is; None between attempts.
    stage: str | None = None
    attempts: int = 0
    #: When its turn to connect came.
    turn_at: float | None = None
    #: The wait ended in its first try, which was late: there is no other.
    last_try: bool = False
    #: When to try again; None while trying or not at all.
    retry_at: float | None = None
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
    #: What a start is asked for: ``ready``, or ``rejoined`` once it has been away.
    reason: str = "ready"


class Plan:
    """The state machine of one query. `handle` is its only way in.

    Args:
        jobs: gives job numbers that no other plan of this coordinator is given.
        jitter: a random number from 0 to 1, so that providers that failed together do not come back together.
    """

    def __init__(self, jobs: Iterator[int], jitter: Callable[[], float]) -> None:
        self._jobs = jobs
        self._jitter = jitter
        self._targets: dict[str, _Target] = {}
        self._by_job: dict[int, _Target] = {}
        #: Targets that are not over yet. Counted, since looking at each of ten thousand for each event would be
        #: quadratic.
        self._open = 0
        self._wait_s: float | None = None
        self._deadline: float | None = None
        #: The client wants no more: whoever comes now is not asked.
        self._cancelled = False
        #: When to try again, soonest first. An entry whose target has another `retry_at` by now is void.
        self._retries: list[tuple[float, str]] = []
        self._woken_at: float | None = None
        self._forgotten = False
        self._out: list[Instruction] = []
        self._handlers: dict[type[Event], Callable[..., None]] = {
            QuerySubmitted: self._submitted,
            TargetsChanged: self._changed,
            LinkTrying: self._trying,
            LinkUp: self._up,
            LinkFailed: self._failed,
            LinkLost: self._lost,
            LinkQuiet: self._quiet,
            LinkHeard: self._heard,
            Started: self._started,
            VerdictPassed: self._verdict,
            JobEnded: self._ended,
            TimePassed: self._time,
            CancelAsked: self._cancel,
            ClientGone: self._gone,
        }

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event, and say what is to be done about it, in order."""
        if self._forgotten:
            return []
        self._out = []
        self._handlers[type(event)](event)
        if self._targets and not self._open:
            self._forgotten = True
            self._out.append(Forget())
        elif (wake := self._next_wake()) is not None and wake != self._woken_at:
            self._woken_at = wake
            self._out.append(WakeAt(wake))
        return self._out

    def states(self) -> dict[str, str]:
        """Each provider's state."""
        return {name: target.state for name, target in self._targets.items()}

    def _submitted(self, event: QuerySubmitted) -> None:
        self._targets = {name: _Target(name) for name in event.targets}
        self._open = len(self._targets)
        self._wait_s = event.wait_s
        self._wait_anew(event.at)
        for target in self._targets.values():
            self._report(target, "pending")
        self._out.extend(Connect(name) for name in self._targets)

    def _changed(self, event: TargetsChanged) -> None:
        joining = [] if self._cancelled else [name for name in event.joined if self._joins(name)]
        if joining:
            self._wait_anew(event.at)
        for name in joining:
            self._join(name)
        for name in event.left:
            if target := self._targets.get(name):
                self._leave(target)

    def _joins(self, name: str) -> bool:
        """Whether a provider begins now; one that is still leaving does so when it has left."""
        target = self._targets.get(name)
        if target is not None and target.leaving:
            target.returning = True
        return target is None or target.over

    def _join(self, name: str) -> None:
        known = self._targets.get(name)
        target = self._targets[name] = _Target(name)
        if known is not None:
            target.reason = "rejoined"
        self._open += 1
        self._report(target, "pending")
        self._out.append(Connect(name))

    def _leave(self, target: _Target) -> None:
        target.returning = False
        if target.leaving:
            return
        if target.over:
            if target.state in ("unreachable", "refused"):
                self._report(target, "left", _LEFT)
        elif target.started:
            target.leaving = True
            self._out.append(CancelJob(target.job, "drain"))
        else:
            self._drop_job(target)
            self._give_up(target, "left", _LEFT)

    def _trying(self, event: LinkTrying) -> None:
        target = self._connecting(event.provider)
        if target is None:
            return
        target.stage = event.stage
        if target.turn_at is None and event.stage != WAITING_FOR_TURN:
            target.turn_at = event.at
        if target.state == "pending":
            self._report(target, "connecting")

    def _up(self, event: LinkUp) -> None:
        target = self._connecting(event.provider)
        if target is None:
            return
        target.level, target.python = event.level, event.python
        target.stage = target.retry_at = None
        target.job = next(self._jobs)
        self._by_job[target.job] = target
        if target.state == "pending":
            self._report(target, "connecting")
        self._out.append(AskStart(target.job, target.name, target.reason))

    def _failed(self, event: LinkFailed) -> None:
        target = self._connecting(event.provider)
        if target is None:
            return
        if not event.retry or self._wait_is_over(event.at, target):
            self._give_up(target, event.state, event.text)
        else:
            self._try_again(target, event.at, event.text)

    def _lost(self, event: LinkLost) -> None:
        target = self._targets.get(event.provider)
        if target is None or not target.job:
            return
        self._drop_job(target)
        if target.started:
            self._report(target, "lost", event.reason)
            self._return(target, event.at)
        elif self._wait_is_over(event.at, target):
            self._give_up(target, "unreachable", event.reason)
        else:
            self._try_again(target, event.at, event.reason)

    def _quiet(self, event: LinkQuiet) -> None:
        target = self._targets.get(event.provider)
        if target is not None and not target.over and target.state in ("filtering", "running"):
            target.before = target.state
            self._report(target, "stalled", "nothing heard from it lately")

    def _heard(self, event: LinkHeard) -> None:
        target = self._targets.get(event.provider)
        if target is not None and not target.over and target.state == "stalled":
            self._report(target, target.before)

    def _started(self, event: Started) -> None:
        target = self._by_job.get(event.job)
        if target is not None and not target.started:
            target.started = True
            target.profile = event.profile
            self._report(target, "filtering")

    def _verdict(self, event: VerdictPassed) -> None:
        target = self._by_job.get(event.job)
        if target is not None and target.started and event.keep and target.state in ("filtering", "stalled"):
            self._report(target, "running")

    def _ended(self, event: JobEnded) -> None:
        target = self._by_job.get(event.job)
        if target is None or not target.started:
            return
        if target.leaving and (event.drained or event.state in ("done", "left")):
            self._report(target, "left", _LEFT)
        elif event.drained:
            self._close(target)
        elif event.state in ENDED:
            self._report(target, event.state, event.reason)
        else:
            self._report(target, "failed", f"the runner ended its job in a state that we do not know: {event.state}")
        self._drop_job(target)
        self._out.append(Disconnect(target.name))
        self._return(target, event.at)

    def _return(self, target: _Target, at: float) -> None:
        """What left may have come back while it was leaving."""
        if target.returning and target.over and not self._cancelled:
            self._wait_anew(at)
            self._join(target.name)

    def _time(self, event: TimePassed) -> None:
        self._woken_at = None
        if self._wait_is_over(event.at):
            self._deadline = None
            for target in self._targets.values():
                if target.over or target.job:
                    continue
                if self._is_late(target, event.at):
                    # It is we who have not come to it. Its own deadlines end the try that it gets.
                    target.last_try = True
                else:
                    self._give_up(target, "unreachable", _why(target))
            return
        while self._retries and self._retries[0][0] <= event.at:
            at, name = heapq.heappop(self._retries)
            target = self._targets[name]
            if target.retry_at == at:
                target.retry_at = None
                self._out.append(Connect(name))

    def _cancel(self, event: CancelAsked) -> None:
        self._cancelled |= not event.job
        chosen = self._targets.values() if not event.job else filter(None, [self._by_job.get(event.job)])
        for target in list(chosen):
            if target.over:
                continue
            if target.started:
                self._out.append(CancelJob(target.job, event.mode))
            else:
                why = "" if target.job else f"; {_why(target)}"
                self._drop_job(target)
                self._give_up(target, "unreachable", f"cancelled before it had started{why}")

    def _gone(self, event: ClientGone) -> None:
        for target in self._targets.values():
            if target.over:
                continue
            if target.started:
                self._out.append(CancelJob(target.job, "abort"))
            self._drop_job(target)
            self._close(target)
            self._out.append(Disconnect(target.name))

    def _connecting(self, name: str) -> _Target | None:
        """The target if an attempt to reach it is what we wait for."""
        target = self._targets.get(name)
        return None if target is None or target.over or target.job else target

    def _try_again(self, target: _Target, at: float, text: str) -> None:
        pause = min(RETRY_MOST_S, RETRY_FIRST_S * 2**target.attempts)
        target.attempts = min(target.attempts + 1, 16)
        target.retry_at = at + pause * (0.5 + self._jitter())
        heapq.heappush(self._retries, (target.retry_at, target.name))
        target.failure, target.stage = text, None
        if target.state == "pending":
            self._report(target, "connecting", text)

    def _give_up(self, target: _Target, state: str, text: str) -> None:
        self._report(target, state, text)
        self._out.append(Disconnect(target.name))

    def _drop_job(self, target: _Target) -> None:
        self._by_job.pop(target.job, None)
        target.job = 0

    def _wait_anew(self, at: float) -> None:
        self._deadline = None if self._wait_s is None else at + self._wait_s

    def _is_late(self, target: _Target, now: float) -> bool:
        """At the end of the wait: it is in its first try, or before it, since others had their turn before it."""
        if target.stage is None or target.failure or self._wait_s is None:
            return False
        return target.turn_at is None or target.turn_at > now - self._wait_s + LATE_S

    def _wait_is_over(self, at: float, target: _Target | None = None) -> bool:
        """For all, or for this one, which had one try after that."""
        return (self._deadline is not None and at >= self._deadline) or (target is not None and target.last_try)

    def _next_wake(self) -> float | None:
        while self._retries and self._targets[self._retries[0][1]].retry_at != self._retries[0][0]:
            heapq.heappop(self._retries)
        times = [self._retries[0][0]] if self._retries else []
        if self._deadline is not None:
            times.append(self._deadline)
        return min(times, default=None)

    def _close(self, target: _Target) -> None:
        target.over = True
        target.retry_at = None
        self._open -= 1

    def _report(self, target: _Target, state: str, reason: str | None = None) -> None:
        target.state = state
        if state in ENDED and not target.over:
            self._close(target)
        self._out.append(Report(target.name, state, reason, target.level, target.profile, target.python))


def _why(target: _Target) -> str:
    """Why a provider has not been reached so far."""
    if target.failure:
        return target.failure
    if target.stage:
        return f"still {target.stage}"
    return "still waiting for its turn to connect; --wait gives it more time, --fanout tries more at once"
