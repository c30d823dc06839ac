"""Canaries: a few providers that a query asks first, and whether they are so well that all others may be asked.

Knows names, states and counters. The coordinator holds the others back (docs/reference/frames.md, submit) until it is
told to go on; what the canaries have said by then is part of the answer, and they are not asked twice.

Well is a provider that has come to its end, or that its filter has left out; of a query that goes on, one that runs and
has read something, or has run for `SETTLE_S`. One that is failed, killed, lost, refused or not reached is not, nor is
one of whose lines half or more do not parse: then nobody else is asked.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Final

from backplane.reduce.coverage import COMPLETE
from backplane.wire.errors import LogReduceError

if TYPE_CHECKING:
    from backplane.client.run import Run
    from backplane.reduce.coverage import Coverage, Row

#: A job that fails on its first lines does so well within this, and whoever waits for an answer does not mind it yet.
SETTLE_S: Final = 3.0
#: How often it is looked: a snapshot takes the reducer's time, so more rarely when it lasts.
_LOOK_S: Final = 0.1
_LOOK_MOST_S: Final = 1.0
#: So many lines tell what a format is worth before the end.
_ENOUGH_LINES: Final = 1000
_BAD: Final = frozenset(("failed", "killed", "lost", "refused", "unreachable"))


def chosen(names: Sequence[str], count: int) -> tuple[str, ...]:
    """So many of these, spread over them in their order: neighbours are often equal. Always the same ones.

    >>> chosen([f"web{number}" for number in range(10)], 3)
    ('web1', 'web5', 'web8')
    """
    ordered = sorted(names)
    count = min(count, len(ordered))
    return tuple(ordered[(2 * number + 1) * len(ordered) // (2 * count)] for number in range(count))


class Canary:
    """One query's canaries.

    Args:
        names: who they are.
        endless: the query goes on until it is ended.
        clock: seconds.

    Attributes:
        stopped: why nobody else is asked, in a sentence; None while that is not so.
    """

    def __init__(self, names: Sequence[str], *, endless: bool, clock: Callable[[], float] = time.monotonic) -> None:
        self.names = tuple(names)
        self.stopped: str | None = None
        self._endless = endless
        self._clock = clock
        self._admitted = False
        #: Since when all of them run, or have ended.
        self._running_since: float | None = None

    def first(self) -> tuple[str, ...]:
        """Who is to be asked first, should the query be submitted now."""
        return () if self._admitted else self.names

    def judge(self, coverage: Coverage) -> bool:
        """Whether all others may be asked, as far as this tells; if they may never be, `stopped` says why."""
        rows = {name: row for name, row in coverage.providers.items() if name in self.names}
        if not rows:
            if coverage.providers:
                self.stopped = "none of the canaries is a target any more"
            return False
        for name, row in rows.items():
            wrong = self._wrong(row)
            if wrong:
                self.stopped = f"{name} is not well: {wrong}"
                return False
        well = COMPLETE | {"running"} if self._endless else COMPLETE
        if not all(row.state in well for row in rows.values()):
            self._running_since = None
            return False
        now = self._clock()
        if self._running_since is None:
            self._running_since = now
        settled = now >= self._running_since + SETTLE_S
        return settled or all(row.state in COMPLETE or row.counters.bytes for row in rows.values())

    def _wrong(self, row: Row) -> str | None:
        if row.state in _BAD:
            return row.state + (f" ({row.reason})" if row.reason else "")
        lines, odd = row.counters.lines, row.counters.parse_errors
        told = row.state in COMPLETE or (row.state == "running" and (self._endless or lines >= _ENOUGH_LINES))
        return f"{odd} of {lines} lines do not parse" if told and odd and 2 * odd >= lines else None

    @contextlib.asynccontextmanager
    async def watched(self, run: Run, admit: Callable[[], None], say: Callable[[str], None]) -> AsyncIterator[None]:
        """While entered, the run's canaries are looked after: the others are admitted, or the run is ended.

        Args:
            admit: tells the coordinator to ask all.
            say: tells the user what was decided.
        """
        task = asyncio.create_task(self._watch(run, admit, say))
        try:
            yield
        finally:
            task.cancel()
            # What the run failed with it raises itself.
            with contextlib.suppress(asyncio.CancelledError, LogReduceError):
                await task

    async def _watch(self, run: Run, admit: Callable[[], None], say: Callable[[str], None]) -> None:
        pause_s = _LOOK_S
        while True:
            coverage = (await run.snapshot()).coverage
            if self.judge(coverage):
                # First, so that a coordinator that comes back at this moment is not asked to hold anybody back.
                self._admitted = True
                admit()
                left_out = all(
                    row.state == "filtered_out" for name, row in coverage.providers.items() if name in self.names
                )
                tried = "the filter leaves all canaries out, so nothing but the filter was tried" if left_out else ""
                say(f"{tried or 'the canaries are well'}: asking the others")
                return
            if self.stopped is not None:
                say(f"stopped: {self.stopped}; nobody else is asked")
                run.drain()
                return
            await asyncio.sleep(pause_s)
            pause_s = min(_LOOK_MOST_S, pause_s * 1.3)
