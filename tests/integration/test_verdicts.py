"""Verdicts that queries share, with real runners on this machine: how often a filter runs, and what each is told."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from backplane.client.run import Run
from backplane.client.session import open_session
from backplane.client.spec import Options
from backplane.reduce.snapshot import Snapshot
from tests.integration.coordinator_rig import eventually, serving
from tests.integration.daemon_rig import Daemon, daemon
from tests.integration.test_daemon import last, nearby, question


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path) as it:
        yield it


def filtering(directory: Path, more: str) -> str:
    """A query whose filter leaves a mark for each run and then does this."""
    return f"""
import os, time
def filter(provider):
    print("asked", provider.name)
    open({str(directory)!r} + "/" + provider.name + "." + str(os.getpid()) + ".ran", "w").close()
    def there(name):
        return os.path.exists({str(directory)!r} + "/" + name)
    {more}
def map():
    for n in range(100):
        yield n % 3, 1
reduce = "sum"
"""


def ran(directory: Path) -> dict[str, int]:
    """How often the filter ran, by provider."""
    return dict(Counter(path.name[:3] for path in directory.glob("*.ran")))


def states(answer: Snapshot) -> dict[str, tuple[str, str | None]]:
    return {name: (row.state, row.reason) for name, row in answer.coverage.providers.items()}


async def touch(*paths: Path) -> None:
    for path in paths:
        await asyncio.to_thread(path.touch)


async def test_one_filter_runs_once_for_all_queries_of_a_user(made: Daemon) -> None:
    """Five at a time from two clients: each exact, no and yes told alike, prints heard once; later ones ask nobody."""
    await made.start()
    asked = await question(made.directory, filtering(made.directory, 'return provider.name != "p01"'))
    heard: list[str] = []

    def note(provider: str, text: str) -> None:
        heard.extend(text.splitlines())

    async with open_session(made.place) as one, open_session(made.place) as two:
        runs = [
            session.ask(asked, nearby(3), {}, Options(every_s=None, on_note=note)) for session in (one, two, one, two)
        ]
        answers = [await last(run) for run in runs]
        answers.append(await last(one.ask(asked, nearby(3), {}, Options(every_s=None, on_note=note))))
        statistics = await one.request("statistics")
    for answer in answers:
        assert {key: (row.state, row.reason) for key, row in answer.coverage.providers.items()} == {
            "p00": ("done", None), "p01": ("filtered_out", None), "p02": ("done", None),
        }  # fmt: skip
        assert answer.complete and dict(answer.rows) == {0: 68, 1: 66, 2: 66}
    assert await asyncio.to_thread(ran, made.directory) == {"p00": 1, "p01": 1, "p02": 1}
    assert sorted(heard) == ["asked p00", "asked p01", "asked p02"]
    assert (statistics["verdicts"], statistics["waiting"], statistics["held_bytes"]) == (3, 0, 0)


async def test_what_a_no_says_is_what_a_runner_says(made: Daemon) -> None:
    """The rows of coverage are the same for the one that ran its filter and the one that did not."""
    await made.start()
    asked = await question(made.directory, filtering(made.directory, "return False"))
    async with open_session(made.place) as session:
        rows = []
        for _ in range(2):
            answer = await last(session.ask(asked, nearby(1), {}, Options(every_s=None)))
            (row,) = answer.coverage.providers.values()
            rows.append({**row.to_dict(), "joined_at": None, "left_at": None})
    assert rows[0] == rows[1]
    assert await asyncio.to_thread(ran, made.directory) == {"p00": 1}


async def test_an_error_is_nobodys_verdict(made: Daemon) -> None:
    """Each query whose filter raises has run it; the time to live, set to 0 by a reload, ends all sharing."""
    await made.start()
    asked = await question(made.directory, filtering(made.directory, 'raise RuntimeError("no idea")'))
    async with open_session(made.place) as session:
        runs = [session.ask(asked, nearby(1), {}, Options(every_s=None)) for _ in range(3)]
        for run in runs:
            ((state, reason),) = states(await last(run)).values()
            assert state == "failed" and "no idea" in (reason or "")
        assert await asyncio.to_thread(ran, made.directory) == {"p00": 3}
        fine = await question(made.directory, filtering(made.directory, "return True"))
        await last(session.ask(fine, nearby(1), {}, Options(every_s=None)))
        await made.configure("verdict_s = 0\n")
        for _ in range(2):
            assert (await last(session.ask(fine, nearby(1), {}, Options(every_s=None)))).complete
        assert await asyncio.to_thread(ran, made.directory) == {"p00": 6}


async def _filtering(run: Run) -> None:
    """Wait until its provider filters, or waits for who does."""
    async with asyncio.timeout(30):
        async for snapshot in run.snapshots():
            if snapshot.coverage.states == {"filtering": 1}:
                return
    raise AssertionError("it never did")


async def test_a_query_that_waits_can_be_drained_and_released(tmp_path: Path) -> None:
    """Without disturbing who runs the filter, nor who waits beside it."""
    async with serving() as (coordinator, address), open_session(address) as session:
        asked = await question(
            tmp_path, filtering(tmp_path, 'while not there("go"): time.sleep(0.02)\n    return True')
        )
        options = Options(every_s=0.05)
        first = session.ask(asked, nearby(1), {}, options)
        await _filtering(first)
        others = [session.ask(asked, nearby(1), {}, options) for _ in range(3)]
        for run in others:
            await _filtering(run)
        await eventually(lambda: coordinator.statistics()["waiting"] == 3)
        others[0].drain()
        drained = await last(others[0])
        assert not drained.rows and not drained.complete
        await session.release(others[1])
        await eventually(lambda: coordinator.statistics()["waiting"] == 1)
        await touch(tmp_path / "go")
        for run in (first, others[2]):
            assert (await last(run)).complete
        assert await asyncio.to_thread(ran, tmp_path) == {"p00": 1}
        await eventually(lambda: coordinator.statistics()["jobs"] == 0)


async def test_who_runs_the_filter_may_go_and_the_next_one_runs_it(tmp_path: Path) -> None:
    """Released by its client; and a broken link is everybody's, who all have another try."""
    async with serving() as (coordinator, address), open_session(address) as session:
        asked = await question(
            tmp_path, filtering(tmp_path, 'while not there("go"): time.sleep(0.02)\n    return True')
        )
        runs: list[Run] = []
        for count in range(3):
            runs.append(session.ask(asked, nearby(1), {}, Options(every_s=0.05)))
            await _filtering(runs[-1])
            await eventually(lambda count=count: coordinator.statistics()["waiting"] == count)  # type: ignore[misc]
        async with asyncio.timeout(30):
            # Released sooner, its filter would never have run.
            while not await asyncio.to_thread(ran, tmp_path):  # noqa: ASYNC110 - it is a file
                await asyncio.sleep(0.02)
        await session.release(runs[0])
        await eventually(lambda: coordinator.statistics()["waiting"] == 1)
        await touch(tmp_path / "go")
        for run in runs[1:]:
            assert (await last(run)).complete
        assert await asyncio.to_thread(ran, tmp_path) == {"p00": 2}


async def test_a_link_that_breaks_takes_those_with_it_who_wait(tmp_path: Path) -> None:
    """They are lost as queries whose job had begun; nobody waits on, and the next query asks anew."""
    async with serving() as (coordinator, address), open_session(address) as session:
        asked = await question(
            tmp_path, filtering(tmp_path, 'while not there("go"): time.sleep(0.02)\n    return True')
        )
        runs = [session.ask(asked, nearby(1), {}, Options(every_s=0.05, wait_s=1)) for _ in range(2)]
        for run in runs:
            await _filtering(run)
        await eventually(lambda: coordinator.statistics()["waiting"] == 1)
        for link in coordinator._links:
            link.break_off("cut")
        for run in runs:
            ((state, reason),) = states(await last(run)).values()
            assert (state, reason) == ("lost", "cut")
        assert (coordinator.statistics()["waiting"], coordinator.statistics()["verdicts"]) == (0, 0)
        await touch(tmp_path / "go")
        assert (await last(session.ask(asked, nearby(1), {}, Options()))).complete
