"""Frames: the one unit that travels between a runner, a coordinator and a client.

Knows how bytes become frames and back. Does no I/O, and does not know what a job, a query or a position is.
It travels to providers, so: standard library only, Python 3.6.

Theory of operation
-------------------
A frame is a *clear header* against an *opaque payload*. Whoever relays a frame reads the five fixed bytes
(kind, job), perhaps the header, and never the payload; so a supervisor can route, count and limit what a user's
script emits without decoding anything that the script wrote, and a coordinator can pass on what it may not read.

On a byte stream (an SSH channel, a pipe) each body is preceded by its size; on ZeroMQ a message part is a body:

    stream:  size u32 | body
    body:    kind u8 | job u32 | header size u16 | header (msgpack map, text keys) | payload

All integers are big-endian. A payload that does not fit in one frame is sent in fragments: the frames of one job are
never reordered, so a fragment is a frame whose header says ``more``, and a receiver joins payloads of equal kind and
job until one comes without it; frames of another kind may stand between, and an END drops what is incomplete. Unknown
header fields are ignored, unknown kinds are ignored below ``KIND_CRITICAL`` and refused from there on; so a later
version adds either without breaking an older peer that could go on.
"""

from struct import Struct
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from provider.runner.pack import packb, unpackb

#: Raised by one when an older peer could misread what a newer one sends; compared in HELLO.
VERSION = 1

#: What a runner writes before its first frame. A login shell's banner may precede it; nothing else can contain it.
PREAMBLE = b"\x00\xffLOGREDUCE/1\n"

#: Largest body in bytes. Smaller costs a system call and a header more often; larger lets one job hold the link
#: for longer than a beat on a slow line (64 KiB is half a second at 1 Mbit/s), and outgrows a pipe's buffer.
MAX_FRAME_BYTES = 65536
#: What a job may take to hand over its last cut after it was asked to drain. A script runs at idle priority, so on a
#: busy host it gets little; whoever waits longer than this waits for one that hangs.
DRAIN_S = 8.0
#: Largest header. A START names its limits and a FAULT its place; neither needs more.
MAX_HEADER_BYTES = 8192
#: Largest payload that fragments may add up to: the largest value that a map may emit, and its envelope.
MAX_PAYLOAD_BYTES = (16 << 20) + 65536

# Both ways on a runner's link; the client sees those of its own jobs.
HELLO = 1
START = 2
VERDICT = 3
OPEN = 4
CUT = 5
FEED = 6
NOTE = 7
BEAT = 8
GAP = 9
FAULT = 10
END = 11
CREDIT = 12
CANCEL = 13
NEED_START = 14
# Between a client and its coordinator only.
SUBMIT = 32
TARGETS = 33
STATE = 34
ASK = 35
TOLD = 36
ADMIT = 37
#: Kinds from here on may not be skipped by a peer that does not know them.
KIND_CRITICAL = 128

NAMES = {
    HELLO: "hello",
    START: "start",
    VERDICT: "verdict",
    OPEN: "open",
    CUT: "cut",
    FEED: "feed",
    NOTE: "note",
    BEAT: "beat",
    GAP: "gap",
    FAULT: "fault",
    END: "end",
    CREDIT: "credit",
    CANCEL: "cancel",
    NEED_START: "need_start",
    SUBMIT: "submit",
    TARGETS: "targets",
    STATE: "state",
    ASK: "ask",
    TOLD: "told",
    ADMIT: "admit",
}  # type: Dict[int, str]

#: Kinds that spend a job's credit, by the size of their bodies. The others are rare and bounded (one verdict, one end)
#: or cumulative, so that whoever relays them may keep only the newest (beat).
SPENDS_CREDIT = frozenset((OPEN, CUT, NOTE, GAP))

_SIZE = Struct(">I")
_HEAD = Struct(">BIH")
HEAD_BYTES = _HEAD.size
_JOB = Struct(">I")

#: Room for a payload in one frame whatever its header.
FRAGMENT_BYTES = MAX_FRAME_BYTES - HEAD_BYTES - MAX_HEADER_BYTES


class FrameError(ValueError):
    """The peer sent what is not a frame. The stream cannot be trusted past this point."""


class Frame(NamedTuple):
    """One decoded frame. ``payload`` stays as it came."""

    kind: int
    job: int
    header: Dict[str, Any]
    payload: bytes


def encode(kind: int, job: int, header: Dict[str, Any], payload: bytes = b"") -> bytes:
    """The body of one frame.

    Raises:
        FrameError: header or body are over their limits (use `fragments` for long payloads).
    """
    head = packb(header)
    body = _HEAD.pack(kind, job, len(head)) + head + payload
    if len(head) > MAX_HEADER_BYTES or len(body) > MAX_FRAME_BYTES:
        raise FrameError("a %s frame of %d bytes is over the limit" % (name(kind), len(body)))
    return body


