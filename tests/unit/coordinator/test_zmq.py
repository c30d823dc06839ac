"""Dealer and Router: order, bounds, peers that are gone, and hints that must not be swallowed."""

from __future__ import annotations

import asyncio
import contextlib
import select
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from backplane.wire import zmq as wire
from backplane.wire.errors import LocalProtocolError, NoCoordinator
from backplane.wire.zmq import Dealer, Router
from provider.runner.frames import MAX_FRAME_BYTES


@contextlib.asynccontextmanager
async def router(tmp_path: Path) -> AsyncIterator[tuple[Router, str]]:
    bound = Router()
    address = f"ipc://{tmp_path}/s"
    try:
        await asyncio.to_thread(bound.bind, address)
        yield bound, address
    finally:
        await asyncio.to_thread(bound.close, 0.1)


@contextlib.asynccontextmanager
async def dealer(address: str) -> AsyncIterator[Dealer]:
    made = Dealer()
    try:
        await made.connect(address)
        yield made
    finally:
        made.close(0.1)


async def test_messages_keep_their_parts_and_their_order(tmp_path: Path) -> None:
    """Several bodies are one message, both ways."""
    async with router(tmp_path) as (r, address), dealer(address) as d:
        for number in range(1000):
            d.send([b"%d" % number, b"\0" * 10])
        for number in range(1000):
            peer, bodies, _ = await r.recv()
            assert bodies == [b"%d" % number, b"\0" * 10]
        for number in range(3000):
            assert r.send(peer, [b"%d" % number])
        for number in range(3000):
            assert await d.recv() == [b"%d" % number]


async def test_a_send_does_not_swallow_what_arrives(tmp_path: Path) -> None:
    """libzmq's descriptor tells once: two ends that send while they wait must both go on."""
    async with router(tmp_path) as (r, address), dealer(address) as d:
        d.send([b"hello"])
        peer, *_ = await r.recv()
        counts = [0, 0]

        async def listen() -> None:
            while counts[0] < 500:
                await r.recv()
                counts[0] += 1

        async def ask() -> None:
            while counts[1] < 500:
                await d.recv()
                counts[1] += 1

        async with asyncio.timeout(20), asyncio.TaskGroup() as tasks:
            tasks.create_task(listen())
            tasks.create_task(ask())
            for _ in range(500):
                d.send([b"up"])
                r.send(peer, [b"down"])
                await asyncio.sleep(0)
        assert counts == [500, 500]


async def test_the_hint_that_a_send_swallowed_is_looked_for(tmp_path: Path) -> None:
    """It came while a receiver waits, and a send took it off the descriptor before the loop saw it."""
    async with router(tmp_path) as (r, address), dealer(address) as d, asyncio.TaskGroup() as tasks:
        d.send([b"hello"])
        peer, *_ = await r.recv()
        waiting = tasks.create_task(d.recv())
        for _ in range(10):
            await asyncio.sleep(0)
        r.send(peer, [b"down"])
        assert select.select([d._socket.fileno()], [], [], 5)[0]
        # libzmq looks at its commands on a send only now and then.
        for _ in range(1_000_000):
            if not select.select([d._socket.fileno()], [], [], 0)[0]:
                break
            d.send([b"up"])
        async with asyncio.timeout(5):
            assert await waiting == [b"down"]


async def test_a_router_says_that_a_peer_is_gone(tmp_path: Path) -> None:
    """By default it would drop the message and say nothing."""
    async with router(tmp_path) as (r, address):
        assert not r.send(b"nobody", [b"x"])
        async with dealer(address) as d:
            d.send([b"hello"])
            peer, *_ = await r.recv()
        async with asyncio.timeout(5):
            while r.send(peer, [b"x"]):  # noqa: ASYNC110 - ZeroMQ tells nobody but who sends
                await asyncio.sleep(0.01)


async def test_nobody_at_an_address_is_no_coordinator(tmp_path: Path) -> None:
    """Within the deadline, with the address in the sentence."""
    made = Dealer()
    try:
        with pytest.raises(NoCoordinator, match=f"no coordinator answers at ipc://{tmp_path}/none"):
            await made.connect(f"ipc://{tmp_path}/none", deadline_s=0.2)
    finally:
        made.close(0)


