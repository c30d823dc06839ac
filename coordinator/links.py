"""Links: one connection and one runner for each provider and login, shared by every query of every client.

Knows how a link comes up (gate, reach, payload, hello), that it lives (beats down, a lease up), and when it may go.
Does not know queries: whoever wants a link is a `Watcher`, and the frames of jobs go to an `Upward` unread. Where there
is no Python for a runner, `coordinator.shell` plays one, and nobody else here can tell.

A link's life:  opening -> (payload written, hello awaited) -> up -> closed. A link that failed is forgotten; whether
to try again is the plan's decision, and the next attempt is a new link.
"""

from __future__ import annotations

import asyncio
import os
import socket
import sys
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple, Protocol

from backplane.wire import builds, codec, limits
from backplane.wire.errors import ReachError, RemoteProtocolError
from backplane.wire.messages import Beat, Fault, Hello
from coordinator import log
from coordinator.descriptors import Descriptors, raise_limit
from coordinator.gate import WAITING_FOR_TURN, Gate
from coordinator.reach.base import QUOTE_CHARS, Channel, Exit, NoPython, Place, Reach, Turn, explain_exit
from coordinator.table import Provider, ReachOptions
from provider import ship
from provider.runner import frames

#: A link without a job is kept for the next query of a session: bringing it up again costs a login and an interpreter.
IDLE_S: Final = 30.0
#: What may wait to be taken by one channel: four of the largest starts. Feeds are held back by credit long before.
BACKLOG_BYTES: Final = 64 << 20
#: Whose builds are remembered, for `logreduce version`.
RESIDENTS: Final = 4096


class Key(NamedTuple):
    """What makes two wishes for a link the same link. Made by `key_of`."""

    provider: Provider
    options: ReachOptions


def key_of(provider: Provider, options: ReachOptions) -> Key:
    """The provider without its labels, and the options but for those that only say how patient to be, and to whom."""
    plain = ReachOptions()
    return Key(
        replace(provider, labels={}),
        replace(
            options,
            fanout=plain.fanout,
            connect_s=plain.connect_s,
            login_s=plain.login_s,
            allow_root=plain.allow_root,
            shared=plain.shared,
        ),
    )


class Watcher(Protocol):
    """A query's interest in a link. Calls come from the event loop."""

    def link_trying(self, stage: str) -> None:
        """The attempt has come to this stage."""

    def link_up(self, link: Link) -> None:
        """The runner said hello."""

    def link_failed(self, error: ReachError) -> None:
        """The attempt failed; the link is forgotten."""

    def link_lost(self, reason: str) -> None:
        """The link was up and broke; it is forgotten."""

    def link_quiet(self) -> None:
        """Nothing was heard for `limits.STALLED_S`."""

    def link_heard(self) -> None:
        """Something was heard again."""


class Upward(Protocol):
    """Who takes the frames of jobs."""

    def up(self, link: Link, bodies: list[bytes]) -> None:
        """Bodies that came on a link, in order.

        Raises:
            FrameError: the link is not to be trusted.
            RemoteProtocolError: likewise.
        """


