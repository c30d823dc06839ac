"""Resident providers in one process, until its stdin ends: ``python residents.py DIRECTORY COUNT``.

Knows `provider.serve`. Writes what the program needs to reach them into the directory: inventory, key, known_hosts.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path

from provider import serve, ship


async def main(directory: Path, count: int) -> None:
    """Serve, say so, and end with stdin."""
    host, own = serve.KeyPair.fresh("host"), serve.KeyPair.fresh("own")
    await asyncio.to_thread(ship.payload)
    async with contextlib.AsyncExitStack() as stack:
        ports = []
        for number in range(count):
            server = await stack.enter_async_context(serve.Resident())
            await server.start(f"127.0.9.{number + 1}", 0, directory, host.private, own.public)
            ports.append(server.port)
        await asyncio.to_thread(_write, directory, host, own, ports)
        print("ready", flush=True)
        await asyncio.to_thread(sys.stdin.read)


def _write(directory: Path, host: serve.KeyPair, own: serve.KeyPair, ports: list[int]) -> None:
    key = directory / "id"
    key.write_bytes(own.private)
    kind, public = host.public.split()[:2]
    known = "".join(f"[127.0.9.{n + 1}]:{port} {kind} {public}\n" for n, port in enumerate(ports))
    (directory / "known_hosts").write_text(known)
    groups = [
        {
            "targets": [f"127.0.9.{n + 1}:9100"],
            "labels": {"name": f"r{n:02}", "ssh_port": str(port), "ssh_user": "any", "ssh_key": str(key)},
        }
        for n, port in enumerate(ports)
    ]
    (directory / "inventory.json").write_text(json.dumps(groups))


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), int(sys.argv[2])))
