"""The reach `ssh` at a resident provider: told by its version string, and nothing is shipped."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from coordinator.table import Provider
from provider import serve, ship
from tests.integration.coordinator_rig import talking
from tests.integration.talker import script

LINES = script("def map(lines):\n    for line in lines:\n        yield line.strip()\n", lines=True, sources=["app.log"])
ship.payload()  # reads files


@asynccontextmanager
async def resident(tmp_path: Path) -> AsyncIterator[tuple[Provider, dict[str, Any]]]:
    """A resident with a log, and how it is reached."""
    host, own = serve.KeyPair.fresh("host"), serve.KeyPair.fresh("own")
    (tmp_path / "app.log").write_text("one\ntwo\n")
    async with serve.Resident(sys.executable) as server:
        await server.start("127.0.0.1", 0, tmp_path, host.private, own.public)
        await asyncio.to_thread(_write, tmp_path, server.port, host, own)
        provider = Provider("r01", address="127.0.0.1", port=server.port, user="any", key=str(tmp_path / "id"))
        yield provider, {"known_hosts": str(tmp_path / "known_hosts")}


def _write(tmp_path: Path, port: int, host: serve.KeyPair, own: serve.KeyPair) -> None:
    (tmp_path / "id").write_bytes(own.private)
    kind, key = host.public.split()[:2]
    (tmp_path / "known_hosts").write_text(f"[127.0.0.1]:{port} {kind} {key}\n")


async def test_a_resident_answers_without_a_payload(tmp_path: Path) -> None:
    """Level `resident`; a root's resident is not a root's login."""
    async with resident(tmp_path) as (provider, options), talking() as talker:
        talker.submit("q", LINES, provider, **options)
        done = await talker.state("q", "r01", "done")
        assert done.level == "resident"
        assert talker.values("r01") == ["one", "two"]


async def test_asked_for_a_shell_it_says_what_it_is(tmp_path: Path) -> None:
    """Level `exec` on a resident: there is no python3 to be had there, and its own words say why."""
    from dataclasses import replace

    async with resident(tmp_path) as (provider, options), talking() as talker:
        talker.submit("q", LINES, replace(provider, level="exec"), wait_s=0.5, **options)
        state = await talker.state("q", "r01", "unreachable")
    assert "only the runner protocol" in (state.reason or "")


@pytest.mark.parametrize("level", ["forced", "sftp"])
async def test_levels_of_later_versions_are_refused(tmp_path: Path, level: str) -> None:
    """Before anything is connected to."""
    async with talking() as talker:
        talker.submit("q", LINES, Provider("r01", level=level))
        state = await talker.state("q", "r01", "refused")
    assert "is not in this version" in (state.reason or "")