class Link:
    """One connection with one runner. Made by `Links`; also the `Receiver` of its channel.

    Args:
        tasks: parent of the jobs that run here where the host cannot run them.
    """

    def __init__(
        self, key: Key, options: ReachOptions, upward: Upward, forget: Callable[[Link], None], tasks: asyncio.TaskGroup
    ) -> None:
        self.key = key
        self.provider = key.provider
        self.hello: Hello | None = None
        self.watchers: set[Watcher] = set()
        #: When the last watcher left, for `IDLE_S`; None while there is one.
        self.idle_since: float | None = None
        self.stage = WAITING_FOR_TURN
        self.heard = 0.0
        self.quiet = False
        self.closed = False
        #: What it holds, as `Descriptors.take` said.
        self.descriptors = 0
        self._options = options
        self._upward = upward
        self._forget = forget
        self._tasks = tasks
        self._loop = asyncio.get_running_loop()
        self._splitter = frames.Splitter(frames.PREAMBLE)
        self._channel: Channel | None = None
        #: How the channel closed, if it did so before we had it in hand.
        self._closed_early: Exit | None = None
        self._came_up = self._awaited()

    @property
    def level(self) -> str | None:
        """The level of the runner, once there is one."""
        return self._channel.level if self._channel else None

    async def open(self, reach: Reach, turn: Turn) -> None:
        """Open the channel; the runner's hello is awaited by `await_hello`.

        Raises:
            ReachError: no channel.
        """
        self._channel = await reach.open(self.provider, self._options, self, turn)
        if self._closed_early:
            self.channel_closed(self._closed_early)
            return
        if self._channel.level == "exec":
            # Nothing but the payload may be written before the hello: the loader's read-ahead would swallow it.
            self._channel.write(ship.payload())
        self.at_stage("waiting for the runner's hello")

    async def await_hello(self) -> None:
        """Wait for the runner.

        Raises:
            ReachError: it did not come, and why.
        """
        try:
            self.hello = await self._said_hello()
        except NoPython as exc:
            self.hello = await self._over_shell(exc)
        if not self.hello.oldest <= frames.VERSION <= self.hello.version:
            text = f"the runner speaks protocol {self.hello.oldest} to {self.hello.version}, we speak {frames.VERSION}"
            self._write(codec.encode_one(Fault(code="version", text=text)))
            raise ReachError(text, state="refused", retry=False)
        differs = builds.resident_differs(self.hello.build) if self.level == "resident" else None
        if differs:
            raise ReachError(differs, state="refused", retry=False)
        self._write(codec.encode_one(our_hello()))

    def _awaited(self) -> asyncio.Future[Hello]:
        future: asyncio.Future[Hello] = self._loop.create_future()
        # An attempt that was given up does not ask what became of its hello; asyncio would complain of that.
        future.add_done_callback(lambda future: future.cancelled() or future.exception())
        return future

    async def _said_hello(self) -> Hello:
        try:
            async with asyncio.timeout(limits.HELLO_S):
                return await self._came_up
        except TimeoutError:
            raise ReachError(self._silence()) from None

    async def _over_shell(self, why: NoPython) -> Hello:
        """The same connection at level `shell`, unless a runner was asked for by name."""
        place: object = self._channel
        level = self.provider.level
        if not isinstance(place, Place) or level not in (None, "shell") or self.provider.python:
            raise why
        # Only here: most coordinators never need it.
        from coordinator.shell.channel import ShellChannel

        reason = "it is said to be of level shell" if level else str(why)
        self._came_up = self._awaited()
        channel = self._channel = ShellChannel(place, self, self._tasks, reason)
        self.at_stage("waiting for its shell")
        try:
            await channel.begin()
            return await self._said_hello()
        except NoPython:
            raise why from None

    def write(self, body: bytes) -> None:
        """Send a body down. A link that does not take what is sent breaks."""
        if self.closed or self._channel is None:
            return
        if self._channel.backlog > BACKLOG_BYTES:
            self.break_off("it took nothing of what was sent to it")
            return
        self._write(body)

    def break_off(self, reason: str) -> None:
        """End the link because it cannot be trusted or used any more."""
        if self.closed:
            return
        up = self.hello is not None
        self.close()
        if not self._came_up.done():
            self._came_up.set_exception(ReachError(reason))
        if up:
            log.info("link lost", provider=self.provider.name, reason=reason)
            for watcher in list(self.watchers):
                watcher.link_lost(reason)

    def close(self) -> None:
        """End the runner and the connection. Watchers hear nothing."""
        if not self.closed:
            self.closed = True
            self._forget(self)
            if self._channel:
                self._channel.close()

    async def wait_closed(self) -> None:
        """Wait until nothing of it is left on this machine."""
        if self._channel:
            self._channel.close()
            await self._channel.wait_closed()

    def pulse(self, now: float, beat: bytes) -> None:
        """Once a beat: beat down, and see whether anything came up."""
        if self.hello is None or self.closed:
            return
        self.write(beat)
        silent_s = now - self.heard
        if silent_s > limits.LEASE_S:
            self.break_off(f"nothing was heard from it for {limits.LEASE_S:.0f} s")
        elif silent_s > limits.STALLED_S and not self.quiet:
            self.quiet = True
            for watcher in list(self.watchers):
                watcher.link_quiet()

    # The channel's receiver.

    def at_stage(self, stage: str) -> None:
        self.stage = stage
        for watcher in list(self.watchers):
            watcher.link_trying(stage)

    def data_received(self, data: bytes) -> None:
        if self.closed:
            return
        self.heard = self._loop.time()
        if self.quiet:
            self.quiet = False
            for watcher in list(self.watchers):
                watcher.link_heard()
        try:
            bodies = self._splitter.feed(data)
            if bodies and not self._came_up.done():
                self._first(bodies.pop(0))
            if bodies:
                self._upward.up(self, bodies)
        except (frames.FrameError, RemoteProtocolError) as exc:
            self.break_off(f"what it sent is not the runner protocol: {str(exc)[:QUOTE_CHARS]}")

    def channel_closed(self, how: Exit) -> None:
        if self._channel is None:
            self._closed_early = how
        elif self.closed:
            return
        elif not self._came_up.done():
            python = "sh" if self.level == "shell" else self.provider.python or "python3"
            self._came_up.set_exception(explain_exit(python, how, self._channel.stderr))
        else:
            self.break_off(self._how_lost(how))

    def _first(self, body: bytes) -> None:
        message = codec.decode(body)
        if isinstance(message, Fault):
            raise RemoteProtocolError(message.text)
        if not isinstance(message, Hello) or message.role != "runner":
            raise RemoteProtocolError("its first frame is no runner's hello")
        self._came_up.set_result(message)

    def _write(self, body: bytes) -> None:
        assert self._channel is not None
        self._channel.write(frames.framed(body))

    def _silence(self) -> str:
        assert self._channel is not None
        said = self._channel.stderr.last_line() or repr(self._splitter.noise[:QUOTE_CHARS])[2:-1]
        text = f"no hello from its runner within {limits.HELLO_S:.0f} s"
        return f"{text}; it said: {said}" if said else text

    def _how_lost(self, how: Exit) -> str:
        assert self._channel is not None
        if how.broken:
            return f"the connection broke: {how.broken}"
        said = self._channel.stderr.last_line()
        end = f"by signal {how.signal}" if how.signal else f"with exit status {how.status or 0}"
        return f"its runner ended {end}" + (f": {said}" if said else "")


