"""The relay: frames of jobs from links to clients and back, unopened, each counted against what it was granted.

Knows kinds, job numbers, and the few header fields that bound what is in flight. Opens no payload and holds no result.
What a verdict or an end means is its `Query`'s business.

Bounds. A job's frames that spend credit are at most what its client granted. A client may grant a job at most
`GRANT_BYTES` more than what has passed already, and all its jobs together what was reserved when it submitted their
queries; so what waits for a client that stopped reading is bounded. Kinds that spend no credit are rare, and counted
all the same (`FREE_BYTES`). Beats with counters are passed on once a beat, the newest of each job, and only to a
client that lives. Feeds are held to what the runner granted. A peer that goes over a bound is not slowed down but cut
off: it does not keep to the protocol.

A START may wait here for a verdict that another query has asked for; `coordinator.held` keeps it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Final, Protocol

from backplane.wire import codec, limits
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Cancel, Message
from coordinator.held import Held
from coordinator.links import Link
from provider.runner import frames

#: How far a job's grant may be ahead of what has passed. Our client's window is at most a quarter of it.
GRANT_BYTES: Final = 4 * limits.CREDIT_JOB_MOST_BYTES
#: What a job may say without credit (verdict, faults, end), and a sixteenth of what it was fed (its credits).
FREE_BYTES: Final = 1 << 20
#: A start with all its fragments' headers.
START_BYTES: Final = frames.MAX_PAYLOAD_BYTES + (1 << 20)
#: A client that has not beaten for so long is passed no counters, and after `GONE_S` it is no client any more.
DEAF_S: Final = limits.STALLED_S
GONE_S: Final = 60.0

#: What a runner may say of a job. Others below `frames.KIND_CRITICAL` are skipped, so that a runner cannot pose as a
#: coordinator.
_FREE_UP: Final = frozenset((frames.VERDICT, frames.FAULT, frames.END, frames.CREDIT))


class Owner(Protocol):
    """The query that a job belongs to."""

    def job_started(self, job: Job, profile: str) -> None:
        """Its start is on its way."""

    def job_decided(self, job: Job, keep: bool) -> None:
        """Its filter has answered."""

    def job_ended(self, job: Job, state: str, reason: str | None, drained: bool) -> None:
        """Its runner is done with it."""

    def job_broke(self, job: Job, state: str, reason: str | None) -> None:
        """Its process was ended from outside."""

    def job_noted(self, job: Job, event: str) -> None:
        """Something that is worth a line in its story."""

    def cancel(self, mode: str, number: int = 0) -> None:
        """Its client wants it ended."""


class Job:
    """One script or plan on one provider for one query: where its frames go, and how many bytes may still go there."""

    __slots__ = (
        "client",
        "epoch",
        "fed",
        "feed_granted",
        "free",
        "granted",
        "kept",
        "link",
        "number",
        "owner",
        "passed",
        "start",
        "waiting",
    )

    def __init__(self, number: int, owner: Owner, client: Client, link: Link) -> None:
        self.number = number
        self.owner = owner
        self.client = client
        self.link = link
        #: Up: bytes granted and passed of the kinds that spend credit, and bytes of those that do not.
        self.granted = 0
        self.passed = 0
        self.free = 0
        #: Down: bytes of its start, and granted and passed of its feed.
        self.start = 0
        self.feed_granted = 0
        self.fed = 0
        #: `Held`'s: what waits to go down, None if nothing has to; its filter need not run; the epoch of its start.
        self.waiting: list[bytes] | None = None
        self.kept = False
        self.epoch = 0


class Client:
    """One peer of a router that has said hello: what is on its way to it, and when it was heard.

    Args:
        key: its public key if it came over TCP; None is this coordinator's own user.
        user: what it is called.
    """

    def __init__(
        self, peer: bytes, send: Callable[[bytes, Sequence[bytes]], bool], *, key: str | None = None, user: str = ""
    ) -> None:
        self.peer = peer
        self.key = key
        self.user = user
        #: Names this client's life, so that it is known when it comes back over another connection.
        self.instance = ""
        #: Why it may not ask: it is of another build. None: it may.
        self.other_build: str | None = None
        self.inbox = codec.Inbox()
        self.gone = False
        #: Counts since its hello, for the log.
        self.frames = 0
        self.bytes = 0
        #: What its queries may be granted ahead in all, and are, in bytes (docs/reference/frames.md, "Credit").
        self.reserved = 0
        self.ahead = 0
        self._send = send
        self._loop = asyncio.get_running_loop()
        self._heard = self._loop.time()
        self._outbox: list[bytes] = []
        self._beats: dict[int, bytes] = {}

    @property
    def silent_s(self) -> float:
        """Seconds since it was heard."""
        return self._loop.time() - self._heard

    def heard(self) -> None:
        """It said something."""
        self._heard = self._loop.time()

    def put(self, body: bytes) -> None:
        """Send a body, together with all others of this turn of the event loop and in the same order."""
        if not self._outbox:
            self._loop.call_soon(self.flush)
        self._outbox.append(body)

    def tell(self, message: Message) -> None:
        """Send a message of our own."""
        for body in codec.encode(message):
            self.put(body)

    def beat(self, job: int, body: bytes) -> None:
        """Keep a job's newest counters for the next pulse."""
        self._beats[job] = body

    def forget(self, job: int) -> None:
        """A job is over: its end has the last counters."""
        self._beats.pop(job, None)

    def pulse(self, beat: bytes) -> None:
        """Once a beat: ours, and the jobs' counters if it lives."""
        self.put(beat)
        if self.silent_s <= DEAF_S:
            for body in self._beats.values():
                self.put(body)
            self._beats.clear()

    def flush(self) -> None:
        """Hand what is waiting to ZeroMQ, as one message."""
        bodies, self._outbox = self._outbox, []
        if not bodies or self.gone:
            return
        self.frames += len(bodies)
        self.bytes += sum(map(len, bodies))
        self.gone = not self._send(self.peer, bodies)


