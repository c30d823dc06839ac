"""A client of the coordinator that speaks frames and nothing else: what the tests of this hop need, and no more.

It answers need_start with the script it was given, grants credit as bytes arrive, and keeps everything that it heard.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import msgpack

from backplane.wire import codec
from backplane.wire.messages import (
    Beat,
    Credit,
    Cut,
    Hello,
    Message,
    NeedStart,
    Start,
    State,
    Submit,
)
from backplane.wire.zmq import Dealer
from coordinator.table import Provider, ReachOptions
from provider.runner import frames

WINDOW = 1 << 20


def script(map_source: str, *, filter_source: str | None = None, **fields: Any) -> dict[str, Any]:
    """The payload of a start, by the contract's defaults."""
    body: dict[str, Any] = {
        "file": "query.py",
        "filter": filter_source,
        "map": map_source,
        "lines": False,
        "sources": [],
        "encoding": "utf-8",
        "follow": False,
        "combine": None,
        "every_s": 0.1,
        "positions": [],
    }
    return body | fields


class Talker:
    """One connection to a coordinator."""

    def __init__(self, dealer: Dealer) -> None:
        self.dealer = dealer
        self.heard: list[Message] = []
        self.beating = True
        self.answering = True
        self.granting = True
        self.bodies: dict[str, dict[str, Any]] = {}
        self.providers: dict[int, str] = {}
        self._received: dict[int, int] = {}
        self._granted: dict[int, int] = {}
        self._inbox = codec.Inbox()
        self._changed = asyncio.Condition()

    def send(self, message: Message) -> None:
        self.dealer.send(list(codec.encode(message)))

    def hello(self, version: int = frames.VERSION) -> None:
        self.send(Hello(role="client", version=version, oldest=version))

    def submit(
        self,
        query: str,
        body: dict[str, Any],
        *providers: Provider,
        wait_s: float | None = 10.0,
        follow: bool = False,
        **options: Any,
    ) -> None:
        self.bodies[query] = body
        reach = ReachOptions(**options).to_wire()
        entries = [provider.to_wire() for provider in providers]
        payload = codec.pack({"entries": entries, "select": None, "reach": reach})
        self.send(Submit(query=query, follow=follow, wait_s=wait_s, payload=payload))

    async def run(self) -> None:
        """Receive and answer until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._beat())
            while True:
                for body in await self.dealer.recv():
                    self._take(body)
                async with self._changed:
                    self._changed.notify_all()

    async def until(self, done: Callable[[], Any], deadline_s: float = 20.0) -> Any:
        """Wait until ``done()`` is true of what was heard, and give what it gave."""
        try:
            async with asyncio.timeout(deadline_s), self._changed:
                return await self._changed.wait_for(done)
        except TimeoutError:
            raise AssertionError(f"not within {deadline_s} s; heard {self.heard[-30:]}") from None

    async def state(self, query: str, provider: str, state: str, deadline_s: float = 20.0) -> State:
        """Wait for a provider's state."""
        found: State = await self.until(
            lambda: next((s for s in self.states(query, provider) if s.state == state), None), deadline_s
        )
        return found

    def of(self, kind: type[Message]) -> list[Any]:
        return [message for message in self.heard if type(message) is kind]

    def states(self, query: str, provider: str) -> list[State]:
        return [s for s in self.of(State) if (s.query, s.provider) == (query, provider)]

    def values(self, provider: str) -> list[Any]:
        """All bare values that came, in order."""
        jobs = {job for job, name in self.providers.items() if name == provider}
        parts = [c.payload for c in self.of(Cut) if c.job in jobs and c.content == "values"]
        return [value for part in parts for value in column(msgpack.unpackb(part)["values"])]

    async def _beat(self) -> None:
        while True:
            if self.beating:
                self.send(Beat(now=time.time()))
            await asyncio.sleep(0.5)

    def _take(self, body: bytes) -> None:
        kind, job = frames.peek(body)
        if kind in frames.SPENDS_CREDIT and self.granting:
            self._received[job] = self._received.get(job, 0) + len(body)
            if self._received[job] + WINDOW - self._granted[job] > WINDOW // 4:
                self._granted[job] = self._received[job] + WINDOW
                self.send(Credit(job=job, granted=self._granted[job]))
        message = self._inbox.add(body)
        if message is None:
            return
        self.heard.append(message)
        if isinstance(message, NeedStart):
            self.providers[message.job] = message.provider
            if self.answering:
                self.start(message)

    def start(self, need: NeedStart) -> None:
        """Answer a need_start."""
        self._granted[need.job] = WINDOW
        body = self.bodies[need.query] | {"provider": {"name": need.provider, "labels": need.labels}}
        self.send(
            Start(job=need.job, epoch=1, query=need.query, granted=WINDOW, filter_s=10.0, payload=codec.pack(body))
        )


def column(packed: dict[str, Any]) -> list[Any]:
    """A column of the types that these tests emit."""
    kind = packed["t"]
    if kind == "m":
        return list(packed["v"])
    if kind == "i":
        return list(memoryview(packed["b"]).cast("q"))
    if kind == "s":
        text, sizes = packed["b"].decode(), memoryview(packed["n"]).cast("I")
        ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
        return [text[end - size : end] for end, size in zip(ends, sizes, strict=True)]
    if kind == "d":
        values = column(packed["v"])
        return [values[i] for i in memoryview(packed["i"]).cast("I")]
    raise AssertionError(f"a column of type {kind}")


@contextlib.asynccontextmanager
async def connected(address: str) -> AsyncIterator[Talker]:
    """A client that has shaken hands."""
    dealer = Dealer()
    try:
        await dealer.connect(address)
        talker = Talker(dealer)
        async with asyncio.TaskGroup() as tasks:
            running = tasks.create_task(talker.run())
            talker.hello()
            await talker.until(lambda: talker.of(Hello))
            yield talker
            running.cancel()
    finally:
        dealer.close(0.2)
