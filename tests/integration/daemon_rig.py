"""The coordinator as the daemon that a team shares: a process with a configuration of its own, and keys for clients."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO

from backplane.client.place import Place
from backplane.wire.keys import Keys
from backplane.wire.zmq import Curve, Pair
from tests.integration.coordinator_rig import ROOT


class Daemon:
    """One directory with a daemon's files; `start` it as often as a test wants."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.socket = directory / "run" / "coordinator.sock"
        self.keys = Keys(directory / "keys")
        self.config = directory / "coordinator.toml"
        self.config.write_text("")
        self.log_file = directory / "log"
        self.log_file.write_bytes(b"")
        self.address = ""
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def place(self) -> Place:
        """Over ipc, as its own user."""
        return Place(f"ipc://{self.socket}")

    def client(self, name: str) -> Pair:
        """A new key that is allowed."""
        pair, _ = self.keys.new(name)
        self.keys.allow(name, pair.public)
        return pair

    async def over_tcp(self, pair: Pair) -> Place:
        """Over TCP with this key."""
        server = await asyncio.to_thread(self.keys.server)
        return Place(self.address, Curve(server.public, pair))

    async def configure(self, text: str) -> None:
        """Write its configuration, and have it read."""
        await asyncio.to_thread(self.config.write_text, text)
        await self.reload()

    async def reload(self) -> None:
        """Have it read keys and configuration."""
        before = (await self.logged("")).count("reloaded")
        self.signal(signal.SIGHUP)
        async with asyncio.timeout(20):
            while (await self.logged("reloaded")).count("reloaded") == before:  # noqa: ASYNC110 - it is a file
                await asyncio.sleep(0.02)

    async def logged(self, text: str) -> str:
        """Wait until its log holds this, and give the log."""
        async with asyncio.timeout(20):
            while text not in (log := await asyncio.to_thread(self.log_file.read_text)):  # noqa: ASYNC110 - it is a file
                await asyncio.sleep(0.02)
        return log

    async def start(self, *extra: str) -> None:
        """Start it, and wait until it listens."""
        await asyncio.to_thread(self._start, *extra)

    def _start(self, *extra: str) -> None:
        argv = [sys.executable, "-P", "-m", "coordinator", "--socket", str(self.socket), "--keys"]
        argv += [str(self.keys.directory), "--config", str(self.config), *extra]
        environment = os.environ | {"LOGREDUCE_LOG": "debug", "PYTHONPATH": str(ROOT)}
        with self.log_file.open("ab") as log:
            self.process = subprocess.Popen(
                argv, stdout=subprocess.PIPE, stderr=log, cwd=self.directory, env=environment
            )
        assert _pipe(self.process).readline() == b"ready\n", self.log_file.read_text()
        for line in self.log_file.read_text().splitlines():
            if "listening" in line:
                self.address = line.partition("address='")[2].partition("'")[0]

    def signal(self, number: int) -> None:
        """Send a signal."""
        assert self.process
        self.process.send_signal(number)

    def kill(self) -> None:
        """As a power cut would."""
        if self.process:
            self.process.kill()
            self.process.wait()
            _pipe(self.process).close()
            self.process = None

    def ended(self, deadline_s: float = 20.0) -> int:
        """Wait for its end; its exit status."""
        assert self.process
        status = self.process.wait(deadline_s)
        _pipe(self.process).close()
        self.process = None
        return status


@contextlib.contextmanager
def daemon(directory: Path) -> Iterator[Daemon]:
    """A daemon that is not started yet, and killed at the end if it runs."""
    made = Daemon(directory)
    try:
        yield made
    finally:
        made.kill()


def _pipe(process: subprocess.Popen[bytes]) -> IO[bytes]:
    assert process.stdout is not None
    return process.stdout
