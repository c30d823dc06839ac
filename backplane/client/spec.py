"""What a run needs to know of a question, however it was asked: a query file today, a line or SQL later.

Knows types only. A question is asked of many providers; what each is sent may differ (its positions, its Python).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

from backplane.reduce.folds import Fold
from backplane.wire import limits
from backplane.wire.messages import State


@dataclass(frozen=True, slots=True)
class Ready:
    """A provider that is ready for a job: what its `need_start` said."""

    name: str
    python: tuple[int, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Work:
    """What a start says of a job.

    Attributes:
        body: the kind of the payload.
        guard: it may start processes.
        limits: those that it needs beyond the usual ones.
        resume: what becomes of one that broke off: ``exact``, ``inexact``, ``gap`` or ``never`` (`reduce.answer`).
        resume_why: the reason for that, one clause.
        effects: two of a provider at a time would harm.
        standing: it has a filter that is asked again while it runs.
        lines: it reads sources.
    """

    body: str = "script"
    guard: bool = True
    limits: Mapping[str, int] = field(default_factory=dict)
    resume: str = "never"
    resume_why: str = ""
    effects: bool = False
    standing: bool = False
    lines: bool = True


class Question(Protocol):
    """What is asked."""

    @property
    def name(self) -> str:
        """Short, for snapshots: a file's stem."""

    @property
    def title(self) -> str:
        """One line for people."""

    @property
    def endless(self) -> bool:
        """It ends only when it is told to, so that `running` is well at the end."""

    @property
    def streams(self) -> bool:
        """Its rows are values in the order of arrival, not groups."""

    @property
    def feed(self) -> bool:
        """It reads this machine's standard input."""

    @property
    def work(self) -> Work:
        """What its jobs are, as their runners must know without opening a payload."""

    def fold(self) -> Fold:
        """A new, empty fold for what it emits."""

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        """The payload of this provider's start."""


@dataclass(frozen=True, slots=True)
class Options:
    """Rhythm and limits of one run; defaults are the contract's.

    Attributes:
        every_s: seconds between snapshots; None gives the final one only.
        for_s: seconds after which it is drained; None for no end.
        wait_s: how long unreachable providers are retried; None for no end.
        filter_s: deadline of a filter.
        refilter_s: how often a filter that stands is asked again; None for never.
        first: says who is asked first, while the others are held back (`client.canary`); nobody: all are asked.
        most_groups: of the answer; more are a question that was not meant so.
        most_bytes: how much this process may grow by it.
        on_note: called with (provider, text) for what scripts print.
        on_sample: called with (provider, text) for lines that are not of the question's format; None: as `on_note`.
        on_fault: called with (provider, fault).
        on_break: called with sentences about jobs that broke off or went on.
        on_notice: called with a sentence about the client itself.
        on_state: called with each state of a provider that the coordinator reports.
    """

    every_s: float | None = None
    for_s: float | None = None
    wait_s: float | None = limits.WAIT_S
    filter_s: float = limits.FILTER_S
    refilter_s: float | None = limits.REFILTER_S
    limits: Mapping[str, int] = field(default_factory=dict)
    coverage_full: bool = False
    first: Callable[[], tuple[str, ...]] = tuple
    most_groups: int | None = 2_000_000
    most_bytes: int | None = 1 << 30
    on_note: Callable[[str, str], None] | None = None
    on_sample: Callable[[str, str], None] | None = None
    on_fault: Callable[[str, Any], None] | None = None
    on_break: Callable[[str], None] | None = None
    on_notice: Callable[[str], None] | None = None
    on_state: Callable[[State], None] = lambda state: None
