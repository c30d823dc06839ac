"""A standing filter on real sshds: providers leave with their last cut, come back at the end, and join late."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from backplane.client.run import Run
from backplane.client.session import open_session
from backplane.client.spec import Options
from backplane.reduce.snapshot import Snapshot
from tests.integration.coordinator_rig import options
from tests.integration.test_resume import final, providers, question, until
from tests.rigs.sshd import SshdFarm

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(240)]

#: Keeps those that have a file beside their log; what is in it may be that the filter fails, or does not answer.
SOURCE = """
import os, time
logs = "app.log"
def filter(provider):
    print("asked")
    with open("asked", "a") as file:
        file.write("x")
    if not os.path.exists("kept"):
        return False
    with open("kept") as file:
        what = file.read()
    if what == "raise":
        raise ValueError("no idea")
    if what == "hang":
        time.sleep(60)
    return True
def map(lines):
    for line in lines:
        yield line.split()[1], 1
reduce = "sum"
"""
EVERY = Options(every_s=0.2, wait_s=None, refilter_s=1.0, coverage_full=True, limits={"file_mb": 1})


class Site:
    """A provider's directory."""

    def __init__(self, home: Path) -> None:
        self._home = home
        self.say("old")

    def say(self, word: str, lines: int = 1) -> None:
        """Lines for its log."""
        with (self._home / "app.log").open("a") as log:
            log.writelines(f"{int(time.time())} {word}\n" for _ in range(lines))

    def keep(self, what: str | None = "") -> None:
        """The filter says yes from now on, or what this means; None: it says no."""
        path = self._home / "kept"
        if what is None:
            path.unlink()
        else:
            new = self._home / "new"
            new.write_text(what)
            new.rename(path)

    @property
    def asked(self) -> int:
        """How often the filter ran."""
        try:
            return os.stat(self._home / "asked").st_size
        except FileNotFoundError:
            return 0


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SshdFarm]:
    with SshdFarm(tmp_path / "farm", 2) as farm:
        yield farm


@asynccontextmanager
async def following(tmp_path: Path, farm: SshdFarm, **more: Any) -> AsyncIterator[Run]:
    """The query, asked of both."""
    asked = await question(tmp_path, "kept", SOURCE, follow=True)
    async with open_session() as session:
        how = Options(**{name: getattr(EVERY, name) for name in Options.__dataclass_fields__} | more)
        yield session.ask(asked, providers(farm), options(farm), how)


def states(snapshot: Snapshot) -> list[str]:
    return [row.state for row in snapshot.coverage.providers.values()]


def counts(snapshot: Snapshot) -> dict[str, int]:
    """By word, but for those of `reads`."""
    return {str(row[0]): row[1] for row in snapshot.rows if not str(row[0]).startswith("probe")}


async def reads(run: Run, site: Site, word: str) -> None:
    """Wait until its log is followed, which begins some time after its filter has said yes."""

    async def write() -> None:
        while True:
            await asyncio.to_thread(site.say, word)
            await asyncio.sleep(0.1)

    writing = asyncio.ensure_future(write())
    try:
        await until(run, lambda now: any(row[0] == word for row in now.rows), f"{word} counted")
    finally:
        writing.cancel()


