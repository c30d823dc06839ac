"""A resident provider of a world: the program's own server, on files instead of a command line.

Its arguments are a home, a port (0 for a free one), its private key's file and that of the public key that it lets in.
It says its port on stdout, and serves until its stdin ends.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from provider import serve, ship


async def _serve(home: Path, port: int, host_key: bytes, authorized: str) -> None:
    async with serve.Resident() as server:
        await server.start("127.0.0.1", port, home, host_key, authorized)
        sys.stdout.write(f"{server.port}\n")
        sys.stdout.flush()
        await asyncio.to_thread(sys.stdin.read)


def main(words: list[str]) -> None:
    """See the module."""
    ship.payload()  # reads files, which a loop should not wait for
    home, port, host_key, authorized = words
    asyncio.run(_serve(Path(home), int(port), Path(host_key).read_bytes(), Path(authorized).read_text()))
