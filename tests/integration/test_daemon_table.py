"""The table of a daemon: its file, who may be asked from it and by whom, and queries of it over a restart."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.client.run import Run
from backplane.client.session import Session, open_session
from backplane.client.spec import Options
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import UsageError
from tests.integration.daemon_rig import Daemon, daemon
from tests.integration.test_daemon import COUNTS, ENDLESS, TCP, first, last, nearby, question
from tests.integration.test_restart import again

EVERYTHING = {"everything": True}


@pytest.fixture
def made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Daemon]:
    """A daemon whose table is named in its configuration; the user's own would be elsewhere."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    with daemon(tmp_path) as it:
        it.config.write_text(f'table = "{tmp_path / "table"}"\n')
        yield it


async def _add(session: Session, *providers: dict[str, Any]) -> None:
    await session.request("providers.add", {"entries": list(providers)})


async def _until(run: Run, wanted: dict[str, str]) -> Snapshot:
    """Wait until a snapshot has these providers in these states."""
    async with asyncio.timeout(60):
        async for snapshot in run.snapshots():
            rows = snapshot.coverage.providers
            if all(name in rows and rows[name].state == state for name, state in wanted.items()):
                return snapshot
    raise AssertionError(f"it ended before {wanted}")


async def test_its_file_is_where_the_configuration_says(made: Daemon) -> None:
    """Private to its user; a flag comes first; what one kept the next one finds."""
    await made.start()
    async with open_session(made.place) as session:
        await _add(session, *nearby(2))
        assert (await session.request("providers.ls", {}))["path"] == str(made.directory / "table")
    await again(made)
    async with open_session(made.place) as session:
        asked = await question(made.directory, COUNTS)
        assert set((await last(session.ask(asked, [], {}, Options(), EVERYTHING))).coverage.providers) == {"p00", "p01"}
    await asyncio.to_thread(made.kill)
    await made.start("--table", str(made.directory / "other"))
    async with open_session(made.place) as session:
        assert (await session.request("providers.ls", {}))["rows"] == []
    assert (await asyncio.to_thread(os.stat, made.directory / "table")).st_mode & 0o777 == 0o600
    assert not await asyncio.to_thread((made.directory / "state").exists)


async def test_over_tcp_the_table_is_asked_and_nobody_else(made: Daemon) -> None:
    """Names that it does not have, and hosts of the client's own, are refused in a sentence; not with `adhoc`."""
    alice = await asyncio.to_thread(made.client, "alice")
    await made.start(*TCP)
    asked = await question(made.directory, COUNTS)
    stranger = {"name": "elsewhere", "reach": "ssh", "address": "127.0.0.1", "port": 1}
    async with open_session(made.place) as own, open_session(await made.over_tcp(alice)) as session:
        await _add(own, *nearby(2))

        async def answer(entries: list[dict[str, Any]], select: dict[str, Any] | None, wait_s: float = 60) -> Snapshot:
            return await last(session.ask(asked, entries, {}, Options(wait_s=wait_s), select))

        assert (await answer([], {"names": ["p*"]})).complete
        for names in (["p00", "elsewhere"], ["elsewhere"]):
            with pytest.raises(UsageError, match=r"^elsewhere: not in the provider table, and this coordinator asks"):
                await answer([], {"names": names})
            with pytest.raises(UsageError, match=r"^elsewhere: not in the provider table, and this coordinator asks"):
                await session.request("providers.choose", {"select": {"names": names}})
        for select in (None, {"names": ["elsewhere"]}):
            with pytest.raises(UsageError, match=r"^elsewhere: this coordinator asks the providers of its table only"):
                await answer([stranger], select)
        for own_file, says in (({"key": "/k"}, "elsewhere: key would be of"), ({"reach": "local"}, "elsewhere: reach")):
            asked_so = {"select": {"names": ["elsewhere"]}, "entries": [stranger | own_file]}
            with pytest.raises(UsageError, match=rf"^{says}.* ask providers of its table, with -w or -l$"):
                await session.request("providers.choose", asked_so)
        with pytest.raises(UsageError, match="is changed and checked on the coordinator's own machine"):
            await _add(session, stranger)
        await made.configure(f'adhoc = true\ntable = "{made.directory / "table"}"\n')
        assert set((await answer([stranger], None, 0.1)).coverage.states) == {"unreachable"}


