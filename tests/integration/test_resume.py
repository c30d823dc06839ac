"""Breaks of every kind under running queries, on real sshds: the totals are those of a plain count over the files."""

from __future__ import annotations

import asyncio
import contextlib
import gzip
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any, TextIO

import pytest

from backplane.client.question import QueryQuestion
from backplane.client.run import Run
from backplane.client.session import Session, open_session
from backplane.client.spec import Options
from backplane.query.load import load
from backplane.reduce.snapshot import Snapshot
from tests.integration.coordinator_rig import options, ssh_provider
from tests.rigs import breaks
from tests.rigs.links import SilentLink
from tests.rigs.sshd import SshdFarm

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(240)]

COUNT = 'logs = "app.log"\ndef map(lines):\n    for line in lines:\n        yield line.split()[1], 1\n'
QUERIES = {
    "aggregate": COUNT + 'reduce = "sum"\n',
    "function": COUNT + "def reduce(a, b):\n    return a + b\n",
    "class": COUNT
    + """
class Reduce:
    def __init__(self):
        self.counts = {}
    def add(self, key, value):
        self.counts[key] = self.counts.get(key, 0) + value
    def rows(self):
        return sorted(self.counts.items())
""",
}
#: Slow enough to be broken in the middle.
SLOW = """
import time
logs = "app.log"
def map(lines):
    for line in lines:
        time.sleep(0.002)
        yield line.split()[1], 1
reduce = "sum"
"""


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SshdFarm]:
    with SshdFarm(tmp_path / "farm", 2) as farm:
        yield farm


class Writers:
    """Appends numbered lines to the providers' logs until it is stopped."""

    def __init__(self, farm: SshdFarm, count: int, lines_s: float = 400.0) -> None:
        self._logs = [farm.dir(index) / "app.log" for index in range(count)]
        for log in self._logs:
            log.write_bytes(b"")
        self._pause_s = 20 / lines_s
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._write, name="writer")

    def _write(self) -> None:
        number = 0
        while not self._stop.wait(self._pause_s):
            for log in self._logs:
                with log.open("a") as file:
                    file.writelines(f"{n} w{n % 7}\n" for n in range(number, number + 20))
            number += 20

    def truth(self) -> Counter[str]:
        """A plain count of what is in the files."""
        return sum((plain(log) for log in self._logs), Counter())

    def lines(self) -> list[int]:
        """Lines of each file."""
        return [log.read_bytes().count(b"\n") for log in self._logs]

    def __enter__(self) -> Writers:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def stop(self) -> None:
        self._stop.set()
        self._thread.join(30)


def plain(log: Path) -> Counter[str]:
    """What a count of the second words should give."""
    return Counter(line.split()[1] for line in log.read_text().splitlines())


def write(log: Path, lines: int) -> None:
    log.write_text("".join(f"{n} w{n % 7}\n" for n in range(lines)))


async def question(directory: Path, name: str, source: str, *, follow: bool, by_host: bool = False) -> QueryQuestion:
    path = directory / f"{name}.py"
    await asyncio.to_thread(path.write_text, source)
    query = await asyncio.to_thread(load, str(path), {}, None)
    return QueryQuestion(query, follow=follow, every_s=0.4, by_host=by_host)


def providers(farm: SshdFarm, *links: SilentLink | None) -> list[dict[str, Any]]:
    found = []
    for index in range(len(farm.sites)):
        link = links[index] if index < len(links) else None
        through = {"address": link.address, "port": link.port} if link else {}
        found.append(ssh_provider(farm, index, **through).to_wire())
    return found


@contextlib.contextmanager
def relayed(farm: SshdFarm, index: int) -> Iterator[SilentLink]:
    """A relay to a provider, whose key is known there too."""
    site = farm.sites[index]
    with SilentLink(site.address, site.port) as link:
        farm.known_at(index, link.address, link.port)
        yield link


