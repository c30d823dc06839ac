"""Links over a channel in memory: hello, lease, sharing, and what a runner may not do."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace

import pytest

from backplane.wire import codec, limits
from backplane.wire.errors import ReachError, RemoteProtocolError
from backplane.wire.messages import Beat, Fault, Hello, Message
from coordinator import links as links_module
from coordinator.gate import Gate
from coordinator.links import Link, Links, key_of
from coordinator.reach.base import Exit, Receiver, Tail, Turn
from coordinator.table import Provider, ReachOptions
from provider import ship
from provider.runner import frames

HELLO = Hello(role="runner", python=(3, 9, 1), host="web01", uid=7, build=ship.build())
OPTIONS = ReachOptions()
ship.payload()


class Pipe:
    """A channel in memory; the test is the runner at its other end."""

    level = "exec"

    def __init__(self, receiver: Receiver) -> None:
        self.receiver = receiver
        self.stderr = Tail()
        self.written = b""
        self.backlog = 0
        self.closed = asyncio.Event()

    def write(self, data: bytes) -> None:
        self.written += data

    def close(self) -> None:
        self.closed.set()

    async def wait_closed(self) -> None:
        await self.closed.wait()

    def say(self, *messages: Message) -> None:
        for message in messages:
            for body in codec.encode(message):
                self.receiver.data_received(frames.framed(body))

    def up(self, hello: Hello = HELLO) -> None:
        self.receiver.data_received(frames.PREAMBLE)
        self.say(hello)


@dataclass
class Pipes:
    """A reach whose channels are pipes; or it fails, or it hangs."""

    made: list[Pipe] = field(default_factory=list)
    fails: ReachError | None = None
    hangs: bool = False

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver, turn: Turn) -> Pipe:
        receiver.at_stage("opening")
        if self.hangs:
            await asyncio.Event().wait()
        if self.fails:
            raise self.fails
        self.made.append(Pipe(receiver))
        return self.made[-1]

    async def close(self) -> None:
        pass


class Watch:
    """A watcher that keeps what it hears."""

    def __init__(self) -> None:
        self.heard: list[str] = []
        self.link: Link | None = None

    def link_trying(self, stage: str) -> None:
        self.heard.append(f"trying: {stage}")

    def link_up(self, link: Link) -> None:
        self.link = link
        self.heard.append("up")

    def link_failed(self, error: ReachError) -> None:
        self.heard.append(f"failed: {error}")

    def link_lost(self, reason: str) -> None:
        self.heard.append(f"lost: {reason}")

    def link_quiet(self) -> None:
        self.heard.append("quiet")

    def link_heard(self) -> None:
        self.heard.append("heard")

    async def until(self, word: str) -> str:
        async with asyncio.timeout(5):
            while not self.heard or not self.heard[-1].startswith(word):  # noqa: ASYNC110 - the test is the only one
                await asyncio.sleep(0.001)
        return self.heard[-1]


class Taken:
    """Who takes the frames of jobs."""

    def __init__(self) -> None:
        self.bodies: list[bytes] = []
        self.raises: Exception | None = None

    def up(self, link: Link, bodies: list[bytes]) -> None:
        self.bodies += bodies
        if self.raises:
            raise self.raises


@dataclass
class Rig:
    links: Links
    pipes: Pipes
    taken: Taken

    def watch(self, name: str = "web01", **fields: object) -> Watch:
        watch = Watch()
        provider = Provider(name, reach="pipe", labels={"of": "no matter"})
        self.links.watch(key_of(provider, OPTIONS), OPTIONS, watch, Gate(2))
        return watch

    async def up(self) -> tuple[Watch, Pipe]:
        watch = self.watch()
        await watch.until("trying: waiting for the runner's hello")
        self.pipes.made[-1].up()
        await watch.until("up")
        return watch, self.pipes.made[-1]


@contextlib.asynccontextmanager
async def rig(idle_s: float | None = None) -> AsyncIterator[Rig]:
    async with asyncio.TaskGroup() as tasks:
        pipes, taken = Pipes(), Taken()
        links = Links(tasks, taken, {"pipe": pipes}, idle_s)
        yield Rig(links, pipes, taken)
        await links.close()


def down(pipe: Pipe) -> list[Message]:
    """What the runner reads after its payload."""
    bodies = frames.Splitter().feed(pipe.written.removeprefix(ship.payload()))
    return [message for message in map(codec.decode, bodies) if message]


async def test_nothing_but_the_payload_is_written_before_the_hello() -> None:
    """The loader's read-ahead would swallow it; our hello follows the runner's."""
    async with rig() as r:
        watch = r.watch()
        await watch.until("trying: waiting for the runner's hello")
        r.links.pulse()
        (pipe,) = r.pipes.made
        assert pipe.written == ship.payload()
        pipe.up()
        await watch.until("up")
        assert [type(message) for message in down(pipe)] == [Hello]
        r.links.pulse()
        assert [type(message) for message in down(pipe)] == [Hello, Beat]


async def test_a_resident_is_not_shipped_to(monkeypatch: pytest.MonkeyPatch) -> None:
    """A runner is there already."""
    monkeypatch.setattr(Pipe, "level", "resident")
    async with rig() as r:
        watch, pipe = await r.up()
        assert [type(message) for message in down(pipe)] == [Hello]
        assert watch.link is not None
        assert watch.link.level == "resident"


@pytest.mark.parametrize(("level", "there"), [("resident", "another"), ("resident", ""), ("exec", "")])
async def test_a_resident_of_another_build_is_refused(monkeypatch: pytest.MonkeyPatch, level: str, there: str) -> None:
    """In one sentence that names both; what we have shipped ourselves is ours whatever it says."""
    monkeypatch.setattr(Pipe, "level", level)
    async with rig() as r:
        watch = r.watch()
        await watch.until("trying: waiting for the runner's hello")
        r.pipes.made[0].up(replace(HELLO, build=there))
        if level == "exec":
            await watch.until("up")
            return
        await watch.until("failed")
        said = watch.heard[-1]
        assert "another build" in said and (there or "an older one") in said and ship.build() in said
        assert r.links.residents() == {there: 1}


async def test_watchers_of_one_login_share_a_link_and_labels_do_not_matter() -> None:
    """Whoever comes later joins the attempt, or the link that is up."""
    async with rig() as r:
        first, second = r.watch(), r.watch()
        await first.until("trying: waiting for the runner")
        r.pipes.made[0].up()
        await second.until("up")
        third = r.watch()
        assert third.heard == ["up"]
        assert len(r.pipes.made) == 1
        r.watch("web02")
        assert r.links.statistics() == {"links": 2, "up": 1}


async def test_noise_before_the_preamble_is_skipped() -> None:
    """A login shell's banner."""
    async with rig() as r:
        watch = r.watch()
        await watch.until("trying: waiting for the runner")
        r.pipes.made[0].receiver.data_received(b"Welcome to web01\r\n")
        r.pipes.made[0].up()
        await watch.until("up")


