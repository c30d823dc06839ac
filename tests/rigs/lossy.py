"""The process behind `tests.rigs.links.LossyLink`: a relay whose clients reach it over a line that loses and delays.

Run as ``lossy.py HOST PORT``, by root on Linux. The line is two TUN devices, one of them in a network namespace of this
process's own, where the relay listens; packets are carried between the two by a thread. Devices and namespace end with
the process. Beyond the orders of `relay.py` there is ``line LOSS DELAY``: a fraction of the packets, and seconds.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import os
import random
import select
import socket
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
from relay import Relay  # type: ignore[import-not-found,unused-ignore]  # its neighbour: this runs as a file

_TUNSETIFF = 0x400454CA
#: A TUN device, whose packets have no header before them.
_IFF_TUN_NO_PI = 0x1001
_CLONE_NEWNET = 0x40000000
_PACKET_BYTES = 2048

_libc = ctypes.CDLL(None, use_errno=True)


def _tun(name: str, own: str, peer: str) -> int:
    fd = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
    fcntl.ioctl(fd, _TUNSETIFF, struct.pack("16sH22x", name.encode(), _IFF_TUN_NO_PI))
    subprocess.run(["ip", "addr", "add", own, "peer", peer, "dev", name], check=True)
    subprocess.run(["ip", "link", "set", name, "up", "mtu", "1500"], check=True)
    return fd


def _checked(result: int, what: str) -> None:
    if result:
        raise OSError(ctypes.get_errno(), what)


class Line:
    """Carries packets between two devices."""

    def __init__(self, here: int, there: int) -> None:
        self.loss = 0.0
        self.delay_s = 0.0
        self._other = {here: there, there: here}
        self._waiting: list[tuple[float, int, int, bytes]] = []
        self._count = 0

    def carry(self) -> None:
        """For ever."""
        while True:
            wait_s = max(0.0, self._waiting[0][0] - time.monotonic()) if self._waiting else 1.0
            for fd in select.select(list(self._other), [], [], wait_s)[0]:
                self._take(fd)
            while self._waiting and self._waiting[0][0] <= time.monotonic():
                _, _, fd, packet = heapq.heappop(self._waiting)
                os.write(fd, packet)

    def _take(self, fd: int) -> None:
        try:
            packet = os.read(fd, _PACKET_BYTES)
        except BlockingIOError:
            return
        if random.random() >= self.loss:
            self._count += 1
            due = time.monotonic() + self.delay_s * random.uniform(0.5, 1.5)
            heapq.heappush(self._waiting, (due, self._count, self._other[fd], packet))


class Lossy(Relay):  # type: ignore[misc,unused-ignore]
    """A relay at the far end of a line."""

    def __init__(self, target: tuple[str, int]) -> None:
        # Of the range for benchmarks, which nobody routes: four addresses for each process.
        first = (198 << 24) + (18 << 16) + os.getpid() % 32768 * 4
        here, there = (socket.inet_ntoa(struct.pack("!I", first + each)) for each in (1, 2))
        home = os.open("/proc/self/ns/net", os.O_RDONLY)
        _checked(_libc.unshare(_CLONE_NEWNET), "a network namespace")
        far = _tun("far", there, here)
        super().__init__(target, there)  # a socket stays where it was made
        _checked(_libc.setns(home, _CLONE_NEWNET), "the way back")
        near = _tun(f"lr{os.getpid()}", here, there)
        self.line = Line(near, far)
        self.address = there

    def _obey(self, word: str) -> bool:
        kind, *numbers = word.split() or [""]
        if kind != "line":
            return bool(super()._obey(word))
        self.line.loss, self.line.delay_s = map(float, numbers)
        print(word, flush=True)
        return True


if __name__ == "__main__":
    relay = Lossy((sys.argv[1], int(sys.argv[2])))
    print(relay.address, flush=True)
    threading.Thread(target=relay.line.carry, daemon=True).start()
    relay.run()
