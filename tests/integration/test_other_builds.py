"""A daemon and clients that do not say its build: those may look, and ask no provider."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

import pytest

from backplane.wire import builds
from backplane.wire.messages import Ask, Fault, Hello, Message, State, Told
from coordinator.table import Provider
from tests.integration.daemon_rig import daemon
from tests.integration.talker import Talker, connected, script

OURS = builds.named()
HERE = Provider("here", python=sys.executable, reach="local")


@pytest.mark.parametrize("build", ["", "0badc0de.0badc0de", "0.1.0+0badc0de.0badc0de"])
async def test_a_client_of_another_build_may_look_and_not_ask(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, build: str
) -> None:
    """The fault names its query and both builds, no provider is heard of, and its other questions are answered."""
    _says(monkeypatch, build)
    with daemon(tmp_path) as made:
        await made.start()
        async with connected(made.place.address) as talker:
            (hello,) = talker.of(Hello)
            assert hello.build == OURS
            talker.submit("q", script("def map():\n    yield 1\n"), HERE)
            (fault,) = await talker.until(lambda: talker.of(Fault))
            assert (fault.code, fault.query) == ("version", "q")
            assert OURS in fault.text and (build or "an older one") in fault.text
            talker.send(Ask(id=1, what="queries"))
            (told,) = await talker.until(lambda: talker.of(Told))
            assert told.fault is None and not talker.of(State)


async def test_a_client_of_the_same_build_asks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the version before it, or without."""
    _says(monkeypatch, OURS.partition("+")[2])
    with daemon(tmp_path) as made:
        await made.start()
        async with connected(made.place.address) as talker:
            talker.submit("q", script("def map():\n    yield 1\n"), HERE)
            await talker.state("q", "here", "done")
            assert talker.values("here") == [1]


def _says(monkeypatch: pytest.MonkeyPatch, build: str) -> None:
    send = Talker.send

    def said(talker: Talker, message: Message) -> None:
        send(talker, replace(message, build=build) if isinstance(message, Hello) else message)

    monkeypatch.setattr(Talker, "send", said)
