"""One log file: opened, read in whole lines, and its position at any line of it.

Knows bytes, offsets and hashes of a file. Does not know text, other files, or when to read.

A position (see `positions`) is found again in the file after a restart, and is not found in another file that took its
name, whatever inode that has. A compressed file is read as what was compressed, and its offsets count that.
"""

import os
import stat
from typing import Any, List, NamedTuple, Optional, Tuple

from provider.runner.positions import (
    HEAD_BYTES,
    NONE_BEFORE,
    TAIL_BYTES,
    Before,
    Head,
    Position,
    digest,
    head_of,
    packed,
)

#: What one read takes. Below 64 KiB system calls show, above 256 KiB fresh memory for each block does.
BLOCK_BYTES = 128 << 10
#: A longer line is dropped and counted: it could not be emitted, and two of them would be a job's whole memory.
LINE_BYTES = 16 << 20

#: Names of files that are compressed, readable or not.
COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")

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


class _Plain:
    """A file as it is."""

    __slots__ = ("_fd",)

    ended = False
    damaged = False

    def __init__(self, fd: int) -> None:
        self._fd = fd

    def pread(self, size: int, at: int) -> bytes:
        return os.pread(self._fd, size, at)

    def forget(self, before: int) -> None:
        """Nothing is kept."""

    def size(self) -> int:
        return os.fstat(self._fd).st_size


