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
* ``connecting`` lasts through failures that another try may mend, each reported with it, with a pause that doubles and
  is jittered, until the query's wait is over; then the provider is ``unreachable`` for its last failure's reason. The
  wait cuts no first try, which ends by its own deadlines. A failure that is final (a key, a name, a policy) ends it at
  once.
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
* The filter of a following query may stand (`coordinator.refilter`): a provider that runs is asked again now and then,
  by a job beside its own (``refilter``), and two noes in a row have it drained and ``left``. Who has left so, or was
  ``filtered_out``, is *outside*: that is reported with ``again``, and a start asked for again, as ``rejoined``, of
  which nothing is reported unless the filter says yes (``running``). Whatever else becomes of it changes nothing.
* A query may have some asked first (`QuerySubmitted.first`). The others, and who joins meanwhile, are *held back*:
  ``pending``, not connected to, and no wait runs for them, until the client says that all are to be asked (`Admitted`).
* A query is over (`Forget`) when no provider can say anything any more: each has ended or has been drained.

Events about a provider or job that the plan does not know, or that has ended, do nothing: they crossed on their way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from coordinator.due import soonest
from coordinator.roster import ENDED, LIVE, Roster
from coordinator.steps import (
    Admitted,
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
    Started,
    TableTouched,
    TargetsChanged,
    TimePassed,
    VerdictPassed,
    WakeAt,
)
from coordinator.target import HELD, Target, why
from coordinator.waiting import MOST_DEATHS

__all__ = ["ENDED", "LIVE", "Plan"]

#: Why a provider has left.
_LEFT: Final = "the provider table does not select it any more"
_FILTERED: Final = "its filter says no"


