"""A crowd behind a shared daemon: thirty providers here, three hundred in `tests.bench.bench_three_hundred`."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.rigs import crowd

pytestmark = [pytest.mark.sshd, pytest.mark.linux]

COUNT = 30


async def test_three_clients_ask_a_crowd_and_its_daemon_is_killed_twice(tmp_path: Path) -> None:
    """Fifteen answers, three at a time for each client, are exact; each filter ran once; after kill -9 all is named."""
    figures = await crowd.show(tmp_path, COUNT)
    assert figures.answers == 15
    assert figures.filters == COUNT
    assert figures.lost + figures.done_again == crowd.CLIENTS * COUNT