async def until(run: Run, true: Callable[[Snapshot], Any], what: str, deadline_s: float = 90.0) -> Snapshot:
    """Wait for a snapshot of which something is true."""
    last = None
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(deadline_s):
            async for last in run.snapshots():
                if true(last):
                    return last
    rows = last and {name: (row.state, row.reason) for name, row in last.coverage.providers.items()}
    raise AssertionError(f"not {what}: {rows}, {last and last.inexact}")


async def final(run: Run) -> Snapshot:
    async with asyncio.timeout(90):
        async for snapshot in run.snapshots():
            last = snapshot
    return last


def counted(snapshot: Snapshot) -> Counter[str]:
    counts: Counter[str] = Counter()
    for row in snapshot.rows:
        counts[str(row[-2])] += row[-1]
    return counts


def all_run(snapshot: Snapshot) -> bool:
    return set(snapshot.coverage.states) == {"running"} and len(snapshot.rows) == 7


async def broken_and_back(run: Run, before: Snapshot) -> Snapshot:
    """Wait until something of it has been away since ``before``, and all run again."""

    def away(snapshot: Snapshot) -> float:
        return sum(row.away_s for row in snapshot.coverage.providers.values())

    return await until(run, lambda now: all_run(now) and away(now) > away(before), "back after the break")


@contextlib.asynccontextmanager
async def following(tmp_path: Path, farm: SshdFarm, link: SilentLink) -> AsyncIterator[tuple[Session, list[Run]]]:
    """All kinds of replayable queries at once, each of which has counted something of each provider."""
    async with open_session() as session:
        runs = []
        for name, source in QUERIES.items():
            asked = await question(tmp_path, name, source, follow=True)
            how = Options(every_s=0.2, wait_s=None)
            runs.append(session.ask(asked, providers(farm, link), options(farm), how))
        yield session, runs


async def test_every_break_alone_and_in_pairs_leaves_following_queries_exact(tmp_path: Path, farm: SshdFarm) -> None:
    """Runner, child, sshd, link and coordinator: aggregate, function and class give the plain count, without a word."""
    with relayed(farm, 0) as link:
        writers = Writers(farm, 2)
        async with following(tmp_path, farm, link) as (session, runs):
            for run in runs:
                await until(run, lambda now: set(now.coverage.states) == {"running"}, "running")
            with writers:
                for run in runs:
                    await until(run, lambda now: all_run(now) and _contributed(now) == 2, "counting")
                kinds: list[Callable[[], None]] = [
                    lambda: breaks.runner(farm, 0),
                    lambda: breaks.child(farm, 1),
                    lambda: breaks.session(farm, 1),
                    lambda: breaks.link(link),
                    lambda: breaks.coordinator(session),
                ]
                pairs = [(kind,) for kind in kinds] + [(kinds[0], kinds[4]), (kinds[1], kinds[3]), (kinds[4], kinds[2])]
                for pair in pairs:
                    before = [await until(run, all_run, "running") for run in runs]
                    for kind in pair:
                        await asyncio.to_thread(kind)
                    for run, was in zip(runs, before, strict=True):
                        await broken_and_back(run, was)
            truth, lines = writers.truth(), writers.lines()
            for run in runs:
                await until(run, lambda now: counted(now) == truth, f"{truth}")
                run.drain()
            for run in runs:
                answer = await final(run)
                assert counted(answer) == truth
                assert (answer.complete, answer.inexact, answer.exit_status) == (True, (), 0)
                rows = answer.coverage.providers
                assert [rows[site.name].counters.lines for site in farm.sites] == lines
                assert all(row.away_s > 0 for row in rows.values())


def _contributed(snapshot: Snapshot) -> int:
    return sum(row.counters.lines > 0 for row in snapshot.coverage.providers.values())