async def test_a_runner_that_does_not_say_hello_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """With what it said instead."""
    monkeypatch.setattr(limits, "HELLO_S", 0.05)
    async with rig() as r:
        watch = r.watch()
        await watch.until("trying: waiting for the runner")
        r.pipes.made[0].receiver.data_received(b"menu: 1) reboot")
        failed = await watch.until("failed")
        assert "no hello from its runner" in failed
        assert "menu: 1) reboot" in failed
        assert r.links.statistics() == {"links": 0, "up": 0}


@pytest.mark.parametrize(
    ("said", "says"),
    [
        (frames.PREAMBLE + b"\0\0\0\1x", "not the runner protocol"),
        (frames.PREAMBLE + frames.framed(codec.encode_one(Beat())), "no runner's hello"),
        (frames.PREAMBLE + frames.framed(codec.encode_one(Hello(role="client"))), "no runner's hello"),
        (frames.PREAMBLE + frames.framed(codec.encode_one(Fault(code="x", text="too young"))), "too young"),
        (b"z" * 70000, "no runner answered"),
        (
            frames.PREAMBLE + frames.framed(codec.encode_one(Hello(role="runner", version=9, oldest=8))),
            "protocol 8 to 9",
        ),
    ],
)
async def test_what_is_no_runner_fails_the_attempt(said: bytes, says: str) -> None:
    """In a sentence, and the channel is closed."""
    async with rig() as r:
        watch = r.watch()
        await watch.until("trying: waiting for the runner")
        r.pipes.made[0].receiver.data_received(said)
        assert says in await watch.until("failed")
        assert r.pipes.made[0].closed.is_set()


