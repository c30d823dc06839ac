"""One connection to a coordinator, shared by any number of queries.

Knows the link: the version handshake, beats both ways, and which run a frame belongs to (a frame's job was given to
one run by `need_start`; a frame of the link itself names its query). What a frame means is the run's business.

A coordinator may be killed and started anew, or the way to it may break. ZeroMQ would connect again and tell nobody, so
a link ends when the other side says that it does not know us, or says nothing for a lease. Then a new one is made,
under a new name, so that nothing that was on its way to the old one can mean anything to the new; and each run asks
again for those who had not ended (`Run.again`). A private coordinator that is gone is followed by another.

A coordinator of another build (`backplane.wire.builds`) is asked nothing that it could take for something else: it may
be looked at, and what runs there may be cancelled, so that it can be restarted.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
import sys
import time
import uuid
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from backplane.client.again import Again, Elsewhere, GoneForGood, Own
from backplane.client.place import Place
from backplane.client.private import Private, private_coordinator
from backplane.client.reducing import JOIN_S
from backplane.client.run import Run
from backplane.client.spec import Options, Question
from backplane.wire import builds, codec, limits
from backplane.wire.errors import NoCoordinator, RemoteProtocolError, UsageError
from backplane.wire.messages import Ask, Beat, Cancel, Fault, Hello, Message, NeedStart, State, Targets, Told
from backplane.wire.zmq import Dealer
from provider.runner import frames

if TYPE_CHECKING:
    from backplane.client.store.database import Store

#: How long a coordinator may take to come back: a daemon that is restarted with its host's load does in seconds.
ATTACH_S: Final = 30.0
_ATTACH_PAUSE_S: Final = 0.2
#: What a coordinator of any build may be asked: it changes nothing, or it ends queries.
ANY_BUILD: Final = frozenset(("about", "statistics", "queries", "story", "cancel", "providers.ls"))


class Session:
    """Use `open_session`. Statistics and runs are public; everything else goes through `ask`.

    Args:
        again: where to attach again.
        notice: called with a sentence for the user.
        build: ours, for a coordinator that may be of another; empty where we have started it.
    """

    def __init__(
        self, dealer: Dealer, tasks: asyncio.TaskGroup, again: Again, notice: Callable[[str], None], build: str = ""
    ) -> None:
        self._dealer = dealer
        self._tasks = tasks
        self._again = again
        self._notice = notice
        self._instance = uuid.uuid4().hex
        #: The life of the coordinator that we are attached to.
        self._theirs = ""
        self._build = build
        #: What is wrong if it is of another build than we are.
        self.other_build: str | None = None
        self._apart = False
        self._inbox = codec.Inbox()
        self._runs: dict[str, Run] = {}
        self._jobs: dict[int, Run] = {}
        self._asked = 0
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._heard = time.monotonic()
        self._lost: str | None = None

    def ask(
        self,
        question: Question,
        providers: Sequence[Mapping[str, Any]],
        reach: Mapping[str, Any],
        options: Options,
        select: Mapping[str, Any] | None = None,
        store: Store | None = None,
    ) -> Run:
        """Submit a query.

        Args:
            question: what is asked; see `backplane.client.spec`.
            providers: the targets, as `coordinator.table.Provider.to_wire` gives them.
            reach: options for reaching all of them (docs/reference/frames.md, submit).
            options: rhythm and limits of this run.
            select: whom of the coordinator's table, united with ``providers`` (frames.md, select); None: them alone.
            store: keeps a named query's answer; it goes on from what is in there. Its owner closes it after the run.

        Raises:
            NoCoordinator: the session is broken, or the coordinator is of another build.
            StoreError: the store cannot be read.
        """
        if self._lost or self.other_build:
            raise NoCoordinator(self._lost or self.other_build)
        run = Run(uuid.uuid4().hex[:12], question, options, self.send, self._retired, self._tasks, store)
        self._runs[run.query_id] = run
        run.submit(providers, reach, select)
        return run

    async def request(self, what: str, said: Any = None, deadline_s: float = limits.ASK_S) -> Any:
        """Ask the coordinator about itself, and return its answer.

        Args:
            what: a question of docs/reference/frames.md, "ask".
            said: what belongs to it; anything that msgpack knows.

        Raises:
            UsageError: the coordinator answers that it cannot be done, in one sentence.
            NoCoordinator: no answer in time, or the session is broken, or the coordinator is of another build and
                could take this for something else.
        """
        if self._lost or self._apart:
            raise NoCoordinator(self._lost or "the coordinator is away")
        if self.other_build and what not in ANY_BUILD:
            raise NoCoordinator(self.other_build)
        number = self._asked = self._asked + 1
        future = self._answers[number] = asyncio.get_running_loop().create_future()
        self.send(Ask(id=number, what=what, payload=codec.pack(said)))
        try:
            async with asyncio.timeout(deadline_s):
                return await future
        except TimeoutError:
            raise NoCoordinator(f"the coordinator did not answer within {deadline_s:.0f} s") from None
        finally:
            del self._answers[number]

    def _told(self, told: Told) -> None:
        future = self._answers.get(told.id)
        if future is None or future.done():
            return  # whoever asked has given up
        if told.fault is not None:
            future.set_exception(UsageError(told.fault))
        else:
            future.set_result(codec.unpack(told.payload))

    def send(self, message: Message) -> None:
        """Send one message, whole. While there is nobody to send it to it is dropped: runs ask again."""
        if self._lost is None and not self._apart:
            self._dealer.send(list(codec.encode(message)))

    async def close(self, join_s: float) -> None:
        """Release every run; a reducer's thread may take so long to end, and is left behind if it does not."""
        for run in list(self._runs.values()):
            await self.release(run, join_s)

    async def release(self, run: Run, join_s: float = JOIN_S) -> None:
        """Forget a run: what it still has running is aborted."""
        self.send(Cancel(query=run.query_id, mode="abort"))
        self._runs.pop(run.query_id, None)
        for job in [job for job, owner in self._jobs.items() if owner is run]:
            self._retired(job)
        await run.close(join_s)

    def _retired(self, job: int) -> None:
        """Nothing more comes of a job; what it left incomplete is dropped."""
        self._jobs.pop(job, None)
        self._inbox.forget(job)

    async def handshake(self, dealer: Dealer) -> None:
        """Exchange hellos over a new connection.

        Raises:
            NoCoordinator: no answer, or it speaks another version of the protocol.
        """
        hello = Hello(
            role="client",
            python=tuple(sys.version_info[:3]),
            pid=os.getpid(),
            host=socket.gethostname(),
            uid=os.getuid(),
            now=time.time(),
            instance=self._instance,
            build=self._build,
        )
        dealer.send([codec.encode_one(hello)])
        try:
            async with asyncio.timeout(limits.HELLO_S):
                first = self._inbox.add((await dealer.recv())[0])
        except TimeoutError:
            raise NoCoordinator(f"the coordinator did not answer within {limits.HELLO_S:.0f} s") from None
        if isinstance(first, Fault):
            raise NoCoordinator(f"the coordinator refuses this client: {first.text}")
        if not isinstance(first, Hello):
            raise NoCoordinator("what answers at the coordinator's address is not a coordinator")
        if not (first.oldest <= frames.VERSION <= first.version):
            raise NoCoordinator(
                f"the coordinator speaks protocol {first.oldest} to {first.version}, this client {frames.VERSION}"
            )
        self._theirs = first.instance
        self.other_build = builds.differ(self._build, first.build) if self._build else None
        if self.other_build and isinstance(self._again, Own):
            self.other_build = builds.renewed(self._build, first.build)
        elif self.other_build:
            self.other_build = builds.differ(await asyncio.to_thread(builds.named), first.build)

    async def receive(self) -> None:
        """Hand on what arrives, until cancelled or lost."""
        while self._lost is None:
            try:
                for body in await self._dealer.recv():
                    self._heard = time.monotonic()
                    self._dispatch(body)
            except NoCoordinator:
                if not self._apart:
                    raise
                await self._attach()  # `_break` has closed it

    async def beat(self) -> None:
        """Beat, and notice when the other side does not."""
        while True:
            await asyncio.sleep(limits.BEAT_S)
            # One that we have started is of our build, but the next one is of what is installed then.
            self._build = self._build or await asyncio.to_thread(builds.build)
            self.send(Beat(now=time.time()))
            if time.monotonic() - self._heard > limits.LEASE_S:
                self._break(f"the coordinator was silent for {limits.LEASE_S:.0f} s")

    def _break(self, reason: str) -> None:
        """The link is of no use any more."""
        if self._apart or self._lost:
            return
        self._apart = True
        self._notice(f"{reason}: attaching again")
        self._jobs.clear()
        self._inbox = codec.Inbox()
        self._give_up_asking(reason)
        for run in self._runs.values():
            run.broken(reason)
        self._dealer.close(0)

    async def _attach(self) -> None:
        """Make a new link, and ask again for what had not ended."""
        why = "it does not come back"
        deadline = time.monotonic() + ATTACH_S
        while self._apart and time.monotonic() < deadline:
            try:
                self._dealer = await self._connected()
                self._apart = False
            except GoneForGood as exc:
                why = str(exc)
                break
            except NoCoordinator as exc:
                why = str(exc)
                await asyncio.sleep(_ATTACH_PAUSE_S)
        if self._apart:
            self.lose(f"the coordinator is gone: {why}")
            return
        self._heard = time.monotonic()
        for run in list(self._runs.values()):
            if self.other_build:
                run.about(Fault(code="version", text=self.other_build, query=run.query_id))
            else:
                run.again()

    async def _connected(self) -> Dealer:
        place = await self._again.place()
        dealer = Dealer()
        try:
            await dealer.connect(place.address, curve=place.curve)
            await self.handshake(dealer)
        except BaseException:
            dealer.close(0)
            raise
        return dealer

    def hang_up(self) -> None:
        """Close the connection."""
        self._dealer.close()

    def _give_up_asking(self, reason: str) -> None:
        for future in self._answers.values():
            if not future.done():
                future.set_exception(NoCoordinator(reason))

    def lose(self, reason: str) -> None:
        """The coordinator is gone: every provider that has not ended is lost, and every run knows."""
        if self._lost is None:
            self._lost = reason
            for run in self._runs.values():
                run.lose(reason)
            self._give_up_asking(reason)

    def _dispatch(self, body: bytes) -> None:
        try:
            kind, job = frames.peek(body)
            message = self._inbox.add(body)
        except (RemoteProtocolError, frames.FrameError) as exc:
            self._blame(body, str(exc))
            return
        if job and (run := self._jobs.get(job)):
            run.arrived(job, kind, message, len(body))
        elif isinstance(message, NeedStart) and (run := self._runs.get(message.query)):
            self._jobs[message.job] = run
            run.arrived(job, kind, message, 0)
        elif isinstance(message, Fault) and message.code in ("ending", "cancelled"):
            self._notice(message.text)
        elif isinstance(message, (State, Targets, Fault)) and (run := self._runs.get(message.query or "")):
            run.about(message)
        elif isinstance(message, Told):
            self._told(message)
        elif isinstance(message, Fault) and message.code == "restarted":
            # ZeroMQ connects again by itself, to the same one as well.
            same = message.instance == self._theirs
            self._break("the connection to the coordinator broke" if same else message.text)
        elif isinstance(message, Fault):
            self.lose(message.text)
        # Anything else belongs to a run that has been released while it was under way.

    def _blame(self, body: bytes, text: str) -> None:
        """A frame that cannot be read is its job's own doing, since those are relayed unopened; or else all is over."""
        job = int.from_bytes(body[1:5], "big")
        if run := self._jobs.get(job):
            self._inbox.forget(job)
            run.nonsense(job, text)
        else:
            self.lose(f"the coordinator sent what is no frame: {text}")

    async def watch(self, own: Own) -> None:
        """Notice when its private coordinator has ended, and so with those that follow it."""
        while self._lost is None:
            private = own.current
            reason = await private.ended()
            if own.current is private:
                self._break(reason)
            await own.follows(private)