class Plan(Roster):
    """The state machine of one query. `handle` is its only way in.

    Args:
        jobs: gives job numbers that no other plan of this coordinator is given.
        jitter: a random number from 0 to 1, so that providers that failed together do not come back together.
    """

    def __init__(self, jobs: Iterator[int], jitter: Callable[[], float]) -> None:
        super().__init__(jobs, jitter)
        self._jobs = jobs
        #: Jobs may go on after a break; and must not run twice at a time.
        self._resumes = False
        self._effects = False
        #: The client wants no more: whoever comes now is not asked.
        self._cancelled = False
        #: Those who join are held back too.
        self._holds = False
        self._woken_at: float | None = None
        self._forgotten = False
        self._handlers: dict[type[Event], Callable[..., None]] = {
            QuerySubmitted: self._submitted,
            TargetsChanged: self._changed,
            TableTouched: self._touched,
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
            Admitted: self._admit,
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
        elif (wake := soonest(self._waiting.next(), self._refilter.next())) is not None and wake != self._woken_at:
            self._woken_at = wake
            self._out.append(WakeAt(wake))
        return self._out

    def _submitted(self, event: QuerySubmitted) -> None:
        self._targets = {name: Target(name) for name in event.targets}
        self._open = len(self._targets)
        self._waiting.wait_s = event.wait_s
        self._resumes, self._effects = event.resumes, event.effects
        self._refilter.every(event.refilter_s)
        self._waiting.anew(event.at)
        self._holds = bool(event.first)
        first = frozenset(event.first)
        for name, target in self._targets.items():
            target.held = self._holds and name not in first
            self._report(target, "pending", HELD if target.held else None)
        self._out.extend(Connect(name) for name, target in self._targets.items() if not target.held)

    def _admit(self, event: Admitted) -> None:
        """Those who were held back begin now, with a wait of their own."""
        held = [target for target in self._targets.values() if target.held and not target.over]
        self._holds = False
        if not held:
            return
        self._waiting.anew(event.at)
        for target in held:
            target.held = False
            self._report(target, "pending")
        self._out.extend(Connect(target.name) for target in held)

    def _changed(self, event: TargetsChanged) -> None:
        joining = [] if self._cancelled else [name for name in event.joined if self._joins(name)]
        if joining:
            self._waiting.anew(event.at)
        for name in joining:
            self._join(name)
        for name in event.left:
            if target := self._targets.get(name):
                self._leave(target)

    def _touched(self, event: TableTouched) -> None:
        self._refilter.soon(self._targets.values(), event.at)

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
        target.held = self._holds
        self._report(target, "pending", HELD if target.held else None)
        if not target.held:
            self._out.append(Connect(name))

    def _leave(self, target: Target) -> None:
        target.returning = target.unfiltered = False
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
        if target.state == "pending":
            self._report(target, "connecting")

    def _up(self, event: LinkUp) -> None:
        target = self._connecting(event.provider)
        if target is None:
            return
        target.level, target.python = event.level, event.python
        target.stage = None
        self._waiting.retries.drop(target.name)
        target.job = next(self._jobs)
        self._by_job[target.job] = target
        if target.state == "pending":
            self._report(target, "connecting")
        reason = "rejoined" if target.outside else target.reason if target.broke is None else "resumed"
        self._out.append(AskStart(target.job, target.name, reason))

    def _failed(self, event: LinkFailed) -> None:
        target = self._connecting(event.provider)
        if target is None:
            return
        self._missed(target, event.at, event.text, event.state, retry=event.retry)

    def _lost(self, event: LinkLost) -> None:
        target = self._targets.get(event.provider)
        if target is None or not target.job:
            return
        if target.outside:
            self._stay_outside(target, event.at)
        elif target.started:
            self._break(target, event.at, event.reason, may_run=True)
        else:
            self._drop_job(target)
            self._missed(target, event.at, event.reason)

    def _missed(self, target: Target, at: float, text: str, state: str = "unreachable", *, retry: bool = True) -> None:
        """An attempt to reach it came to nothing."""
        if target.outside:
            self._stay_outside(target, at)
        elif not retry or self._waiting.is_over(at, target):
            self._give_up_or_lose(target, state, text)
        else:
            self._try_again(target, at, text)

    def _break(self, target: Target, at: float, reason: str, *, may_run: bool, state: str = "lost") -> None:
        """Its job broke off: it is lost, perhaps for the time being.

        Args:
            state: what it is if it does not come back.
            may_run: what broke may be the way to it, and the job go on for a lease.
        """
        self._waiting.count(target, at, died=not may_run)
        again = self._may_return(target)
        target.leaving &= not target.unfiltered
        target.unfiltered = False
        self._drop_job(target)
        self._report(target, "lost" if again else state, reason, again=again)
        if not again:
            self._return(target, at)
            return
        allowed_at = self._waiting.absent(target, at, reason, after_lease=may_run and self._effects)
        self._try_again(target, allowed_at, None)

    def _may_return(self, target: Target) -> bool:
        ended = self._cancelled or (target.leaving and not target.unfiltered) or target.ending
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
        if self._refilter.is_of(event.job):
            self._refilter.started(event.job)
        target = self._by_job.get(event.job)
        if target is not None and not target.started:
            target.started, target.started_at = True, event.at
            self._waiting.back(target)
            target.profile = event.profile
            if not target.outside:
                self._report(target, "filtering")

    def _verdict(self, event: VerdictPassed) -> None:
        if self._refilter.is_of(event.job):
            if leaver := self._refilter.decided(event.job, keep=event.keep):
                self._let_go(leaver)
            return
        target = self._by_job.get(event.job)
        if target is None or not (target.started and event.keep):
            return
        if target.outside or target.state in ("filtering", "stalled"):
            target.outside = False
            self._report(target, "running")
            self._refilter.later(target, event.at)

    def _ended(self, event: JobEnded) -> None:
        if self._refilter.is_of(event.job):
            self._refilter.ended(event.job, event.at)
        target = self._by_job.get(event.job)
        if target is None or not target.started:
            return
        if target.outside:
            self._stay_outside(target, event.at)
            return
        if (event.broken or target.restarting) and not event.drained and self._may_return(target):
            self._out.append(Disconnect(target.name))
            state = event.state if event.state in ENDED else "failed"
            self._break(target, event.at, event.reason or "its job broke off", may_run=False, state=state)
            return
        if self._goes_outside(target, event):
            return
        if target.leaving and (event.drained or event.state in ("done", "left")):
            self._report(target, "left", _FILTERED if target.unfiltered else _LEFT)
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
            self._waiting.anew(at)
            self._join(target.name)

    # What a standing filter does to those who run, and to those who do not.

    def _let_go(self, target: Target) -> None:
        """Its filter does not keep it any more: it hands over what it has, and is outside then."""
        if target.state in LIVE and not target.ending and not target.restarting:
            target.leaving = target.unfiltered = True
            self._report(target, target.state, _FILTERED)
            self._out.append(CancelJob(target.job, "drain"))

    def _goes_outside(self, target: Target, event: JobEnded) -> bool:
        """Its job ended since its filter says no, and it is asked again later."""
        handed_over = target.unfiltered and (event.drained or event.state in ("done", "left"))
        left_out = self._refilter.on and event.state == "filtered_out" and not target.leaving
        if self._cancelled or target.ending or not (handed_over or left_out):
            return False
        state, reason = ("left", _FILTERED) if handed_over else ("filtered_out", event.reason)
        self._drop_job(target)
        target.outside, target.outside_why = True, reason
        target.leaving = target.unfiltered = False
        self._report(target, state, reason, again=True)
        # Its link is kept: it is asked for soon, and a login costs more than a connection that is idle.
        self._refilter.later(target, event.at)
        return True

    def _stay_outside(self, target: Target, at: float) -> None:
        """It was asked again, in vain; or asking it came to nothing."""
        over = self._cancelled or target.ending or target.leaving
        linked = target.started
        self._drop_job(target)
        if over:
            self._give_up_or_lose(target, target.state, _FILTERED)
            self._return(target, at)
        else:
            if not linked:
                self._out.append(Disconnect(target.name))
            self._refilter.later(target, at)

    def _ask_again(self, at: float) -> None:
        for name in self._refilter.due(at):
            target = self._targets[name]
            if target.outside:
                self._out.append(Connect(name))
            elif target.state == "running" and not (target.leaving or target.ending or target.restarting):
                self._out.append(self._refilter.ask(target))
            else:
                self._refilter.later(target, at)  # it is silent, say: another time

    def _time(self, event: TimePassed) -> None:
        self._woken_at = None
        if self._waiting.ends(event.at):
            self._end_wait(event.at)
        for name in self._waiting.absences.take(event.at):
            target = self._targets[name]
            if not target.job:
                self._give_up(target, "lost", f"{target.broke}; it has not come back within the wait: {why(target)}")
        self._out.extend(Connect(name) for name in self._waiting.retries.take(event.at))
        self._ask_again(event.at)

    def _end_wait(self, at: float) -> None:
        for target in self._targets.values():
            if target.over or target.job or target.broke is not None or target.outside or target.held:
                continue
            if target.stage is not None and not target.failure:
                # Its first try is under way, or it is we who have not come to it: that try has deadlines of its own.
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
                begun = "it had started" if target.broke is None else "it was back"
                self._drop_job(target)
                self._give_up_or_lose(target, "unreachable", f"cancelled before {begun}{waiting}")

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

    def _try_again(self, target: Target, at: float, text: str | None) -> None:
        self._waiting.pause(target, at)
        again = text != target.failure
        target.failure, target.stage = text, None
        if target.state in ("pending", "connecting") and again:
            self._report(target, "connecting", text and f"{text}; trying again")
