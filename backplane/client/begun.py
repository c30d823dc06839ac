"""The process of a private coordinator, begun before anything else is: it takes longest to be ready.

Knows the process, its directory and its pipes, and imports no more than starting it takes. Waiting for it is
`backplane.client.private`'s business; whether it is wanted, its caller's.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from typing import IO, Final

from backplane.wire.errors import NoCoordinator

#: What it may take to cancel its jobs once its lease has ended.
END_S: Final = 5.0
#: A socket's address has 107 bytes, and TMPDIR may be deep.
_MOST_CHARS: Final = 60


class Begun:
    """A coordinator that is starting, at ``address``. Whoever has it ends it.

    Args:
        logins: it will be asked to log in somewhere, and may load what that takes at once.
        verbose: it logs everything to stderr.

    Raises:
        NoCoordinator: there is no place for its socket, or no process to be had.
    """

    def __init__(self, *, logins: bool = False, verbose: bool = False) -> None:
        self.verbose = verbose
        self._directory = _own_directory()
        self._socket = os.path.join(self._directory, "coordinator.sock")
        self.address = f"ipc://{self._socket}"
        options = [*(("--logins",) if logins else ()), *(("--verbose",) if verbose else ())]
        try:
            # -P: a module that lies in the working directory is not ours.
            # A session of its own, so that the first Ctrl-C of a terminal reaches the client alone, which drains.
            self.process = subprocess.Popen(
                [sys.executable, "-P", "-m", "coordinator", "--private", "--socket", self._socket, *options],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                start_new_session=True,
            )
        except BaseException as exc:
            self._remove()
            if isinstance(exc, OSError):
                raise NoCoordinator(f"no private coordinator can be started: {exc}") from exc
            raise

    def stdout(self) -> IO[bytes]:
        """What it says, by a descriptor that is its caller's to close."""
        assert self.process.stdout is not None
        return os.fdopen(os.dup(self.process.stdout.fileno()), "rb", buffering=0)

    def end(self) -> None:
        """Close the pipe that is its lease, and wait: it cancels its jobs and goes. Ending twice does nothing."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(END_S)
        self.discard()

    def discard(self) -> None:
        """End it at once, which is for one that was asked nothing or has ended; and close what we have of it."""
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            assert pipe is not None
            pipe.close()
        self._remove()

    def _remove(self) -> None:
        for remove, path in ((os.unlink, self._socket), (os.rmdir, self._directory)):
            with contextlib.suppress(OSError):  # it removes its socket itself; and nobody else puts anything there
                remove(path)


def _own_directory() -> str:
    """A new directory that only this user may enter.

    Not by `tempfile`, whose import takes longer than the rest of this module.
    """
    default = os.environ.get("TMPDIR") or "/tmp"
    for parent in (default, "/tmp", "/var/tmp"):
        path = os.path.join(os.path.abspath(parent), f"logreduce-{os.urandom(6).hex()}")
        if len(path) > _MOST_CHARS:
            continue
        try:
            os.mkdir(path, 0o700)
        except OSError:
            continue
        return path
    raise NoCoordinator("there is no place for a private coordinator's socket: neither TMPDIR nor /tmp can be written")