@pytest.mark.parametrize("kind", ["runner", "child", "session", "coordinator"])
async def test_a_finite_query_that_broke_in_the_middle_is_complete(tmp_path: Path, farm: SshdFarm, kind: str) -> None:
    """Broken between two lines, done in the end: each line once, in the rows and in the counters."""
    for index in range(2):
        await asyncio.to_thread(write, farm.dir(index) / "app.log", 3000)
    asked = await question(tmp_path, "slow", SLOW, follow=False)
    async with open_session() as session:
        run = session.ask(asked, providers(farm), options(farm), Options(every_s=0.1, wait_s=60))
        await until(run, lambda now: _contributed(now) == 2 and now.rows, "counting")
        if kind == "coordinator":
            breaks.coordinator(session)
        else:
            await asyncio.to_thread(getattr(breaks, kind), farm, 1)
        answer = await final(run)
    truth = plain(farm.dir(0) / "app.log") + plain(farm.dir(1) / "app.log")
    assert counted(answer) == truth
    assert (answer.complete, answer.inexact, answer.exit_status) == (True, (), 0)
    row = answer.coverage.providers[farm.sites[1].name]
    assert (row.state, row.reason, row.counters.lines) == ("done", None, 3000)
    assert row.counters.bytes == (farm.dir(1) / "app.log").stat().st_size
    assert row.away_s > 0


CARRIED = """
logs = "app.log"
N = [0]
def map(lines):
    for line in lines:
        N[0] += 1
        yield 1
reduce = "count"
"""


async def test_a_map_that_is_not_replayable_is_inexact_from_its_first_break(tmp_path: Path, farm: SshdFarm) -> None:
    """It goes on where it was, and the answer names who, and why that may not be exact."""
    with Writers(farm, 2) as writers:
        asked = await question(tmp_path, "carried", CARRIED, follow=True)
        async with open_session() as session:
            run = session.ask(asked, providers(farm), options(farm), Options(every_s=0.2, wait_s=None))
            before = await until(run, lambda now: _contributed(now) == 2 and now.rows, "counting")
            assert before.inexact == ()
            await asyncio.to_thread(breaks.runner, farm, 0)
            await until(run, lambda now: now.inexact and set(now.coverage.states) == {"running"}, "back")
            await asyncio.to_thread(writers.stop)
            run.drain()
            answer = await final(run)
    (said,) = answer.inexact
    assert said.startswith(f"{farm.sites[0].name}: broke off and went on where it was") and "`N[0]`" in said
    assert answer.complete


async def test_an_executable_map_begins_anew_and_names_the_gap(tmp_path: Path, farm: SshdFarm) -> None:
    """Following it comes back at the end of its file; to its end it is lost, and is not run twice."""
    folder = tmp_path / "words"
    await asyncio.to_thread(folder.mkdir)
    (folder / "query.toml").write_text('logs = "app.log"\nreduce = "count"\n')
    (folder / "map").write_text("#!/usr/bin/awk -f\n{ print $2; fflush() }\n")
    (folder / "map").chmod(0o755)
    query = await asyncio.to_thread(load, str(folder), {}, None)
    with Writers(farm, 2):
        async with open_session() as session:
            how = Options(every_s=0.2, wait_s=None)
            run = session.ask(QueryQuestion(query, follow=True, every_s=0.4), providers(farm), options(farm), how)
            await until(run, lambda now: now.rows and set(now.coverage.states) == {"running"}, "counting")
            await asyncio.to_thread(breaks.session, farm, 0)
            answer = await until(run, lambda now: now.inexact and set(now.coverage.states) == {"running"}, "back")
            (said,) = answer.inexact
            assert said.startswith(f"{farm.sites[0].name}: away for ") and "begun anew: its map is a program" in said
            run.drain()
            assert said in (await final(run)).inexact


