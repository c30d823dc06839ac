"""One log file: opened, read in whole lines, and its position at any line of it.

Knows bytes, offsets and hashes of a file. Does not know text, other files, or when to read.

A position is ``packb([hash of the first line, offset, hash of up to 256 bytes before the offset])``: it is found again
in the file after a restart, and is not found in another file that took its name, whatever inode that has.
"""

import os
import stat
from typing import List, NamedTuple, Optional, Tuple

from provider.runner.pack import packb, unpackb

try:
    # hashlib itself loads OpenSSL, which is 3 MB of a job's address space.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

#: What one read takes. Below 64 KiB system calls show, above 256 KiB fresh memory for each block does.
BLOCK_BYTES = 128 << 10
#: A longer line is dropped and counted: it could not be emitted, and two of them would be a job's whole memory.
LINE_BYTES = 16 << 20
#: How much of a first line, and how much before an offset, makes a file recognisable.
_HEAD_BYTES = 4096
_TAIL_BYTES = 256

_GLOB = frozenset("*?[")


def open_log(path: str) -> int:
    """A descriptor for reading a log: the one place where a job opens what it was asked to read.

    Raises:
        OSError: it cannot be opened, or is no regular file (IsADirectoryError for a directory).
    """
    # Non-blocking, so that a FIFO of this name does not hold the job forever.
    fd = os.open(raw(path), os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    mode = os.fstat(fd).st_mode
    if stat.S_ISREG(mode):
        return fd
    os.close(fd)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(21, "Is a directory", path)
    raise OSError(22, "Not a regular file", path)


def raw(path: str) -> bytes:
    """A path's bytes. Python 3.6 in the C locale, which a login often has, knows only ASCII."""
    return path.encode("utf-8", "surrogateescape")


def is_glob(path: str) -> bool:
    """It names files by a pattern; a file that really has such a name is meant itself."""
    return not _GLOB.isdisjoint(path) and not os.path.lexists(raw(absolute(path)))


def absolute(path: str) -> str:
    """A path as the login means it: relative ones start where the login does, which over SSH is its home."""
    if path.startswith("~/"):
        return os.path.join(os.environ.get("HOME") or os.getcwd(), path[2:])
    return path if path.startswith("/") else os.path.join(os.getcwd(), path)


def expand(path: str) -> List[str]:
    """The files that a path or glob names, sorted."""
    if not is_glob(path):
        return [absolute(path)]
    import glob

    found = glob.glob(raw(absolute(path)), recursive=True)
    return sorted(each.decode("utf-8", "surrogateescape") for each in found)


class Raw(NamedTuple):
    """Some whole lines of a file, as they are in it."""

    data: bytes
    #: Bytes of lines before them that were too long.
    skipped: int


class Log:
    """One open file.

    Args:
        source: the name under which its position is kept.
        path: what to open.

    Raises:
        OSError: see `open_log`.
    """

    __slots__ = (
        "_carried",
        "_carry",
        "_first",
        "_read_at",
        "_skipped",
        "_skipping",
        "dropped",
        "fd",
        "ident",
        "offset",
        "path",
        "size",
        "source",
        "told",
        "touched",
    )  # fmt: skip

    def __init__(self, source: str, path: str) -> None:
        self.source = source
        self.path = path
        self.fd = open_log(path)
        status = os.fstat(self.fd)
        self.ident = (status.st_dev, status.st_ino)
        #: Its size when it was opened.
        self.size = status.st_size
        #: Where the map is: everything before it has been taken.
        self.offset = 0
        #: The position that home knows.
        self.told = b""
        #: Something was taken since home was told. Looking for the position of each idle file would cost more.
        self.touched = False
        #: Lines that were too long, since this was last set to 0.
        self.dropped = 0
        self._first = b""
        self._rewind(0)

    def _rewind(self, offset: int) -> None:
        self.offset = self._read_at = offset
        self._carry: List[bytes] = []
        self._carried = 0
        self._skipping = False
        self._skipped = 0

    # --- where it begins

    def resume(self, position: bytes) -> bool:
        """Goes on from a position, if this is the file that it was taken in."""
        try:
            first, offset, tail = unpackb(position)
        except (TypeError, ValueError):
            return False
        if type(offset) is not int or not 0 <= offset <= self.size:
            return False
        if (first and first != self._first_hash()) or tail != self._tail_hash(offset):
            return False
        self._rewind(offset)
        return True

    def to_end(self) -> None:
        """Begins behind the last whole line: what of a line is there already belongs to its rest."""
        window = min(self.size, BLOCK_BYTES)
        data = os.pread(self.fd, window, self.size - window)
        newline = data.rfind(b"\n")
        self._rewind(self.size - window + newline + 1 if newline >= 0 else self.size)

    def restart(self) -> None:
        """It was truncated: begins anew."""
        self._first = b""
        self.size = os.fstat(self.fd).st_size
        self._rewind(0)

    # --- reading

    def read(self, limit: Optional[int] = None) -> Optional[Raw]:
        """The next whole lines, up to `limit` as an offset in the file.

        Returns:
            None at the end; no data where more must be read to complete a line.
        """
        wanted = BLOCK_BYTES if limit is None else min(BLOCK_BYTES, limit - self._read_at)
        data = os.pread(self.fd, wanted, self._read_at) if wanted > 0 else b""
        if not data:
            return None
        self._read_at += len(data)
        if self._skipping:
            data = self._skip(data)
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return Raw(b"", 0)
        whole = data[:end]
        if self._carry:
            self._carry.append(whole)
            whole = b"".join(self._carry)
        self._carry = [data[end:]] if end < len(data) else []
        self._carried = len(data) - end
        return self._taken(whole)

    def rest(self) -> Optional[Raw]:
        """The last line, which has no newline: nothing more will come. None if there is none."""
        whole = b"".join(self._carry)
        self._carry = []
        self._carried = 0
        if self._skipping:
            self._skipping = False
            self.dropped += 1
        return self._taken(whole) if whole or self._skipped else None

    def _taken(self, whole: bytes) -> Raw:
        skipped, self._skipped = self._skipped, 0
        return Raw(whole, skipped)

    def _keep(self, data: bytes) -> None:
        """Part of a line. Joined once, when it is complete: joining as it grows is quadratic."""
        self._carry.append(data)
        self._carried += len(data)
        if self._carried > LINE_BYTES:
            self._skipped += self._carried
            self._carry = []
            self._carried = 0
            self._skipping = True

    def _skip(self, data: bytes) -> bytes:
        """What follows the line that is too long, if that ends here."""
        end = data.find(b"\n") + 1
        if not end:
            self._skipped += len(data)
            return b""
        self._skipping = False
        self.dropped += 1
        self._skipped += end
        return data[end:]

    def taken(self, size: int) -> None:
        """The map has asked for what comes after these bytes."""
        self.offset += size
        self.touched = True

    @property
    def read_to(self) -> int:
        """The offset up to which it was read, taken or not."""
        return self._read_at

    # --- where it is

    def position(self) -> bytes:
        """The position of `offset`."""
        return packb([self._first_hash(), self.offset, self._tail_hash(self.offset)])

    def move(self) -> Optional[Tuple[str, bytes, bytes]]:
        """What home must know since the last time: (source, from, to); None if nothing changed."""
        now = self.position()
        if now == self.told:
            return None
        before, self.told = self.told, now
        self.touched = False
        return self.source, before, now

    def _first_hash(self) -> bytes:
        """Empty until the file holds a whole line."""
        if not self._first:
            head = os.pread(self.fd, _HEAD_BYTES, 0)
            end = head.find(b"\n")
            if end >= 0 or len(head) == _HEAD_BYTES:
                self._first = _hash(head[:end] if end >= 0 else head)
        return self._first

    def _tail_hash(self, offset: int) -> bytes:
        size = min(offset, _TAIL_BYTES)
        return _hash(os.pread(self.fd, size, offset - size))

    def close(self) -> None:
        """Gives the descriptor back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1


def _hash(data: bytes) -> bytes:
    return blake2b(data, digest_size=8).digest()
