"""A trial: a question asked for real of one provider, for two seconds, and what all of it would cost by that.

Composes an estimate and a run. What is projected takes the others for the like of the one that was tried: that is a
guess, and the more groups are shared between providers the fewer there will be.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backplane.client.estimating import estimated
from backplane.client.memory import resident_bytes
from backplane.client.spec import Options, Ready, Work
from backplane.reduce.coverage import COMPLETE, Row
from backplane.reduce.fold import Fold

if TYPE_CHECKING:
    from backplane.client.estimating import Cost
    from backplane.client.planned import PlanQuestion
    from backplane.client.question import QueryQuestion
    from backplane.client.session import Session

#: Long enough for a speed, and nobody minds it yet.
TRY_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class Trial:
    """What was tried, and what that projects.

    Attributes:
        provider: who was asked.
        targets: how many would be.
        row: how it went there.
        took_s: for how long it ran.
        groups: that the answer has by then; of one without groups its rows.
        memory_bytes: by which this process has grown.
        cost: what there is to read there; None where nobody knows.
        reach_s: until it had begun.
        full: the answer took no more before the time was up, so all of them would give no more either.
    """

    provider: str
    targets: int
    row: Row
    took_s: float
    groups: int
    memory_bytes: int
    cost: Cost | None
    reach_s: float | None
    full: bool = False

    @property
    def exit_status(self) -> int:
        """0: it went well there; 3: not; 4: it was not reached."""
        if self.row.state in COMPLETE or self.row.state == "running":
            return 0
        return 4 if self.row.state == "unreachable" else 3

    @property
    def speed(self) -> float:
        """Bytes that were read in a second."""
        return self.row.counters.bytes / self.took_s

    @property
    def values(self) -> float:
        """Values that were emitted in a second there."""
        return self.row.counters.emitted / self.took_s

    @property
    def bytes(self) -> int | None:
        """To read, on all."""
        return None if self.cost is None or self.cost.bytes is None else self.cost.bytes * self.targets

    @property
    def share(self) -> float | None:
        """How much of what there is to read on the one was read; None where nobody knows, or it only begins there."""
        if self.row.state == "done":
            return 1.0
        if self.cost is None or not self.cost.bytes or not self.row.counters.bytes:
            return None
        return min(1.0, self.row.counters.bytes / self.cost.bytes)

    @property
    def seconds(self) -> float | None:
        """Until the answer of all would be final."""
        if self.full and self.reach_s is not None:
            return self.reach_s + self.took_s
        return None if self.share is None or self.reach_s is None else self.reach_s + self.took_s / self.share

    def most(self, number: float) -> int | None:
        """What a number becomes on all and to the end, if nothing of it is shared."""
        if self.full:
            return round(number)
        return None if self.share is None else round(number / self.share * self.targets)

    def to_dict(self) -> dict[str, Any]:
        """For programs."""
        seconds = self.seconds
        return {
            "provider": self.provider,
            "targets": self.targets,
            "tried": {
                **{name: value for name, value in self.row.to_dict().items() if name in _TOLD},
                "seconds": round(self.took_s, 3),
                "groups": self.groups,
                "memory_bytes": self.memory_bytes,
            },
            "projected": {
                "bytes": self.bytes,
                "seconds": None if seconds is None else round(seconds, 3),
                "groups_at_most": self.most(self.groups),
                "values_per_second": round(self.values * self.targets, 1),
                "memory_bytes_at_most": self.most(self.memory_bytes),
            },
        }


_TOLD: Final = ("state", "reason", "lines", "bytes", "matched", "emitted", "parse_errors")


class _Tried:
    """A question whose fold can be looked at."""

    def __init__(self, asked: QueryQuestion | PlanQuestion) -> None:
        self._asked = asked
        self.made: Fold | None = None
        self.name, self.title = asked.name, asked.title
        self.endless, self.streams, self.feed = asked.endless, asked.streams, asked.feed
        self.work: Work = replace(asked.work, resume="never", resume_why="it is tried")

    def fold(self) -> Fold:
        self.made = self._asked.fold()
        return self.made

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        return self._asked.body(ready, positions)


async def tried(
    session: Session,
    asked: QueryQuestion | PlanQuestion,
    entries: Sequence[Mapping[str, Any]],
    reach: Mapping[str, Any],
    select: Mapping[str, Any] | None,
    options: Options,
    targets: int,
) -> Trial:
    """Ask one provider for `TRY_S`.

    Args:
        entries: the one, as `Session.ask` has it; or with ``select`` whom the table unites with.
        targets: how many there are in all.

    Raises:
        LogReduceError: the coordinator refused it, or the question's reduce failed.
    """
    # It also connects, so that what is timed then is the job alone.
    estimate = await estimated(session, asked, entries, reach, select, replace(options, on_note=None, on_fault=None))
    question = _Tried(asked)
    before = resident_bytes()
    began = time.monotonic()
    run = session.ask(question, entries, reach, replace(options, every_s=None, for_s=TRY_S), select)
    async for snapshot in run.snapshots():
        last = snapshot
    took_s = min(time.monotonic() - began, TRY_S)
    grown = max(0, resident_bytes() - before)
    await session.release(run)
    ((provider, row),) = last.coverage.providers.items()
    groups = question.made.groups if question.made is not None else 0
    cost = estimate.providers.get(provider)
    full = row.state == "running" and took_s < TRY_S
    return Trial(provider, targets, row, took_s, groups or len(last.rows), grown, cost, estimate.reach_s, full)
