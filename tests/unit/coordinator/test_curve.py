"""Over TCP: whom a router lets in, what the others hear, and that nobody is harmed by those who try."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator

import pytest
import zmq

from backplane.wire.errors import NoCoordinator, UsageError
from backplane.wire.zmq import Curve, Dealer, Guard, Router, new_pair, pair_of
from provider.runner.frames import MAX_FRAME_BYTES

SERVER, FRIEND, STRANGER = new_pair(), new_pair(), new_pair()


@contextlib.asynccontextmanager
async def guarded() -> AsyncIterator[tuple[Router, str]]:
    """A router that echoes, and its address."""
    router = Router(Guard(SERVER, {FRIEND.public}.__contains__))

    async def echo() -> None:
        while True:
            message = await router.recv()
            router.send(message.peer, [*message.bodies, str(message.user).encode()])

    try:
        address = router.listen("tcp://127.0.0.1:*")
        echoing = asyncio.create_task(echo())
        yield router, address
        echoing.cancel()
    finally:
        await asyncio.to_thread(router.close, 0.1)


async def says(address: str, curve: Curve | None, body: bytes = b"x", deadline_s: float = 5.0) -> list[bytes]:
    """What a client hears that says this."""
    dealer = Dealer()
    try:
        await dealer.connect(address, deadline_s, curve)
        dealer.send([body])
        async with asyncio.timeout(5):
            return await dealer.recv()
    finally:
        dealer.close(0)


async def test_a_known_key_comes_in_and_is_the_user() -> None:
    """With a body of the largest size, both ways."""
    async with guarded() as (_, address):
        body = b"x" * MAX_FRAME_BYTES
        assert await says(address, Curve(SERVER.public, FRIEND), body) == [body, FRIEND.public.encode()]


@pytest.mark.parametrize(
    ("curve", "says_why"),
    [
        (Curve(SERVER.public, STRANGER), f"keys allow NAME '{STRANGER.public}'"),
        (Curve(STRANGER.public, FRIEND), "another server key"),
        (None, "clients with a key only"),
    ],
    ids=["unlisted", "wrong-server", "null"],
)
async def test_others_are_told_why_before_their_deadline(curve: Curve | None, says_why: str) -> None:
    """And whoever is known is served as before."""
    async with guarded() as (_, address):
        with pytest.raises(NoCoordinator) as refused:
            await says(address, curve, deadline_s=30)
        assert says_why in str(refused.value)
        for pair in (SERVER, FRIEND, STRANGER):
            assert pair.secret not in str(refused.value) + repr(curve)
        assert await says(address, Curve(SERVER.public, FRIEND))


async def test_plain_passwords_are_no_way_in() -> None:
    """PLAIN is refused like NULL, by a client that is not ours."""
    async with guarded() as (_, address):
        with zmq.Context() as context, context.socket(zmq.DEALER) as other:
            other.setsockopt(zmq.LINGER, 0)
            other.setsockopt(zmq.IMMEDIATE, 1)
            other.plain_username, other.plain_password = b"a", b"b"
            monitor = other.get_monitor_socket(
                zmq.EVENT_HANDSHAKE_SUCCEEDED | zmq.EVENT_HANDSHAKE_FAILED_NO_DETAIL | zmq.EVENT_DISCONNECTED
            )
            other.connect(address)
            assert await asyncio.to_thread(monitor.poll, 5000)
            event = int.from_bytes(monitor.recv_multipart()[0][:2], "little")
            other.disable_monitor()
            monitor.close(0)
        assert event != zmq.EVENT_HANDSHAKE_SUCCEEDED
        assert await says(address, Curve(SERVER.public, FRIEND))


async def test_garbage_and_oversize_harm_nobody() -> None:
    """Bytes that are no ZeroMQ, and a message over the bound from one who is known, cost them their connection."""
    async with guarded() as (_, address):
        host, port = address.removeprefix("tcp://").split(":")
        for garbage in (b"GET / HTTP/1.0\r\n\r\n", b"\xff" * 100_000, b""):
            with socket.create_connection((host, int(port))) as raw, contextlib.suppress(OSError):
                await asyncio.to_thread(raw.sendall, garbage)
        with zmq.Context() as context, context.socket(zmq.DEALER) as known:
            known.setsockopt(zmq.LINGER, 0)
            known.curve_serverkey = SERVER.public.encode()
            known.curve_publickey, known.curve_secretkey = FRIEND.public.encode(), FRIEND.secret.encode()
            known.connect(address)
            monitor = known.get_monitor_socket(zmq.EVENT_DISCONNECTED)
            known.send(b"x" * 200_000)
            assert await asyncio.to_thread(monitor.poll, 5000)
            known.disable_monitor()
            monitor.close(0)
        assert await says(address, Curve(SERVER.public, FRIEND))


async def test_nobody_listens_on_tcp_without_a_guard() -> None:
    """The refusal is the router's own, whatever its user forgot."""
    router = Router()
    with pytest.raises(UsageError, match="CURVE"):
        router.listen("tcp://127.0.0.1:*")
    await asyncio.to_thread(router.close, 0)


def test_a_pair_follows_from_its_secret() -> None:
    """And does not show it."""
    assert pair_of(FRIEND.secret) == FRIEND
    assert FRIEND.secret not in repr(Guard(FRIEND, bool))
