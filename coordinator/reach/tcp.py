"""The TCP connection under a login: names, addresses, one deadline, and what was wrong in a sentence.

Knows sockets. Does not know what is said over them.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from backplane.wire.errors import ReachError
from coordinator.reach.destination import Destination


async def connect(to: Destination, connect_s: float, name: str) -> socket.socket:
    """A TCP connection: each of the host's addresses in turn, within one deadline.

    Args:
        name: what the user calls the host; another name that does not resolve is worth saying.

    Raises:
        ReachError: which of the ways in which this fails it was.
    """
    loop = asyncio.get_running_loop()
    try:
        async with asyncio.timeout(connect_s):
            found = await loop.getaddrinfo(to.host, to.port, type=socket.SOCK_STREAM)
            for left in range(len(found), 0, -1):
                family, kind, protocol, _, address = found[-left]
                try:
                    return await _connect_one(family, kind, protocol, address, connect_s / left if left > 1 else None)
                except (OSError, TimeoutError):
                    if left == 1:
                        raise
    except socket.gaierror as exc:
        whose = "its name" if to.host == name else f"its address {to.host}"
        if exc.errno == socket.EAI_AGAIN:
            raise ReachError(f"{whose} does not resolve: no name server answers") from exc
        raise ReachError(f"{whose} does not resolve: check the spelling or ssh_config", retry=False) from exc
    except TimeoutError:
        raise ReachError(
            f"no answer within {connect_s:g} s (TCP connect): is it up, and no firewall between?"
        ) from None
    except ConnectionRefusedError:
        raise ReachError("its SSH port refuses connections; is sshd running there?") from None
    except OSError as exc:
        raise ReachError(f"cannot connect: {exc.strerror or exc}") from exc
    raise ReachError("its name has no address", retry=False)


async def _connect_one(family: int, kind: int, protocol: int, address: Any, deadline_s: float | None) -> socket.socket:
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setblocking(False)
        async with asyncio.timeout(deadline_s):
            await asyncio.get_running_loop().sock_connect(sock, address)
    except BaseException:
        sock.close()
        raise
    return sock
