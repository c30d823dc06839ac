"""Followed logs: how long a line takes from its file to the answer, and what it costs to follow files in silence.

A line is appended at a moment of its own; it is in when the client's reducer has applied the cut that holds it, which
is due an interval after the one before. The slowest of a hundred may be `MOST_ABOVE_S` above that. Then a runner
follows a hundred files that nobody writes to: its processes together may take `MOST_CORE` of a core.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from backplane.client.planned import PlanQuestion, plan_question
from backplane.client.private import private_coordinator
from backplane.client.session import open_session
from backplane.client.spec import Options
from backplane.query.formats import format_data
from backplane.reduce.columns import Partials
from backplane.reduce.folds import Fold
from backplane.reduce.planned import GroupedPlan
from tests.bench.pairs import add_pairs
from tests.rigs.plans import field, plan
from tests.rigs.runner_link import descendants

MOST_ABOVE_S: Final = 0.005
MOST_CORE: Final = 0.0005
#: Of snapshots; a cut is due twice in it.
EVERY_S: Final = 0.1
FILES: Final = 100
_HANGS_S: Final = 60.0


class Watched(GroupedPlan):
    """Lines as groups, and when there were how many."""

    def __init__(self) -> None:
        super().__init__(["count"], keys=["line"])
        self.changed = threading.Condition()
        self.known = 0
        self.at_s = 0.0

    def partials(self, provider: str, partials: Partials) -> None:
        """Takes them, and tells whoever waits."""
        super().partials(provider, partials)
        with self.changed:
            self.known, self.at_s = self.groups, time.monotonic()
            self.changed.notify_all()

    def when(self, count: int) -> float:
        """Waits for so many, and says when they were in."""
        with self.changed:
            if not self.changed.wait_for(lambda: self.known >= count, _HANGS_S):
                raise TimeoutError(f"line {count} is not in")
            return self.at_s


@dataclass(frozen=True, slots=True)
class _Question(PlanQuestion):
    """A plan's question with a fold of ours."""

    watched: Watched | None = None

    def fold(self) -> Fold:
        """The one that is watched."""
        assert self.watched is not None
        return self.watched


async def main() -> None:
    """Both, each in a session of its own."""
    parser = argparse.ArgumentParser(prog="bench_follow")
    add_pairs(parser)
    options = parser.parse_args()
    quick = options.pairs == 1
    with tempfile.TemporaryDirectory() as name:
        waits = await appended(Path(name), 30 if quick else 300)
        waits.sort()
        median, p99, most = (1000 * waits[int(part * (len(waits) - 1))] for part in (0.5, 0.99, 1.0))
        interval = 1000 * EVERY_S / 2
        print(f"append to applied, {len(waits)} lines, cuts each {interval:.0f} ms")
        print(f"  median {median:.1f} ms   p99 {p99:.1f} ms   most {most:.1f} ms")
        print(f"  p99 above the interval: {p99 - interval:.1f} ms ({MOST_ABOVE_S * 1000:.0f} ms wanted)")
        core = await idle(Path(name), 10.0 if quick else 30.0)
        print(f"{FILES} idle files followed: {core:.4%} of a core ({MOST_CORE:.2%} wanted)")


async def appended(folder: Path, count: int) -> list[float]:
    """For each line, the seconds from its file to the answer."""
    log = folder / "one.log"
    log.touch()
    watched = Watched()
    waits: list[float] = []
    dice = random.Random(3)

    def append() -> None:
        for number in range(1, count + 1):
            time.sleep(dice.random() * EVERY_S)
            with log.open("a") as file:
                file.write(f"line {number}\n")
            at = time.monotonic()
            waits.append(watched.when(number) - at)

    async with private_coordinator() as where, open_session(where, print) as session:
        run = session.ask(_question([log], watched), [LOCAL], {}, Options(every_s=EVERY_S))
        await _going(run)
        await asyncio.to_thread(append)
        await session.release(run)
    return waits


async def idle(folder: Path, for_s: float) -> float:
    """The share of a core that a runner takes which follows files in silence."""
    logs = [folder / f"idle{number}.log" for number in range(FILES)]
    for log in logs:
        log.write_text("a line\n")
    async with private_coordinator() as where, open_session(where, print) as session:
        run = session.ask(_question(logs, Watched()), [LOCAL], {}, Options(every_s=2.0))
        await _going(run)
        await asyncio.sleep(3.0)
        processes = descendants(where.pid)
        before = sum(map(_ran_s, processes))
        await asyncio.sleep(for_s)
        found = (sum(map(_ran_s, processes)) - before) / for_s
        await session.release(run)
    return found


def _ran_s(pid: int) -> float:
    """How long it was on a core. A tick is half of what these may take in all; this is finer."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e9


LOCAL: Final = {"name": "local", "reach": "local"}


def _question(logs: Sequence[Path], watched: Watched) -> PlanQuestion:
    data: dict[str, Any] = plan(format=format_data("raw"), keys=[["line", field("line")]])
    asked = plan_question("lines", data, name="raw", paths=list(map(str, logs)), follow=True, every_s=EVERY_S)
    known = {name: getattr(asked, name) for name in PlanQuestion.__dataclass_fields__}
    return _Question(**known, watched=watched)


async def _going(run: Any) -> None:
    """Until the provider maps."""
    async with asyncio.timeout(_HANGS_S):
        async for snapshot in run.snapshots():
            if snapshot.coverage.states.get("running"):
                return


if __name__ == "__main__":
    asyncio.run(main())
