"""A coordinator in this process, over a router of its own, and how its runners are counted.

For tests that look inside; `process` is the real program for those that end it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from backplane.wire.zmq import Router
from coordinator.reach import Reach, reaches
from coordinator.service import Coordinator
from coordinator.table import Provider
from tests.integration.talker import Talker, connected
from tests.rigs.sshd import SshdFarm

ROOT = Path(__file__).parents[2]


@contextlib.asynccontextmanager
async def serving(
    own: Mapping[str, Reach] | None = None, idle_s: float | None = None
) -> AsyncIterator[tuple[Coordinator, str]]:
    """A coordinator and its address."""
    with tempfile.TemporaryDirectory() as directory:
        router = Router()
        address = f"ipc://{directory}/s"
        await asyncio.to_thread(router.bind, address)
        stop = asyncio.Event()
        coordinator = Coordinator(router, own or reaches(), idle_s)
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(coordinator.serve(stop))
                try:
                    yield coordinator, address
                finally:
                    stop.set()
        finally:
            await asyncio.to_thread(router.close, 0.2)


@contextlib.asynccontextmanager
async def talking(own: Mapping[str, Reach] | None = None) -> AsyncIterator[Talker]:
    """One client of a coordinator of its own."""
    async with serving(own) as (_, address), connected(address) as talker:
        yield talker


@contextlib.contextmanager
def process(*extra: str) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
    """A private coordinator as a process, and its address."""
    with tempfile.TemporaryDirectory() as directory:
        path = f"{directory}/s"
        argv = [sys.executable, "-m", "coordinator", "--private", "--socket", path, *extra]
        with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT) as child:
            try:
                assert child.stdout is not None
                assert child.stdout.readline() == b"ready\n"
                yield child, f"ipc://{path}"
            finally:
                child.kill()


async def eventually(true: Callable[[], Any], deadline_s: float = 15.0) -> None:
    """Wait until ``true()`` is."""
    async with asyncio.timeout(deadline_s):
        while not true():  # noqa: ASYNC110 - of another process there is nothing to be told
            await asyncio.sleep(0.02)


def alive(pid: int) -> bool:
    """The process is there and no zombie."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


def ssh_provider(farm: SshdFarm, index: int, **fields: Any) -> Provider:
    """A provider of the farm, its key named."""
    site = farm.sites[index]
    named: dict[str, Any] = {
        "name": site.name,
        "address": site.address,
        "port": site.port,
        "user": farm.user,
        "key": str(farm.identity),
    }
    return Provider(**(named | fields))


def options(farm: SshdFarm, **fields: Any) -> dict[str, Any]:
    """Options by which the farm is reached; logins are as whoever runs the tests."""
    return {"known_hosts": str(farm.known_hosts), "allow_root": os.getuid() == 0} | fields
