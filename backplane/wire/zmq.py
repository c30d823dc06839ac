"""Frame bodies over ZeroMQ: the only module that imports zmq.

Knows sockets: a message is one or more bodies as its parts, and a peer is who ZeroMQ says it is. Does not know what a
body says; the version handshake is the business of whoever uses it.

Theory of operation ------------------- libzmq's descriptor is edge-triggered and says "something may have changed",
nothing more; whoever takes the hint must look until there is nothing left, and any call (a send as well) may swallow
it. So a socket is drained with NOBLOCK into an inbox and looked at again after each send. That is seven times faster
than a coroutine a message (524 k against 71 k messages/s), and `send` is an ordinary call that a protocol's callback
may make.

Nothing here queues without a bound. A `Router` hands messages to libzmq at once; how much may wait there for one peer
is what that peer has granted (docs/reference/frames.md, "Credit"). A `Dealer` keeps what libzmq does not take in an
outbox of `OUTBOX_BYTES` and refuses more.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import zmq

from backplane.wire.errors import LocalProtocolError, NoCoordinator
from backplane.wire.unix import listens
from provider.runner.frames import MAX_FRAME_BYTES

#: What a dealer keeps for a coordinator that takes nothing: four of the largest starts. One that is alive takes it in
#: milliseconds; one that is not is noticed by its beats long before.
OUTBOX_BYTES: Final = 64 << 20
#: Messages taken from libzmq before the event loop has its turn. Lower wakes the loop more often for nothing, higher
#: lets a flood keep beats waiting.
DRAIN_MESSAGES: Final = 256
#: What closing may take to hand over what was sent before it. A peer that reads takes it in a millisecond.
FLUSH_S: Final = 1.0
#: A socket that is being bound now is there some milliseconds later.
RECONNECT_MS: Final = 10
CONNECT_S: Final = 5.0


class _Socket:
    """What both ends share: a socket whose incoming messages are drained into an inbox."""

    def __init__(self, kind: int) -> None:
        self._context = zmq.Context(io_threads=1)
        self._socket = self._context.socket(kind)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES)
        self._socket.setsockopt(zmq.IMMEDIATE, 1)
        self._inbox: deque[list[bytes]] = deque()
        self._changed = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    def close(self, flush_s: float = FLUSH_S) -> None:
        """Hand over what was sent, for at most ``flush_s`` seconds, and close. Closing twice does nothing."""
        if self._socket.closed:
            return
        if self._loop is not None:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close(linger=int(flush_s * 1000))
        self._context.term()
        self._changed.set()

    def _watch(self) -> None:
        if self._loop is None and not self._socket.closed:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket.fileno(), self._hint)

    def _hint(self) -> None:
        # Asking for the events is what clears the descriptor: without it the loop would call us again and again.
        self._events()
        self._changed.set()

    async def _next(self) -> list[bytes]:
        """The next message.

        Raises:
            LocalProtocolError: closed, now or before.
        """
        self._watch()
        if not self._inbox:
            # Without this a peer that floods us would keep the event loop to itself.
            await asyncio.sleep(0)
        while not self._inbox:
            self._changed.clear()
            self._drain()
            if not self._inbox:
                await self._changed.wait()
        return self._inbox.popleft()

    def _drain(self) -> None:
        if self._socket.closed:
            raise LocalProtocolError("the socket is closed")
        receive, keep = self._socket.recv_multipart, self._inbox.append
        try:
            for _ in range(DRAIN_MESSAGES):
                keep(receive(zmq.NOBLOCK))
        except zmq.Again:
            return

    def _events(self) -> int:
        return int(self._socket.getsockopt(zmq.EVENTS))

    def _look_again(self) -> None:
        """A send may have swallowed the hint that something came."""
        if self._events() & zmq.POLLIN:
            self._changed.set()


class Dealer(_Socket):
    """The client's end: one connection to one coordinator."""

    def __init__(self) -> None:
        super().__init__(zmq.DEALER)
        self._socket.setsockopt(zmq.RECONNECT_IVL, RECONNECT_MS)
        self._outbox: deque[Sequence[bytes]] = deque()
        self._waiting = 0

    async def connect(self, address: str, deadline_s: float = CONNECT_S) -> None:
        """Connect.

        Raises:
            NoCoordinator: nobody listens there, or not within ``deadline_s`` seconds.
        """
        self._watch()
        try:
            self._socket.connect(address)
        except zmq.ZMQError as exc:
            raise NoCoordinator(f"{address} is no coordinator's address: {exc}") from exc
        try:
            async with asyncio.timeout(deadline_s):
                while not self._events() & zmq.POLLOUT:
                    self._changed.clear()
                    if not self._events() & zmq.POLLOUT:
                        await self._changed.wait()
        except TimeoutError:
            raise NoCoordinator(f"no coordinator answers at {address}") from None

    def send(self, bodies: Sequence[bytes]) -> None:
        """Send one message.

        Raises:
            NoCoordinator: closed, or the coordinator has taken nothing for so long that the outbox is full.
        """
        if self._socket.closed:
            raise NoCoordinator("the connection to the coordinator is closed")
        self._flush()
        if self._outbox or not self._offer(bodies):
            self._waiting += sum(map(len, bodies))
            if self._waiting > OUTBOX_BYTES:
                raise NoCoordinator("the coordinator takes nothing any more")
            self._outbox.append(bodies)
        self._look_again()

    async def recv(self) -> list[bytes]:
        """The next message's bodies.

        Raises:
            NoCoordinator: closed.
        """
        try:
            return await self._next()
        except LocalProtocolError as exc:
            raise NoCoordinator("the connection to the coordinator is closed") from exc

    def close(self, flush_s: float = FLUSH_S) -> None:
        """Close, after handing over what was sent for at most ``flush_s`` seconds."""
        if not self._socket.closed:
            self._flush()
        super().close(flush_s)

    def _hint(self) -> None:
        self._flush()
        super()._hint()

    def _offer(self, bodies: Sequence[bytes]) -> bool:
        try:
            self._socket.send_multipart(bodies, zmq.NOBLOCK)
        except zmq.Again:
            return False
        return True

    def _flush(self) -> None:
        while self._outbox and self._offer(self._outbox[0]):
            self._waiting -= sum(map(len, self._outbox.popleft()))


