"""One query's run at the client: answers need_start, grants credit, drains, and yields snapshots.

Knows jobs and credit windows. Folds nothing itself: what arrives is staged for the reducer's thread, in order, states
among cuts, so that a snapshot never shows a provider `done` whose last cut has not been applied.

Its life:  submitted -> snapshots ... -> (drain) -> final snapshot -> released by the session.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from backplane.client.credit import Fragments, Window
from backplane.client.feeding import Feeder
from backplane.client.reducing import Outcome, Reducing
from backplane.client.refiltering import Refiltering
from backplane.client.spec import Options, Question, Ready
from backplane.query.starting import filter_hash
from backplane.reduce.answer import Answer, Applied, Begin, Instruction, Nonsense, Restart, Stop
from backplane.reduce.coverage import ENDED
from backplane.reduce.snapshot import Snapshot
from backplane.wire import codec, limits
from backplane.wire.errors import LogReduceError, UsageError
from backplane.wire.messages import (
    Cancel,
    Credit,
    End,
    Fault,
    Message,
    NeedStart,
    Note,
    Start,
    State,
    Submit,
    Targets,
)
from provider.runner import frames

if TYPE_CHECKING:
    from backplane.client.keeping import Keeper
    from backplane.client.store.database import Store

#: A named query that goes on asks everybody again but those in these states: they said all that they had to say.
_OVER: Final = frozenset(ENDED) - {"lost", "unreachable"}
#: A following one looks again at whom a filter had left out, and at who had left.
_FOLLOWED_OVER: Final = _OVER - {"left", "filtered_out"}

#: What a coordinator is told of that, which need not know what it costs the answer.
_RESUME: Final = {"exact": "exact", "inexact": "gap", "gap": "gap", "never": ""}


class Run:
    """Made by `Session.ask`. Iterate `snapshots`; the last one is final."""

    def __init__(
        self,
        query_id: str,
        question: Question,
        options: Options,
        send: Callable[[Message], None],
        retire: Callable[[int], None],
        tasks: asyncio.TaskGroup,
        store: Store | None = None,
    ) -> None:
        self.query_id = query_id
        self._store = store
        self._question = question
        self._options = options
        self._send = send
        self._retire = retire
        self._tasks = tasks
        self._windows: dict[int, Window] = {}
        self._providers: dict[int, str] = {}
        self._live: set[int] = set()
        #: What live jobs were asked for with, unless they are restarted; those that were begun, and their providers.
        self._needs: dict[int, NeedStart] = {}
        self._going: set[int] = set()
        self._started: set[str] = set()
        #: Providers that a filter has kept, which is not asked again after a break.
        self._passed: set[str] = set()
        self._ends: dict[str, End] = {}
        #: Why there is no coordinator that knows of this query, while there is none.
        self._apart: str | None = None
        self._breaks = 0
        self._asking: dict[str, Any] = {}
        self._refilter = Refiltering(query_id, question, options, send, retire)
        #: Values that are not whole yet; for its statistics.
        self.fragments = Fragments(limits.FRAGMENTS_BYTES)
        #: Providers that have ended: nothing that happens to the coordinator changes what is said of them.
        self._over: set[str] = set()
        self._feeder: Feeder | None = None
        self._finished = asyncio.Event()
        self._draining = False
        self._failure: BaseException | None = None
        self._names: list[str] = []
        self._reducing: Reducing | None = None

    # -- asking

    def submit(
        self,
        providers: Sequence[Mapping[str, Any]],
        reach: Mapping[str, Any],
        select: Mapping[str, Any] | None = None,
    ) -> None:
        """Send the query to the coordinator."""
        # Whom a selection means the coordinator says.
        self._names = [provider["name"] for provider in providers] if select is None else []
        answer = Answer(
            query=self._question.name,
            query_id=self.query_id,
            fold=self._question.fold(),
            targets=self._names,
            endless=self._question.endless,
            coverage_full=self._options.coverage_full,
            resume=self._question.work.resume,
            resume_why=self._question.work.resume_why,
            durable=self._store is not None,
            most_groups=self._options.most_groups,
        )
        keeper = self._kept(answer, self._store) if self._store else None
        self._reducing = Reducing(answer, self._outcome, self._failed, keeper, self._options.most_bytes)
        self._asking = {"entries": list(providers), "select": select, "reach": dict(reach)}
        if select is None and self._names and not set(self._names) - self._over:
            self._finished.set()  # all had come to an end when the client of before stopped
        elif self._started and self._question.work.effects:
            self._tasks.create_task(self._again_later(self._breaks))
        else:
            self._submit()

    def _kept(self, answer: Answer, store: Store) -> Keeper:
        """The answer as it was when a client of before stopped; nothing is in a new store."""
        from backplane.client.keeping import Keeper

        answer.place(store.places, store.facts.get("seq", 0), store.facts.get("at", 0.0))
        over = _FOLLOWED_OVER if self._question.endless else _OVER
        if self._question.work.resume == "never":
            over |= {"lost"}
        self._over = {name for name, state in answer.ended().items() if state in over}
        answer.again(self._over)
        # If that client was killed, its jobs may live for a lease yet.
        self._started = {place.name for place in store.places if place.cursor.epoch} - self._over
        return Keeper(answer, store)

    def _submit(self) -> None:
        """Ask for all who have not ended."""
        work = self._question.work
        self._apart = None
        self._send(
            Submit(
                query=self.query_id,
                title=self._question.title,
                follow=self._question.endless,
                wait_s=self._options.wait_s,
                resume=_RESUME[work.resume],
                effects=work.effects,
                refilter_s=self._refilter.every_s,
                first=self._options.first(),
                payload=codec.pack(self._asking | {"without": sorted(self._over)}),
            )
        )

    @property
    def reducing(self) -> Reducing:
        """The reducer's thread; for its statistics."""
        assert self._reducing is not None, "submitted first"
        return self._reducing

    async def snapshot(self) -> Snapshot:
        """The answer as it is now, beside those of `snapshots`.

        Raises:
            LogReduceError: the user's reduce failed, or the run is over.
        """
        return await self.reducing.snapshot(final=False, aside=True)

    async def snapshots(self) -> AsyncIterator[Snapshot]:
        """A snapshot every interval (none if ``every_s`` is None), then the final one.

        Raises:
            LogReduceError: the coordinator refused the query, or the user's reduce failed.
        """
        loop = asyncio.get_running_loop()
        ends = None if self._options.for_s is None else loop.time() + self._options.for_s
        due = None if self._options.every_s is None else loop.time() + self._options.every_s
        while not self._finished.is_set():
            await self._until(min((t for t in (ends, due) if t is not None), default=None))
            if self._failure:
                raise self._failure
            now = loop.time()
            if ends is not None and now >= ends:
                ends = None
                self.drain()
            if due is not None and now >= due and not self._finished.is_set():
                yield await self.reducing.snapshot(final=False)
                assert self._options.every_s is not None
                due = max(due + self._options.every_s, loop.time())
        if self._failure:
            raise self._failure
        yield await self.reducing.snapshot(final=True)

    async def _until(self, when: float | None) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout_at(when):
                await self._finished.wait()

    # -- ending

    def drain(self) -> None:
        """Ask every job for a last cut; the run finishes when all have answered or their time is up."""
        if self._draining or self._finished.is_set():
            return
        if self._apart is not None:
            self.lose(f"{self._apart}; ended before they came back")
            return
        self._draining = True
        self._send(Cancel(query=self.query_id, mode="drain"))
        self._tasks.create_task(self._drained())

    def stop(self) -> None:
        """Finish at once, with what has been applied."""
        self._finished.set()

    async def _drained(self) -> None:
        """What has not been started by now never is, and the coordinator says so; what has, ends."""
        try:
            async with asyncio.timeout(limits.DRAIN_S + 2):
                await self._finished.wait()
        except TimeoutError:
            self._finished.set()

    def broken(self, reason: str) -> None:
        """The link to the coordinator broke: who had started there is lost, for the time being if it may go on."""
        if self._finished.is_set():
            return
        if self._draining:
            self.lose(reason)
        else:
            self._break(reason, again=self._question.work.resume != "never")

    def again(self) -> None:
        """There is a coordinator again, which knows nothing of this query: ask it for those who have not ended."""
        if self._question.work.effects and self._started - self._over:
            self._tasks.create_task(self._again_later(self._breaks))
        else:
            self._again()

    async def _again_later(self, breaks: int) -> None:
        """Once every job of before is surely gone, since none may meet its successor."""
        await asyncio.sleep(limits.LEASE_S + 2)
        if breaks == self._breaks:
            self._again()

    def _again(self) -> None:
        if set(self._names) - self._over and not self._finished.is_set():
            self._submit()

    def lose(self, reason: str) -> None:
        """The coordinator is gone for good: what has not ended never will. States that are final stay."""
        if self._finished.is_set():
            return
        self._break(reason, again=False)
        for name in sorted(set(self._names) - self._over):
            self._put_state(name, "unreachable", reason)
        self._finished.set()

    def _break(self, reason: str, *, again: bool) -> None:
        self._apart = reason
        self._breaks += 1
        if self._feeder:
            self._feeder.close()
            self._feeder = None
        for job in list(self._live):
            self._ended(job)
        self._refilter.clear()
        outside = self._refilter.outside
        for name in sorted(self._started - self._over - set(outside)):
            # An end is followed by its state; where the break came between the two, the end says what it would be.
            end = self._ends.get(name)
            if end and end.state in ENDED and not end.broken:
                self._put_state(name, end.state, end.reason)
            else:
                self._put_state(name, "lost", reason, again=again)
        for name, state in list(outside.items()) if not again else ():
            self._put_state(name, state.state, state.reason)

    def _put_state(self, name: str, state: str, reason: str | None, *, again: bool = False) -> None:
        if not again:
            self._over.add(name)
        message = State(query=self.query_id, provider=name, state=state, reason=reason, again=again)
        self.reducing.put(name, message, 0)

    async def close(self, join_s: float) -> None:
        """End the reducer's thread and the feeder."""
        if self._feeder:
            self._feeder.close()
        await self.reducing.close(join_s)

    # -- what arrives

    def about(self, message: State | Targets | Fault) -> None:
        """A frame of the link that names this query."""
        if isinstance(message, Fault):
            self._failed((UsageError if message.code == "usage" else LogReduceError)(message.text))
            return
        if isinstance(message, Targets):
            self._names = codec.unpack(message.payload)
            self.reducing.put("", message, 0)
            return
        self._refilter.heard(message)
        self._options.on_state(message)
        if message.state == "pending":
            # It begins, perhaps anew: it had left and has come back.
            self._over.discard(message.provider)
            self._started.discard(message.provider)
        elif message.state == "running":
            self._passed.add(message.provider)
        elif message.state in ENDED:
            if not message.again:
                self._over.add(message.provider)
            elif message.state == "lost":
                self._say(f"{message.provider} is lost for now: {message.reason}")
            if message.state != "lost" or not message.again:
                self._passed.discard(message.provider)
            for job in [job for job in self._live if self._providers[job] == message.provider]:
                self._ended(job)
        self.reducing.put(message.provider, message, 0)

    def arrived(self, job: int, kind: int, message: Message | None, size: int) -> None:
        """A frame of one of this run's jobs: ``message`` is None while its fragments are not complete.

        Its bytes count at once, because staging holds them from now on.
        """
        if isinstance(message, NeedStart):
            self._need_start(message)
            return
        if job in self._refilter:
            self._refilter.arrived(job, message)
            return
        if kind in frames.SPENDS_CREDIT:
            self._windows[job].take(size)
            self._joined(job, kind, size, whole=message is not None)
        if isinstance(message, Credit):
            if self._feeder:
                self._feeder.granted(message.granted)
        elif isinstance(message, Note):
            self._note(job, message)
        elif message is not None:
            self._stage(job, message, size)
        self._grant(job)

    def nonsense(self, job: int, text: str) -> None:
        """One of this run's jobs sent what cannot be read."""
        if job in self._refilter:
            self._refilter.forget(job)
        else:
            self.reducing.put(self._providers[job], Nonsense(job, text), 0)

    def _joined(self, job: int, kind: int, size: int, *, whole: bool) -> None:
        if not whole:
            self.fragments.add(job, kind, size)
            return
        crowded = self.fragments.crowded
        self.fragments.complete(job, kind)
        if crowded:
            self._grant_all()

    def _ended(self, job: int) -> None:
        """Nothing more comes of a job."""
        self._live.discard(job)
        self._going.discard(job)
        self._needs.pop(job, None)
        self._windows.pop(job, None)
        self._retire(job)
        crowded = self.fragments.crowded
        self.fragments.forget(job)
        if crowded:
            self._grant_all()

    def _stage(self, job: int, message: Message, size: int) -> None:
        provider = self._providers[job]
        if isinstance(message, Fault) and self._options.on_fault:
            self._options.on_fault(provider, message)
        self.reducing.put(provider, message, max(size, len(getattr(message, "payload", b""))))
        if isinstance(message, End):
            if job in self._needs:
                self._ends[provider] = message
            self._ended(job)
            if message.drained and not self._refilter.leaves(provider):
                self._over.add(provider)

    def _say(self, text: str) -> None:
        if self._options.on_break:
            self._options.on_break(text)

    def _note(self, job: int, note: Note) -> None:
        told = (note.stream == "sample" and self._options.on_sample) or self._options.on_note
        if told:
            dropped = f"\n({note.dropped} lines of output dropped)" if note.dropped else ""
            told(self._providers[job], note.payload.decode("utf-8", "replace") + dropped)

    def _need_start(self, need: NeedStart) -> None:
        """Through staging too: an epoch is minted after all that came before has been applied."""
        if self._draining:
            return
        if need.reason == "refilter":
            self._refilter.need(need)
            return
        for job in [job for job in self._live if self._providers[job] == need.provider]:
            self._ended(job)
        self._providers[need.job] = need.provider
        self._windows[need.job] = Window(limits.job_credit(len(self._names)))
        self._live.add(need.job)
        self._needs[need.job] = need
        self.reducing.put(need.provider, need, 0)

    def _start(self, begin: Begin) -> None:
        need = begin.need
        if self._needs.get(need.job) is not need:
            return  # it was of a link that broke meanwhile
        again = need.provider in self._passed and need.reason != "rejoined"
        if again:
            self._say(f"{need.provider} is back: its job {begin.epoch} begins")
        self._going.add(need.job)
        self._started.add(need.provider)
        self._ends.pop(need.provider, None)
        work = self._question.work
        ready = Ready(need.provider, need.python, need.labels)
        body = {**self._question.body(ready, begin.positions), "resumed": begin.resumed}
        if begin.at_end:
            body |= {"since": None, "rotated": False}
        self._send(
            Start(
                job=need.job,
                epoch=begin.epoch,
                query=self.query_id,
                granted=self._windows[need.job].granted,
                body=work.body,
                filter_s=self._options.filter_s,
                guard=work.guard,
                lines=work.lines,
                limits={**work.limits, **self._options.limits},
                feed=self._question.feed,
                filter=filter_hash(work.body, body),
                fresh_s=self._refilter.fresh_s,
                kept=again,
                payload=codec.pack(body),
            )
        )
        if self._question.feed:
            self._feeder = Feeder(need.job, self._send)
            self._tasks.create_task(self._feeder.feed())

    # -- what comes of it

    def _outcome(self, outcome: Outcome) -> None:
        """In the loop: the reducer's thread has applied something."""
        if outcome.notice and self._options.on_notice:
            self._options.on_notice(outcome.notice)
        for instruction in outcome.instructions:
            self._obey(instruction)
        if outcome.room:
            self._grant_all()
        if outcome.finished:
            self._finished.set()

    def _obey(self, instruction: Instruction) -> None:
        if isinstance(instruction, Begin):
            self._start(instruction)
        elif isinstance(instruction, Applied):
            if window := self._windows.get(instruction.job):
                window.applied = instruction.seq
        elif isinstance(instruction, (Restart, Stop)):
            # A number may have been given again since, by another coordinator: to a job that has not been begun yet.
            if instruction.job in self._going:
                if restart := isinstance(instruction, Restart) and self._question.work.resume != "never":
                    self._needs.pop(instruction.job, None)  # its end will not be its provider's
                self._send(Cancel(job=instruction.job, mode="restart" if restart else "abort"))
        else:
            self.drain()

    def _grant_all(self) -> None:
        for job in self._live:
            self._grant(job)

    def _grant(self, job: int) -> None:
        # Asked of staging now, and not of the outcome that brought us here: on a busy machine that is old, and what has
        # arrived since may have filled staging again. The thread says it once more when that is applied.
        if job not in self._live or not self.reducing.room or not self.fragments.admits(job):
            return
        total = self._windows[job].grant()
        if total is not None:
            self._send(Credit(job=job, granted=total, applied=self._windows[job].applied))

    def _failed(self, exc: BaseException) -> None:
        self._failure = exc
        self._finished.set()
