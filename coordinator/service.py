"""The coordinator: clients on one side, links on the other, queries between them.

Knows who has said hello, which queries run, and the rhythm of beats. Everything is shared by all clients except what
is theirs: a client sees its own queries and jobs only, and what one of them sends that is not the protocol ends that
client, not the service.
"""

from __future__ import annotations

import asyncio
import itertools
import time
from collections import OrderedDict
from collections.abc import Mapping
from typing import Final

from backplane.wire import codec, limits
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Ask, Beat, Cancel, Fault, Hello, Message, Submit
from backplane.wire.zmq import Router
from coordinator import log
from coordinator.answers import Answers
from coordinator.links import IDLE_S, Links, our_hello
from coordinator.queries import Query
from coordinator.reach.base import Reach
from coordinator.relay import GONE_S, Client, Relay
from coordinator.table import Provider, ReachOptions
from provider.runner import frames

#: Peers that were told to go, and whose further messages are ignored. Bounded, since a peer may come back under a new
#: identity for ever; one that is forgotten here is told again.
BANNED: Final = 4096
#: Providers of one query. Ten times the largest that this was measured with.
MOST_TARGETS: Final = 100_000


class Coordinator:
    """Serves the clients of one router.

    Args:
        router: bound already.
        reaches: by name; see `Provider.reach`.
        idle_s: how long a link without a job is kept; None as long as the coordinator lives.
    """

    def __init__(self, router: Router, reaches: Mapping[str, Reach], idle_s: float | None = IDLE_S) -> None:
        self._router = router
        self._reaches = reaches
        self._idle_s = idle_s
        self._clients: dict[bytes, Client] = {}
        self._banned: OrderedDict[bytes, None] = OrderedDict()
        self._queries: dict[tuple[bytes, str], Query] = {}
        self._relay = Relay()
        self._links: Links
        self._answers: Answers
        self._numbers = itertools.count(1)

    async def serve(self, stop: asyncio.Event) -> None:
        """Serve until ``stop`` is set; then end every job and link, and return when nothing of them is left here."""
        async with asyncio.TaskGroup() as tasks:
            self._links = Links(tasks, self._relay, self._reaches, self._idle_s)
            self._answers = Answers(tasks)
            self._answers.register("statistics", self._tell_statistics)
            own = [tasks.create_task(self._receive()), tasks.create_task(self._pulse())]
            await stop.wait()
            for task in own:
                task.cancel()
            await self._links.close()

    def statistics(self) -> dict[str, int]:
        """How much of everything there is."""
        counts = {"clients": len(self._clients), "queries": len(self._queries)}
        return counts | self._relay.statistics() | self._links.statistics()

    async def _tell_statistics(self, client: Client, said: object) -> dict[str, int]:
        return self.statistics()

    async def _receive(self) -> None:
        while True:
            peer, bodies = await self._router.recv()
            if peer not in self._banned:
                self._received(peer, bodies)

    def _received(self, peer: bytes, bodies: list[bytes]) -> None:
        try:
            client = self._clients.get(peer)
            if client is None:
                client = self._welcome(peer, bodies.pop(0))
            client.heard()
            for body in bodies:
                kind, number = frames.peek(body)
                if number:
                    self._relay.down(client, kind, number, body)
                else:
                    self._control(client, client.inbox.add(body))
        except (RemoteProtocolError, frames.FrameError, IndexError) as exc:
            self._expel(peer, Fault(code="protocol", text=str(exc)))

    def _welcome(self, peer: bytes, body: bytes) -> Client:
        """The handshake: a peer says hello before anything else, and hears ours."""
        kind, _ = frames.peek(body)
        if kind != frames.HELLO:
            # It has said hello to whoever listened here before us: ZeroMQ connects again by itself, and tells nobody.
            raise RemoteProtocolError("the coordinator was started anew and knows nothing of this query: ask again")
        hello = codec.decode(body)
        if not isinstance(hello, Hello) or hello.role != "client":
            raise RemoteProtocolError("the first frame must be a client's hello")
        client = Client(peer, self._router.send)
        self._clients[peer] = client
        self._hello(client, hello)
        return client

    def _hello(self, client: Client, hello: Hello) -> None:
        if hello.oldest <= frames.VERSION <= hello.version:
            client.tell(our_hello())
            return
        text = f"this coordinator speaks protocol {frames.VERSION}, the client {hello.oldest} to {hello.version}"
        self._expel(client.peer, Fault(code="version", text=text))

    def _expel(self, peer: bytes, fault: Fault) -> None:
        """Tell a peer why, and nothing more."""
        log.warning("client refused", code=fault.code, reason=fault.text[:300])
        if client := self._clients.get(peer):
            self._gone(client)
        self._banned[peer] = None
        if len(self._banned) > BANNED:
            self._banned.popitem(last=False)
        self._router.send(peer, [codec.encode_one(fault)])

    def _control(self, client: Client, message: Message | None) -> None:
        """A client's frame about the link, or about a query as a whole."""
        match message:
            case Submit():
                self._submit(client, message)
            case Cancel():
                if query := self._queries.get((client.peer, message.query or "")):
                    query.cancel(message.mode)
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
        try:
            providers, options = _asked(submit)
            if (client.peer, submit.query) in self._queries:
                raise ValueError("a query of this id runs already")
        except ValueError as exc:
            client.tell(Fault(code="usage", text=str(exc), query=submit.query))
            return
        query = Query(submit, providers, options, client, self._relay, self._links, self._numbers, self._over)
        self._queries[client.peer, submit.query] = query
        query.begin()

    def _over(self, query: Query) -> None:
        self._queries.pop((query.client.peer, query.query), None)

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


def _asked(submit: Submit) -> tuple[list[Provider], ReachOptions]:
    """Whom a submit asks, and how.

    Raises:
        ValueError: it does not say so; the message is for the user.
        RemoteProtocolError: it is no submit at all.
    """
    payload = codec.unpack(submit.payload)
    if type(payload) is not dict or type(payload.get("entries")) is not list:
        raise RemoteProtocolError("a submit without entries")
    if payload.get("select") is not None:
        raise ValueError("this coordinator keeps no table of providers to select from: name them")
    reach = payload.get("reach") or {}
    if type(reach) is not dict or not all(type(entry) is dict for entry in payload["entries"]):
        raise RemoteProtocolError("a submit whose entries or reach are no maps")
    providers = [Provider.from_wire(entry) for entry in payload["entries"]]
    if not 1 <= len(providers) <= MOST_TARGETS:
        raise ValueError(f"a query asks 1 to {MOST_TARGETS} providers, not {len(providers)}")
    names = [provider.name for provider in providers]
    if len(set(names)) < len(names):
        twice = sorted({name for name in names if names.count(name) > 1})
        raise ValueError(f"named twice: {', '.join(twice[:5])}")
    return providers, ReachOptions.from_wire(reach)
