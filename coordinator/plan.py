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
                                                                        a break: lost --LinkUp, Started--> filtering

* Live states are those of `LIVE`, all others have ended, and change only with the set of targets; but for a ``lost``
  that is reported with ``again``.
* Every change of state is one `Report`, in the order of the changes. Nobody else says what state a provider is in.
* ``connecting`` lasts through failures that another try may mend, with a pause that doubles and is jittered, until
  the query's wait is over; then the provider is ``unreachable`` for its last failure's reason, or for the stage in
  which the attempt under way hangs. A failure that is final (a key, a name, a policy) ends it at once.
* When a link comes up the plan asks for a start under a new job number (`AskStart`); the client answers with START,
  which is `Started`. A link that breaks before that is a failed attempt.
* A job that has started breaks off if its link does, if its process is ended from outside (`JobEnded.broken`), or if
  the client misses something of it (a cancel of the mode ``restart``). Where the query says that its jobs may go on
  after that, the provider is ``lost`` for the time being (`Report.again`): it is connected to again, and a start is
  asked for as ``resumed``, until the wait after the break is over. Otherwise, or then, it is ``lost`` for good. A job
  that must not run twice at a time returns only when the lease of the one before is over, unless that is known to be
  gone. A job that dies again and again is not brought back for ever (`MOST_DEATHS`): it is the cause itself.
* ``stalled`` is what silence looks like before it is long enough to end the link; the state before it comes back with
  the first byte.
* A job that ends because it was asked to drain keeps its provider's state (``running`` is well when a following query
  ends).
* The set of targets may change (`TargetsChanged`). Who joins begins like any other, with a wait of its own. Who leaves
  is drained if its job runs, and is ``left`` when that has answered; if it had none, at once; and ``lost`` if its job
  had broken off, since nobody can hand over what it had last. One that leaves after
  having ended keeps that state, unless it only says that nobody got there (``unreachable``, ``refused``): then it is
  ``left`` too, and the answer is complete without it. Who comes back begins anew, with a new job asked for as
  ``rejoined``.
* A query is over (`Forget`) when no provider can say anything any more: each has ended or has been drained.

Events about a provider or job that the plan does not know, or that has ended, do nothing: they crossed on their way.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator
from typing import Final

from backplane.wire import limits
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
from coordinator.target import Target, why

LIVE: Final = frozenset(("pending", "connecting", "filtering", "running", "stalled"))
ENDED: Final = frozenset(("done", "left", "filtered_out", "refused", "unreachable", "failed", "killed", "lost"))

#: First pause after a failed attempt. A refused port is often a host that boots, and a dropped handshake sshd's
#: MaxStartups: both want some seconds, not milliseconds.
RETRY_FIRST_S: Final = 0.5
#: Longest pause. More would keep a host that came back waiting; less is noise in its logs.
RETRY_MOST_S: Final = 15.0
#: Whose turn came later than this after the query began has not had the wait, and gets its first try to the end.
LATE_S: Final = 2.0
#: A job that broke off sooner after its start than this is brought back with a longer pause.
LASTING_S: Final = 5.0
#: The most of those pauses, as a power of two of the first: a link that flaps should not keep a provider away longer
#: than it needs to be tried.
_QUICK_MOST: Final = 2
#: Processes in a row that ended so soon from outside. A kernel that is out of memory would kill the next one too.
MOST_DEATHS: Final = 20
#: After a lease a runner that hears nothing has ended; what it needs on top to kill what runs there.
LEASE_OVER_S: Final = limits.LEASE_S + 2.0

#: Why a provider has left.
_LEFT: Final = "the provider table does not select it any more"


