"""One query in the coordinator: carries out what its plan says, and tells the plan what happened.

Knows links, the relay and its client. Decides nothing: every state comes from `coordinator.plan`.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter, deque
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from backplane.wire import codec, limits
from backplane.wire.errors import ReachError
from backplane.wire.messages import NeedStart, State, Submit, Targets
from coordinator import log, plan, steps
from coordinator.gate import Gate
from coordinator.links import Link, Links, key_of
from coordinator.relay import Client, Job, Relay
from coordinator.story import Story
from coordinator.table import Provider, ReachOptions
from coordinator.terms import reserved


class Query:
    """One query's driver; the `Owner` of its jobs.

    Args:
        submit: what the client asked for.
        providers: its targets, each name once.
        done: called once when it is over.
        story: is told what happens.
        check_room: raises a ValueError if so many targets, and so many bytes more to be granted ahead, are too many.
    """

    def __init__(
        self,
        submit: Submit,
        providers: Sequence[Provider],
        options: ReachOptions,
        client: Client,
        relay: Relay,
        links: Links,
        numbers: Iterator[int],
        done: Callable[[Query], None],
        story: Story,
        check_room: Callable[[Client, int, int], None],
    ) -> None:
        self.query = submit.query
        self.title = submit.title
        self.client = client
        self._submit = submit
        self._options = options
        self._relay = relay
        self._links = links
        self._done = done
        self._story = story
        self._check_room = check_room
        self._reserved = 0
        #: Bytes that its jobs which are over have passed.
        self._passed = 0
        self._gate = Gate(options.fanout)
        self._targets = {provider.name: _Target(self, _reached(provider, options), options) for provider in providers}
        #: Whom it asks now: of its targets, those that have not left.
        self._asked = set(self._targets)
        self._jobs: dict[int, Job] = {}
        self._plan = plan.Plan(numbers, random.random)
        self._events: deque[steps.Event] = deque()
        self._busy = False
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._began = self.now

    def begin(self) -> None:
        """Tell the client whom it asks, and start connecting."""
        names = tuple(sorted(self._targets))
        log.info("query submitted", query_id=self.query, user=self.client.user, title=self.title, targets=len(names))
        self.client.tell(Targets(query=self.query, payload=codec.pack(list(names))))
        wait_s = self._submit.wait_s
        if wait_s is None and not self._submit.follow:
            wait_s = limits.WAIT_S
        resumes = bool(self._submit.resume)
        refilter_s = self._submit.refilter_s if self._submit.follow else None
        effects, first = self._submit.effects, self._submit.first
        self.tell(steps.QuerySubmitted(self.now, names, wait_s, resumes, effects, refilter_s, first))

    def admit(self) -> None:
        """Ask those too who were held back."""
        self.tell(steps.Admitted(self.now))

    @property
    def now(self) -> float:
        """The clock of the plan."""
        return self._loop.time()

    def tell(self, event: steps.Event) -> None:
        """An event for the plan. What it leads to may be events again; they wait for their turn."""
        self._events.append(event)
        if self._busy:
            return
        self._busy = True
        try:
            while self._events:
                for instruction in self._plan.handle(self._events.popleft()):
                    self._obey(instruction)
        finally:
            self._busy = False

    def change(self, providers: Mapping[str, Provider]) -> None:
        """The table has changed, and its selection means these now: some join, and who is not among them leaves."""
        joined, left = set(providers) - self._asked, self._asked - set(providers)
        for name, provider in providers.items():
            self._place(_Target(self, _reached(provider, self._options), self._options), stays=name in self._asked)
        self.tell(steps.TableTouched(self.now))
        if not (joined or left):
            return
        self._asked = set(providers)
        log.info("targets changed", query_id=self.query, joined=len(joined), left=len(left))
        self._admit(joined)
        self.client.tell(Targets(query=self.query, payload=codec.pack(sorted(self._targets))))
        self.tell(steps.TargetsChanged(self.now, tuple(sorted(joined)), tuple(sorted(left))))

    def _admit(self, joined: Collection[str]) -> None:
        """Reserve for those who join, or refuse them all: the answer then names them and goes on without."""
        for name in joined:
            self._targets[name].refusal = None
        asked = sum(target.refusal is None for target in self._targets.values())
        # Those who run have been granted by the smaller number of before.
        grown = self._reserved + len(joined) * limits.job_credit(asked)
        need = min(max(reserved(asked), grown), asked * limits.CREDIT_JOB_MOST_BYTES)
        try:
            if joined and need > self._reserved:
                self._check_room(self.client, asked, need - self._reserved)
            self.reserve(max(need, self._reserved))
        except ValueError as exc:
            for name in joined:
                self._targets[name].refusal = f"it joined too late: {exc}"

    def _place(self, target: _Target, *, stays: bool) -> None:
        """Take a new target, or another way to one that has not been reached on the old one."""
        name = target.provider.name
        known = self._targets.get(name)
        if known is None:
            self._targets[name] = target
        elif known.link is None and known.provider != target.provider:
            known.disconnect(self._links)
            self._targets[name] = target
            if stays and not self._plan.holds(name) and self._plan.states().get(name) in ("pending", "connecting"):
                target.connect(self._links, self._gate)
        elif known.provider.labels != target.provider.labels:
            known.provider = replace(known.provider, labels=target.provider.labels)  # its filter may look at them

    def reserve(self, size: int) -> None:
        """From now on its client may be granted so many bytes ahead for it, until it is over."""
        self.client.reserved += size - self._reserved
        self._reserved = size

    def described(self) -> dict[str, Any]:
        """What `ps` tells of it."""
        return {
            "id": self.query,
            "user": self.client.user,
            "title": self.title,
            "age_s": round(self.now - self._began, 3),
            "targets": len(self._targets),
            "states": dict(Counter(self._plan.states().values())),
            "bytes": self._passed + sum(job.passed for job in self._jobs.values()),
        }

    def client_gone(self) -> None:
        """Its client is not there any more."""
        self.tell(steps.ClientGone(self.now))

    # The owner of jobs.

    def job_started(self, job: Job, profile: str) -> None:
        self._log("job started", job, profile=profile)
        self.tell(steps.Started(self.now, job.number, profile))

    def job_decided(self, job: Job, keep: bool) -> None:
        self._log("filter decided", job, keep=keep)
        self.tell(steps.VerdictPassed(self.now, job.number, keep))

    def job_ended(self, job: Job, state: str, reason: str | None, drained: bool) -> None:
        self._over(job.number)
        self._log("job ended", job, state=state, reason=reason, drained=drained, passed_bytes=job.passed)
        self.tell(steps.JobEnded(self.now, job.number, state, reason, drained))

    def job_broke(self, job: Job, state: str, reason: str | None) -> None:
        self._over(job.number)
        self._log("job broke off", job, reason=reason, passed_bytes=job.passed)
        self.tell(steps.JobEnded(self.now, job.number, state, reason, drained=False, broken=True))

    def job_noted(self, job: Job, event: str) -> None:
        self._log(event, job)

    def cancel(self, mode: str, number: int = 0) -> None:
        self.tell(steps.CancelAsked(self.now, mode, number))

    def _log(self, event: str, job: Job, **fields: object) -> None:
        self.tell_story(job.link.provider.name, event, job=job.number, **fields)

    def tell_story(self, provider: str, event: str, **fields: object) -> None:
        """A line for the log and for the story of a provider."""
        log.debug(event, query_id=self.query, provider=provider, **fields)
        self._story.add(provider, event, **fields)

    # What the plan orders.

    def _obey(self, instruction: steps.Instruction) -> None:
        match instruction:
            case steps.Connect(name):
                self._targets[name].connect(self._links, self._gate)
            case steps.Disconnect(name):
                if link := self._targets[name].link:
                    self.drop_of(link)  # what was asked for and is not started by now must not be
                self._targets[name].disconnect(self._links)
            case steps.AskStart(number, name, reason):
                self._ask(number, self._targets[name], reason)
            case steps.Report():
                self._report(instruction)
            case steps.CancelJob(number, mode):
                if job := self._jobs.get(number):
                    self._relay.cancel(job, mode)
            case steps.WakeAt(at):
                self._wake_at(at)
            case steps.Forget():
                self._end()

    def _ask(self, number: int, target: _Target, reason: str) -> None:
        link = target.link
        if link is None or link.hello is None:
            return  # it broke in the same breath; that event is on its way to the plan
        job = self._jobs[number] = Job(number, self, self.client, link)
        self._relay.add(job)
        self.client.tell(
            NeedStart(
                job=number,
                query=self.query,
                provider=target.provider.name,
                reason=reason,
                python=link.hello.python,
                host=link.hello.host,
                uid=link.hello.uid,
                labels=dict(target.provider.labels),
            )
        )

    def _report(self, report: steps.Report) -> None:
        again = report.again or None
        self.tell_story(report.provider, "state", state=report.state, reason=report.reason, again=again)
        self.client.tell(
            State(
                query=self.query,
                provider=report.provider,
                state=report.state,
                reason=report.reason,
                level=report.level,
                profile=report.profile,
                python=report.python,
                at=time.time(),
                again=report.again,
            )
        )

    def _wake_at(self, at: float) -> None:
        if self._timer:
            self._timer.cancel()
        self._timer = self._loop.call_at(at, self._woken)

    def _woken(self) -> None:
        self.tell(steps.TimePassed(self.now))

    def _end(self) -> None:
        if self._timer:
            self._timer.cancel()
        for target in self._targets.values():
            target.disconnect(self._links)
        for number in list(self._jobs):
            self.drop(number)
        self.reserve(0)
        self._story.over = True
        states = dict(Counter(self._plan.states().values()))
        log.info("query over", query_id=self.query, states=states, took_s=round(self.now - self._began, 3))
        self._done(self)

    def drop(self, number: int) -> None:
        """A job is over without an end."""
        self._relay.drop(number)
        self._over(number)

    def _over(self, number: int) -> None:
        if job := self._jobs.pop(number, None):
            self._passed += job.passed

    def drop_of(self, link: Link) -> None:
        """A link broke: its jobs are over."""
        for number in [number for number, job in self._jobs.items() if job.link is link]:
            self.drop(number)


class _Target:
    """A query's interest in one provider; the `Watcher` of its link."""

    def __init__(self, query: Query, provider: Provider, options: ReachOptions) -> None:
        self.provider = provider
        self.link: Link | None = None
        self._query = query
        self._options = options
        self._key = key_of(provider, options)
        self._name = provider.name
        #: Why it is not asked.
        self.refusal: str | None = None

    def connect(self, links: Links, gate: Gate) -> None:
        if self.refusal:
            self._query.tell(steps.LinkFailed(self._query.now, self._name, self.refusal, "refused", retry=False))
            return
        links.watch(self._key, self._options, self, gate)

    def disconnect(self, links: Links) -> None:
        self.link = None
        links.unwatch(self._key, self)

    def link_trying(self, stage: str) -> None:
        self._query.tell_story(self._name, "trying", stage=stage)
        self._query.tell(steps.LinkTrying(self._query.now, self._name, stage))

    def link_up(self, link: Link) -> None:
        assert link.hello is not None
        if self._is_forbidden_root(link):
            text = "the login is root: use another one, or --allow-root"
            self._query.tell(steps.LinkFailed(self._query.now, self._name, text, "refused", retry=False))
            return
        self.link = link
        hello, python = link.hello, ".".join(map(str, link.hello.python))
        self._query.tell_story(self._name, "link up", runner=link.level, python=python, host=hello.host, uid=hello.uid)
        self._query.tell(steps.LinkUp(self._query.now, self._name, link.level, link.hello.python))

    def link_failed(self, error: ReachError) -> None:
        self._query.tell_story(self._name, "not reached", reason=str(error), may_retry=error.retry)
        self._query.tell(steps.LinkFailed(self._query.now, self._name, str(error), error.state, error.retry))

    def link_lost(self, reason: str) -> None:
        if self.link:
            self._query.drop_of(self.link)
            self.link = None
        self._query.tell_story(self._name, "link lost", reason=reason)
        self._query.tell(steps.LinkLost(self._query.now, self._name, reason))

    def link_quiet(self) -> None:
        self._query.tell(steps.LinkQuiet(self._query.now, self._name))

    def link_heard(self) -> None:
        self._query.tell(steps.LinkHeard(self._query.now, self._name))

    def _is_forbidden_root(self, link: Link) -> bool:
        """An SSH login as root. A resident runs as whom its host's owner chose, and sudo is asked for by name."""
        assert link.hello is not None
        asked = self.provider.sudo or self._options.sudo or self._options.allow_root
        return self.provider.reach == "ssh" and link.level != "resident" and link.hello.uid == 0 and not asked


def _reached(provider: Provider, options: ReachOptions) -> Provider:
    """A provider of which nobody said otherwise is reached by the query's command, if there is one."""
    if provider.reach == "ssh" and (provider.via or options.via):
        return replace(provider, reach="command", via=provider.via or options.via)
    return provider
