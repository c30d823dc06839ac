"""Verdicts of filters, kept for a while: which job runs a filter, which waits for one that runs, which need not.

Knows jobs by number and filters by a key of whoever asks; a key stands for all that a verdict depends on. Does no I/O,
starts no task, reads no clock: events come in with their time, instructions go out, and `coordinator.held` carries
them out.

Theory of operation
-------------------
    Asked --a fresh verdict-------> Proceed(kept) or Refuse
      |----nobody runs the filter-> Proceed: this job runs it
      `----somebody does----------> nothing yet: the job waits
                                      |-- Decided by the one that runs it -> Proceed(kept) or Refuse
                                      |-- Over, without a verdict ---------> Proceed, for the one that waited longest
                                      |-- its time is over, or GiveUp -----> Proceed: it runs the filter too
                                      `-- Over, of the job itself ---------> nothing

* Only what a filter said is kept. A filter that raised, hung or was cut off has said nothing: the next job asks anew.
* A verdict is as old as the moment when it was said; jobs that it was given to do not make it younger.
* What is kept is bounded, the least recently used goes first; and so are those who wait.
"""

from __future__ import annotations

import heapq
import math
from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import dataclass, field
from typing import Final

#: How long a verdict is believed. Whether a provider has the log that a query is about changes with deployments, not
#: with queries; a dashboard asks its five questions within seconds.
LIVE_S: Final = 30.0
#: Verdicts kept: five filters on each of ten thousand providers, 30 MB at the most.
MOST_KEPT: Final = 50_000
#: Jobs that wait. More run their filters themselves.
MOST_WAITING: Final = 20_000


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened at a time, in seconds of any monotonic clock."""

    at: float


@dataclass(frozen=True, slots=True)
class Asked(Event):
    """A job is about to be started, and waits for another's verdict no longer than ``until``.

    It believes one that was said less than ``fresh_s`` ago, if the cache does.
    """

    job: int
    key: Hashable
    until: float
    fresh_s: float = math.inf


@dataclass(frozen=True, slots=True)
class Decided(Event):
    """The filter of a job has answered."""

    job: int
    keep: bool


@dataclass(frozen=True, slots=True)
class Over(Event):
    """A job has ended, was cancelled, or its link broke."""

    job: int


@dataclass(frozen=True, slots=True)
class GiveUp(Event):
    """A job can wait no longer."""

    job: int


@dataclass(frozen=True, slots=True)
class TimePassed(Event):
    """What `WakeAt` asked for."""


@dataclass(frozen=True, slots=True)
class Instruction:
    """Something to be done."""


@dataclass(frozen=True, slots=True)
class Proceed(Instruction):
    """Start this job; ``kept``: its filter has said yes and is not run again."""

    job: int
    kept: bool


@dataclass(frozen=True, slots=True)
class Refuse(Instruction):
    """Do not start this job: its filter has said no."""

    job: int


@dataclass(frozen=True, slots=True)
class WakeAt(Instruction):
    """Send `TimePassed` at this time; replaces an earlier one."""

    at: float


@dataclass(slots=True)
class _Flight:
    """A filter that runs: jobs that run it, and jobs that wait, the longest first."""

    running: set[int] = field(default_factory=set)
    waiting: dict[int, None] = field(default_factory=dict)


class Verdicts:
    """The state machine. `handle` is the only way in that changes anything.

    Args:
        live_s: how long a verdict is believed; 0 keeps none, and nobody waits. May be set anew at any time.
        most_kept: verdicts kept.
        most_waiting: jobs that wait.
    """

    def __init__(self, live_s: float = LIVE_S, *, most_kept: int = MOST_KEPT, most_waiting: int = MOST_WAITING) -> None:
        self.live_s = live_s
        self._most_kept = most_kept
        self._most_waiting = most_waiting
        #: What was said, and when; the least recently used first.
        self._said: OrderedDict[Hashable, tuple[bool, float]] = OrderedDict()
        self._flights: dict[Hashable, _Flight] = {}
        #: The key of each job that runs a filter or waits.
        self._keys: dict[int, Hashable] = {}
        #: When a job has waited enough, soonest first. An entry whose job waits no more is void.
        self._until: list[tuple[float, int]] = []
        self._waiting = 0
        self._woken_at: float | None = None

    def handle(self, event: Event) -> list[Instruction]:
        """Take one event, and say what is to be done about it, in order."""
        out: list[Instruction] = []
        match event:
            case Asked():
                out += self._asked(event)
            case Decided():
                out += self._decided(event)
            case Over(_, job):
                out += self._over(job)
            case GiveUp(_, job):
                out += self._gave_up(job)
            case TimePassed():
                self._woken_at = None
                while self._until and self._until[0][0] <= event.at:
                    out += self._gave_up(heapq.heappop(self._until)[1])
        if (wake := self._next_wake()) is not None and wake != self._woken_at:
            self._woken_at = wake
            out.append(WakeAt(wake))
        return out

    def statistics(self) -> dict[str, int]:
        """Verdicts kept, fresh or not, and jobs that wait for one."""
        return {"verdicts": len(self._said), "waiting": self._waiting}

    def _asked(self, event: Asked) -> list[Instruction]:
        if self.live_s <= 0:
            return [Proceed(event.job, kept=False)]
        said = self._said.get(event.key)
        if said is not None and event.at < said[1] + min(self.live_s, event.fresh_s):
            self._said.move_to_end(event.key)
            return [Proceed(event.job, kept=True) if said[0] else Refuse(event.job)]
        flight = self._flights.setdefault(event.key, _Flight())
        self._keys[event.job] = event.key
        if flight.running and self._waiting < self._most_waiting:
            flight.waiting[event.job] = None
            self._waiting += 1
            heapq.heappush(self._until, (event.until, event.job))
            return []
        flight.running.add(event.job)
        return [Proceed(event.job, kept=False)]

    def _decided(self, event: Decided) -> list[Instruction]:
        key = self._keys.get(event.job)
        flight = self._flights.get(key)
        if flight is None or event.job not in flight.running:
            return []
        self._said[key] = (event.keep, event.at)
        self._said.move_to_end(key)
        if len(self._said) > self._most_kept:
            self._said.popitem(last=False)
        # Others that run it too (they had waited enough) say nothing new.
        for job in (*flight.running, *flight.waiting):
            del self._keys[job]
        self._waiting -= len(flight.waiting)
        del self._flights[key]
        return [Proceed(job, kept=True) if event.keep else Refuse(job) for job in flight.waiting]

    def _over(self, job: int) -> list[Instruction]:
        key = self._keys.pop(job, None)
        flight = self._flights.get(key)
        if flight is None:
            return []
        flight.running.discard(job)
        self._wait_no_more(flight, job)
        if not (flight.running or flight.waiting):
            del self._flights[key]
        elif not flight.running:
            return self._gave_up(next(iter(flight.waiting)))
        return []

    def _gave_up(self, job: int) -> list[Instruction]:
        flight = self._flights.get(self._keys.get(job))
        if flight is None or job not in flight.waiting:
            return []
        self._wait_no_more(flight, job)
        flight.running.add(job)
        return [Proceed(job, kept=False)]

    def _wait_no_more(self, flight: _Flight, job: int) -> None:
        if job in flight.waiting:
            del flight.waiting[job]
            self._waiting -= 1

    def _next_wake(self) -> float | None:
        while self._until and not self._waits(self._until[0][1]):
            heapq.heappop(self._until)
        return self._until[0][0] if self._until else None

    def _waits(self, job: int) -> bool:
        flight = self._flights.get(self._keys.get(job))
        return flight is not None and job in flight.waiting