async def test_an_outbox_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A coordinator that takes nothing is not written to for ever."""
    monkeypatch.setattr(wire, "OUTBOX_BYTES", 1 << 20)
    async with router(tmp_path) as (_, address), dealer(address) as d:

        def flood() -> None:
            for _ in range(100_000):
                d.send([b"x" * 60_000])

        with pytest.raises(NoCoordinator, match="takes nothing"):
            flood()


async def test_what_waited_in_the_outbox_arrives_in_order(tmp_path: Path) -> None:
    """As soon as the coordinator takes it."""
    async with router(tmp_path) as (r, address), dealer(address) as d:
        for number in range(5000):
            d.send([b"%d" % number, b"x" * 2000])
        assert d._outbox
        async with asyncio.timeout(20):
            for number in range(5000):
                assert (await r.recv()).bodies[0] == b"%d" % number


async def test_closing_hands_over_what_was_sent(tmp_path: Path) -> None:
    """A last word is not lost."""
    async with router(tmp_path) as (r, address):
        async with dealer(address) as d:
            d.send([b"last"])
        async with asyncio.timeout(5):
            assert (await r.recv()).bodies == [b"last"]


async def test_a_part_over_the_limit_ends_the_peer_and_not_the_service(tmp_path: Path) -> None:
    """ZeroMQ itself cuts it off."""
    async with router(tmp_path) as (r, address), dealer(address) as bad, dealer(address) as good:
        bad.send([b"x" * (MAX_FRAME_BYTES + 1)])
        good.send([b"fine"])
        async with asyncio.timeout(5):
            assert (await r.recv()).bodies == [b"fine"]


async def test_use_after_close_raises_at_once(tmp_path: Path) -> None:
    """Whoever waits for a message hears of it as well."""
    async with router(tmp_path) as (r, address):
        d = Dealer()
        await d.connect(address)
        waiting = asyncio.ensure_future(d.recv())
        await asyncio.sleep(0)
        d.close()
        d.close()
        with pytest.raises(NoCoordinator):
            await waiting
        with pytest.raises(NoCoordinator):
            d.send([b"x"])
        await asyncio.to_thread(r.close)
        with pytest.raises(LocalProtocolError):
            await r.recv()


def test_the_sockets_directory_is_its_users_alone(tmp_path: Path) -> None:
    """Whoever may enter it may ask in our name."""
    (tmp_path / "open").mkdir(mode=0o755)
    bound = Router()
    try:
        with pytest.raises(NoCoordinator, match="0700"):
            bound.bind(f"ipc://{tmp_path}/open/s")
        bound.bind(f"ipc://{tmp_path}/new/deep/s")
        assert (tmp_path / "new" / "deep").stat().st_mode & 0o777 == 0o700
    finally:
        bound.close(0)
    assert not (tmp_path / "new" / "deep" / "s").exists()


async def test_a_socket_that_a_crash_left_behind_is_taken_over(tmp_path: Path) -> None:
    """And whoever closes late leaves its successor's file alone."""
    async with router(tmp_path) as (first, address):
        path = tmp_path / "s"
        path.rename(tmp_path / "kept")  # as if the machine had lost it
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(path))
        assert path.exists()
        async with router(tmp_path) as (second, _), dealer(address) as client:
            client.send([b"x"])
            assert (await second.recv()).bodies == [b"x"]
            await asyncio.to_thread(first.close, 0.1)
            assert path.exists()
        assert not path.exists()


async def test_a_live_routers_socket_is_not_taken(tmp_path: Path) -> None:
    """libzmq would take it without a word."""
    async with router(tmp_path) as (first, address), dealer(address) as client:
        other = Router()
        with pytest.raises(NoCoordinator, match=r"listens at .* already"):
            await asyncio.to_thread(other.bind, address)
        other.close()
        client.send([b"x"])
        assert (await first.recv()).bodies == [b"x"]