class Plan:
    """The state machine of one query. `handle` is its only way in.

    Args:
        jobs: gives job numbers that no other plan of this coordinator is given.
        jitter: a random number from 0 to 1, so that providers that failed together do not come back together.
    """

    def __init__(self, jobs: Iterator[int], jitter: Callable[[], float]) -> None:
        self._jobs = jobs
        self._jitter = jitter
        self._targets: dict[str, Target] = {}
        self._by_job: dict[int, Target] = {}
        #: Targets that are not over yet. Counted, since looking at each of ten thousand for each event would be
        #: quadratic.
        self._open = 0
        self._wait_s: float | None = None
        self._deadline: float | None = None
        #: The wait has ended, and whoever it ended for has been told.
        self._waited = False
        #: Jobs may go on after a break; and must not run twice at a time.
        self._resumes = False
        self._effects = False
        #: The client wants no more: whoever comes now is not asked.
        self._cancelled = False
        #: When to try again, soonest first. An entry whose target has another `retry_at` by now is void.
        self._retries: list[tuple[float, str]] = []
        #: By when those whose jobs broke off must be back, likewise.
        self._absences: list[tuple[float, str]] = []
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
        self._targets = {name: Target(name) for name in event.targets}
        self._open = len(self._targets)
        self._wait_s = event.wait_s
        self._resumes, self._effects = event.resumes, event.effects
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
        target = self._targets[name] = Target(name)
        if known is not None:
            target.reason = "rejoined"
        self._open += 1
        self._report(target, "pending")
        self._out.append(Connect(name))

    def _leave(self, target: Target) -> None:
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
            self._give_up_or_lose(target, "left", _LEFT)

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
        self._out.append(AskStart(target.job, target.name, target.reason if target.broke is None else "resumed"))

    def _failed(self, event: LinkFailed) -> None:
        target = self._connecting(event.provider)
        if target is None:
            return
        self._missed(target, event.at, event.text, event.state, retry=event.retry)

    def _lost(self, event: LinkLost) -> None:
        target = self._targets.get(event.provider)
        if target is None or not target.job:
            return
        if target.started:
            self._break(target, event.at, event.reason, may_run=True)
        else:
            self._drop_job(target)
            self._missed(target, event.at, event.reason)

    def _missed(self, target: Target, at: float, text: str, state: str = "unreachable", *, retry: bool = True) -> None:
        """An attempt to reach it came to nothing."""
        if not retry or self._wait_is_over(at, target):
            self._give_up_or_lose(target, state, text)
        else:
            self._try_again(target, at, text)

    def _break(self, target: Target, at: float, reason: str, *, may_run: bool, state: str = "lost") -> None:
        """Its job broke off: it is lost, perhaps for the time being.

        Args:
            state: what it is if it does not come back.
            may_run: what broke may be the way to it, and the job go on for a lease.
        """
        quick = at - target.started_at < LASTING_S
        target.breaks = target.breaks + 1 if quick else 0
        target.deaths = target.deaths + 1 if quick and not may_run else 0
        again = self._may_return(target)
        self._drop_job(target)
        self._report(target, "lost" if again else state, reason, again=again)
        if not again:
            self._return(target, at)
            return
        target.broke, target.failure, target.stage = reason, None, None
        target.attempts = min(target.breaks, _QUICK_MOST)
        # What runs on until its lease is over must not meet its successor.
        allowed_at = at + LEASE_OVER_S if may_run and self._effects else at
        if self._wait_s is not None:
            target.back_by = allowed_at + self._wait_s
            heapq.heappush(self._absences, (target.back_by, target.name))
        self._try_again(target, allowed_at, None)

    def _may_return(self, target: Target) -> bool:
        ended = self._cancelled or target.leaving or target.ending
        return self._resumes and not ended and target.deaths < MOST_DEATHS

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
            target.started, target.started_at = True, event.at
            target.broke = target.back_by = None
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
        if (event.broken or target.restarting) and not event.drained and self._may_return(target):
            self._out.append(Disconnect(target.name))
            state = event.state if event.state in ENDED else "failed"
            self._break(target, event.at, event.reason or "its job broke off", may_run=False, state=state)
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

    def _return(self, target: Target, at: float) -> None:
        """What left may have come back while it was leaving."""
        if target.returning and target.over and not self._cancelled:
            self._wait_anew(at)
            self._join(target.name)

    def _time(self, event: TimePassed) -> None:
        self._woken_at = None
        if self._wait_is_over(event.at) and not self._waited:
            self._waited = True
            self._end_wait(event.at)
        for name in _due(self._absences, event.at):
            target = self._targets[name]
            if not target.job and target.back_by is not None and event.at >= target.back_by:
                self._give_up(target, "lost", f"{target.broke}; it has not come back within the wait: {why(target)}")
        for name in _due(self._retries, event.at):
            target = self._targets[name]
            if target.retry_at is not None and event.at >= target.retry_at:
                target.retry_at = None
                self._out.append(Connect(name))

    def _end_wait(self, at: float) -> None:
        for target in self._targets.values():
            if target.over or target.job or target.broke is not None:
                continue
            if self._is_late(target, at):
                # It is we who have not come to it. Its own deadlines end the try that it gets.
                target.last_try = True
            else:
                self._give_up(target, "unreachable", why(target))

    def _cancel(self, event: CancelAsked) -> None:
        if event.mode == "restart":
            self._restart(event.job)
            return
        self._cancelled |= not event.job
        chosen = self._targets.values() if not event.job else filter(None, [self._by_job.get(event.job)])
        for target in list(chosen):
            if target.over:
                continue
            if target.started:
                target.ending = True
                self._out.append(CancelJob(target.job, event.mode))
            else:
                waiting = "" if target.job else f"; {why(target)}"
                self._drop_job(target)
                self._give_up_or_lose(target, "unreachable", f"cancelled before it had started{waiting}")

    def _restart(self, job: int) -> None:
        """The client misses something of a job, and wants another from where it stands."""
        target = self._by_job.get(job)
        if target is not None and target.started and not target.restarting:
            target.restarting = True
            self._out.append(CancelJob(job, "abort"))

    def _gone(self, event: ClientGone) -> None:
        for target in self._targets.values():
            if target.over:
                continue
            if target.started:
                self._out.append(CancelJob(target.job, "abort"))
            self._drop_job(target)
            self._close(target)
            self._out.append(Disconnect(target.name))

    def _connecting(self, name: str) -> Target | None:
        """The target if an attempt to reach it is what we wait for."""
        target = self._targets.get(name)
        return None if target is None or target.over or target.job else target

    def _try_again(self, target: Target, at: float, text: str | None) -> None:
        pause = min(RETRY_MOST_S, RETRY_FIRST_S * 2**target.attempts)
        target.attempts = min(target.attempts + 1, 16)
        target.retry_at = at + pause * (0.5 + self._jitter())
        heapq.heappush(self._retries, (target.retry_at, target.name))
        target.failure, target.stage = text, None
        if target.state == "pending":
            self._report(target, "connecting", text)

    def _give_up(self, target: Target, state: str, text: str) -> None:
        self._report(target, state, text)
        self._out.append(Disconnect(target.name))

    def _give_up_or_lose(self, target: Target, state: str, text: str) -> None:
        """It is not tried any more; if its job had broken off, that is what became of it."""
        if target.broke is not None:
            state, text = "lost", f"{target.broke}; {text}"
        self._give_up(target, state, text)

    def _drop_job(self, target: Target) -> None:
        self._by_job.pop(target.job, None)
        target.job = 0
        target.started = target.restarting = False

    def _wait_anew(self, at: float) -> None:
        self._deadline = None if self._wait_s is None else at + self._wait_s
        self._waited = False

    def _is_late(self, target: Target, now: float) -> bool:
        """At the end of the wait: it is in its first try, or before it, since others had their turn before it."""
        if target.stage is None or target.failure or self._wait_s is None:
            return False
        return target.turn_at is None or target.turn_at > now - self._wait_s + LATE_S

    def _wait_is_over(self, at: float, target: Target | None = None) -> bool:
        """For all, or for this one: it had one try after that, or a wait of its own since its job broke off."""
        if target is not None and target.broke is not None:
            return target.back_by is not None and at >= target.back_by
        return (self._deadline is not None and at >= self._deadline) or (target is not None and target.last_try)

    def _next_wake(self) -> float | None:
        while self._retries and self._targets[self._retries[0][1]].retry_at != self._retries[0][0]:
            heapq.heappop(self._retries)
        while self._absences and self._targets[self._absences[0][1]].back_by != self._absences[0][0]:
            heapq.heappop(self._absences)
        times = [heap[0][0] for heap in (self._retries, self._absences) if heap]
        if self._deadline is not None and not self._waited:
            times.append(self._deadline)
        return min(times, default=None)

    def _close(self, target: Target) -> None:
        target.over = True
        target.retry_at = target.broke = target.back_by = None
        self._open -= 1

    def _report(self, target: Target, state: str, reason: str | None = None, *, again: bool = False) -> None:
        target.state = state
        if state in ENDED and not again and not target.over:
            self._close(target)
        self._out.append(Report(target.name, state, reason, target.level, target.profile, target.python, again))


def _due(heap: list[tuple[float, str]], at: float) -> Iterable[str]:
    """Take what is due out of a heap. Whoever asks looks whether it still holds."""
    while heap and heap[0][0] <= at:
        yield heapq.heappop(heap)[1]
