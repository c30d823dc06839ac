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

A `Router` with a `Guard` listens on TCP, speaks CURVE and nothing else, and lets in whom the guard knows; libzmq asks
it (ZAP, an inproc socket) before it hands on a peer's first byte. A peer is then known by its key.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, NamedTuple

import zmq
import zmq.utils.monitor
import zmq.utils.z85

from backplane.wire.errors import LocalProtocolError, NoCoordinator, UsageError
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
#: TCP that was accepted and says nothing is dropped: a descriptor is all that it costs, but there are not many.
HANDSHAKE_MS: Final = 5_000
#: What CURVE adds to a message, whose size libzmq bounds after encryption.
_CURVE_BYTES: Final = 64
_ZAP: Final = "inproc://zeromq.zap.01"
#: A connection that goes before it is up was broken off by the other side, which says why only of a key.
_FAILED: Final = zmq.EVENT_HANDSHAKE_FAILED_AUTH | zmq.EVENT_DISCONNECTED


@dataclass(frozen=True, slots=True)
class Pair:
    """A CURVE key pair in Z85."""

    public: str
    secret: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Curve:
    """How a client proves itself to a coordinator, and knows it: its own pair and the coordinator's public key."""

    server: str
    own: Pair


class Guard(NamedTuple):
    """Who may come in over TCP: the coordinator's pair, and whether a public key is known."""

    pair: Pair
    knows: Callable[[str], bool]


def new_pair() -> Pair:
    """A pair that nobody has."""
    while True:
        public, secret = zmq.curve_keypair()
        if not public.startswith(b"-"):  # on a command line it would be an option
            return Pair(public.decode(), secret.decode())


def pair_of(secret: str) -> Pair:
    """The pair that a secret key belongs to."""
    return Pair(zmq.curve_public(secret.encode()).decode(), secret)


def is_key(text: str) -> bool:
    """A key's form: 40 characters of Z85."""
    try:
        return len(text) == 40 and len(zmq.utils.z85.decode(text.encode("ascii"))) == 32
    except (ValueError, KeyError, UnicodeEncodeError):
        return False


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

    def _take(self) -> list[bytes]:
        """One message that is there.

        Raises:
            zmq.Again: there is none.
        """
        return self._socket.recv_multipart(zmq.NOBLOCK)

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
        take, keep = self._take, self._inbox.append
        try:
            for _ in range(DRAIN_MESSAGES):
                keep(take())
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

    async def connect(self, address: str, deadline_s: float = CONNECT_S, curve: Curve | None = None) -> None:
        """Connect.

        Args:
            curve: keys, without which no coordinator answers over TCP.

        Raises:
            NoCoordinator: nobody listens there or not within ``deadline_s`` seconds, or it and we do not trust each
                other.
        """
        self._watch()
        with contextlib.ExitStack() as stack:
            try:
                if curve:
                    self._prove(curve)
                refusals = stack.enter_context(_Refusals(self._socket, self._changed, address, curve))
                self._socket.connect(address)
            except zmq.ZMQError as exc:
                raise NoCoordinator(f"{address} is no coordinator's address: {exc}") from exc
            try:
                async with asyncio.timeout(deadline_s):
                    while not self._events() & zmq.POLLOUT:
                        self._changed.clear()
                        refusals.check()
                        if not self._events() & zmq.POLLOUT:
                            await self._changed.wait()
            except TimeoutError:
                raise NoCoordinator(f"no coordinator answers at {address}") from None

    def _prove(self, curve: Curve) -> None:
        self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES + _CURVE_BYTES)
        self._socket.setsockopt(zmq.CURVE_SERVERKEY, curve.server.encode())
        self._socket.setsockopt(zmq.CURVE_PUBLICKEY, curve.own.public.encode())
        self._socket.setsockopt(zmq.CURVE_SECRETKEY, curve.own.secret.encode())

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


class _Refusals:
    """Why a connection does not come up, as libzmq tells it of one socket while that connects."""

    def __init__(self, socket: zmq.Socket[bytes], changed: asyncio.Event, address: str, curve: Curve | None) -> None:
        self._socket = socket
        self._changed = changed
        self._address = address
        self._curve = curve

    def __enter__(self) -> _Refusals:
        self._monitor = self._socket.get_monitor_socket(_FAILED)
        asyncio.get_running_loop().add_reader(self._monitor.fileno(), self._hint)
        return self

    def __exit__(self, *_: object) -> None:
        asyncio.get_running_loop().remove_reader(self._monitor.fileno())
        self._socket.disable_monitor()
        self._monitor.close(linger=0)  # or its context never ends

    def _hint(self) -> None:
        self._monitor.getsockopt(zmq.EVENTS)
        self._changed.set()

    def check(self) -> None:
        """Look at what was told.

        Raises:
            NoCoordinator: trying again would not help.
        """
        broken_off = False
        with contextlib.suppress(zmq.Again):
            while True:
                event = zmq.utils.monitor.parse_monitor_message(self._monitor.recv_multipart(zmq.NOBLOCK))["event"]
                if event == zmq.EVENT_HANDSHAKE_FAILED_AUTH and self._curve:
                    key = self._curve.own.public
                    raise NoCoordinator(
                        f"the coordinator at {self._address} does not know this client's key: its operator lets it in "
                        f"with `logreduce coordinator keys allow NAME '{key}'`"
                    )
                broken_off = True
        # Over ipc there is nothing to refuse: it is a process that ends, and the next one comes.
        if broken_off and self._address.startswith("tcp://"):
            known = "another server key than the one configured here" if self._curve else "clients with a key only"
            raise NoCoordinator(f"what listens at {self._address} breaks off the handshake: it may have {known}")


