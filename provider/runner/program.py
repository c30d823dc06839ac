"""A process that a job starts: found, given its script without a file, its pipes moved by one poll loop.

Knows processes and pipes. Does not know lines, values or cuts.

Nothing is written on the host. A script's text reaches its interpreter through a pipe that the interpreter opens as
``/dev/fd/N``. Not a memfd: the file size limit of 0 binds that too. What comes on stderr goes on into the job's prints,
with the script's own name in the place of ``/dev/fd/N``, and its last line is what a failure says.
"""

import os
import select
import signal
import subprocess
from typing import Dict, List, Optional

from provider.runner.faults import Failure, Fault
from provider.runner.host import which

_READ_BYTES = 64 << 10
#: A line on stderr that has no end is passed on when it is so long.
_LINE_BYTES = 8 << 10
#: How often an exit is looked for that no pipe tells of.
_WATCH_MS = 10
_REASON_CHARS = 200


class Program:
    """See the module. Whatever it leaves behind is killed with its job.

    Args:
        name: what it is called in messages.
        argv: the command; with `text` the interpreter, to which the script's place is added.
        text: the script.
        environ: variables on top of the login's.

    Raises:
        Failure: its interpreter is not there, or no process is to be had.
    """

    def __init__(
        self, name: str, argv: List[str], text: Optional[str] = None, environ: Optional[Dict[str, str]] = None
    ):
        self.name = name
        #: It has exited and its output was read.
        self.ended = False
        self._alias = b""
        self._pending: Dict[int, memoryview] = {}
        self._poll = select.poll()
        script = self._script(text) if text is not None else -1
        place = [] if script < 0 else ["/dev/fd/%d" % script]
        pipe = subprocess.PIPE
        try:
            self._process = subprocess.Popen(
                [interpreter(name, argv)] + argv[1:] + place,
                stdin=pipe,
                stdout=pipe,
                stderr=pipe,
                bufsize=0,
                pass_fds=() if script < 0 else (script,),
                # Whoever signals the own group, as `kill 0` does in a shell, means itself and not the job.
                start_new_session=True,
                env=dict(os.environ, **(environ or {})),
            )
        except (OSError, ValueError) as exc:
            raise Failure(Fault("limit", "%s could not be started: %s" % (name, getattr(exc, "strerror", exc))))
        finally:
            if script >= 0:
                os.close(script)
        streams = (self._process.stdin, self._process.stdout, self._process.stderr)
        self._in, self._out, self._err = [stream.fileno() for stream in streams if stream is not None]
        for fd in (self._in, self._out, self._err):
            os.set_blocking(fd, False)
        self._poll.register(self._out, select.POLLIN)
        self._poll.register(self._err, select.POLLIN)
        self._partial = b""
        self._last = b""

    def _script(self, text: str) -> int:
        """The reading end of a pipe that the script's text is about to be written into."""
        if not os.path.exists("/dev/fd"):
            reason = "%s cannot be run: this provider has no /dev/fd" % self.name
            raise Failure(Fault("missing", reason, state="refused"))
        reading, writing = os.pipe()
        os.set_blocking(writing, False)
        self._alias = b"/dev/fd/%d" % reading
        self._give(writing, text.encode("utf-8", "surrogateescape"))
        return reading

    # --- its pipes

    @property
    def hungry(self) -> bool:
        """It reads, and has been given all that there was."""
        return self._in >= 0 and self._in not in self._pending

    def feed(self, data: bytes) -> None:
        """Gives it something to read, after all that was given before."""
        if data and self._in >= 0:
            self._give(self._in, data)

    def _give(self, fd: int, data: bytes) -> None:
        self._pending[fd] = memoryview(data)
        self._poll.register(fd, select.POLLOUT)

    def starve(self) -> bytes:
        """Gives it nothing more but the rest of the line that it is at, then the end; what was taken back."""
        left = self._pending.get(self._in)
        taken = b""
        if left is not None:
            data = bytes(left)
            end = data.find(b"\n") + 1
            taken = data[end:]
            self._pending[self._in] = left[:end]
        self._ending = True
        if self.hungry:
            self._close_in()
        return taken

    _ending = False

    def _close_in(self) -> None:
        if self._in >= 0:
            if self._pending.pop(self._in, None) is not None:
                self._poll.unregister(self._in)
            if self._process.stdin is not None:
                self._process.stdin.close()
            self._in = -1

    def step(self, wait_ms: float) -> bytes:
        """Moves what can be moved, waiting so long for anything; what it printed, often nothing."""
        gone = self._process.poll() is not None
        if gone:
            wait_ms = 0
        elif self._out < 0:
            wait_ms = min(wait_ms, _WATCH_MS)
        printed = b""
        for fd, _ in self._poll.poll(wait_ms):
            if fd == self._out:
                printed = self._read(fd)
                if not printed:
                    self._out = -1
            elif fd == self._err:
                self._say(self._read(fd))
            else:
                self._write(fd)
        # What its pipes held was one read each; who else may still hold them is not it.
        if gone:
            self.ended = True
            self._say(b"")
            self._close_in()
        return printed

    def _read(self, fd: int) -> bytes:
        try:
            data = os.read(fd, _READ_BYTES)
        except BlockingIOError:
            return b""
        if not data:
            self._poll.unregister(fd)
        return data

    def _write(self, fd: int) -> None:
        left = self._pending[fd]
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:
            return
        except OSError:  # it reads no more
            left = left[:0]
            self._ending = self._ending or fd == self._in
        if left:
            self._pending[fd] = left
            return
        del self._pending[fd]
        self._poll.unregister(fd)
        if fd != self._in:
            os.close(fd)
        elif self._ending:
            self._close_in()

    def _say(self, data: bytes) -> None:
        """Passes whole lines on to the job's prints; nothing at all means the end."""
        lines = self._partial + data
        end = lines.rfind(b"\n") + 1
        if not data or len(lines) - end > _LINE_BYTES:
            end = len(lines)
        self._partial = lines[end:]
        told = lines[:end]
        if self._alias:
            told = told.replace(self._alias, self.name.encode("utf-8", "surrogateescape"))
        for line in told.splitlines()[-20:]:
            self._last = line.strip() or self._last
        while told:
            told = told[os.write(2, told) :]

    # --- its end

    @property
    def status(self) -> Optional[int]:
        """Exit status once it has exited; negative: the signal that it died of."""
        return self._process.returncode

    def terminate(self) -> None:
        """Asks it and its group to end."""
        if self._process.poll() is None:
            os.killpg(self._process.pid, signal.SIGTERM)

    def fault(self) -> Fault:
        """How it failed, with the last line that it said of it."""
        status = self.status or 0
        text = "died of signal %d" % -status if status < 0 else "ended with status %d" % status
        said = self._last.decode("utf-8", "replace")[:_REASON_CHARS]
        return Fault("exit", "%s %s%s" % (self.name, text, ": " + said if said else ""))


def interpreter(name: str, argv: List[str]) -> str:
    """The path of a command: where the script says, or of that name on the PATH.

    Raises:
        Failure: there is none.
    """
    command = argv[0]
    found = which(command) or which(os.path.basename(command))
    if found is None:
        raise Failure(Fault("missing", "%s needs %s, which is not on this provider" % (name, command), state="refused"))
    return found