class Links:
    """The table of links.

    Args:
        tasks: parent of the attempts.
        upward: takes the frames of jobs.
        reaches: by name; see `Provider.reach`.
        idle_s: how long a link without a watcher is kept; None until `close`.
    """

    def __init__(
        self,
        tasks: asyncio.TaskGroup,
        upward: Upward,
        reaches: Mapping[str, Reach],
        idle_s: float | None = IDLE_S,
    ) -> None:
        self._tasks = tasks
        self._upward = upward
        self._reaches = reaches
        #: May be set anew at any time.
        self.idle_s = idle_s
        self._links: dict[Key, Link] = {}
        #: Links that are ending. Held until nothing of them is left here.
        self._ending: dict[Link, asyncio.Task[None]] = {}
        self._attempts: dict[Link, asyncio.Task[None]] = {}
        self._descriptors = Descriptors(raise_limit())
        #: Builds of the residents that said hello last, by name; also of those that were refused for it.
        self._residents: OrderedDict[str, str] = OrderedDict()
        # Begun before it is needed, and in a thread: it reads files, and takes as long as a login.
        self._payload = tasks.create_task(asyncio.to_thread(ship.payload))

    def __iter__(self) -> Iterator[Link]:
        return iter(list(self._links.values()))

    def statistics(self) -> dict[str, int]:
        """How many links there are, and how many of them are up."""
        return {"links": len(self._links), "up": sum(link.hello is not None for link in self._links.values())}

    def watch(self, key: Key, options: ReachOptions, watcher: Watcher, gate: Gate) -> None:
        """Want a link: join the one that is there, or begin an attempt with these options through ``gate``."""
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = Link(key, options, self._upward, self._forget, self._tasks)
            self._attempts[link] = self._tasks.create_task(self._attempt(link, gate))
        link.watchers.add(watcher)
        link.idle_since = None
        if link.hello is not None:
            watcher.link_up(link)
        else:
            watcher.link_trying(link.stage)

    def unwatch(self, key: Key, watcher: Watcher) -> None:
        """Want it no more. An attempt that nobody wants ends at once, a link that is up some time later."""
        link = self._links.get(key)
        if link is None or watcher not in link.watchers:
            return
        link.watchers.discard(watcher)
        if link.watchers:
            return
        if link.hello is None:
            self._attempts[link].cancel()
            link.close()
        else:
            link.idle_since = asyncio.get_running_loop().time()

    def pulse(self) -> None:
        """Once a beat: beat down, watch leases, close what has been idle."""
        now = asyncio.get_running_loop().time()
        beat = codec.encode_one(Beat(now=time.time()))
        for link in self:
            link.pulse(now, beat)
            if self.idle_s is not None and link.idle_since is not None and now - link.idle_since > self.idle_s:
                link.close()

    async def close(self) -> None:
        """End every link, and wait until nothing of them is left on this machine."""
        for task in self._attempts.values():
            task.cancel()
        for link in self:
            link.close()
        await asyncio.gather(*self._ending.values(), return_exceptions=True)
        for reach in self._reaches.values():
            await reach.close()

    async def _attempt(self, link: Link, gate: Gate) -> None:
        try:
            await asyncio.shield(self._payload)
            link.descriptors = self._descriptors.take(link.provider.reach)
            async with gate.approach() as turn:
                await link.open(self._reaches[link.provider.reach], turn)
            try:
                await link.await_hello()
            finally:
                self._remember(link)
            gate.widen()
        except ReachError as exc:
            log.info("attempt failed", provider=link.provider.name, reason=str(exc))
            watchers = list(link.watchers)
            link.close()
            for watcher in watchers:
                watcher.link_failed(exc)
            return
        finally:
            self._attempts.pop(link, None)
        log.debug("link up", provider=link.provider.name, **_told(link))
        for watcher in list(link.watchers):
            watcher.link_up(link)

    def residents(self) -> dict[str, int]:
        """How many residents there were of each build, of those that were met last."""
        return dict(Counter(self._residents.values()))

    def _remember(self, link: Link) -> None:
        if link.level == "resident" and link.hello is not None:
            name = link.provider.name
            self._residents[name] = link.hello.build[: builds.MOST_CHARS]
            self._residents.move_to_end(name)
            if len(self._residents) > RESIDENTS:
                self._residents.popitem(last=False)

    def _forget(self, link: Link) -> None:
        """A link closes: it is in nobody's way any more, but not forgotten before all of it is gone."""
        if self._links.get(link.key) is link:
            del self._links[link.key]
        self._ending[link] = self._tasks.create_task(self._see_out(link))

    async def _see_out(self, link: Link) -> None:
        try:
            if attempt := self._attempts.get(link):
                # It may be about to have a channel in hand.
                await asyncio.wait([attempt])
            await link.wait_closed()
        finally:
            self._descriptors.give_back(link.descriptors)
            self._ending.pop(link, None)


def _told(link: Link) -> dict[str, object]:
    """What is worth logging of a link that is up. Not ``level``, which is the line's own."""
    assert link.hello is not None
    python = ".".join(map(str, link.hello.python))
    return {"runner": link.level, "python": python, "host": link.hello.host, "uid": link.hello.uid}


def our_hello() -> Hello:
    """What a coordinator says first."""
    return Hello(
        role="coordinator",
        python=tuple(sys.version_info[:3]),
        pid=os.getpid(),
        host=socket.gethostname(),
        uid=os.getuid(),
        now=time.time(),
    )