class Router(_Socket):
    """The coordinator's end: any number of peers, each known by the identity that ZeroMQ gave its connection."""

    def __init__(self) -> None:
        super().__init__(zmq.ROUTER)
        # By default a router drops what it cannot deliver, silently.
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # Messages are no measure of memory, and a full queue would hold back one peer's frames out of order with its
        # states. What may wait for a peer is bounded in bytes by the credit that it gave.
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._file: _File | None = None

    def bind(self, address: str) -> None:
        """Listen at an ``ipc://`` address; the directory is made if missing, for this user alone. Needs no event loop.

        Raises:
            NoCoordinator: the directory is open to others, somebody listens there already, or it cannot be bound.
        """
        path = Path(address.removeprefix("ipc://"))
        _private_directory(path.parent)
        # libzmq takes a socket's file over without asking: right after a crash, theft from one that lives.
        if listens(str(path)):
            raise NoCoordinator(f"a coordinator listens at {path} already: end it first, or name another socket")
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            raise NoCoordinator(f"cannot listen at {address}: {exc}") from exc
        self._file = _File(path, path.stat().st_ino)

    def send(self, peer: bytes, bodies: Sequence[bytes]) -> bool:
        """Send one message; False if the peer is gone."""
        try:
            self._socket.send_multipart((peer, *bodies), zmq.NOBLOCK)
        except zmq.ZMQError:  # EHOSTUNREACH; there is no high-water mark to reach
            return False
        self._look_again()
        return True

    async def recv(self) -> Message:
        """The next message.

        Raises:
            LocalProtocolError: closed.
        """
        peer, *bodies = await self._next()
        return Message(peer, bodies)

    def close(self, flush_s: float = FLUSH_S) -> None:
        """Close, after handing over what was sent for at most ``flush_s`` seconds, and remove the socket's file."""
        super().close(flush_s)
        if self._file is not None:
            # Not a successor's, who took the path over when we were frozen.
            with contextlib.suppress(FileNotFoundError):
                if self._file.path.stat().st_ino == self._file.inode:
                    self._file.path.unlink()


class _File(NamedTuple):
    """The file of a socket that we made."""

    path: Path
    inode: int


class Message(NamedTuple):
    """What a router received, and from whom."""

    peer: bytes
    bodies: list[bytes]


def _private_directory(path: Path) -> None:
    """Whoever may enter it may ask our providers in our name."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NoCoordinator(f"{path} must be a directory of yours with mode 0700: it holds the coordinator's socket")
