"""The daemon killed and started anew under queries: every break is named, nothing is doubled, the rest answers.

What goes on where it was is shown in `test_resume`; here are maps without a position.
"""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Iterator
from pathlib import Path

import pytest

from backplane.client import session as sessions
from backplane.client.run import Run
from backplane.client.session import open_session
from backplane.client.spec import Options
from backplane.wire import codec, limits
from backplane.wire.errors import NoCoordinator
from backplane.wire.messages import Fault, Hello
from backplane.wire.zmq import Dealer
from tests.integration.coordinator_rig import eventually
from tests.integration.daemon_rig import Daemon, daemon
from tests.integration.test_daemon import COUNTS, ENDLESS, first, last, nearby, question

RESTARTED = "the coordinator was restarted"


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path) as it:
        yield it


def holding(directory: Path) -> str:
    """A query that ends at once on p00 and p01, and elsewhere once a file is there. Each start leaves a mark."""
    return f"""
import os, time
def map():
    name = os.environ["PROVIDER"]
    open({str(directory)!r} + "/" + name + "." + str(os.getpid()) + ".start", "w").close()
    yield name, 1
    while name > "p01" and not os.path.exists({str(directory / "go")!r}):
        time.sleep(0.05)
reduce = "sum"
"""


async def until(run: Run, wanted: dict[str, int]) -> None:
    """Wait until a snapshot has at least so many providers in these states."""
    async with asyncio.timeout(30):
        async for snapshot in run.snapshots():
            if all(snapshot.coverage.states.get(state, 0) >= count for state, count in wanted.items()):
                return
    raise AssertionError(f"it ended before {wanted}")


async def back(run: Run) -> None:
    """Wait until all of its providers have been away and run again."""
    async with asyncio.timeout(60):
        async for snapshot in run.snapshots():
            rows = snapshot.coverage.providers.values()
            if all(row.state == "running" and row.away_s > 0 for row in rows):
                return
    raise AssertionError("it ended before they were back")


def heard(said: list[str], count: int) -> bool:
    """So many sentences have been said."""
    return len(said) == count


async def again(made: Daemon) -> None:
    await asyncio.to_thread(made.kill)
    await made.start()


async def test_a_finite_query_keeps_what_ended_names_what_broke_and_asks_the_rest(made: Daemon) -> None:
    """Killed twice: ended stay ended, started are lost with the reason, and those that had not started still answer."""
    await made.start()
    said: list[str] = []
    asked = await question(made.directory, holding(made.directory))
    gate = made.directory / "open"
    late = made.directory / "late.sh"
    await asyncio.to_thread(late.write_text, f'while [ ! -e {gate} ]; do sleep 0.05; done; exec "$@"')
    providers = nearby(6)
    for n, provider in enumerate(providers):
        provider["via"] = f"env PROVIDER=p{n:02}" + f" sh {late}" * (n > 3)
    async with open_session(made.place, said.append) as session:
        run = session.ask(asked, providers, {}, Options(every_s=0.1, wait_s=60))
        await until(run, {"done": 2, "running": 2})
        async with asyncio.timeout(30):
            while len(await asyncio.to_thread(lambda: list(made.directory.glob("*.start")))) < 4:  # noqa: ASYNC110 - files
                await asyncio.sleep(0.05)
        await again(made)
        await until(run, {"done": 2, "lost": 2})
        await again(made)
        async with asyncio.timeout(20):
            while len(said) < 2:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.05)
        for name in (gate, made.directory / "go"):
            await asyncio.to_thread(name.touch)
        answer = await last(run)
        # And a new query works at once.
        assert (await last(session.ask(await question(made.directory, COUNTS), nearby(3), {}, Options()))).complete
    states = {name: (row.state, row.reason) for name, row in answer.coverage.providers.items()}
    assert {name: state for name, (state, _) in states.items()} == {
        "p00": "done", "p01": "done", "p02": "lost", "p03": "lost", "p04": "done", "p05": "done",
    }  # fmt: skip
    assert {states["p02"][1], states["p03"][1]} == {RESTARTED}
    assert said == [f"{RESTARTED}: attaching again"] * 2
    # What p02 and p03 had emitted may or may not have been cut by then; nothing counts twice.
    assert {("p00", 1), ("p01", 1), ("p04", 1), ("p05", 1)} <= set(answer.rows)
    assert {row[1] for row in answer.rows} == {1} and len(answer.rows) <= 6
    starts = await asyncio.to_thread(lambda: sorted(path.name[:3] for path in made.directory.glob("*.start")))
    assert starts == [f"p{n:02}" for n in range(6)]


