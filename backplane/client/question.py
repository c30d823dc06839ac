"""A loaded query as a question that can be asked: adds to the query what this run decides (follow, rhythm, limits).

Composes `backplane.query` and `backplane.reduce`, which do not know each other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backplane.client.spec import Ready, Work
from backplane.query.breaks import after_break
from backplane.query.model import Query
from backplane.query.starting import following, windowing
from backplane.reduce import folds
from backplane.reduce.windowed import WindowedFold
from backplane.reduce.windows import KEPT, Windows
from backplane.wire import limits
from backplane.wire.errors import UsageError


@dataclass(frozen=True, slots=True)
class QueryQuestion:
    """A query file's question.

    Attributes:
        follow: go on at the end of the sources.
        since: begin with the lines of this time, in seconds since the epoch; None for the usual beginning.
        until: end before the lines of this time.
        rotated: begin with the oldest rotated file of each log.
        every_s: how long emitted values may wait on the provider for their cut, at most.
        limit_rows: most rows of a query without a reduce; None for the default.
        limit_bytes: most bytes of them.
        by_host: a row per provider and key.
        window: size and step of the windows of event time that values belong to, in seconds; None for all of time.
            Only where `no_windows` has nothing to say.
        lateness_s: how far out of order the logs may be.
        hold_s: how long windows wait for a provider that is not there.

    Raises:
        UsageError: the query cannot be split by host.
    """

    query: Query
    follow: bool = False
    since: float | None = None
    until: float | None = None
    rotated: bool = False
    every_s: float = 2.0
    limit_rows: int | None = None
    limit_bytes: int | None = None
    by_host: bool = False
    window: tuple[float, float] | None = None
    lateness_s: float = 0.0
    hold_s: float = limits.WAIT_S

    def __post_init__(self) -> None:
        if self.by_host and self.query.reduction.kind == "program":
            raise UsageError(
                "--by-host: a reduce that is a program is told the provider of each value, and splits by it itself"
            )

    @property
    def name(self) -> str:
        return self.query.name

    @property
    def title(self) -> str:
        return self.query.title

    @property
    def notices(self) -> tuple[str, ...]:
        """What the user should know."""
        return self.query.warnings

    @property
    def endless(self) -> bool:
        return self.follow or self.query.endless

    @property
    def feed(self) -> bool:
        return "-" in self.query.sources

    @property
    def streams(self) -> bool:
        """Its rows are lines in the order of arrival, not groups."""
        return self.query.reduction.kind == "stream"

    @property
    def work(self) -> Work:
        limits = {"file_mb": self.query.file_mb} if self.query.file_mb else {}
        resume = after_break(self.query, follow=self.follow)
        standing = self.follow and self.query.filter_source is not None
        return Work(
            self.query.body,
            self.query.guard,
            limits,
            resume.how,
            resume.why,
            self.query.effects,
            standing,
            self.query.takes_lines,
        )

    def fold(self) -> folds.Fold:
        reduction = self.query.reduction
        if self.window is not None:
            windows = Windows(self.lateness_s, hold_s=self.hold_s, keeps=KEPT if self.follow else None)
            return WindowedFold(folds.AggregateFold(reduction.aggregates, by_host=self.by_host), windows)
        return folds.make(
            reduction.kind,
            aggregates=reduction.aggregates,
            function=reduction.function,
            factory=reduction.factory,
            argv=reduction.argv,
            name=reduction.path or "reduce",
            limit=self.limit_rows,
            most_bytes=self.limit_bytes,
            by_host=self.by_host,
        )

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        # Half the interval: a value shows up in the snapshot after the one during which it was emitted, at the latest.
        payload = self.query.start_payload(
            ready.name, dict(ready.labels), follow=self.follow, every_s=min(1.0, self.every_s / 2), positions=positions
        )
        if self.follow and self.query.takes_lines:
            payload["modules"] = {**payload.get("modules", {}), **following()}
        if self.window is not None:
            # Values have no windows of their own, so they are folded there even if the query says `combine = False`.
            aggregates = self.query.reduction.aggregates
            payload |= {"window": [*self.window, self.lateness_s], "combine": list(aggregates)}
            payload["modules"] = {**payload.get("modules", {}), **windowing(aggregates)}
        return {**payload, "since": self.since, "until": self.until, "rotated": self.rotated}


def no_windows(query: Query) -> str | None:
    """Why a query's values cannot be put into windows, as a sentence without its end; None if they can.

    Times may not be known, or there is nothing that puts values together.
    """
    if query.format is None:
        return (
            "a window goes by the time in each record, and here `map` takes lines: name what they are, as in "
            "format = \"nginx\", or ask in one line, as in logreduce run 'nginx access.log | count' --window 1m"
        )
    if not query.format.get("time"):
        return f"a window goes by the time in each record, and those of {query.format['name']} have none"
    if query.reduction.kind != "aggregates":
        return (
            'values are folded by window on the providers, which takes an aggregate, as in reduce = "count", '
            f"and here `reduce` is {query.reduction}"
        )
    return None
