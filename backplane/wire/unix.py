"""Sockets in the file system: whether anybody is behind one. Knows one path at a time, and imports no zmq."""

from __future__ import annotations

import socket

#: A listener takes a connection at once; one that does not is frozen, and no use to anybody.
_PROBE_S = 0.5


def listens(path: str) -> bool:
    """Somebody listens there: a socket's file alone may be left over from a process that was killed."""
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(_PROBE_S)
        probe.connect(path)
    except OSError:
        return False
    finally:
        probe.close()
    return True
