"""What a query's plan hears and what it orders: events and instructions, as plain data.

Knows nothing of when they come; that is `coordinator.plan`'s business.
"""

from __future__ import annotations

from dataclasses import dataclass

# Events: what has happened. ``at`` is in seconds of any monotonic clock, always the same one.


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a time."""

    at: float


@dataclass(frozen=True, slots=True)
class QuerySubmitted(Event):
    """The first event of a plan. ``wait_s`` None waits for ever.

    Attributes:
        resumes: a job of it that broke off may be followed by another.
        effects: two jobs of one provider at a time would harm.
        refilter_s: providers are asked again so often whether their filter keeps them; None: never.
        first: these are asked first, and the others held back until `Admitted`; empty: all are asked.
    """

    targets: tuple[str, ...]
    wait_s: float | None
    resumes: bool = False
    effects: bool = False
    refilter_s: float | None = None
    first: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Admitted(Event):
    """Those who were held back are to be asked."""


@dataclass(frozen=True, slots=True)
class TargetsChanged(Event):
    """The table has changed: these are asked from now on, and those are asked no more."""

    joined: tuple[str, ...] = ()
    left: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class TableTouched(Event):
    """The table has changed in whatever way, which may be what a filter looks at: all are to be asked again."""


@dataclass(frozen=True, slots=True)
class LinkTrying(Event):
    """An attempt is under way, and this is the stage that it has come to, in words."""

    provider: str
    stage: str


@dataclass(frozen=True, slots=True)
class LinkUp(Event):
    """A runner answered."""

    provider: str
    level: str | None = None
    python: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class LinkFailed(Event):
    """An attempt failed, with the facts of a `ReachError`."""

    provider: str
    text: str
    state: str = "unreachable"
    retry: bool = True


@dataclass(frozen=True, slots=True)
class LinkLost(Event):
    """A link that was up broke."""

    provider: str
    reason: str


@dataclass(frozen=True, slots=True)
class LinkQuiet(Event):
    """Nothing has been heard for a while."""

    provider: str


@dataclass(frozen=True, slots=True)
class LinkHeard(Event):
    """Something has been heard again."""

    provider: str


@dataclass(frozen=True, slots=True)
class Started(Event):
    """The client's start is on its way to the runner."""

    job: int
    profile: str


@dataclass(frozen=True, slots=True)
class VerdictPassed(Event):
    """The filter has answered. ``keep`` false changes nothing yet: the job's end follows and says `filtered_out`."""

    job: int
    keep: bool


@dataclass(frozen=True, slots=True)
class JobEnded(Event):
    """The runner says that a job is over. ``broken``: its process was ended from outside, and not by itself or us."""

    job: int
    state: str
    reason: str | None
    drained: bool
    broken: bool = False


@dataclass(frozen=True, slots=True)
class TimePassed(Event):
    """What `WakeAt` asked for."""


@dataclass(frozen=True, slots=True)
class CancelAsked(Event):
    """The client wants its jobs ended: ``drain`` with a last cut, ``abort`` without. ``job`` 0 is all of them.

    The mode ``restart`` is of one job: it is aborted, and another of its provider asked for.
    """

    mode: str
    job: int = 0


@dataclass(frozen=True, slots=True)
class ClientGone(Event):
    """Nobody is there any more to whom anything could be reported."""


# Instructions: what is to be done.


@dataclass(frozen=True, slots=True)
class Instruction:
    """Something to be done."""


@dataclass(frozen=True, slots=True)
class Connect(Instruction):
    """Bring a link to this provider up, or join the attempt that is under way."""

    provider: str


@dataclass(frozen=True, slots=True)
class Disconnect(Instruction):
    """This query needs no link to this provider any more; others may."""

    provider: str


@dataclass(frozen=True, slots=True)
class AskStart(Instruction):
    """Ask the client for a start under this job number; with the reason ``refilter`` for that of a filter alone."""

    job: int
    provider: str
    reason: str = "ready"


@dataclass(frozen=True, slots=True)
class Report(Instruction):
    """Tell the client about a change of state. ``again``: that is not its end, even if it is one of those states."""

    provider: str
    state: str
    reason: str | None = None
    level: str | None = None
    profile: str | None = None
    python: tuple[int, ...] = ()
    again: bool = False


@dataclass(frozen=True, slots=True)
class CancelJob(Instruction):
    """Tell the runner to end a job."""

    job: int
    mode: str


@dataclass(frozen=True, slots=True)
class WakeAt(Instruction):
    """Send `TimePassed` at this time; replaces an earlier one."""

    at: float


@dataclass(frozen=True, slots=True)
class Forget(Instruction):
    """The query is over. The last instruction of a plan."""