@contextlib.asynccontextmanager
async def open_session(
    where: str | Place | Private | None = None, notice: Callable[[str], None] = lambda text: None
) -> AsyncIterator[Session]:
    """A session.

    Args:
        where: a coordinator's address, with keys or without, or a private one that somebody has started; None starts
            one that lives as long as the session.
        notice: called with sentences for the user, about the coordinator.

    Raises:
        NoCoordinator: it could not be started or reached.
    """
    async with contextlib.AsyncExitStack() as stack:
        if where is None:
            where = await stack.enter_async_context(private_coordinator())
        private = where if isinstance(where, Private) else None
        if private:
            await private.ready()
        place = Place(where) if isinstance(where, str) else where if isinstance(where, Place) else Place(where.address)
        # Read while the connection is made.
        build = None if private else asyncio.ensure_future(asyncio.to_thread(builds.build))
        if build:
            stack.callback(build.cancel)
        dealer = Dealer()
        stack.callback(dealer.close)
        await _unless_ended(private, dealer.connect(place.address, curve=place.curve))
        failure: Exception | None = None
        async with asyncio.TaskGroup() as tasks:
            again = Own(private, stack) if private else Elsewhere(place)
            session = Session(dealer, tasks, again, notice, await build if build else "")
            stack.callback(session.hang_up)
            own: list[asyncio.Task[None]] = []
            try:
                await _unless_ended(private, session.handshake(dealer))
                own += [tasks.create_task(session.receive()), tasks.create_task(session.beat())]
                if isinstance(again, Own):
                    own.append(tasks.create_task(session.watch(again)))
                yield session
                await session.close(JOIN_S)
            except Exception as exc:  # the body's own: a task group would hand it on inside an ExceptionGroup
                failure = exc
            finally:
                # After an abort nobody waits for a reduce that may never return.
                await session.close(0)
                for task in own:
                    task.cancel()
        if failure:
            raise failure


async def _unless_ended(private: Private | None, attaching: Coroutine[Any, Any, None]) -> None:
    """Await what attaches us, as long as there is somebody to attach to.

    Raises:
        NoCoordinator: the private coordinator has ended.
    """
    if private is None:
        await attaching
        return
    work, end = asyncio.ensure_future(attaching), asyncio.ensure_future(private.ended())
    try:
        await asyncio.wait((work, end), return_when=asyncio.FIRST_COMPLETED)
        if not work.done():
            raise NoCoordinator(end.result())
        work.result()
    finally:
        work.cancel()
        end.cancel()
        await asyncio.gather(work, end, return_exceptions=True)
