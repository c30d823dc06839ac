"""A process and all that it started, whatever it did to hide: found and killed.

Knows /proc and signals. Does not know jobs.

The supervisor and each job's process are *child subreapers*: a descendant that loses its parent (a double fork, setsid)
is given to the nearest of them, never to init. So whatever a living job started is found below its process, and
what a dead one left behind are children of the supervisor that it does not know.

Without /proc (a bare chroot) only the process group can be reached; there is nothing else to be done about it.
"""

import os
import signal
from typing import Dict, List

_READ_BYTES = 1 << 14


def children(pid: int) -> List[int]:
    """The processes that `pid` is the parent of; empty where /proc does not tell."""
    found: List[int] = []
    try:
        for task in os.listdir("/proc/%d/task" % pid):
            found.extend(map(int, _told("/proc/%d/task/%s/children" % (pid, task)).split()))
    except FileNotFoundError:
        # It has ended, or this kernel was built without CONFIG_PROC_CHILDREN.
        return [] if os.path.exists("/proc/self/task/%d/children" % os.getpid()) else _parents().get(pid, [])
    except OSError:
        return found
    return found


def _told(path: str) -> bytes:
    """What a file of /proc says. Asked for each second, of each job: `open` makes of it three times as many calls."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        pieces = [os.read(fd, _READ_BYTES)]
        while pieces[-1]:
            pieces.append(os.read(fd, _READ_BYTES))
    finally:
        os.close(fd)
    return b"".join(pieces)


def _parents() -> Dict[int, List[int]]:
    """Parents and their children, by looking at every process: slow, and only for kernels that have no better."""
    table: Dict[int, List[int]] = {}
    try:
        names = os.listdir("/proc")
    except OSError:
        return table
    for name in names:
        if name.isdigit():
            try:
                with open("/proc/%s/stat" % name, "rb") as file:
                    # The command's name comes before, in parentheses, and may itself hold spaces and parentheses.
                    parent = int(file.read().rpartition(b")")[2].split()[1])
            except (OSError, IndexError, ValueError):
                continue
            table.setdefault(parent, []).append(int(name))
    return table


def descendants(pid: int) -> List[int]:
    """All processes below `pid`, parents before children."""
    found: List[int] = []
    waiting = [pid]
    while waiting:
        below = children(waiting.pop())
        found.extend(below)
        waiting.extend(below)
    return found


def living(pids: List[int]) -> int:
    """How many of these are more than a zombie."""
    count = 0
    for pid in pids:
        try:
            with open("/proc/%d/stat" % pid, "rb") as file:
                count += file.read().rpartition(b")")[2].split()[0] != b"Z"
        except (OSError, IndexError):
            continue
    return count


def kill(pid: int, group: bool = False) -> None:
    """Kills a process and everything below it.

    Args:
        pid: a child of ours that is not reaped yet, so that the number is still its own.
        group: it leads a process group, which dies with it.
    """
    pids = [pid] + descendants(pid)
    if group:
        try:
            os.killpg(pid, signal.SIGKILL)
        except OSError:
            pass
    for each in pids:
        try:
            os.kill(each, signal.SIGKILL)
        except OSError:
            pass
