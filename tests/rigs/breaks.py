"""Ways to break a running query: each ends or cuts something real, with no word to anybody.

Knows processes, a farm of sshds and a session. Knows nothing of what is asked.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from backplane.client.again import Own
from backplane.client.session import Session
from tests.rigs.links import SilentLink
from tests.rigs.sshd import SshdFarm


def runner(farm: SshdFarm, index: int) -> None:
    """Kill -9 of a provider's runner."""
    pids = farm.processes(index)
    _kill([pid for pid in pids if _parent(pid) not in pids])


def child(farm: SshdFarm, index: int) -> None:
    """Kill -9 of what its jobs run in, and not of the runner."""
    pids = farm.processes(index)
    parents = {_parent(pid) for pid in pids}
    _kill([pid for pid in pids if pid not in parents and _parent(pid) in pids])


def session(farm: SshdFarm, index: int) -> None:
    """Kill -9 of the sshd of its connection."""
    farm.kill_sessions(index)


def coordinator(asking: Session) -> None:
    """Kill -9 of the private coordinator."""
    assert isinstance(asking._again, Own)
    os.kill(asking._again.current.pid, signal.SIGKILL)


def link(relay: SilentLink) -> None:
    """RST on each of its connections."""
    relay.cut()


def _kill(pids: list[int]) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _parent(pid: int) -> int:
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return 0
    return int(stat.rpartition(")")[2].split()[1])
