"""What systemd is told of the process's life: ready, reloading, stopping (sd_notify's protocol, without its library).

Knows one datagram socket, named by the environment. Without it nothing is said.
"""

from __future__ import annotations

import contextlib
import os
import socket


def notify(text: str) -> None:
    """Tell whoever started this process, if it asked to be told. ``text`` is as in sd_notify(3)."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return
    if address.startswith("@"):  # Linux's abstract names
        address = "\0" + address[1:]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as teller:
        teller.sendto(text.encode(), address)