class Relay:
    """Which job belongs to whom."""

    def __init__(self) -> None:
        self._jobs: dict[int, Job] = {}
        #: Starts that wait for a verdict.
        self.held = Held(self._concluded)

    def add(self, job: Job) -> None:
        """A job is about to be asked for."""
        self._jobs[job.number] = job

    def drop(self, number: int) -> Job | None:
        """A job is over. Frames that are still on their way are ignored."""
        job = self._jobs.pop(number, None)
        if job:
            job.client.forget(number)
            job.client.ahead -= job.granted - job.passed
            self.held.over(job)
        return job

    def cancel(self, job: Job, mode: str) -> None:
        """Have its runner end a job."""
        if not self.held.cancel(job, mode):
            job.link.write(codec.encode_one(Cancel(job=job.number, mode=mode)))

    def statistics(self) -> dict[str, int]:
        """Jobs, and what their clients may still be sent for them."""
        ahead = sum(max(0, job.granted - job.passed) for job in self._jobs.values())
        return {"jobs": len(self._jobs), "granted_ahead_bytes": ahead} | self.held.statistics()

    def up(self, link: Link, bodies: list[bytes]) -> None:
        """Pass on what came on a link.

        Raises:
            FrameError: not a frame.
            RemoteProtocolError: more than was granted, or what a runner may not say.
        """
        jobs, spends = self._jobs, frames.SPENDS_CREDIT
        for body in bodies:
            kind, number = frames.peek(body)
            job = jobs.get(number)
            if job is None or job.link is not link:
                if number == 0:
                    _about_the_link(kind, body)
                # Otherwise a job that is over, whose last frames were on their way.
            elif kind in spends:
                # One body may go over the grant, so that a frame is never stuck.
                if job.passed >= job.granted and kind == frames.NOTE:
                    self._free(job, kind, body)  # how many prints were dropped, which is said without credit
                    continue
                if job.passed >= job.granted:
                    raise RemoteProtocolError(f"{job.passed} bytes of job {number}, which was granted {job.granted}")
                job.passed += len(body)
                job.client.ahead -= len(body)
                job.client.put(body)
            elif kind == frames.BEAT:
                job.client.beat(number, body)
            elif kind in _FREE_UP:
                self._free(job, kind, body)
            elif kind >= frames.KIND_CRITICAL:
                raise RemoteProtocolError(f"unknown {frames.name(kind)}, which may not be skipped")

    def down(self, client: Client, kind: int, number: int, body: bytes) -> None:
        """Pass on what a client says to a job.

        Raises:
            RemoteProtocolError: the job is another's, or more than was granted, or what a client may not say.
        """
        job = self._jobs.get(number)
        if job is None:
            return  # it ended while this was on its way
        if job.client is not client:
            raise RemoteProtocolError(f"job {number} is not yours")
        if kind == frames.CANCEL:
            job.owner.cancel(_text(frames.decode(body).header, "mode"), number)
            return
        if kind == frames.START:
            self._start(job, body)
        elif kind == frames.CREDIT:
            _grant(job, _count(frames.decode(body).header, "granted"))
        elif kind == frames.FEED:
            _feed(job, len(frames.decode(body).payload))
        elif kind in frames.NAMES or kind >= frames.KIND_CRITICAL:
            raise RemoteProtocolError(f"a client does not say {frames.name(kind)}")
        else:
            return
        if number in self._jobs:  # a start may have been refused
            self.held.write(job, kind, body)

    def _start(self, job: Job, body: bytes) -> None:
        job.start += len(body)
        if job.start > START_BYTES:
            raise RemoteProtocolError(f"a start of over {START_BYTES} bytes")
        if job.start == len(body):
            header = frames.decode(body).header
            _grant(job, _count(header, "granted"))
            job.owner.job_started(job, _text(header, "profile"))
            self.held.ask(job, header)

    def _free(self, job: Job, kind: int, body: bytes) -> None:
        job.free += len(body)
        if job.free > FREE_BYTES + job.fed // 16:
            raise RemoteProtocolError(f"{job.free} bytes of job {job.number} beside its credit")
        job.client.put(body)
        if kind in (frames.FAULT, frames.NOTE):
            return
        header = frames.decode(body).header
        if kind == frames.VERDICT:
            keep = header.get("keep") is True
            self.held.decided(job, keep)
            job.owner.job_decided(job, keep)
        elif kind == frames.CREDIT:
            job.feed_granted = max(job.feed_granted, _count(header, "granted"))
        else:
            self._ended(job, header)

    def _ended(self, job: Job, header: dict[str, object]) -> None:
        said = header.get("reason")
        state, reason = _text(header, "state"), said if isinstance(said, str) else None
        if header.get("broken") is True:
            self.drop(job.number)
            job.owner.job_broke(job, state, reason)
        else:
            self._concluded(job, state, reason, header.get("drained") is True)

    def _concluded(self, job: Job, state: str, reason: str | None, drained: bool) -> None:
        self.drop(job.number)
        job.owner.job_ended(job, state, reason, drained)