async def test_a_following_query_keeps_its_rows_begins_anew_and_names_the_gap(made: Daemon) -> None:
    """Its providers are lost for a while and come back, and the same session asks another question beside it."""
    await made.start()
    asked = await question(made.directory, ENDLESS, follow=True)
    async with open_session(made.place) as session:
        run = session.ask(asked, nearby(3), {}, Options(every_s=0.1, wait_s=None))
        before = await first(run)
        await until(run, {"running": 3})
        await again(made)
        await back(run)
        other = session.ask(asked, nearby(3), {}, Options(every_s=0.1, wait_s=None))
        await first(other)
        run.drain()
        answer = await last(run)
    assert answer.rows[0][1] >= before.rows[0][1]
    assert answer.complete and answer.exit_status == 0
    assert answer.inexact and all(RESTARTED in said and "away for" in said for said in answer.inexact)


async def test_what_is_replayable_goes_on_where_it_was(made: Daemon) -> None:
    """Killed twice in the middle of a file: each line counts once, and the answer does not show it."""
    await made.start()
    log = made.directory / "app.log"
    await asyncio.to_thread(log.write_text, "".join(f"{n} w{n % 3}\n" for n in range(2000)))
    source = f"""
import time
logs = {str(log)!r}
def map(lines):
    for line in lines:
        time.sleep(0.002)
        yield line.split()[1], 1
reduce = "sum"
"""
    asked = await question(made.directory, source)
    said: list[str] = []
    async with open_session(made.place, said.append) as session:
        run = session.ask(asked, nearby(2), {}, Options(every_s=0.1, wait_s=60))
        for breaks in (1, 2):
            await until(run, {"running": 2})
            await again(made)
            # Until the client has noticed, what it says of those that run is of before.
            await eventually(functools.partial(heard, said, breaks), 60)
        answer = await last(run)
    assert answer.rows == (("w0", 1334), ("w1", 1334), ("w2", 1332))
    assert (answer.complete, answer.inexact, answer.exit_status) == (True, (), 0)
    for row in answer.coverage.providers.values():
        assert (row.state, row.counters.lines) == ("done", 2000) and row.away_s > 0
    assert len(said) == 2


async def test_one_that_does_not_come_back_is_gone(made: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its queries end with the reason when its time to come back is over."""
    monkeypatch.setattr(sessions, "ATTACH_S", 1.0)
    monkeypatch.setattr(limits, "LEASE_S", 1.0)
    monkeypatch.setattr(limits, "CONNECT_S", 1.0)
    await made.start()
    asked = await question(made.directory, ENDLESS, follow=True)
    async with open_session(made.place) as session:
        run = session.ask(asked, nearby(1), {}, Options(every_s=0.1, wait_s=None))
        await first(run)
        await asyncio.to_thread(made.kill)
        answer = await last(run)
        (row,) = answer.coverage.providers.values()
        assert row.state == "lost" and str(row.reason).startswith("the coordinator is gone: ")


async def test_over_tcp_a_client_comes_back_by_its_key(made: Daemon) -> None:
    """The same session asks the new daemon, and the user was told once."""
    alice = await asyncio.to_thread(made.client, "alice")
    await made.start("--listen", "tcp://127.0.0.1:0")
    said: list[str] = []
    async with open_session(await made.over_tcp(alice), said.append) as session:
        assert (await session.request("statistics"))["clients"] == 1
        await asyncio.to_thread(made.kill)
        await made.start("--listen", made.address)
        async with asyncio.timeout(20):
            while not said:  # noqa: ASYNC110 - a list
                await asyncio.sleep(0.05)
            while True:
                try:
                    told = await session.request("statistics")
                    break
                except NoCoordinator:
                    await asyncio.sleep(0.05)
        assert told["clients"] == 1
    assert said == [f"{RESTARTED}: attaching again"]


async def test_a_client_that_comes_back_replaces_itself(made: Daemon) -> None:
    """Over another connection, by its instance; another client is another one."""
    await made.start()
    async with open_session(made.place) as watching:
        dealers = [Dealer() for _ in range(3)]
        for dealer, instance in zip(dealers, ("one", "one", "other"), strict=True):
            await dealer.connect(made.place.address)
            dealer.send([codec.encode_one(Hello(role="client", instance=instance))])
            await dealer.recv()
        assert (await watching.request("statistics"))["clients"] == 3
        for dealer in dealers:
            dealer.close(0)


async def test_a_connection_that_breaks_is_no_restart(made: Daemon) -> None:
    """The same coordinator that does not know a client any more is called what it is."""
    await made.start()
    said: list[str] = []
    async with open_session(made.place, said.append) as session:
        theirs = session._theirs
        session._dispatch(codec.encode_one(Fault(code="restarted", text=RESTARTED, instance=theirs)))
        assert said == ["the connection to the coordinator broke: attaching again"]
