"""A plan as a question that can be asked, whatever text it was made of.

Composes `backplane.reduce` and the plans of `provider.runner.plan`. Providers compile plans themselves; here they are
only looked at, so that a wrong one is refused before anything ships.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backplane.client.spec import Ready, Work
from backplane.query.breaks import unpositioned
from backplane.query.hosts import conjunction, for_host
from backplane.query.starting import following, modules, starts_processes
from backplane.reduce.folds import Fold
from backplane.reduce.planned import Finish, GroupedPlan, StreamedPlan
from backplane.reduce.windowed import WindowedFold
from backplane.reduce.windows import KEPT, Windows
from backplane.wire import codec, limits
from backplane.wire.errors import UsageError
from provider import ship
from provider.runner.aggregates import AggregateError, chosen
from provider.runner.expressions import Expression
from provider.runner.plan import Plan, PlanError

#: Why a plan goes on exactly after a break.
REPLAYABLE: Final = "a plan reads the same of the same lines"
#: The module that plans need alone that ask for more than one process.
_RANGES: Final = "provider.runner.ranges"
#: The one that those need that show lines around others.
_CONTEXT: Final = "provider.runner.context"
#: The runner's modules that only queries in files need, and only estimates.
_OTHERS: Final = tuple(f"provider.runner.{name}" for name in ("records", "holding", "stamped", "estimate"))


@dataclass(frozen=True, slots=True)
class PlanQuestion:
    """A plan's question; `plan_question` makes one.

    Attributes:
        plan: what providers are sent, and what was read out of it.
        paths: other sources than the plan's; None for those.
        finish: what becomes of the table at home: sorted, cut off, renamed.
        names: columns of the aggregates; None for their own.
        every_s: how long what was folded may wait on the provider for its cut, at most.
        hosts: which providers are asked at all (`backplane.query.hosts`); None for all. The plan asks it too, of those
            that join later.
        notices: what the user should know.
        hold_s: how long windows wait for a provider that is not there.
        parallel: how many processes may read a file at a time on each provider.
    """

    title: str
    name: str
    plan: Mapping[str, Any]
    parsed: Plan
    paths: tuple[str, ...] | None = None
    follow: bool = False
    since: float | None = None
    until: float | None = None
    rotated: bool = False
    every_s: float = 2.0
    limit_rows: int | None = None
    limit_bytes: int | None = None
    by_host: bool = False
    finish: Finish | None = None
    names: tuple[str, ...] | None = None
    hosts: Expression | None = None
    notices: tuple[str, ...] = ()
    hold_s: float = limits.WAIT_S
    parallel: int = 1

    @property
    def endless(self) -> bool:
        return self.follow

    @property
    def streams(self) -> bool:
        """Its rows are lines in the order of arrival, not groups."""
        return not self.parsed.aggregates

    @property
    def sources(self) -> tuple[str, ...]:
        """What is read."""
        return self.paths if self.paths is not None else self.parsed.paths

    @property
    def feed(self) -> bool:
        return "-" in self.sources

    @property
    def work(self) -> Work:
        guard = starts_processes(self.sources)
        why = unpositioned(self.sources)
        if why is None:
            return Work("plan", guard, {}, "exact", REPLAYABLE, False)
        return Work("plan", guard, {}, "gap" if self.follow and not self.feed else "never", why, False)

    def fold(self) -> Fold:
        window = self.parsed.window
        if self.parsed.aggregates:
            groups = GroupedPlan(
                [each.name for each in self.parsed.aggregates],
                keys=[each.name for each in self.parsed.keys],
                names=self.names,
                finish=self.finish if window is None else None,
                by_host=self.by_host,
                windowed=window is not None,
            )
            if window is None:
                return groups
            keeps = KEPT if self.follow else None
            return WindowedFold(groups, Windows(window.lateness_s, hold_s=self.hold_s, keeps=keeps), self.finish)
        if any(self.parsed.context):
            from backplane.reduce.context import ContextFold

            return ContextFold(self.limit_rows, self.limit_bytes)
        names = [each.name for each in self.parsed.columns] or None
        return StreamedPlan(names, finish=self.finish, limit=self.limit_rows, most_bytes=self.limit_bytes)

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        return {
            "plan": for_host(self.plan, ready.name, ready.labels),
            "filter": None,
            "sources": list(self.sources),
            "follow": self.follow,
            "since": self.since,
            "until": self.until,
            "rotated": self.rotated,
            "every_s": min(1.0, self.every_s / 2),
            "provider": {"name": ready.name, "labels": dict(ready.labels)},
            "positions": [[source, position] for source, position in positions],
            "parallel": self.parallel,
            "modules": travelling(
                tuple(each.name for each in self.parsed.aggregates),
                self.follow,
                self.parallel > 1,
                starts_processes(self.sources),
                any(self.parsed.context),
            ),
        }


def plan_question(
    title: str,
    plan: Mapping[str, Any],
    *,
    name: str,
    paths: Sequence[str] | None = None,
    follow: bool = False,
    since: float | None = None,
    until: float | None = None,
    rotated: bool = False,
    every_s: float = 2.0,
    limit: int | None = None,
    limit_bytes: int | None = None,
    by_host: bool = False,
    finishing: Finish | None = None,
    names: Sequence[str] | None = None,
    hosts: Expression | None = None,
    notices: Sequence[str] = (),
    hold_s: float = limits.WAIT_S,
    parallel: int = 1,
) -> PlanQuestion:
    """The question of a plan's data.

    Args:
        title: one line for people, such as the text that the plan was made of.
        plan: may speak of providers, as `backplane.query.hosts` says it.
        limit: most rows of a plan without aggregates.
        finishing: see `PlanQuestion.finish`.

    Raises:
        UsageError: it is no plan, or has an aggregate that there is not.
    """
    try:
        parsed = Plan.of(for_host(plan, "", {}))
        wanted = [each.name for each in parsed.aggregates]
        columns = [column for each in (chosen(wanted) if wanted else ()) for column in each.columns]
    except (PlanError, AggregateError) as exc:
        raise UsageError(str(exc)) from None
    if names is not None and len(names) != len(columns):
        raise UsageError(f"{len(names)} names for {len(columns)} columns")
    return PlanQuestion(
        title=title,
        name=name,
        plan={**plan, "where": conjunction([part for part in (hosts, plan.get("where")) if part is not None])},
        parsed=parsed,
        paths=None if paths is None else tuple(paths),
        follow=follow,
        since=since,
        until=until,
        rotated=rotated,
        every_s=every_s,
        limit_rows=limit,
        limit_bytes=limit_bytes,
        by_host=by_host,
        finish=finishing,
        names=None if names is None else tuple(names),
        hosts=hosts,
        notices=tuple(notices),
        hold_s=hold_s,
        parallel=parallel,
    )


@functools.lru_cache(maxsize=16)
def travelling(
    aggregates: tuple[str, ...],
    follow: bool = False,
    parallel: bool = False,
    programs: bool = False,
    context: bool = False,
) -> bytes:
    """The runner's modules that a plan with these aggregates needs, as a start of body ``plan`` holds them."""
    wanted = {**ship.plan_modules(), **modules((), (), programs, aggregates), **(following() if follow else {})}
    for name in _OTHERS:
        del wanted[name]
    if not parallel:
        del wanted[_RANGES]
    if not context:
        del wanted[_CONTEXT]
    return zlib.compress(codec.pack(wanted), 9)
