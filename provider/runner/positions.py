"""Where a reader is in a log, so that it is found again in whichever file holds it by then.

Knows hashes and numbers. Does not know files or their names.

A position is ``packb([offset, tail, head size, head, seen, before size, before, before offset, device, inode,
written])``:

* *tail* hashes up to 256 bytes before the offset, *head* the first bytes of the file (4,096, or what it had): together
  they recognise a file by what is in it. Offsets count what was compressed as it was before.
* *before* is the head of the generation before this one, and how far that was read: generations that begin alike (a
  CSV header is the first line of each) are told apart by their predecessors, and lines that arrived late in the
  predecessor are still read.
* *seen* is the size that the file had, so that something can be said of a loss.
* *written* is when the file had been written last, in nanoseconds: what was last written earlier is another one. That
  tells generations apart that hold the same, like those with a header and nothing else.
* device and inode only help to say what happened: file systems give an inode to the next file at once.
"""

from typing import NamedTuple, Optional

from provider.runner.pack import packb, unpackb

try:
    # hashlib itself loads OpenSSL, which is 3 MB of a job's address space.
    from _blake2 import blake2b
except ImportError:
    from hashlib import blake2b

#: How much of a beginning, and how much before an offset, makes a file recognisable.
HEAD_BYTES = 4096
TAIL_BYTES = 256


class Head(NamedTuple):
    """The beginning of a file."""

    size: int
    digest: bytes


class Before(NamedTuple):
    """The generation before: its beginning, and how far it was read."""

    size: int
    digest: bytes
    offset: int


#: There was none when the source was opened.
NONE_BEFORE = Before(0, b"", 0)


class Position(NamedTuple):
    """See the module."""

    offset: int
    tail: bytes
    head: Head
    seen: int
    before: Before
    device: int
    inode: int
    written: int


def digest(data: bytes) -> bytes:
    """Eight bytes that tell contents apart."""
    return blake2b(data, digest_size=8).digest()


def head_of(data: bytes) -> Head:
    """The head that these first bytes of a file make."""
    data = data[:HEAD_BYTES]
    return Head(len(data), digest(data))


def packed(at: Position) -> bytes:
    """As it travels."""
    known = [at.offset, at.tail, at.head.size, at.head.digest, at.seen]
    return packb(known + list(at.before) + [at.device, at.inode, at.written])


def parse(data: bytes) -> Optional[Position]:
    """The position in these bytes, None if it is none."""
    try:
        fields = unpackb(data)
        types = [type(field) for field in fields]
    except (TypeError, ValueError):
        return None
    if types != [int, bytes, int, bytes, int, int, bytes, int, int, int, int] or fields[0] < 0:
        return None
    if not 0 <= fields[2] <= HEAD_BYTES or not 0 <= fields[5] <= HEAD_BYTES:
        return None
    return Position(fields[0], fields[1], Head(*fields[2:4]), fields[4], Before(*fields[5:8]), *fields[8:])
