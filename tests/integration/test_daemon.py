"""A coordinator that a team shares: who comes in, what they may ask for, how it ends and reloads."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.client.place import Place
from backplane.client.question import QueryQuestion
from backplane.client.run import Run
from backplane.client.session import Session, open_session
from backplane.client.spec import Options
from backplane.query.load import load
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import LogReduceError, NoCoordinator, UsageError
from backplane.wire.zmq import Curve, Dealer, Pair, new_pair
from tests.integration.daemon_rig import Daemon, daemon

COUNTS = 'def map():\n    for n in range(1000):\n        yield n % 3, 1\nreduce = "sum"\n'
ENDLESS = 'import time\ndef map():\n    while True:\n        yield "x", 1\n        time.sleep(0.05)\nreduce = "count"\n'
TCP = ("--listen", "tcp://127.0.0.1:0")


@pytest.fixture
def made(tmp_path: Path) -> Iterator[Daemon]:
    with daemon(tmp_path) as it:
        yield it


async def question(directory: Path, source: str, *, follow: bool = False) -> QueryQuestion:
    path = directory / "q.py"
    await asyncio.to_thread(path.write_text, source)
    return QueryQuestion(await asyncio.to_thread(load, str(path), {}, None), follow=follow)


def nearby(count: int, prefix: str = "p") -> list[dict[str, Any]]:
    """Providers on this machine, each reached by a command."""
    return [
        {"name": f"{prefix}{n:02}", "reach": "command", "via": "env", "python": sys.executable} for n in range(count)
    ]


async def last(run: Run) -> Snapshot:
    async for snapshot in run.snapshots():
        found = snapshot
    return found


async def first(run: Run) -> Snapshot:
    """The first snapshot that has rows."""
    async for snapshot in run.snapshots():
        if snapshot.rows:
            return snapshot
    raise AssertionError("none had rows")


async def test_three_clients_with_five_queries_each_are_all_exact(made: Daemon) -> None:
    """Over a few shared links; and when they have gone nothing is held for them."""
    await made.start()
    asked = await question(made.directory, COUNTS)
    providers = nearby(20)

    async def client() -> list[Snapshot]:
        async with open_session(made.place) as session:
            runs = [session.ask(asked, providers[i : i + 10], {}, Options(wait_s=60)) for i in range(5)]
            return list(await asyncio.gather(*map(last, runs)))

    for answers in await asyncio.gather(*(client() for _ in range(3))):
        for answer in answers:
            assert answer.complete, answer.coverage.states
            assert answer.rows == ((0, 3340), (1, 3330), (2, 3330))
    async with open_session(made.place) as session:
        await eventually_told(session, {"queries": 0, "jobs": 0, "granted_ahead_bytes": 0, "clients": 1})


async def eventually_told(session: Session, wanted: dict[str, int]) -> None:
    """Wait until its statistics say so."""
    async with asyncio.timeout(20):
        while not wanted.items() <= (await session.request("statistics")).items():  # noqa: ASYNC110 - ask to know
            await asyncio.sleep(0.1)


async def test_wrong_keys_are_refused_by_name_and_harm_nobody(made: Daemon) -> None:
    """A stranger's key, another server's key and no key; one that is allowed comes in meanwhile."""
    alice = await asyncio.to_thread(made.client, "alice")
    await made.start(*TCP)
    place, stranger = await made.over_tcp(alice), await made.over_tcp(new_pair())
    for curve, says in (
        (stranger.curve, "does not know this client's key"),
        (Curve(new_pair().public, alice), "another server key"),
        (None, "clients with a key only"),
    ):
        dealer = Dealer()
        with pytest.raises(NoCoordinator, match=says):
            await dealer.connect(made.address, 20, curve)
        dealer.close(0)
        async with open_session(place) as session:
            assert (await session.request("statistics"))["queries"] == 0


async def test_a_client_over_tcp_asks_for_nothing_of_the_daemons_machine(made: Daemon) -> None:
    """Each field that would be a file or a command there is refused by its name."""
    alice = await asyncio.to_thread(made.client, "alice")
    await asyncio.to_thread(made.config.write_text, "adhoc = true\n")
    await made.start(*TCP)
    asked = await question(made.directory, COUNTS)
    async with open_session(await made.over_tcp(alice)) as session:
        for entry, reach, says in (
            ({"name": "a", "reach": "local"}, {}, "reach 'local'"),
            ({"name": "a", "reach": "command", "via": "sh -c"}, {}, "reach 'command'"),
            ({"name": "a", "via": "sh -c"}, {}, "a: via"),
            ({"name": "a", "key": "/etc/id"}, {}, "a: key"),
            ({"name": "a"}, {"identity": "/etc/id"}, "identity"),
            ({"name": "a"}, {"known_hosts": "/dev/null"}, "known_hosts"),
            ({"name": "a"}, {"ssh_config": "/tmp/x"}, "ssh_config"),
            ({"name": "a"}, {"via": "sh -c"}, "via"),
            ({"name": "a"}, {"host_key": "accept-new"}, "host_key"),
        ):
            with pytest.raises(LogReduceError, match=says):
                await last(session.ask(asked, [entry], reach, Options()))
        await made.configure("")
        with pytest.raises(LogReduceError, match="its table only"):
            await last(session.ask(asked, [{"name": "a"}], {}, Options()))


async def test_a_revoked_key_is_out_at_the_reload(made: Daemon) -> None:
    """The session that it has ends with the reason, it does not come in again, and others stay."""
    alice, bob = [await asyncio.to_thread(made.client, each) for each in ("alice", "bob")]
    await made.start(*TCP)
    async with (
        open_session(await made.over_tcp(alice)) as out,
        open_session(await made.over_tcp(bob)) as stays,
    ):
        await asyncio.to_thread(made.keys.revoke, "alice")
        await made.reload()
        with pytest.raises(NoCoordinator, match="not allowed any more"):
            await out.request("statistics")
        assert (await stays.request("statistics"))["clients"] == 1
    with pytest.raises(NoCoordinator, match="does not know this client's key"):
        async with open_session(await made.over_tcp(alice)):
            pass
    await made.logged("user='alice'")


async def test_sigterm_lets_queries_hand_over_what_they_have(made: Daemon) -> None:
    """The clients hear that it ends, get a final answer with rows, and nothing is called lost."""
    await made.start()
    said: list[str] = []
    async with open_session(made.place, said.append) as session:
        run = session.ask(
            await question(made.directory, ENDLESS, follow=True), nearby(3), {}, Options(every_s=0.1, wait_s=None)
        )
        await first(run)
        made.signal(signal.SIGTERM)
        answer = await last(run)
    assert answer.rows
    assert set(answer.coverage.states) == {"running"}
    assert any("being ended" in each for each in said)
    assert await asyncio.to_thread(made.ended) == 0
    assert not await asyncio.to_thread(made.socket.exists)


async def test_a_query_over_its_share_of_credit_is_refused(made: Daemon) -> None:
    """In a sentence with the figures; smaller ones go on."""
    await asyncio.to_thread(made.config.write_text, "client_credit_mb = 4\n")
    await made.start()
    asked = await question(made.directory, COUNTS)
    async with open_session(made.place) as session:
        with pytest.raises(LogReduceError, match=r"5 MiB under way.* 4 at most"):
            await last(session.ask(asked, nearby(5), {}, Options()))
        assert (await last(session.ask(asked, nearby(4), {}, Options()))).complete


async def test_queries_are_listed_told_and_ended(made: Daemon) -> None:
    """By those who may: each key its own, the daemon's user all."""
    alice = await asyncio.to_thread(made.client, "alice")
    await made.start(*TCP)
    said: list[str] = []
    asked = await question(made.directory, ENDLESS, follow=True)
    async with (
        open_session(made.place, said.append) as own,
        open_session(await made.over_tcp(alice)) as other,
    ):
        run = own.ask(asked, nearby(2), {}, Options(every_s=0.1, wait_s=None))
        await first(run)
        (told,) = await other.request("queries")
        assert (told["id"], told["targets"], told["states"]) == (run.query_id, 2, {"running": 2})
        assert told["bytes"] > 0
        for what, more in (("cancel", {"mode": "drain"}), ("story", {"provider": "p00"})):
            with pytest.raises(UsageError, match=r"own user's|who alone"):
                await other.request(what, {"query": run.query_id} | more)
        assert await other.request("cancel", {"query": "", "mode": "abort"}) == []
        story = await own.request("story", {"query": run.query_id, "provider": "p00"})
        assert [line["event"] for line in story][:2] == ["state", "trying"]
        assert [line["state"] for line in story if line["event"] == "state"][-1] == "running"
        for short in (run.query_id[:6], told["title"]):
            assert (await own.request("story", {"query": short, "provider": "p00"}))[: len(story)] == story
            with pytest.raises(UsageError, match="no story of a query"):
                await other.request("story", {"query": short, "provider": "p00"})
        assert await own.request("cancel", {"query": run.query_id[:6], "mode": "drain"}) == [run.query_id]
        assert set((await last(run)).coverage.states) == {"running"}
        assert any("cancelled it" in each for each in said)
        told = await own.request("story", {"query": run.query_id, "provider": "p00"})
        assert told[-1]["event"] == "job ended"


@pytest.mark.linux
async def test_keys_are_private_and_nowhere_else(made: Daemon) -> None:
    """Files 0600 in directories 0700 whatever the umask; no secret in the log or on the command line."""
    old = os.umask(0)
    try:
        alice = await asyncio.to_thread(made.client, "alice")
        await made.start(*TCP)
    finally:
        os.umask(old)
    place = await made.over_tcp(alice)
    async with open_session(place) as session:
        await session.request("statistics")
    log = await made.logged("listening")
    await asyncio.to_thread(_check_secrets, made, log, place, alice)


def _check_secrets(made: Daemon, log: str, place: Place, alice: Pair) -> None:
    assert made.process
    argv = Path(f"/proc/{made.process.pid}/cmdline").read_bytes().decode()
    for secret in (made.keys.server().secret, alice.secret):
        assert secret not in log + argv + repr(place) + repr(made.keys.server())
    for path in (made.keys.directory, *made.keys.directory.rglob("*")):
        assert path.stat().st_mode & 0o777 == (0o700 if path.is_dir() else 0o600), path
    (made.keys.directory / "server.key").chmod(0o644)
    with pytest.raises(UsageError, match="mode 0600"):
        made.keys.server()
