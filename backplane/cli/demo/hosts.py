"""``python -m backplane.cli.demo.hosts``: one process that plays many hosts, all resident providers with live logs.

Reads one line of JSON on stdin (`Settings`), makes keys, an inventory and logs below the directory that it names,
prints ``ready`` when every host listens, and goes on writing logs until stdin ends: whoever started it need not be
alive to end it. Then it takes away what it made, except logs that are to be kept. Does not know what will be asked.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from backplane.cli.demo.logs import STEP_S, Traffic
from backplane.cli.demo.places import USER, Places, Settings, names
from provider import ship
from provider.serve import KeyPair, Resident

#: The hosts listen here and nowhere else.
LOOPBACK: Final = "127.0.0.1"
#: Each log begins with so many seconds of the past, so that the first answer has something to say.
PAST_S: Final = 30.0


@dataclass(frozen=True, slots=True)
class Host:
    """One host that listens."""

    name: str
    port: int
    key: KeyPair
    nginx: bool


class Writer:
    """Appends each host's traffic to its logs, whole lines at a time."""

    def __init__(self, places: Places, seed: int, hosts: list[tuple[str, bool]]) -> None:
        self._places = places
        self._traffic = {name: Traffic(name, seed, nginx) for name, nginx in hosts}
        self._files: dict[tuple[str, str], int] = {}

    def open(self) -> None:
        """Make every log."""
        for name, traffic in self._traffic.items():
            for path in traffic.paths:
                file = self._places.root(name) / path
                file.parent.mkdir(parents=True, exist_ok=True)
                self._files[name, path] = os.open(file, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o644)

    def close(self) -> None:
        """Close every log."""
        for file in self._files.values():
            os.close(file)
        self._files.clear()

    def step(self, start: datetime) -> None:
        """Write what every host did in `STEP_S` seconds from ``start`` on."""
        for name, traffic in self._traffic.items():
            texts: dict[str, list[str]] = {}
            for line in traffic.batch(start):
                texts.setdefault(line.path, []).append(line.text)
            for path, lines in texts.items():
                os.write(self._files[name, path], "".join(text + "\n" for text in lines).encode())

    async def write(self) -> None:
        """Write a past, and then the present until cancelled."""
        step = timedelta(seconds=STEP_S)
        at = datetime.now().astimezone() - timedelta(seconds=PAST_S)
        while True:
            ahead = (at + step - datetime.now().astimezone()).total_seconds()
            await asyncio.sleep(max(0, ahead))
            self.step(at)
            at += step


async def play(settings: Settings, ready: Callable[[], None], stdin: asyncio.StreamReader) -> None:
    """Be the hosts until ``stdin`` ends."""
    places = Places(Path(settings.directory))
    hosts = names(settings.providers)
    writer = Writer(places, settings.seed, hosts)
    writer.open()
    residents = [Resident() for _ in hosts]
    try:
        identity = KeyPair.fresh("logreduce demo")
        listening = [
            await _listen(resident, places, identity, name, nginx)
            for resident, (name, nginx) in zip(residents, hosts, strict=True)
        ]
        _describe(places, identity, listening)
        async with asyncio.TaskGroup() as tasks:
            writing = tasks.create_task(writer.write())
            ready()
            while await stdin.read(4096):
                pass
            writing.cancel()
    finally:
        writer.close()
        async with asyncio.TaskGroup() as tasks:  # together: each may have to wait for a runner
            for resident in residents:
                tasks.create_task(resident.close())


async def _listen(resident: Resident, places: Places, identity: KeyPair, name: str, nginx: bool) -> Host:
    key = KeyPair.fresh(name)
    await resident.start(LOOPBACK, 0, places.root(name), key.private, identity.public)
    return Host(name, resident.port, key, nginx)


def _describe(places: Places, identity: KeyPair, hosts: list[Host]) -> None:
    """Write what a client needs to reach the hosts."""
    _private(places.identity, identity.private)
    lines = [f"[{LOOPBACK}]:{host.port} {host.key.public}" for host in hosts]
    _private(places.known_hosts, "".join(lines).encode())
    groups = [
        {
            "targets": [LOOPBACK],
            "labels": {
                "name": host.name,
                "ssh_port": str(host.port),
                "ssh_user": USER,
                "ssh_key": places.identity.name,
                "level": "resident",
                "role": "web" if host.nginx else "db",
            },
        }
        for host in hosts
    ]
    _private(places.inventory, (json.dumps(groups, indent=1) + "\n").encode())


def _private(path: Path, data: bytes) -> None:
    with open(path, "xb", opener=lambda name, flags: os.open(name, flags, 0o600)) as file:
        file.write(data)


def clear(places: Places, keep: bool) -> None:
    """Take away everything, or everything but the logs."""
    if keep:
        for path in (places.identity, places.known_hosts, places.inventory):
            path.unlink(missing_ok=True)
    else:
        shutil.rmtree(places.directory, ignore_errors=True)


async def main() -> None:
    """Read the settings, play, clear."""
    stdin = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(stdin), sys.stdin.buffer)
    settings = Settings.parse(await stdin.readline())
    try:
        await play(settings, _say_ready, stdin)
    finally:
        clear(Places(Path(settings.directory)), settings.keep)


def _say_ready() -> None:
    sys.stdout.write("ready\n")
    sys.stdout.flush()


def _room_for_many() -> None:
    """A host has some ten descriptors, and the usual soft limit of 1024 (macOS: 256) is meant for programs with few."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 16384 if hard == resource.RLIM_INFINITY else min(hard, 16384)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


if __name__ == "__main__":
    _room_for_many()
    ship.payload()  # reads files, so before there is a loop
    asyncio.run(main())