async def test_one_of_five_that_dies_is_named_and_its_return_makes_the_answer_whole(tmp_path: Path) -> None:
    """Gone for longer than --wait: lost, with what was counted, and 3. Back within it: complete and exact."""
    with SshdFarm(tmp_path / "five", 5) as farm:
        for index in range(5):
            await asyncio.to_thread(write, farm.dir(index) / "app.log", 1500)
        asked = await question(tmp_path, "slow", SLOW, follow=False, by_host=True)
        for wait_s, returns in ((2.0, False), (60.0, True)):
            async with open_session() as session:
                run = session.ask(asked, providers(farm), options(farm), Options(every_s=0.1, wait_s=wait_s))
                await until(run, lambda now: len({row[0] for row in now.rows}) == 5, "counting")
                await asyncio.to_thread(farm.kill, 2)
                if returns:
                    await until(run, lambda now: now.coverage.states.get("lost"), "lost")
                    await asyncio.to_thread(farm.restart, 2)
                answer = await final(run)
            row = answer.coverage.providers["p02"]
            truth = sum((plain(farm.dir(index) / "app.log") for index in range(5)), Counter())
            if returns:
                assert counted(answer) == truth
                assert (answer.exit_status, answer.complete, answer.inexact) == (0, True, ())
                assert row.counters.lines == 1500
            else:
                assert (answer.exit_status, answer.complete, row.state) == (3, False, "lost")
                assert "it has not come back within the wait" in str(row.reason)
                assert answer.inexact == ("p02: lost after having contributed",)
                # What counts of it is what it had read by its last cut, to the line.
                assert 0 < row.counters.lines < 1500 and row.counters.bytes > 0
                assert answer.coverage.states == {"done": 4, "lost": 1}
                assert sum(counted(answer).values()) == 4 * 1500 + row.counters.lines
                await asyncio.to_thread(farm.restart, 2)


async def test_none_of_60_000_lines_is_lost_or_doubled_across_an_outage(tmp_path: Path, farm: SshdFarm) -> None:
    """A link carries nothing for a second while both logs are written at full speed and rotated, five times in all."""
    with relayed(farm, 0) as link:
        for index in range(2):
            await asyncio.to_thread((farm.dir(index) / "app.log").write_bytes, b"0 w0\n")
        asked = await question(tmp_path, "sum", QUERIES["aggregate"], follow=True)
        async with open_session() as session:
            how = Options(every_s=0.2, wait_s=None)
            run = session.ask(asked, providers(farm, link), options(farm), how)
            await until(run, lambda now: set(now.coverage.states) == {"running"}, "running")
            await asyncio.to_thread(_outage, farm, link)
            answer = await until(run, lambda now: sum(counted(now).values()) >= 60_010, "60,000")
            run.drain()
            answer = await final(run)
    assert sum(counted(answer).values()) == 60_010
    assert (answer.complete, answer.inexact) == (True, ())
    assert answer.coverage.providers[farm.sites[0].name].away_s > 0


def _outage(farm: SshdFarm, link: SilentLink) -> None:
    """60,000 lines in all, the outage after the first third of them, and a rotation after each sixth."""
    paths = [farm.dir(index) / "app.log" for index in range(2)]
    logs: list[TextIO] = [path.open("a") for path in paths]
    resumes = 0.0
    for number in range(30_000):
        for log in logs:
            log.write(f"{number} w{number % 7}\n")
        if number % 500 == 0:
            for log in logs:
                log.flush()
            time.sleep(0.02)
        if number == 10_000:
            link.silence()
            link.cut()
            resumes = time.monotonic() + 1.0
        if number % 5_000 == 2_500 and number > 2_500:
            logs = [_rotated(path, log) for path, log in zip(paths, logs, strict=True)]
        if resumes and time.monotonic() > resumes:
            link.resume()
            resumes = 0.0
    for log in logs:
        log.close()
    if resumes:
        link.resume()


def _rotated(path: Path, log: TextIO) -> TextIO:
    """What logrotate does with ``delaycompress``; a line that is half written then is ended in the old file."""
    older = path.with_name("app.log.1")
    for age in range(5, 1, -1):
        with contextlib.suppress(FileNotFoundError):
            path.with_name(f"app.log.{age}.gz").rename(path.with_name(f"app.log.{age + 1}.gz"))
    if older.exists():
        with gzip.open(path.with_name("app.log.2.gz"), "wb") as packed:
            packed.write(older.read_bytes())
        older.unlink()
    log.write("late ")
    log.flush()
    path.rename(older)
    log.write("w7\n")
    log.close()
    return path.open("a")