async def test_a_provider_leaves_comes_back_and_another_joins_late(farm: SshdFarm, tmp_path: Path) -> None:
    """With its last cut, at the end of its log, and with the time that it was away; each line counts or does not."""
    one, two = [await asyncio.to_thread(Site, farm.dir(index)) for index in range(2)]
    await asyncio.to_thread(one.keep)
    heard: list[str] = []
    async with following(tmp_path, farm, on_note=lambda name, text: heard.append(name)) as run:
        first, second = sorted(site.name for site in farm.sites)
        await until(run, lambda now: states(now) == ["running", "filtered_out"], "begun")
        await reads(run, one, "probe1")
        await asyncio.to_thread(one.say, "before", 5)
        await until(run, lambda now: counts(now) == {"before": 5}, "counted")
        await asyncio.to_thread(one.keep, None)
        left = await until(run, lambda now: states(now) == ["left", "filtered_out"], "left")
        assert left.coverage.complete and not left.inexact
        row = left.coverage.providers[first]
        assert row.reason == "its filter says no" and row.left_at is not None and row.away_s == 0
        for site in (one, two):
            await asyncio.to_thread(site.say, "away", 7)
        for site in (one, two):
            await asyncio.to_thread(site.keep)
        await until(run, lambda now: states(now) == ["running", "running"], "both run")
        await reads(run, one, "probe2")
        await reads(run, two, "probe3")
        for site in (one, two):
            await asyncio.to_thread(site.say, "after", 11)
        await until(
            run, lambda now: counts(now) == {"before": 5, "after": 22}, "counted what came after, and only that"
        )
        run.drain()
        answer = await final(run)
    assert answer.coverage.complete and not answer.inexact and counts(answer) == {"before": 5, "after": 22}
    one_row, two_row = (answer.coverage.providers[name] for name in (first, second))
    assert one_row.away_s > 0 and one_row.left_at is None
    assert two_row.away_s == 0
    emitted = sum(row[1] for row in answer.rows)
    assert one_row.counters.lines + two_row.counters.lines == emitted
    # Each is heard when a start of it runs, and not each time that it is asked whether it stays.
    assert await asyncio.to_thread(lambda: one.asked + two.asked) > len(heard)


async def test_an_error_lets_nobody_leave(farm: SshdFarm, tmp_path: Path) -> None:
    """A filter that raises or hangs is told once each, and the provider goes on; a no and an error are not two noes."""
    one, two = [await asyncio.to_thread(Site, farm.dir(index)) for index in range(2)]
    await asyncio.to_thread(one.keep)
    await asyncio.to_thread(two.keep)
    faults: list[str] = []
    async with following(tmp_path, farm, filter_s=2.0, on_fault=lambda name, fault: faults.append(fault.text)) as run:
        await until(run, lambda now: states(now) == ["running", "running"], "begun")
        await reads(run, one, "probe1")
        await asyncio.to_thread(one.keep, "raise")
        await asyncio.to_thread(two.keep, "hang")
        before = await asyncio.to_thread(lambda: (one.asked, two.asked))

        def asked(_: Snapshot) -> bool:
            return one.asked > before[0] + 3 and two.asked > before[1] + 2

        await until(run, asked, "asked some times")
        await asyncio.to_thread(one.say, "still", 3)
        await until(run, lambda now: counts(now) == {"still": 3}, "goes on")
        run.drain()
        answer = await final(run)
    assert answer.coverage.complete and states(answer) == ["running", "running"]
    stays = "its filter could not say whether it stays, so it does: "
    assert len(faults) == 2 and all(text.startswith(stays) for text in faults)
    assert "no idea" in "".join(faults) and "did not answer within 2 s" in "".join(faults)


async def test_who_joins_late_begins_where_the_query_does_and_who_rejoins_at_the_end(
    farm: SshdFarm, tmp_path: Path
) -> None:
    """With a beginning in the past the late one reads from there; the one that was away counts nothing twice."""
    one, two = [await asyncio.to_thread(Site, farm.dir(index)) for index in range(2)]
    await asyncio.to_thread(one.keep)
    asked = await question(tmp_path, "kept", SOURCE, follow=True)
    asked = type(asked)(asked.query, follow=True, every_s=0.4, since=time.time() - 3600)
    async with open_session() as session:
        run = session.ask(asked, providers(farm), options(farm), EVERY)
        await until(run, lambda now: states(now) == ["running", "filtered_out"] and counts(now) == {"old": 1}, "begun")
        await asyncio.to_thread(one.keep, None)
        await until(run, lambda now: states(now) == ["left", "filtered_out"], "left")
        await asyncio.to_thread(one.keep)
        await until(run, lambda now: states(now) == ["running", "filtered_out"], "back")
        await asyncio.to_thread(two.keep)
        await until(run, lambda now: states(now) == ["running", "running"] and counts(now) == {"old": 2}, "joined")
        await reads(run, one, "probe1")
        await asyncio.to_thread(one.say, "new")
        await until(run, lambda now: counts(now) == {"old": 2, "new": 1}, "counted")
        run.drain()
        assert counts(await final(run)) == {"old": 2, "new": 1}
