"""Access logs that are written and rotated in every way, and an own record of what was written.

A line is known by its number, which stands where the bytes of its answer would, and its key is its path.

Knows files. Does not know who reads them: the record is made beside the writing, and never read back from the files.
"""

from __future__ import annotations

import contextlib
import gzip
import os
import random
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

KEYS: Final = "abcdefg"
NAME: Final = "app.log"
#: Generations older than this may be deleted, once everybody has read them and stored that.
OLD_S: Final = 10.0
#: Of each log at least so many stay.
_KEEP: Final = 8


@dataclass(slots=True)
class Tally:
    """How many lines, the sum of their numbers, and the last of them."""

    count: int = 0
    sum: int = 0
    last: int = 0

    def add(self, number: int) -> None:
        """One line."""
        self.count += 1
        self.sum += number
        self.last = max(self.last, number)


class Log:
    """One provider's log. Its methods are called by one thread at a time: whoever holds ``lock``.

    Attributes:
        truth: by key; a line counts from before its end is written, so that no reader can be ahead.
        gone: by key, what was written and then deleted from the disk, which a reader may have seen or not.
        dated: older generations have dates in their names, and not numbers.
        cut: it was truncated, ever.
    """

    def __init__(self, folder: Path, dice: random.Random) -> None:
        self.path = folder / NAME
        self.lock = threading.Lock()
        self.truth: dict[str, Tally] = {}
        self.gone: dict[str, Tally] = {}
        self.dated = dice.random() < 0.4
        self.rotations = 0
        self.cut = False
        #: Something is gone that somebody may not have noticed yet; it was rotated, likewise.
        self._fresh = self._rotated = False
        self._dice = dice
        self._number = 0
        self._file = self._created()
        #: A line whose end is still to come, and where.
        self._torn: tuple[IO[bytes], bytes] | None = None

    @property
    def last(self) -> int:
        """The number of the newest line."""
        return self._number

    def write(self, count: int) -> None:
        """So many lines, the last of which may be torn for a while."""
        self.mend()
        lines = [self._line() for _ in range(count)]
        cut = self._dice.randrange(1, len(lines[-1])) if self._dice.random() < 0.5 else None
        self._file.write(b"".join(lines[:-1]) + lines[-1][:cut])
        if cut is not None:
            self._torn = self._file, lines[-1][cut:]

    def mend(self) -> None:
        """Write the end of a torn line, to the file that its beginning is in."""
        if self._torn is not None:
            file, rest = self._torn
            self._torn = None
            file.write(rest)
            if file is not self._file:
                file.close()

    def _line(self, gone: bool = False) -> bytes:
        self._number += 1
        key = self._dice.choice(KEYS)
        self.truth.setdefault(key, Tally()).add(self._number)
        if gone:
            self.gone.setdefault(key, Tally()).add(self._number)
        at = time.strftime("%d/%b/%Y:%H:%M:%S +0000", time.gmtime())
        return f'10.0.0.1 - - [{at}] "GET /{key} HTTP/1.1" 200 {self._number}\n'.encode()

    # -- rotations

    def rename(self) -> None:
        """Renamed, and made anew; a torn line ends in the old file, and a whole one may come late."""
        old = self._file
        self.path.rename(self._next())
        self._file = self._created()
        if self._torn is None:
            if self._dice.random() < 0.5:
                old.write(self._line())
            old.close()

    def squeeze(self) -> None:
        """Renamed, made anew and compressed at once."""
        self.mend()
        name = self._next()
        self.path.rename(name)
        self._file.close()
        self._file = self._created()
        self._gzip(name)

    def squeeze_older(self) -> None:
        """What was rotated before is compressed, but for the newest.

        Not where something is gone that nobody may have noticed: of a compressed copy nobody can say that it is one.
        """
        self.mend()
        if self._fresh:
            return
        for path in self._older()[:-1]:
            if path.suffix != ".gz":
                self._gzip(path)

    def many(self) -> None:
        """Five in quick succession, with lines in each."""
        for _ in range(5):
            self.rename()
            self.write(self._dice.randrange(1, 5))

    def copy_truncate(self) -> None:
        """Copied, then truncated, with nothing written between: no line is lost."""
        self.mend()
        self.cut = True
        shutil.copy2(self.path, self._next())
        os.truncate(self.path, 0)

    def copy_write_truncate(self) -> None:
        """Copied, written to, then truncated: what was written is on no disk any more.

        Only of a log that was not rotated just now: whoever is away for both cannot know of the second.
        """
        if self._rotated:
            self.copy_truncate()
            return
        self.mend()
        self.cut = True
        shutil.copy2(self.path, self._next())
        self._fresh = True
        self._file.write(b"".join(self._line(gone=True) for _ in range(self._dice.randrange(1, 9))))
        os.truncate(self.path, 0)

    def tidy(self) -> None:
        """Everybody has read all of it; delete generations of which that is long ago."""
        self._fresh = self._rotated = False
        old = time.time() - OLD_S
        for path in self._older()[:-_KEEP]:
            if path.stat().st_mtime < old:
                path.unlink()

    def close(self) -> None:
        """Close the files."""
        self.mend()
        self._file.close()

    def _created(self) -> IO[bytes]:
        return self.path.open("ab", buffering=0)

    def _older(self) -> list[Path]:
        """The oldest first."""
        return sorted(self.path.parent.glob(f"{NAME}?*"), key=lambda path: _digits(path) * (1 if self.dated else -1))

    def _next(self) -> Path:
        self.rotations += 1
        self._rotated = True
        if self.dated:
            return self.path.with_name(f"{NAME}-20261120{self.rotations:06}")
        for path in self._older():
            number = _digits(path)
            path.rename(path.with_name(path.name.replace(f".{number}", f".{number + 1}")))
        return self.path.with_name(f"{NAME}.1")

    def _gzip(self, path: Path) -> None:
        status = path.stat()
        packed = path.with_name(f"{path.name}.gz")
        with gzip.open(packed, "wb") as file:
            file.write(path.read_bytes())
        os.utime(packed, ns=(status.st_atime_ns, status.st_mtime_ns))
        path.unlink()


def _digits(path: Path) -> int:
    return int("".join(filter(str.isdigit, path.name)))


#: By the name of the fault; what they do to a log.
ROTATIONS: Final[dict[str, Callable[[Log], None]]] = {
    "rotated": Log.rename,
    "rotated five times": Log.many,
    "rotated and compressed": Log.squeeze,
    "older compressed": Log.squeeze_older,
    "copied and truncated": Log.copy_truncate,
    "copied, written to and truncated": Log.copy_write_truncate,
}


class Writers:
    """One thread that writes to all logs, until it is held or closed."""

    def __init__(self, logs: list[Log], dice: random.Random, pause_s: float = 0.02) -> None:
        self._logs = logs
        self._dice = dice
        self._pause_s = pause_s
        self._held = threading.Event()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writers")
        self.failure: BaseException | None = None

    def _write(self) -> None:
        try:
            while not self._over.wait(self._pause_s):
                for log in self._logs:
                    with log.lock:
                        if not self._held.is_set():
                            log.write(self._dice.randrange(1, 6))
        except BaseException as exc:
            self.failure = exc

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """While entered nothing is written, and no line is torn."""
        self._held.set()
        for log in self._logs:
            with log.lock:
                log.mend()
        try:
            yield
        finally:
            self._held.clear()

    def __enter__(self) -> Writers:
        self._thread.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self._over.set()
        self._thread.join()
        for log in self._logs:
            log.close()
        if self.failure is not None:
            raise self.failure