def _about_the_link(kind: int, body: bytes) -> None:
    if kind == frames.FAULT:
        raise RemoteProtocolError(f"it says {_text(frames.decode(body).header, 'text')!r}")
    if kind >= frames.KIND_CRITICAL:
        raise RemoteProtocolError(f"unknown {frames.name(kind)}, which may not be skipped")


def _grant(job: Job, granted: int) -> None:
    if granted > job.passed + GRANT_BYTES:
        raise RemoteProtocolError(
            f"a credit of {granted - job.passed} bytes for job {job.number}: {GRANT_BYTES} at most"
        )
    more = max(0, granted - job.granted)
    client = job.client
    if client.ahead + more > client.reserved:
        raise RemoteProtocolError(f"{client.ahead + more} bytes of credit: {client.reserved} are this client's in all")
    client.ahead += more
    job.granted += more


def _feed(job: Job, size: int) -> None:
    job.fed += size
    if job.fed > job.feed_granted:
        raise RemoteProtocolError(f"job {job.number} was fed {job.fed} bytes and had granted {job.feed_granted}")


def _count(header: dict[str, object], field: str) -> int:
    value = header.get(field)
    if type(value) is not int or value < 0:
        raise RemoteProtocolError(f"{field} is no count")
    return value


def _text(header: dict[str, object], field: str) -> str:
    value = header.get(field)
    if type(value) is not str:
        raise RemoteProtocolError(f"{field} is no text")
    return value
