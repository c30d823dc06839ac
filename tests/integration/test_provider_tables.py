"""The provider table in a real coordinator, with real runners on this machine."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from backplane.client.session import Session, open_session
from backplane.wire.errors import UsageError
from coordinator.table import Provider
from tests.integration.coordinator_rig import serving

LOCAL = Provider("here", python=sys.executable, reach="local", labels={"role": "app"}).to_wire()
BROKEN = Provider("broken", python="/nonexistent/python3", reach="local").to_wire()


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A table of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "logreduce" / "providers.sqlite"


async def _ask(session: Session, verb: str, **said: Any) -> Any:
    return await session.request(f"providers.{verb}", said)


async def test_what_one_coordinator_keeps_another_finds() -> None:
    """Two of one user share the file, and see each other's changes at once."""
    async with serving() as (_, one), serving() as (_, other), open_session(one) as a, open_session(other) as b:
        assert (await _ask(b, "ls"))["rows"] == []
        assert (await _ask(a, "add", entries=[LOCAL]))["added"] == ["here"]
        assert [row["provider"] for row in (await _ask(b, "ls"))["rows"]] == [LOCAL]
        assert (await _ask(b, "rm", select={"everything": True}))["removed"] == ["here"]
        assert (await _ask(a, "ls"))["rows"] == []


async def test_a_check_finds_facts_and_reasons(tmp_path: Path) -> None:
    """Over a real runner, cold and on the warm link; one that is broken has its reason; both are kept."""
    log = tmp_path / "app.log"
    log.write_text("x\n")
    async with serving() as (coordinator, address), open_session(address) as session:
        await _ask(session, "add", entries=[LOCAL, BROKEN])
        for _ in range(2):
            found = await _ask(session, "check", select={"everything": True}, logs=[str(log), "/no/such"])
            assert found["here"]["level"] == "exec"
            assert found["here"]["python"] == ".".join(map(str, sys.version_info[:3]))
            assert found["here"]["latency_ms"] > 0
            assert abs(found["here"]["clock_offset_s"]) < 5
            assert found["here"]["logs"] == {str(log): True, "/no/such": False}
            assert "/nonexistent/python3" in found["broken"]["problem"]
        rows = {row["provider"]["name"]: row["facts"] for row in (await _ask(session, "ls"))["rows"]}
        assert rows == found
        assert coordinator.statistics()["jobs"] == 0


async def test_wrong_questions_are_sentences(state: Path) -> None:
    """Who is not there, a field that must not be, and a damaged file; the coordinator goes on."""
    async with serving() as (_, address), open_session(address) as session:
        with pytest.raises(UsageError, match="the provider table is empty"):
            await _ask(session, "rm", select={"names": ["here"]})
        with pytest.raises(UsageError, match="must not begin with '-'"):
            await _ask(session, "add", entries=[{"name": "-oProxyCommand=x"}])
        await _ask(session, "add", entries=[LOCAL])
        with pytest.raises(UsageError, match="not in the provider table: nobody"):
            await _ask(session, "check", select={"names": ["here", "nobody"]})
        with pytest.raises(UsageError, match=r"web.*matches none"):
            await _ask(session, "choose", select={"names": ["web*"]})
        state.write_bytes(b"nonsense" * 1000)
        for trace in state.parent.glob("*-wal"):
            trace.unlink()
        async with serving() as (_, other), open_session(other) as fresh:
            with pytest.raises(UsageError, match="is damaged"):
                await _ask(fresh, "ls")
        assert (await session.request("statistics"))["clients"] == 1
