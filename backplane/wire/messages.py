"""What is said, one small class a kind: the typed face of frames at home.

Knows the names and types of header fields (docs/reference/frames.md is the table). Does no I/O, and does not know who
may say what when: that is the business of the state machines that use it. Bytes are `backplane.wire.codec`'s.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar

from provider.runner import frames


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A frame with its header's fields as attributes. ``job`` 0 is the link itself."""

    KIND: ClassVar[int]
    job: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Hello(Message):
    """The first thing that either side of a link says."""

    KIND: ClassVar[int] = frames.HELLO
    version: int = frames.VERSION
    oldest: int = frames.VERSION
    role: str
    python: tuple[int, ...] = ()
    pid: int = 0
    host: str = ""
    uid: int = -1
    now: float = 0.0
    level: str | None = None
    instance: str = ""
    build: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Start(Message):
    """Begin a job. Idempotent on ``epoch``."""

    KIND: ClassVar[int] = frames.START
    epoch: int
    query: str
    body: str = "script"
    profile: str = "open"
    granted: int
    filter_s: float | None = None
    limits: dict[str, int] = field(default_factory=dict)
    feed: bool = False
    guard: bool = True
    lines: bool = True
    filter: str = ""
    fresh_s: float | None = None
    kept: bool = False
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict(Message):
    """The filter's answer for this provider."""

    KIND: ClassVar[int] = frames.VERDICT
    epoch: int
    keep: bool
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Open(Message):
    """A source's first position; applied before the first cut that moves it."""

    KIND: ClassVar[int] = frames.OPEN
    epoch: int
    source: str
    reason: str = "begin"
    last: bool = False
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut(Message):
    """One part of the unit of commit."""

    KIND: ClassVar[int] = frames.CUT
    epoch: int
    seq: int
    part: int = 0
    last: bool = False
    content: str
    counters: dict[str, Any] = field(default_factory=dict)
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Feed(Message):
    """Source bytes for a job, downward."""

    KIND: ClassVar[int] = frames.FEED
    end: bool = False
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Note(Message):
    """A user's print, or a sample of lines that did not parse. Not data: it may be dropped, and says how much was."""

    KIND: ClassVar[int] = frames.NOTE
    epoch: int = 0
    stream: str = "print"
    dropped: int = 0
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Beat(Message):
    """I live; with a job, its counters so far."""

    KIND: ClassVar[int] = frames.BEAT
    now: float = 0.0
    lines: int = 0
    bytes: int = 0
    matched: int = 0
    emitted: int = 0
    dropped: dict[str, int] = field(default_factory=dict)
    parse_errors: int = 0
    watermark: float | None = None
    lag_s: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Gap(Message):
    """Something of a source was not read, and cannot be."""

    KIND: ClassVar[int] = frames.GAP
    epoch: int
    source: str
    reason: str
    lines: int | None = None
    bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault(Message):
    """An error as data: a code from the table, one sentence, a place, perhaps a traceback."""

    KIND: ClassVar[int] = frames.FAULT
    epoch: int = 0
    code: str
    text: str
    file: str | None = None
    line: int | None = None
    query: str | None = None
    instance: str = ""
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class End(Message):
    """The job is over. ``seq`` is its last cut's; ``broken``: its process was ended from outside."""

    KIND: ClassVar[int] = frames.END
    epoch: int
    seq: int = 0
    state: str
    reason: str | None = None
    drained: bool = False
    broken: bool = False
    counters: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Credit(Message):
    """What the sender of a job's bytes may have sent in all, and the last cut that counts."""

    KIND: ClassVar[int] = frames.CREDIT
    granted: int
    applied: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Cancel(Message):
    """Stop a job (or with job 0 every job of ``query``): ``drain`` asks for a last cut, ``abort`` does not.

    ``restart`` is of one job: it is aborted, and its provider needs a start again.
    """

    KIND: ClassVar[int] = frames.CANCEL
    mode: str = "drain"
    query: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class NeedStart(Message):
    """A provider is ready for a job of a query; its client answers with a `Start`."""

    KIND: ClassVar[int] = frames.NEED_START
    query: str
    provider: str
    reason: str = "ready"
    python: tuple[int, ...] = ()
    host: str = ""
    uid: int = -1
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Submit(Message):
    """A new query: whom it asks and how to reach them. What it asks travels in its starts."""

    KIND: ClassVar[int] = frames.SUBMIT
    query: str
    title: str = ""
    follow: bool = False
    wait_s: float | None = None
    resume: str = ""
    effects: bool = False
    refilter_s: float | None = None
    first: tuple[str, ...] = ()
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Targets(Message):
    """Whom a query asks; sent before any state, and again as a whole when the set changes."""

    KIND: ClassVar[int] = frames.TARGETS
    query: str
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class State(Message):
    """A provider's state within a query has changed. ``again``: even if it looks like an end, it may come back."""

    KIND: ClassVar[int] = frames.STATE
    query: str
    provider: str
    state: str
    reason: str | None = None
    level: str | None = None
    profile: str | None = None
    python: tuple[int, ...] = ()
    at: float = 0.0
    again: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask(Message):
    """A question to the coordinator about itself: its queries, its providers, its keys."""

    KIND: ClassVar[int] = frames.ASK
    id: int
    what: str
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Told(Message):
    """The answer to an `Ask`, or with ``fault`` a sentence instead."""

    KIND: ClassVar[int] = frames.TOLD
    id: int
    fault: str | None = None
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Admit(Message):
    """Of a query with ``first``: those who were held back are to be asked too."""

    KIND: ClassVar[int] = frames.ADMIT
    query: str


MESSAGES: dict[int, type[Message]] = {
    cls.KIND: cls
    for cls in (
        Hello, Start, Verdict, Open, Cut, Feed, Note, Beat, Gap, Fault, End, Credit, Cancel, NeedStart,
        Submit, Targets, State, Ask, Told, Admit,
    )
}  # fmt: skip
