"""A reduce that is a program: values on its stdin as JSON, rows on its stdout when it likes.

Knows a child process and its pipes. Does not know cuts or coverage. All but `interrupt` is called by one thread.

Theory of operation. One process takes all values. While it is given some, what it prints is read, so that neither waits
for the other; a slow one holds up this query, by credit in the end, and no other. It is bounded on the way out as
a query without a reduce is. When no value comes any more its stdin is closed, and it has `FINISH_S` to print the rest.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Hashable, Iterator, Mapping, Sequence
from typing import Any, Final

from backplane.reduce.columns import Partials, rekeyed
from backplane.reduce.faults import ReduceFault
from backplane.reduce.fold import Plain
from backplane.reduce.rows import Entry, Place, Rows, kept_key, seen_key, table
from backplane.reduce.saving import Saved
from backplane.wire.errors import RemoteProtocolError
from provider.runner.emitted import emitted

#: Seconds for its last rows after its input has ended.
FINISH_S: Final = 10.0
#: A row that is longer than this is none.
_LINE_BYTES: Final = 16 << 20
_READ_BYTES: Final = 64 << 10
#: Whoever closed its input is about to exit, most often.
_DYING_S: Final = 0.05
#: Values are given in pieces of so many, so that no copy of a large cut is made.
_PIECE: Final = 1000


class ProgramFold(Plain):
    """See the module. The process is started by the first value, or by the end.

    Args:
        argv: the command.
        name: what it is called in messages.
        limit: most rows.
        most_bytes: of them, as it printed them.
    """

    def __init__(self, argv: Sequence[str], name: str, *, limit: int, most_bytes: int) -> None:
        self._argv = list(argv)
        self._name = name
        self._limit = limit
        self._room = most_bytes
        self._process: subprocess.Popen[bytes] | None = None
        self._poll = select.poll()
        self._rows: list[Any] = []
        self._partial = bytearray()
        self._said = bytearray()
        self._last = ""
        self._truncated = False
        self._over = False
        self._closed = False
        self._deaf = False

    # -- what a fold is

    @property
    def full(self) -> bool:
        """It has printed all that is taken, or has ended well by itself: it needs no more."""
        return self._truncated or self._over

    def load(self, provider: str, partials: Partials) -> Partials:
        raise RemoteProtocolError("partials where raw values were asked for")

    def partials(self, provider: str, partials: Partials) -> None:
        raise RemoteProtocolError("partials where raw values were asked for")

    def values(self, provider: str, keys: Sequence[Hashable] | None, values: Sequence[Any]) -> None:
        pairs = list(zip(rekeyed(keys, len(values)), values, strict=True))
        for first in range(0, len(pairs), _PIECE):
            if self.full:
                return
            lines = [_line(seen_key(key), value, provider) for key, value in pairs[first : first + _PIECE]]
            self._exchange("".join(lines).encode("utf-8", "surrogateescape"))

    groups = 0

    def durable(self) -> str:
        """What a process has in mind cannot be read."""
        return "its reduce is a program"

    def saved(self) -> Iterator[Saved]:
        raise ReduceFault(f"a query cannot be saved: {self.durable()}")

    def restore(self, saved: Saved) -> None:
        raise ReduceFault(f"a query cannot be restored: {self.durable()}")

    def rows(self) -> Rows:
        """What it has printed so far."""
        if self._process is not None and not self._over:
            self._move(0)
            self._look()
        place = Place(None, None)
        if any(isinstance(row, Mapping) for row in self._rows):
            shaped = [row if isinstance(row, Mapping) else {"value": row} for row in self._rows]
            names = list(dict.fromkeys(name for row in shaped for name in row))
            return table([Entry(place, (), tuple(map(row.get, names))) for row in shaped], names, in_order=True)
        return table([_entry(place, row) for row in self._rows], ("value",), in_order=True)

    def inexact(self) -> list[str]:
        return [f"only the first {len(self._rows)} rows are shown, the limit was reached"] if self._truncated else []

    # -- its life

    def finish(self) -> None:
        """Ends its input, and takes what it still prints.

        Raises:
            ReduceFault: it failed, or went on for too long.
        """
        if self.full:
            self._kill()
            return
        process = self._begun()
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        deadline = time.monotonic() + FINISH_S
        while self._goes_on():
            left = deadline - time.monotonic()
            if left <= 0:
                self._kill()
                self._over = True  # that it died of our signal is no second fault
                raise ReduceFault(f"{self._name} did not end within {FINISH_S:g} s after its input had")
            self._move(min(left, 0.05))
            self._look()
        self._kill()

    def interrupt(self) -> None:
        """Kills it. From any thread: whoever waits for it meanwhile finds it dead."""
        self._closed = True
        self._kill()

    def close(self) -> None:
        """Kills it, and gives back its pipes."""
        self.interrupt()
        if self._process is not None:
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(FINISH_S)
            self._free(self._process)

    def _free(self, process: subprocess.Popen[bytes]) -> None:
        self._poll = select.poll()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                with contextlib.suppress(OSError):
                    stream.close()

    def _goes_on(self) -> bool:
        return not self.full

    def _begun(self) -> subprocess.Popen[bytes]:
        if self._process is not None:
            return self._process
        if self._closed:
            raise ReduceFault(f"{self._name} is not started any more")
        pipe = subprocess.PIPE
        try:
            # In a session of its own: a Ctrl-C is this program's to understand, and its whole group can be killed.
            process = subprocess.Popen(
                self._argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0, start_new_session=True
            )
        except OSError as exc:
            raise ReduceFault(f"{self._name} could not be started: {exc.strerror}") from None
        for stream in (process.stdin, process.stdout, process.stderr):
            assert stream is not None
            os.set_blocking(stream.fileno(), False)
        assert process.stdout is not None
        assert process.stderr is not None
        self._poll.register(process.stdout, select.POLLIN)
        self._poll.register(process.stderr, select.POLLIN)
        self._process = process
        return process

    def _kill(self) -> None:
        process = self._process
        if process is not None and process.returncode is None:
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)

    def _exchange(self, data: bytes) -> None:
        """Gives it bytes, reading what it prints meanwhile, for as long as it takes."""
        process = self._begun()
        assert process.stdin is not None
        if self._deaf:
            self._move(0)
            self._look()
            return
        left = memoryview(data)
        self._poll.register(process.stdin, select.POLLOUT)
        try:
            while left and not self.full:
                if self._move(1.0):
                    try:
                        left = left[os.write(process.stdin.fileno(), left) :]
                    except BlockingIOError:
                        continue
                    except OSError:  # it reads no more, which is its own affair as long as it ends well
                        self._deaf = True
                        with contextlib.suppress(subprocess.TimeoutExpired):
                            process.wait(_DYING_S)
                        left = left[:0]
                self._look()
        finally:
            if not process.stdin.closed:
                self._poll.unregister(process.stdin)

    def _move(self, wait_s: float) -> bool:
        """Reads what it has printed; whether it can be written to."""
        process = self._process
        assert process is not None
        assert process.stdout is not None
        writable = False
        for fd, _ in self._poll.poll(wait_s * 1000):
            if process.stdin is not None and not process.stdin.closed and fd == process.stdin.fileno():
                writable = True
                continue
            data = _read(fd)
            if data is not None and not data:
                self._poll.unregister(fd)
            if fd == process.stdout.fileno():
                self._printed(data or b"")
            else:
                self._complained(data or b"")
        return writable

    def _look(self) -> None:
        """Whether it has ended, and how.

        Raises:
            ReduceFault: not well.
        """
        process = self._process
        assert process is not None
        if self._over or process.poll() is None:
            return
        self._move(0)  # what its pipes still held
        self._printed(b"\n" if self._partial else b"")
        self._complained(b"\n" if self._said else b"")
        self._free(process)
        self._over = True
        status = process.returncode
        if status and not self._truncated:
            how = f"died of signal {-status}" if status < 0 else f"ended with status {status}"
            raise ReduceFault(f"{self._name} {how}" + (f": {self._last}" if self._last else ""))

    def _printed(self, data: bytes) -> None:
        self._partial += data
        if len(self._partial) > _LINE_BYTES and b"\n" not in data:
            self._kill()
            raise ReduceFault(f"{self._name} printed a line over {_LINE_BYTES >> 20} MiB")
        *lines, rest = self._partial.split(b"\n") if b"\n" in data else [self._partial]
        self._partial = rest
        for line in lines:
            self._room -= len(line)
            if len(self._rows) >= self._limit or self._room < 0:
                self._truncated = True
                return
            self._rows.append(emitted(line.decode("utf-8", "surrogateescape")))

    def _complained(self, data: bytes) -> None:
        self._said += data
        *lines, rest = self._said.split(b"\n")
        self._said = rest[-_READ_BYTES:]
        for line in lines:
            text = line.decode("utf-8", "replace")
            self._last = text.strip()[:200] or self._last
            print(text, file=sys.stderr)  # noqa: T201 - as what a reduce in Python prints


def _read(fd: int) -> bytes | None:
    try:
        return os.read(fd, _READ_BYTES)
    except BlockingIOError:
        return None
    except OSError:
        return b""


def _entry(place: Place, row: Any) -> Entry:
    return Entry(place, kept_key(row[0]), (row[1],)) if type(row) is tuple else Entry(place, (), (row,))


def _line(key: Any, value: Any, provider: str) -> str:
    said = {"key": key, "value": value, "provider": provider}
    try:
        return json.dumps(said, ensure_ascii=False, separators=(",", ":"), default=_text) + "\n"
    except (TypeError, ValueError) as exc:
        raise ReduceFault(f"{provider}: a value cannot be told in JSON: {exc}") from None


def _text(value: object) -> str:
    """Bytes as they are; nothing else arrives that JSON does not know."""
    return value.decode("utf-8", "surrogateescape") if isinstance(value, bytes) else str(value)