class Log:
    """One open file.

    Args:
        source: the name under which its position is kept.
        path: what to open.

    Raises:
        OSError: see `open_log`; or it is compressed in a way that this Python cannot read.
    """

    __slots__ = (
        "_carried",
        "_carry",
        "_data",
        "_empty_at",
        "_given",
        "_given_at",
        "_head",
        "_last",
        "_leading",
        "_read_at",
        "_skipped",
        "_skipping",
        "at_end",
        "before",
        "checked",
        "dropped",
        "fd",
        "ident",
        "offset",
        "packed",
        "path",
        "rewritten",
        "seen",
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
        #: It is compressed.
        self.packed = False
        self._data = self._reader()
        #: Its size when it was opened; not known of a compressed one.
        self.size = 0 if self.packed else status.st_size
        self._empty_at = status.st_mtime_ns
        #: The largest size that was seen.
        self.seen = self.size
        #: It is known to be a file whose content stays, unlike those of /proc.
        self.checked = not self.packed
        self.rewritten = False
        #: The generation before it.
        self.before = NONE_BEFORE
        #: Where the map is: everything before it has been taken.
        self.offset = 0
        #: The position that home knows.
        self.told = b""
        #: Something was taken since home was told. Looking for the position of each idle file would cost more.
        self.touched = False
        #: Lines that were too long, since this was last set to 0.
        self.dropped = 0
        self._head = head_of(b"")
        self.rewind(0)
        self.head()

    def _reader(self) -> Any:
        if not self.path.endswith(COMPRESSED):
            return _Plain(self.fd)
        from provider.runner.squeezed import squeezed

        try:
            found = squeezed(self.path, self.fd)
        except OSError:
            self.close()
            raise
        self.packed = found is not None
        return found or _Plain(self.fd)

    def rewind(self, offset: int) -> None:
        """Goes on at an offset, which is the beginning of a line."""
        self.offset = self._read_at = offset
        self._carry: "List[bytes]" = []
        self._carried = 0
        self._skipping = False
        self._skipped = 0
        size = min(offset, TAIL_BYTES)
        #: The last bytes that were read, by which a file is known that was rewritten under us.
        self._last = self._data.pread(size, offset - size) if size else b""
        #: What was handed out last, where it begins, and what stood before it: a position is made of what was read,
        #: since the file itself may be another by now.
        self._given = b""
        self._given_at = offset
        self._leading = self._last
        #: Nothing more was there the last time.
        self.at_end = True

    # --- where it begins

    def holds(self, position: Position) -> bool:
        """This is the file that a position was taken in, as far as its content tells."""
        return self.begins(position.head) and self._has(position)

    def begins(self, head: Head) -> bool:
        """It begins so."""
        if not head.size:
            return True
        data = self._data.pread(head.size, 0)
        return len(data) == head.size and digest(data) == head.digest

    def _has(self, position: Position) -> bool:
        offset = position.offset
        size = min(offset, TAIL_BYTES)
        self._data.forget(offset - size)
        data = self._data.pread(size, offset - size)
        return len(data) == size and digest(data) == position.tail

    def peek(self, at: int, size: int) -> bytes:
        """Some bytes of it, without moving."""
        self._data.forget(min(at, max(0, self.offset - TAIL_BYTES)))
        return bytes(self._data.pread(size, at))

    @property
    def written(self) -> float:
        """When it was last written, in seconds since the epoch."""
        return os.fstat(self.fd).st_mtime

    def to_end(self) -> None:
        """Begins behind the last whole line: what of a line is there already belongs to its rest."""
        size = self._data.size()
        window = min(size, BLOCK_BYTES)
        data = self._data.pread(window, size - window)
        newline = data.rfind(b"\n")
        self.rewind(size - window + newline + 1 if newline >= 0 else size)

    def restart(self) -> None:
        """It was truncated: begins anew."""
        self._head = head_of(b"")
        self.rewritten = False
        self.rewind(0)
        self.size = self.seen = os.fstat(self.fd).st_size

    # --- reading

    def read(self, limit: Optional[int] = None) -> Optional[Raw]:
        """The next whole lines, up to `limit` as an offset in the file.

        Returns:
            None at the end; no data where more must be read to complete a line.
        """
        wanted = BLOCK_BYTES if limit is None else min(BLOCK_BYTES, limit - self._read_at)
        if self.packed:
            self._data.forget(max(0, self.offset - TAIL_BYTES))
        data = self._data.pread(wanted, self._read_at) if wanted > 0 else b""
        self.at_end = len(data) < wanted
        if not data:
            return None
        if self.checked and not self.intact():
            # It was truncated and has grown beyond the place where we are: this is not what follows.
            self.rewritten = True
            return None
        self._read_at += len(data)
        self._last = data[-TAIL_BYTES:] if len(data) >= TAIL_BYTES else (self._last + data)[-TAIL_BYTES:]
        if self._skipping:
            data = self._skip(data)
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return Raw(b"", 0)
        # A view, because a slice would copy the block once more.
        self._carry.append(memoryview(data)[:end])  # type: ignore[arg-type]  # join takes either
        whole = b"".join(self._carry) if len(self._carry) > 1 else data[:end]
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
        begin = self._read_at - self._carried - len(whole)
        self._leading = self._before(begin)
        self._given = whole
        self._given_at = begin
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

    @property
    def torn(self) -> bool:
        """A line has begun and not ended."""
        return bool(self._carried) or self._skipping

    @property
    def damaged(self) -> bool:
        """It is compressed, and stopped before its end."""
        return bool(self._data.damaged)

    def look(self) -> int:
        """Its size now, which is remembered; of a compressed file what was read."""
        if self.packed:
            return self._read_at
        size = os.fstat(self.fd).st_size
        if size > self.seen:
            self.seen = size
        return size

    def shrunk(self) -> bool:
        """It was truncated, as its size or its content shows."""
        return not self.packed and (self.look() < self._read_at or not self.intact())

    def emptied(self) -> bool:
        """It was empty and has been written since: somebody may have copied and truncated it in between."""
        if self._read_at or self._head.size or self.packed:
            return False
        written = os.fstat(self.fd).st_mtime_ns
        before, self._empty_at = self._empty_at, written
        return before != written

    def intact(self) -> bool:
        """What was read last is still there, so that what follows belongs to it.

        A file can be truncated and grow beyond the place where we are before we look at it.
        """
        if not self._read_at:
            return self.begins(self._head)
        last = self._last
        return bool(self._data.pread(len(last), self._read_at - len(last)) == last)

    # --- where it is

    def position(self) -> bytes:
        """The position of `offset`."""
        tail = self._before(self.offset)
        if self.offset == self._given_at + len(self._given):
            self._leading, self._given, self._given_at = tail, b"", self.offset
        return packed(self._at(self.offset, tail, self.head()))

    def memory(self) -> Position:
        """The position up to which it was read, as far as it is known without looking again."""
        return self._at(self._read_at, self._last, self._head)

    def _at(self, offset: int, tail: bytes, head: Head) -> Position:
        written = os.fstat(self.fd).st_mtime_ns
        seen = max(self.seen, offset)
        return Position(offset, digest(tail), head, seen, self.before, self.ident[0], self.ident[1], written)

    def move(self) -> Optional[Tuple[str, bytes, bytes]]:
        """What home must know since the last time: (source, from, to); None if nothing changed."""
        now = self.position()
        if now == self.told:
            return None
        before, self.told = self.told, now
        self.touched = False
        return self.source, before, now

    def head(self) -> Head:
        """Its beginning, as much of it as there is."""
        if self._head.size < HEAD_BYTES:
            data = self._data.pread(HEAD_BYTES, 0)
            if digest(data[: self._head.size]) == self._head.digest:  # or else it was rewritten under us
                self._head = head_of(data)
        return self._head

    def as_before(self) -> Before:
        """What the generation after it knows of it. An empty one is as if it had not been."""
        head = self.head()
        return Before(head.size, head.digest, self.offset) if head.size else self.before

    def _before(self, offset: int) -> bytes:
        """The bytes before an offset that make its tail, as they were when they were read."""
        size = min(offset, TAIL_BYTES)
        at = offset - self._given_at
        if not 0 <= at <= len(self._given):
            return bytes(self._data.pread(size, offset - size))
        if at >= size:
            return self._given[at - size : at]
        return (self._leading + self._given[:at])[-size:] if size else b""

    def close(self) -> None:
        """Gives the descriptor back."""
        if self.fd >= 0:
            os.close(self.fd)
            self.fd = -1
