"""Links that fail: a port that refuses, listeners that never answer, each in its way, and a relay that falls silent.

Knows TCP on loopback and nothing of what is said over it. Each is a context manager that gives back what it took.
"""

from __future__ import annotations

import contextlib
import functools
import os
import shutil
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import TracebackType
from typing import Self

RELAY = Path(__file__).with_name("relay.py")
LOSSY = Path(__file__).with_name("lossy.py")
#: A relay has to start a Python. Far above that: only a broken rig is this slow.
START_S = 20.0


class RefusedPort:
    """A port that nobody listens on, held so that nobody else can: a connection to it is refused."""

    def __init__(self, address: str = "127.0.0.1") -> None:
        self._socket = socket.socket()
        self._socket.bind((address, 0))
        self.address: str = address
        self.port: int = self._socket.getsockname()[1]

    def close(self) -> None:
        """Give the port back."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class MuteListener(RefusedPort):
    """A listener whose connections are established and never answered.

    Nobody calls accept: the kernel completes each handshake, which is what a frozen server looks like from outside.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__(address)
        self._socket.listen(128)


class BlackHole(RefusedPort):
    """A port where a connection is never established, as behind a firewall that drops packets.

    The queue of a listener that nobody accepts from is full: the kernel then ignores what wants in.
    """

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__(address)
        self._socket.listen(0)
        self._held = [socket.socket() for _ in range(4)]
        for held in self._held:
            held.setblocking(False)
            held.connect_ex((self.address, self.port))

    def close(self) -> None:
        """Give port and connections back."""
        for held in self._held:
            held.close()
        super().close()


class Tarpit(RefusedPort):
    """A server that talks before its version, a line at a time and without end. Only a deadline ends that."""

    #: Often enough that whoever waits for silence waits for ever.
    EVERY_S = 0.1

    def __init__(self, address: str = "127.0.0.1") -> None:
        super().__init__(address)
        self._socket.listen(128)
        self._socket.settimeout(self.EVERY_S)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._talk, name="tarpit")
        self._thread.start()

    def close(self) -> None:
        """Hang up, and give the port back."""
        self._ended.set()
        self._thread.join(START_S)
        super().close()

    def _talk(self) -> None:
        callers: list[socket.socket] = []
        while not self._ended.is_set():
            with contextlib.suppress(TimeoutError):
                callers.append(self._socket.accept()[0])
            for caller in list(callers):
                try:
                    caller.send(b"a line that is no version\r\n", socket.MSG_DONTWAIT)
                except OSError:
                    callers.remove(caller)
                    caller.close()
        for caller in callers:
            caller.close()


class SilentLink:
    """A relay to ``(host, port)`` that holds its connections and passes nothing on from `silence` to `resume`.

    Neither end sees a close, an error or a byte, as when a firewall forgets a connection. The relay is a process of its
    own, so that it goes on when the test's loop does not.
    """

    def __init__(self, host: str, port: int, address: str = "127.0.0.1") -> None:
        self.address = address
        self._start(str(RELAY), host, str(port), address)

    def _start(self, *argv: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1
        )
        try:
            self.address = self._where()
            self.port = int(self._answer())
        except ValueError:
            self.close()
            raise RuntimeError("the relay did not start") from None

    def _where(self) -> str:
        return self.address

    def silence(self, way: str = "both") -> None:
        """Pass nothing on, or nothing ``there`` or ``back``. When this returns, no byte moves that way any more."""
        self._order(way)

    def resume(self) -> None:
        """Pass on again, what was held back first."""
        self._order("resume")

    def cut(self) -> None:
        """Reset every connection; new ones are still accepted."""
        self._order("cut")

    def close(self) -> None:
        """End the relay and its connections."""
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()
        self._process.kill()
        self._process.wait(START_S)

    def _order(self, word: str) -> None:
        assert self._process.stdin is not None
        self._process.stdin.write(word + "\n")
        answer = self._answer()
        if answer != word:
            raise RuntimeError(f"the relay answered {answer!r} to {word!r}")

    def _answer(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, exc: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class LossyLink(SilentLink):
    """The same over a line whose packets can be lost and delayed. For root on Linux; see `lossy_why_not`."""

    def __init__(self, host: str, port: int) -> None:
        self._start(str(LOSSY), host, str(port))

    def _where(self) -> str:
        return self._answer()

    def line(self, loss: float, delay_s: float) -> None:
        """From now on this fraction of the packets is lost, and the others take about so long each way."""
        self._order(f"line {loss} {delay_s}")


@functools.cache
def lossy_why_not() -> str | None:
    """Why there can be no `LossyLink` here; None if there can."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return "only root on Linux may make a network namespace"
    if not os.access("/dev/net/tun", os.W_OK) or shutil.which("ip") is None:
        return "there is no /dev/net/tun, or no ip"
    try:
        with MuteListener() as target, LossyLink(target.address, target.port):
            return None
    except RuntimeError:
        return "network namespaces or TUN devices are not allowed here"