async def test_a_runner_that_exits_before_its_hello_fails_the_attempt() -> None:
    """By its exit and the end of its stderr."""
    async with rig() as r:
        watch = r.watch()
        await watch.until("trying: waiting for the runner")
        r.pipes.made[0].stderr.add(b"sh: python3: not found\n")
        r.pipes.made[0].receiver.channel_closed(Exit(status=127))
        assert "no python3 on the PATH" in await watch.until("failed")


async def test_a_reach_that_fails_fails_the_attempt_for_all_who_wait() -> None:
    """Each watcher hears the same sentence."""
    async with rig() as r:
        r.pipes.fails = ReachError("no route")
        first, second = r.watch(), r.watch()
        assert await first.until("failed") == "failed: no route"
        assert await second.until("failed") == "failed: no route"


async def test_an_attempt_that_nobody_wants_ends() -> None:
    """The wait is over for the only query: nothing goes on in the background."""
    async with rig() as r:
        r.pipes.hangs = True
        watch = r.watch()
        await watch.until("trying: opening")
        r.links.unwatch(key_of(Provider("web01", reach="pipe"), OPTIONS), watch)
        assert r.links.statistics() == {"links": 0, "up": 0}
        async with asyncio.timeout(5):
            while r.links._attempts:  # noqa: ASYNC110 - the test is the only one
                await asyncio.sleep(0)


async def test_silence_is_quiet_then_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    """Any byte ends the quiet; the lease ends the link."""
    async with rig() as r:
        watch, pipe = await r.up()
        assert watch.link is not None
        watch.link.heard -= limits.STALLED_S + 0.1
        r.links.pulse()
        r.links.pulse()
        assert watch.heard[-2:] == ["up", "quiet"]
        pipe.say(Beat())
        assert watch.heard[-1] == "heard"
        watch.link.heard -= limits.LEASE_S + 0.1
        r.links.pulse()
        assert watch.heard[-1] == "lost: nothing was heard from it for 10 s"
        assert pipe.closed.is_set()


async def test_a_runner_that_breaks_the_protocol_loses_its_link() -> None:
    """Whatever of it the relay refuses."""
    async with rig() as r:
        watch, pipe = await r.up()
        r.taken.raises = RemoteProtocolError("more than was granted")
        pipe.say(Beat(job=3))
        assert watch.heard[-1] == "lost: what it sent is not the runner protocol: more than was granted"
        r.taken.raises = None
        before = len(r.taken.bodies)
        pipe.say(Beat(job=3))
        assert len(r.taken.bodies) == before


async def test_a_channel_that_takes_nothing_loses_its_link(monkeypatch: pytest.MonkeyPatch) -> None:
    """What waits to go down is bounded."""
    async with rig() as r:
        watch, pipe = await r.up()
        pipe.backlog = links_module.BACKLOG_BYTES + 1
        r.links.pulse()
        assert watch.heard[-1] == "lost: it took nothing of what was sent to it"


@pytest.mark.parametrize(
    ("how", "says"),
    [
        (Exit(status=0), "its runner ended with exit status 0"),
        (Exit(signal="KILL"), "its runner ended by signal KILL"),
        (Exit(broken="Connection lost"), "the connection broke: Connection lost"),
    ],
)
async def test_the_reason_of_a_loss_is_how_the_channel_ended(how: Exit, says: str) -> None:
    """In plain words."""
    async with rig() as r:
        watch, pipe = await r.up()
        pipe.receiver.channel_closed(how)
        assert watch.heard[-1] == f"lost: {says}"


async def test_a_link_without_a_watcher_is_kept_for_a_while() -> None:
    """The next query of a session finds it; afterwards it goes."""
    async with rig(idle_s=5.0) as r:
        watch, pipe = await r.up()
        assert watch.link is not None
        r.links.unwatch(watch.link.key, watch)
        r.links.pulse()
        assert r.links.statistics()["up"] == 1
        assert watch.link.idle_since is not None
        watch.link.idle_since -= 6
        watch.link.heard += 6
        r.links.pulse()
        assert r.links.statistics()["links"] == 0
        assert pipe.closed.is_set()
