"""Who runs a named query: one process at a time, told by a lock that ends with it, however it ends.

Knows a file that is locked and a file that says who did. Does not know what the process does.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Final

from backplane.client.store.directory import Directory
from backplane.wire.errors import UsageError

#: One that was killed a moment ago holds its lock until its last thread has gone.
_DYING_S: Final = 1.0


@dataclass(frozen=True, slots=True)
class Owner:
    """The process that runs it.

    Attributes:
        socket: where it listens; empty before it does.
        since: seconds since the epoch.
    """

    pid: int
    socket: str = ""
    since: float = 0.0


class InUse(UsageError):
    """Another process runs it."""

    def __init__(self, name: str, owner: Owner | None) -> None:
        who = f"process {owner.pid}" if owner else "another process"
        super().__init__(
            f"{name} is being run by {who}: `logreduce attach {name}` shows it, `logreduce cancel {name}` ends it"
        )
        self.owner = owner


@contextlib.contextmanager
def locked(directory: Directory) -> Iterator[None]:
    """Own a named query, whose directory exists.

    Raises:
        InUse: somebody does already.
    """
    fd = os.open(directory.lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        _lock(fd, directory)
        tell(directory, Owner(os.getpid(), since=time.time()))
        try:
            yield
        finally:
            with contextlib.suppress(OSError):
                directory.process.unlink()
    finally:
        os.close(fd)


def _lock(fd: int, directory: Directory) -> None:
    deadline = time.monotonic() + _DYING_S
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise InUse(directory.name, owner(directory)) from None
        time.sleep(0.02)


def tell(directory: Directory, owner: Owner) -> None:
    """Say who runs it; whoever holds the lock may."""
    new = directory.process.with_name(f".process-{owner.pid}")
    with open(os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
        json.dump(asdict(owner), file)
    os.replace(new, directory.process)


def owner(directory: Directory) -> Owner | None:
    """Who runs it now; None if nobody does, or the one who does has not said so yet."""
    if not held(directory):
        return None
    try:
        said = json.loads(directory.process.read_text("utf-8"))
        return Owner(int(said["pid"]), str(said["socket"]), float(said["since"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def held(directory: Directory) -> bool:
    """Somebody runs it."""
    try:
        fd = os.open(directory.lock, os.O_RDWR | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(fd)
    return False
