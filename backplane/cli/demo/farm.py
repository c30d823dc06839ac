"""The demo's hosts, as seen from outside: started, ready, ended. Tests use it as a farm of resident providers.

Knows the process `backplane.cli.demo.hosts` and nothing of what it does inside. That is a process of its own so that
twenty hosts and the one who asks them do not take turns in one event loop.
"""

from __future__ import annotations

import contextlib
import select
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NoReturn

from backplane.cli.demo.places import Places, Settings
from backplane.wire.errors import LogReduceError

#: A key, a port and a few files for each host: twenty take half a second.
READY_S: Final = 20.0
#: Every runner has two seconds of grace, all of them at a time.
END_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Farm:
    """Hosts that are up."""

    places: Places
    process: subprocess.Popen[bytes]

    def wait(self) -> NoReturn:
        """Stay until interrupted.

        Raises:
            KeyboardInterrupt: that is how it ends.
            LogReduceError: the hosts have ended by themselves.
        """
        self.process.wait()
        raise LogReduceError("the demo's hosts ended by themselves")


@contextlib.contextmanager
def farm(providers: int, *, seed: int = 1, keep: bool = False) -> Iterator[Farm]:
    """Hosts that listen and write logs, until the block ends, however it ends.

    Args:
        providers: how many, from 1.
        seed: of their traffic.
        keep: the logs stay, and nothing else does.

    Raises:
        LogReduceError: they did not start; stderr of the process has said why.
    """
    places = Places(Path(tempfile.mkdtemp(prefix="logreduce-demo-")))
    try:
        with _process() as process:
            _start(process, Settings(str(places.directory), providers, seed, keep))
            yield Farm(places, process)
    finally:
        if not keep:
            shutil.rmtree(places.directory, ignore_errors=True)


@contextlib.contextmanager
def _process() -> Iterator[subprocess.Popen[bytes]]:
    # -P: a module that lies in the working directory is not ours. A session of its own: Ctrl-C on the terminal is for
    # the one who asks, who then ends the hosts by closing the pipe.
    command = [sys.executable, "-P", "-m", "backplane.cli.demo.hosts"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, start_new_session=True)
    try:
        yield process
    finally:
        _end(process)


def _start(process: subprocess.Popen[bytes], settings: Settings) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):  # it has ended already: the empty answer below says so
        process.stdin.write(settings.line())
        process.stdin.flush()
    heard, _, _ = select.select([process.stdout], [], [], READY_S)
    if not heard or process.stdout.readline() != b"ready\n":
        raise LogReduceError(f"the demo's hosts did not start within {READY_S:.0f} s")


def _end(process: subprocess.Popen[bytes]) -> None:
    assert process.stdin is not None
    assert process.stdout is not None
    with contextlib.suppress(BrokenPipeError):
        process.stdin.close()
    try:
        process.wait(END_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
    finally:
        process.stdout.close()