async def test_who_joins_is_held_against_the_caps(made: Daemon) -> None:
    """A following query that may not grow refuses those who join by name, and goes on with the others."""
    config = await asyncio.to_thread(made.config.read_text)
    await asyncio.to_thread(made.config.write_text, config + "client_credit_mb = 2\n")
    await made.start()
    asked = await question(made.directory, ENDLESS, follow=True)
    async with open_session(made.place) as session:
        await _add(session, *nearby(1))
        options = Options(every_s=0.1, wait_s=None, coverage_full=True)
        run = session.ask(asked, [], {}, options, EVERYTHING)
        await _until(run, {"p00": "running"})
        await _add(session, *nearby(2)[1:])
        await _until(run, {"p00": "running", "p01": "running"})
        await _add(session, *nearby(4)[2:])
        refused = await _until(run, {"p00": "running", "p01": "running", "p02": "refused", "p03": "refused"})
        reason = refused.coverage.providers["p02"].reason or ""
        assert "2 MiB under way, your queries 2 already, and this coordinator holds 2 at most" in reason
        # With more room the next one that joins is asked, and one that comes back as well.
        await made.configure(config + "client_credit_mb = 8\n")
        await session.request("providers.rm", {"select": {"names": ["p02"]}})
        await _until(run, {"p02": "left"})
        await _add(session, nearby(3)[2])
        await _until(run, {"p02": "running", "p03": "refused"})
        run.drain()
        assert (await last(run)).coverage.states == {"running": 3, "refused": 1}
        assert (await session.request("statistics"))["granted_ahead_bytes"] == 0


async def test_how_long_links_are_kept_changes_at_a_reload(made: Daemon) -> None:
    """Those that are idle already go by the new time."""
    config = await asyncio.to_thread(made.config.read_text)
    await made.start("-v")
    asked = await question(made.directory, COUNTS)
    async with open_session(made.place) as session:
        assert (await last(session.ask(asked, nearby(2), {}, Options()))).complete
        assert (await session.request("statistics"))["up"] == 2
        await made.configure(config + "idle = 0.1\n")
        links = 2
        async with asyncio.timeout(20):
            while links:
                links = (await session.request("statistics"))["links"]
                await asyncio.sleep(0.05)


async def test_a_selection_is_asked_again_after_a_kill(made: Daemon) -> None:
    """Killed under a query of the table: who had ended stays, who had started is lost by name, the rest answer; those
    whom the table has got meanwhile are asked as well."""
    await made.start()
    gate = made.directory / "open"
    late = made.directory / "late.sh"
    await asyncio.to_thread(late.write_text, f'while [ ! -e {gate} ]; do sleep 0.05; done; exec "$@"')
    source = """
import os, time
def map():
    yield os.environ["NAME"], 1
    while os.environ["NAME"] == "p01":
        time.sleep(0.05)
reduce = "sum"
"""
    providers = nearby(5)
    for provider in providers:
        slow = f" sh {late}" if provider["name"] > "p01" else ""
        provider["via"] = f"env NAME={provider['name']}{slow}"
    asked = await question(made.directory, source)
    async with open_session(made.place) as session:
        await _add(session, *providers[:4])
        options = Options(every_s=0.1, wait_s=60, coverage_full=True)
        run = session.ask(asked, [], {}, options, {"names": ["p*"]})
        await _until(run, {"p00": "done", "p01": "running", "p02": "connecting", "p03": "connecting"})
        await again(made)
        await asyncio.to_thread(gate.touch)
        answer = await last(run)
        states = {name: row.state for name, row in answer.coverage.providers.items()}
        assert states == {"p00": "done", "p01": "lost", "p02": "done", "p03": "done"}
        assert {("p00", 1), ("p02", 1), ("p03", 1)} <= set(answer.rows) and len(answer.rows) <= 4
        await _add(session, providers[4])
        fresh = session.ask(asked, [], {}, Options(), {"names": ["p00", "p04"]})
        assert (await last(fresh)).complete


async def test_a_following_selection_hears_of_the_table_after_a_kill(made: Daemon) -> None:
    """The new daemon looks at the table for the old query: who joins is asked, who leaves has left."""
    await made.start()
    asked = await question(made.directory, ENDLESS, follow=True)
    async with open_session(made.place) as session:
        gate = made.directory / "open"
        late = made.directory / "late.sh"
        await asyncio.to_thread(late.write_text, f'while [ ! -e {gate} ]; do sleep 0.05; done; exec "$@"')
        held = {**nearby(2)[1], "via": f"env sh {late}"}
        await _add(session, nearby(1)[0], held)
        run = session.ask(asked, [], {}, Options(every_s=0.1, wait_s=None, coverage_full=True), EVERYTHING)
        await first(run)
        await _until(run, {"p00": "running", "p01": "connecting"})
        await again(made)
        await asyncio.to_thread(gate.touch)
        await _until(run, {"p01": "running"})
        async with open_session(made.place) as other:
            await _add(other, nearby(3)[2])
            await _until(run, {"p01": "running", "p02": "running"})
            await other.request("providers.rm", {"select": {"names": ["p01"]}})
        await _until(run, {"p01": "left", "p02": "running"})
        run.drain()
        answer = await last(run)
        states = {name: row.state for name, row in answer.coverage.providers.items()}
        # What becomes of one that had begun depends on whether it can begin again.
        assert states.pop("p00") in ("lost", "running")
        assert states == {"p01": "left", "p02": "running"}
