"""The coordinator: clients on one side, links on the other, queries between them.

Knows who has said hello, which queries run, and the rhythm of beats. Everything is shared by all clients except what
is theirs: a client sees its own queries and jobs only, and what one of them sends that is not the protocol ends that
client, not the service.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import pwd
import secrets
import time
import uuid
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Final

from backplane.wire import builds, codec, limits
from backplane.wire.errors import RemoteProtocolError, UsageError
from backplane.wire.messages import Admit, Ask, Beat, Cancel, Fault, Hello, Message, Submit
from backplane.wire.zmq import Message as Received
from backplane.wire.zmq import Router
from coordinator import log
from coordinator.answers import Answers
from coordinator.checking import Checking
from coordinator.links import IDLE_S, Links, our_hello
from coordinator.listing import Listing
from coordinator.queries import Query
from coordinator.reach.base import Reach
from coordinator.relay import GONE_S, Client, Relay
from coordinator.selecting import Selection
from coordinator.story import Stories
from coordinator.table import Provider, ReachOptions
from coordinator.tables import Tables
from coordinator.terms import Terms, refuse_foreign, reserved
from coordinator.verdicts import LIVE_S
from provider.runner import frames

#: Peers that were told to go, and whose further messages are ignored. Bounded, since a peer may come back under a new
#: identity for ever; one that is forgotten here is told again.
BANNED: Final = 4096
#: Providers of one query. Ten times the largest that this was measured with.
MOST_TARGETS: Final = 100_000
#: Said to a client that speaks of what we have never heard of. It says hello anew, or ends with this.
RESTARTED: Final = "the coordinator was restarted"


class Coordinator:
    """Serves the clients of one router.

    Args:
        router: bound already.
        reaches: by name; see `Provider.reach`.
        idle_s: how long a link without a job is kept; None as long as the coordinator lives.
        guarded: a router for those who come over TCP.
        allowed: names of their keys. One who is not in it any more is not served any more.
        table: the provider table's file; None is this user's own.
        terms: what clients may ask for. ``allowed`` may be changed at any time, the others by `tune`.
        verdict_s: how long a filter's verdict is believed; 0 runs every filter.
        build: what this is (`builds.named`), and so must be whoever asks. Empty where clients have started it
            themselves: then it is looked up for those who say theirs, and others are taken to be of the same.
    """

    def __init__(
        self,
        router: Router,
        reaches: Mapping[str, Reach],
        idle_s: float | None = IDLE_S,
        *,
        guarded: Router | None = None,
        allowed: Mapping[str, str] | None = None,
        terms: Terms | None = None,
        table: str | None = None,
        verdict_s: float = LIVE_S,
        build: str = "",
    ) -> None:
        self.allowed = {} if allowed is None else allowed
        self.terms = terms or Terms()
        self._routers = [router, guarded] if guarded else [router]
        self._reaches = reaches
        self._idle_s = idle_s
        self._instance = uuid.uuid4().hex
        self._build = build
        self._began = time.time()
        self._ending = False
        self._stories = Stories()
        self._none_left = asyncio.Event()
        self._clients: dict[bytes, Client] = {}
        self._banned: OrderedDict[bytes, None] = OrderedDict()
        self._queries: dict[tuple[bytes, str], Query] = {}
        self._relay = Relay()
        self._relay.held.verdicts.live_s = verdict_s
        self._table = table
        #: Submits whose selection is being looked up, and how they were cancelled meanwhile.
        self._selecting: dict[tuple[bytes, str], str | None] = {}
        self._tasks: asyncio.TaskGroup
        self._links: Links
        self._answers: Answers
        self._tables: Tables
        # Not from 1: what a client has on its way to a coordinator that was killed must mean nothing to the next one.
        self._numbers = itertools.count(1 + secrets.randbelow(1 << 30))

    async def serve(self, stop: asyncio.Event, drain_s: float = 0.0) -> None:
        """Serve until ``stop`` is set; then end every job and link, and return when nothing of them is left here.

        Args:
            drain_s: how long queries may take to hand over what they have before that.
        """
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            self._links = Links(tasks, self._relay, self._reaches, self._idle_s)
            self._answers = Answers(tasks)
            self._answers.register("statistics", self._tell_statistics)
            self._answers.register("about", self._tell_about)
            Listing(self._queries, self._stories).register(self._answers)
            self._tables = Tables(self._table, Checking(self._links, self._relay, self._numbers), lambda: self.terms)
            self._tables.register(self._answers)
            own = [tasks.create_task(self._receive(number)) for number in range(len(self._routers))]
            own += [tasks.create_task(self._pulse()), tasks.create_task(self._tables.watch())]
            await stop.wait()
            if drain_s:
                await self._drain(drain_s)
            for task in own:
                task.cancel()
            await self._links.close()
            await self._tables.close()

    def tune(self, terms: Terms, idle_s: float | None, verdict_s: float) -> None:
        """From now on, while it serves: other terms, and other times that links and verdicts are kept."""
        self.terms = terms
        self._links.idle_s = idle_s
        self._relay.held.verdicts.live_s = verdict_s

    def statistics(self) -> dict[str, int]:
        """How much of everything there is."""
        counts = {"clients": len(self._clients), "queries": len(self._queries)}
        return counts | self._relay.statistics() | self._links.statistics()

    async def _tell_statistics(self, client: Client, said: object) -> dict[str, int]:
        return self.statistics()

    async def _tell_about(self, client: Client, said: object) -> dict[str, object]:
        build = self._build or await asyncio.to_thread(builds.named)
        return {"build": build, "pid": os.getpid(), "began": self._began, "residents": self._links.residents()}

    async def _drain(self, drain_s: float) -> None:
        """Take no new queries, let the running ones hand over what they have, and tell those that cannot."""
        self._ending = True
        log.info("draining", queries=len(self._queries))
        for client in self._clients.values():
            client.tell(Fault(code="ending", text="the coordinator is being ended, and so are its queries"))
        for query in list(self._queries.values()):
            query.cancel("drain")
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(drain_s):
                while self._queries:
                    self._none_left.clear()
                    await self._none_left.wait()
        for query in self._queries.values():
            query.client.tell(Fault(code="lost", text="the coordinator was ended"))
            query.client.flush()
        # What was told last is handed over in the next turn of the event loop.
        await asyncio.sleep(0)

    async def _receive(self, number: int) -> None:
        router, mark = self._routers[number], bytes([number])
        while True:
            message = await router.recv()
            # Two routers may give two peers one name.
            peer = mark + message.peer
            if peer not in self._banned:
                self._received(peer, message, router)

    def _received(self, peer: bytes, message: Received, router: Router) -> None:
        client = self._clients.get(peer) or self._stranger(peer, message, router)
        bodies = message.bodies
        try:
            self._check_key(client, message.user)
            if peer not in self._clients and not self._welcome(client, bodies.pop(0)):
                return
            client.heard()
            for body in bodies:
                kind, number = frames.peek(body)
                if number:
                    self._relay.down(client, kind, number, body)
                else:
                    self._control(client, client.inbox.add(body))
        except (RemoteProtocolError, frames.FrameError, IndexError) as exc:
            self._expel(client, Fault(code="protocol", text=str(exc)))

    def _stranger(self, peer: bytes, message: Received, router: Router) -> Client:
        def send(_: bytes, bodies: Sequence[bytes]) -> bool:
            return router.send(message.peer, bodies)

        user = self.allowed.get(message.user, "") if message.user else _own_name()
        return Client(peer, send, key=message.user, user=user)

    def _check_key(self, client: Client, key: str | None) -> None:
        """A peer's name is its own choice; its key is not."""
        if client.key != key:
            raise RemoteProtocolError("this name is another client's")
        if key is not None and key not in self.allowed:
            raise RemoteProtocolError("this client's key is not allowed any more")

    def _welcome(self, client: Client, body: bytes) -> bool:
        """The handshake: a peer says hello before anything else, and hears ours. False if it does not."""
        kind, _ = frames.peek(body)
        if kind != frames.HELLO:
            # It has said hello to whoever listened here before us: ZeroMQ connects again by itself, and tells nobody.
            self._expel(client, Fault(code="restarted", text=RESTARTED, instance=self._instance))
            return False
        hello = codec.decode(body)
        if not isinstance(hello, Hello) or hello.role != "client":
            raise RemoteProtocolError("the first frame must be a client's hello")
        for other in [other for other in self._clients.values() if hello.instance and other.key == client.key]:
            if other.instance == hello.instance:
                self._gone(other)  # it has come back over another connection
        client.instance = hello.instance
        self._clients[client.peer] = client
        self._hello(client, hello)
        return True

    def _hello(self, client: Client, hello: Hello) -> None:
        if hello.oldest <= frames.VERSION <= hello.version:
            # Some milliseconds, once, of a coordinator that nobody else waits for.
            ours = self._build or (builds.build() if hello.build else "")
            client.tell(replace(our_hello(), instance=self._instance, build=ours))
            client.other_build = builds.differ(hello.build, ours) if ours else None
            return
        text = f"this coordinator speaks protocol {frames.VERSION}, the client {hello.oldest} to {hello.version}"
        self._expel(client, Fault(code="version", text=text))

    def _expel(self, client: Client, fault: Fault) -> None:
        """Tell a peer why, and nothing more."""
        log.warning("client refused", user=client.user, code=fault.code, reason=fault.text[:300])
        client.tell(fault)
        client.flush()
        if client.peer in self._clients:
            self._gone(client)
        self._banned[client.peer] = None
        if len(self._banned) > BANNED:
            self._banned.popitem(last=False)

    def revoke(self) -> None:
        """``allowed`` has changed: whoever is not in it goes now, and not when it speaks next."""
        for client in [each for each in self._clients.values() if each.key and each.key not in self.allowed]:
            self._expel(client, Fault(code="policy", text="this client's key is not allowed any more"))

    def _control(self, client: Client, message: Message | None) -> None:
        """A client's frame about the link, or about a query as a whole."""
        match message:
            case Submit():
                self._submit(client, message)
            case Cancel():
                key = (client.peer, message.query or "")
                if query := self._queries.get(key):
                    query.cancel(message.mode)
                elif key in self._selecting:
                    self._selecting[key] = message.mode
            case Admit():
                if query := self._queries.get((client.peer, message.query)):
                    query.admit()
            case Ask():
                self._answers.asked(client, message)
            case Hello():
                self._hello(client, message)
            case Fault():
                log.warning("client reports", code=message.code, reason=message.text[:300])
            case None | Beat():
                pass
            case _:
                raise RemoteProtocolError(f"a client does not say {frames.name(message.KIND)} of a link")

    def _submit(self, client: Client, submit: Submit) -> None:
        if client.other_build:
            client.tell(Fault(code="version", text=client.other_build, query=submit.query))
            return
        try:
            if self._ending:
                raise ValueError("this coordinator is being ended and takes no new queries: ask again in a moment")
            foreign = None if client.key is None else self.terms
            providers, options, selection = _asked(submit, foreign)
            key = (client.peer, submit.query)
            if key in self._queries or key in self._selecting:
                raise ValueError("a query of this id runs already")
            if selection is None:
                self._begin(client, submit, providers, options)
                return
        except ValueError as exc:
            client.tell(Fault(code="usage", text=str(exc), query=submit.query))
            return
        self._selecting[key] = None
        self._tasks.create_task(self._select(client, submit, options, selection))

    async def _select(self, client: Client, submit: Submit, options: ReachOptions, selection: Selection) -> None:
        """Begin a query of the table, once it is known whom it asks."""
        key = (client.peer, submit.query)
        try:
            chosen = await self._tables.choose(selection, foreign=client.key is not None)
            if client.gone or self._selecting[key] == "abort":
                return
            query = self._begin(client, submit, list(chosen.providers.values()), options)
            if submit.follow:
                self._tables.follow(query, selection)
            if mode := self._selecting[key]:
                query.cancel(mode)
        except (UsageError, ValueError) as exc:
            client.tell(Fault(code="usage", text=str(exc), query=submit.query))
        finally:
            del self._selecting[key]

    def _begin(self, client: Client, submit: Submit, providers: list[Provider], options: ReachOptions) -> Query:
        """Begin a query.

        Raises:
            ValueError: it asks too many, or would have too much under way.
        """
        need = reserved(len(providers))
        self._check_room(client, len(providers), need)
        story = self._stories.begin(submit.query, client.key)
        query = Query(
            submit,
            providers,
            options,
            client,
            self._relay,
            self._links,
            self._numbers,
            self._over,
            story,
            self._check_room,
        )
        self._queries[client.peer, submit.query] = query
        query.reserve(need)
        query.begin()
        return query

    def _over(self, query: Query) -> None:
        self._queries.pop((query.client.peer, query.query), None)
        self._tables.unfollow(query)
        if not self._queries:
            self._none_left.set()

    def _check_room(self, client: Client, targets: int, more: int) -> None:
        """Hold a query, and what it may have granted ahead, against the bounds.

        Args:
            targets: how many it asks in all.
            more: bytes that it may have granted ahead beyond what it may have already.

        Raises:
            ValueError: it would go over one.
        """
        if not 1 <= targets <= MOST_TARGETS:
            raise ValueError(f"a query asks 1 to {MOST_TARGETS} providers, not {targets}")
        own = sum(each.reserved for each in self._clients.values() if each.key == client.key)
        everyone = sum(each.reserved for each in self._clients.values())
        for held, most, whose in (
            (own, self.terms.client_bytes, "your queries"),
            (everyone, self.terms.total_bytes, "the queries of all clients"),
        ):
            if most is not None and held + more > most:
                raise ValueError(
                    f"this query may have {more >> 20} MiB under way, {whose} {held >> 20} already, and this "
                    f"coordinator holds {most >> 20} at most: ask fewer providers, or when others have ended"
                )

    async def _pulse(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            due = max(due + limits.BEAT_S, loop.time())
            await asyncio.sleep(due - loop.time())
            self._links.pulse()
            beat = codec.encode_one(Beat(now=time.time()))
            for client in list(self._clients.values()):
                if client.gone or client.silent_s > GONE_S:
                    self._gone(client)
                else:
                    client.pulse(beat)

    def _gone(self, client: Client) -> None:
        log.info("client gone", frames=client.frames, bytes=client.bytes, silent_s=round(client.silent_s, 1))
        client.gone = True
        self._clients.pop(client.peer, None)
        for query in [query for query in self._queries.values() if query.client is client]:
            query.client_gone()


def _own_name() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_name
    except KeyError:  # in a container, say
        return str(os.getuid())


def _asked(submit: Submit, foreign: Terms | None) -> tuple[list[Provider], ReachOptions, Selection | None]:
    """Whom a submit asks, and how; with a selection of the table, the providers are what it unites with.

    Args:
        foreign: what its client may ask for, if it is not this coordinator's own user.

    Raises:
        ValueError: it does not say so; the message is for the user.
        RemoteProtocolError: it is no submit at all.
    """
    payload = codec.unpack(submit.payload)
    if type(payload) is not dict or type(payload.get("entries")) is not list:
        raise RemoteProtocolError("a submit without entries")
    select = payload.get("select")
    if select is not None and type(select) is not dict:
        raise RemoteProtocolError("a submit whose select is no map")
    reach = payload.get("reach") or {}
    if type(reach) is not dict or not all(type(entry) is dict for entry in payload["entries"]):
        raise RemoteProtocolError("a submit whose entries or reach are no maps")
    if foreign:
        refuse_foreign(payload, foreign)
    if not all(type(name) is str for name in submit.first):
        raise RemoteProtocolError("a submit whose first are no names")
    providers = [Provider.from_wire(entry) for entry in payload["entries"]]
    without = payload.get("without") or ()
    providers = [provider for provider in providers if provider.name not in without]
    names = [provider.name for provider in providers]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"named twice: {', '.join(twice[:5])}")
    selection = None if select is None else Selection.from_wire(select, providers, without)
    return providers, replace(ReachOptions.from_wire(reach), shared=foreign is not None), selection