class Router(_Socket):
    """The coordinator's end: any number of peers, each known by the identity that ZeroMQ gave its connection.

    Args:
        guard: for TCP: who may come in.
    """

    def __init__(self, guard: Guard | None = None) -> None:
        super().__init__(zmq.ROUTER)
        # By default a router drops what it cannot deliver, silently.
        self._socket.setsockopt(zmq.ROUTER_MANDATORY, 1)
        # Messages are no measure of memory, and a full queue would hold back one peer's frames out of order with its
        # states. What may wait for a peer is bounded in bytes by the credit that it gave.
        self._socket.setsockopt(zmq.SNDHWM, 0)
        self._file: _File | None = None
        self._door: _Door | None = None
        if guard:
            self._socket.setsockopt(zmq.MAXMSGSIZE, MAX_FRAME_BYTES + _CURVE_BYTES)
            self._socket.setsockopt(zmq.HANDSHAKE_IVL, HANDSHAKE_MS)
            self._socket.setsockopt(zmq.CURVE_SERVER, 1)
            self._socket.setsockopt(zmq.CURVE_SECRETKEY, guard.pair.secret.encode())
            self._socket.setsockopt(zmq.ZAP_DOMAIN, b"logreduce")
            self._door = _Door(self._context, guard)

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
        self._bind(address)
        self._file = _File(path, path.stat().st_ino)

    def listen(self, address: str) -> str:
        """Listen at a ``tcp://`` address, for peers that the guard knows. Needs no event loop.

        Returns:
            The address, with the port that it is.

        Raises:
            UsageError: without a guard nobody listens on TCP.
            NoCoordinator: it cannot be bound.
        """
        if self._door is None:
            raise UsageError("over TCP a coordinator listens with CURVE and a list of clients, or not at all")
        self._bind(address)
        return self._socket.getsockopt_string(zmq.LAST_ENDPOINT)

    def _bind(self, address: str) -> None:
        try:
            self._socket.bind(address)
        except zmq.ZMQError as exc:
            raise NoCoordinator(f"cannot listen at {address}: {exc}") from exc

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
        user, peer, *bodies = await self._next() if self._door else (b"", *await self._next())
        return Message(peer, bodies, user.decode() or None)

    def _take(self) -> list[bytes]:
        if self._door is None:
            return super()._take()
        parts = self._socket.recv_multipart(zmq.NOBLOCK, copy=False)
        return [str(parts[-1].get("User-Id")).encode(), *(part.bytes for part in parts)]

    def _watch(self) -> None:
        super()._watch()
        if self._door:
            self._door.watch()

    def close(self, flush_s: float = FLUSH_S) -> None:
        """Close, after handing over what was sent for at most ``flush_s`` seconds, and remove the socket's file."""
        if self._door:
            self._door.close()
        super().close(flush_s)
        if self._file is not None:
            # Not a successor's, who took the path over when we were frozen.
            with contextlib.suppress(FileNotFoundError):
                if self._file.path.stat().st_ino == self._file.inode:
                    self._file.path.unlink()


class _Door:
    """Answers libzmq's questions about who wants to come in (ZAP, RFC 27)."""

    def __init__(self, context: zmq.Context[zmq.Socket[bytes]], guard: Guard) -> None:
        self._socket = context.socket(zmq.REP)
        self._socket.setsockopt(zmq.LINGER, 0)
        self._socket.bind(_ZAP)
        self._guard = guard
        self._loop: asyncio.AbstractEventLoop | None = None

    def watch(self) -> None:
        """Begin to answer."""
        if self._loop is None and not self._socket.closed:
            self._loop = asyncio.get_running_loop()
            self._loop.add_reader(self._socket.fileno(), self._asked)
            self._asked()

    def close(self) -> None:
        """Answer no more, so that nobody comes in."""
        if self._loop is not None and not self._socket.closed:
            self._loop.remove_reader(self._socket.fileno())
        self._socket.close()

    def _asked(self) -> None:
        with contextlib.suppress(zmq.Again):
            while True:
                self._socket.send_multipart(self._answer(self._socket.recv_multipart(zmq.NOBLOCK)), zmq.NOBLOCK)

    def _answer(self, asked: list[bytes]) -> list[bytes]:
        version, request, _domain, _address, _identity, mechanism, *credentials = asked
        key = zmq.utils.z85.encode(credentials[0]).decode() if mechanism == b"CURVE" and credentials else ""
        if key and self._guard.knows(key):
            return [version, request, b"200", b"", key.encode(), b""]
        return [version, request, b"400", b"unknown key", b"", b""]


class _File(NamedTuple):
    """The file of a socket that we made."""

    path: Path
    inode: int


class Message(NamedTuple):
    """What a router received, and from whom: ``user`` is a public key, None over ipc."""

    peer: bytes
    bodies: list[bytes]
    user: str | None = None


def _private_directory(path: Path) -> None:
    """Whoever may enter it may ask our providers in our name."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = path.stat()
    if found.st_uid != os.getuid() or found.st_mode & 0o077:
        raise NoCoordinator(f"{path} must be a directory of yours with mode 0700: it holds the coordinator's socket")
