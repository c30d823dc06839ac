"""An inventory's bytes: read once, with a bound and a deadline.

Knows files, and pipes that stand for them (``-i <(command)``), which can be read once only and may never say anything.
"""

from __future__ import annotations

import os
import selectors
import stat
import time
from typing import Final

from backplane.wire.errors import UsageError

#: An inventory of a million hosts is 100 MB; what is larger is something else.
MOST_BYTES: Final = 256 << 20
#: A pipe's other end may have a slow API to ask.
PIPE_S: Final = 60.0
_CHUNK: Final = 1 << 20


def content(path: str, *, deadline_s: float = PIPE_S, most: int = MOST_BYTES) -> bytes:
    """What a file holds.

    Args:
        deadline_s: for a pipe or a terminal; files have none.

    Raises:
        UsageError: it cannot be read, is too large, or says nothing for too long.
    """
    try:
        # Without O_NONBLOCK the opening of a named pipe waits for a writer, who may never come.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except (OSError, ValueError) as exc:
        raise UsageError(f"the inventory {path} cannot be read: {getattr(exc, 'strerror', None) or exc}") from exc
    try:
        waits = not stat.S_ISREG(os.fstat(fd).st_mode)
        return _all(fd, path, time.monotonic() + deadline_s if waits else None, most)
    except OSError as exc:
        raise UsageError(f"the inventory {path} cannot be read: {exc.strerror}") from exc
    finally:
        os.close(fd)


def _all(fd: int, path: str, deadline: float | None, most: int) -> bytes:
    parts: list[bytes] = []
    total = 0
    while total <= most:
        if deadline is not None:
            _await_bytes(fd, path, deadline)
        part = os.read(fd, _CHUNK)
        if not part:
            return b"".join(parts)
        parts.append(part)
        total += len(part)
    raise UsageError(f"{path}: over {most >> 20} MB is no inventory")


def _await_bytes(fd: int, path: str, deadline: float) -> None:
    with selectors.PollSelector() as ready:
        ready.register(fd, selectors.EVENT_READ)
        if not ready.select(max(0.0, deadline - time.monotonic())):
            raise UsageError(f"the inventory {path} has not ended in time: is somebody writing to it?")
