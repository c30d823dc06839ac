"""What is said of hosts that are being tried again."""

from __future__ import annotations

import asyncio

import pytest

from backplane.cli import waiting
from backplane.cli.waiting import Waited
from backplane.wire.messages import State


def connecting(name: str, reason: str | None) -> State:
    return State(query="q", provider=name, state="connecting", reason=reason)


def test_each_reason_is_a_line_with_its_hosts() -> None:
    """The end of the wait, and how to have none; whoever came up meanwhile is not named."""
    waited = Waited(10.0, print)
    for state in (
        connecting("web3", "its SSH port refuses connections; trying again"),
        connecting("web4", "its SSH port refuses connections; trying again"),
        connecting("web5", None),
        connecting("web6", "no route; trying again"),
        State(query="q", provider="web6", state="filtering"),
    ):
        waited.heard(state)
    assert waited.lines() == [
        "waiting for web[3-4]: its SSH port refuses connections; trying again (10 s; --wait 0 does not)"
    ]


def test_who_follows_waits_for_ever() -> None:
    """So nothing is said of an end; and of many reasons the first few are."""
    waited = Waited(None, print)
    for n in range(5):
        waited.heard(connecting(f"web{n}", f"reason {n}"))
    assert waited.lines() == [
        "waiting for web0: reason 0",
        "waiting for web1: reason 1",
        "waiting for web2: reason 2",
        "waiting for others, for 2 more reasons",
    ]


async def test_it_is_said_once_while_the_query_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    """After some patience, or as soon as there is somebody after that."""
    monkeypatch.setattr(waiting, "PATIENCE_S", 0.0)
    said: asyncio.Queue[str] = asyncio.Queue()
    waited = Waited(None, said.put_nowait)
    async with waited.watched():
        waited.heard(connecting("web3", "it is down"))
        async with asyncio.timeout(30):
            assert await said.get() == "waiting for web3: it is down"
    assert said.empty()