def fragments(kind: int, job: int, header: Dict[str, Any], payload: bytes) -> Iterator[bytes]:
    """The bodies that carry a payload of any length up to ``MAX_PAYLOAD_BYTES``, all but the last saying ``more``."""
    if len(payload) > MAX_PAYLOAD_BYTES:
        raise FrameError("a payload of %d bytes is over the limit of %d" % (len(payload), MAX_PAYLOAD_BYTES))
    start = 0
    while len(payload) - start > FRAGMENT_BYTES:
        yield encode(kind, job, dict(header, more=True), payload[start : start + FRAGMENT_BYTES])
        start += FRAGMENT_BYTES
    yield encode(kind, job, header, payload[start:])


def framed(body: bytes) -> bytes:
    """A body as it goes on a byte stream."""
    return _SIZE.pack(len(body)) + body


def peek(body: bytes) -> "tuple[int, int]":
    """Kind and job, without decoding the header.

    Raises:
        FrameError: too short to be a frame, or its header does not fit.
    """
    if len(body) < HEAD_BYTES:
        raise FrameError("a frame of %d bytes" % len(body))
    kind, job, size = _HEAD.unpack_from(body)
    if size > MAX_HEADER_BYTES or HEAD_BYTES + size > len(body):
        raise FrameError("a %s frame whose header does not fit" % name(kind))
    return kind, job


def stamped(body: bytes, job: int) -> bytes:
    """The same frame as another job's: a supervisor never believes a child about which job it is."""
    return body[:1] + _JOB.pack(job) + body[5:]


def decode(body: bytes) -> Frame:
    """A body's frame, its header unpacked.

    Raises:
        FrameError: not a frame, or its header is not a map with text keys.
    """
    kind, job = peek(body)
    return Frame(kind, job, header_of(body), body[HEAD_BYTES + _HEAD.unpack_from(body)[2] :])


def header_of(body: bytes) -> Dict[str, Any]:
    """A body's header alone, for those whom the payload does not concern.

    Raises:
        FrameError: as `decode`.
    """
    kind, _ = peek(body)
    try:
        header = unpackb(body[HEAD_BYTES : HEAD_BYTES + _HEAD.unpack_from(body)[2]])
    except ValueError as exc:
        raise FrameError("a %s frame's header: %s" % (name(kind), exc))
    if type(header) is not dict or not all(type(key) is str for key in header):
        raise FrameError("a %s frame's header is not a map" % name(kind))
    return header


def name(kind: int) -> str:
    """A kind's name, for messages."""
    return NAMES.get(kind, "kind %d" % kind)


class Splitter:
    """Cuts a byte stream into bodies. Holds at most one incomplete frame.

    With ``preamble`` it first skips up to ``MAX_FRAME_BYTES`` of noise (a login shell's banner) until it has seen it.
    """

    __slots__ = ("_buffer", "_preamble")

    def __init__(self, preamble: Optional[bytes] = None) -> None:
        self._buffer = b""
        self._preamble = preamble

    @property
    def waiting(self) -> int:
        """Bytes held of a frame that is not complete yet."""
        return len(self._buffer)

    @property
    def noise(self) -> bytes:
        """What came instead of a preamble so far; empty once it was seen."""
        return self._buffer if self._preamble else b""

    def feed(self, data: bytes) -> List[bytes]:
        """The bodies that ``data`` completes, in order.

        Raises:
            FrameError: a size over the limit, or no preamble within it.
        """
        data = self._buffer + data if self._buffer else data
        if self._preamble:
            found = data.find(self._preamble)
            if found < 0:
                if len(data) > MAX_FRAME_BYTES:
                    raise FrameError("no runner answered: %r" % data[:80])
                self._buffer = data
                return []
            data = data[found + len(self._preamble) :]
            self._preamble = None
        bodies = []
        start = 0
        available = len(data)
        while available - start >= 4:
            size = _SIZE.unpack_from(data, start)[0]
            if not HEAD_BYTES <= size <= MAX_FRAME_BYTES:
                raise FrameError("a frame of %d bytes" % size)
            if available - start - 4 < size:
                break
            bodies.append(data[start + 4 : start + 4 + size])
            start += 4 + size
        self._buffer = data[start:]
        return bodies


class Joiner:
    """Puts fragments of one job's frames together again, bounded by ``MAX_PAYLOAD_BYTES``."""

    __slots__ = ("_kind", "_parts", "_size")

    def __init__(self) -> None:
        self._parts = []  # type: List[bytes]
        self._kind = 0
        self._size = 0

    def add(self, frame: Frame) -> Optional[Frame]:
        """The whole frame once its last fragment is here, otherwise None.

        Raises:
            FrameError: fragments of two kinds are mixed, or add up to too much.
        """
        more = frame.header.get("more", False)
        if not self._parts and not more:
            return frame
        if self._parts and frame.kind != self._kind:
            raise FrameError("a %s frame inside the fragments of a %s" % (name(frame.kind), name(self._kind)))
        self._kind = frame.kind
        self._parts.append(frame.payload)
        self._size += len(frame.payload)
        if self._size > MAX_PAYLOAD_BYTES:
            raise FrameError("fragments of a %s add up to over %d bytes" % (name(frame.kind), MAX_PAYLOAD_BYTES))
        if more:
            return None
        payload = b"".join(self._parts)
        self._parts = []
        self._size = 0
        return frame._replace(payload=payload)
