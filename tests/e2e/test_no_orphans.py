"""Whatever dies or falls silent, nothing of ours is left on a provider."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backplane.wire import limits
from tests.rigs.links import SilentLink
from tests.rigs.program import coordinator_of, reach, started, until
from tests.rigs.sshd import SshdFarm

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(180)]

#: After a close; silence takes the lease before that.
GONE_S = 5.0
SILENT_S = limits.LEASE_S + 2.0

BEHAVIOURS = {
    "sleeps": "    yield 1\n    import time\n    time.sleep(3600)\n",
    "spins": "    yield 1\n    while True:\n        pass\n",
    "floods": "    while True:\n        yield 'x' * 1000\n",
}


@pytest.fixture(params=sorted(BEHAVIOURS))
def query(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / f"{request.param}.py"
    path.write_text(
        f'"""A map that {request.param}."""\n\n\ndef map():\n{BEHAVIOURS[request.param]}\n\nreduce = "count"\n'
    )
    return path


@pytest.fixture
def farm(tmp_path: Path) -> Iterator[SshdFarm]:
    with SshdFarm(tmp_path / "farm", 2) as farm:
        yield farm


@contextlib.contextmanager
def _running(query: Path, farm: SshdFarm, *options: str) -> Iterator[subprocess.Popen[str]]:
    """The program, once both providers have emitted."""
    rhythm = ["-o", "jsonl", "--every", "200ms", "--coverage", "full"]
    with started("run", query, *reach(farm), *rhythm, *options) as process:
        assert process.stdout is not None
        for line in process.stdout:
            providers = json.loads(line)["coverage"]["providers"]
            if all(row["emitted"] for row in providers.values()) and len(providers) == 2:
                break
        assert all(len(farm.processes(i)) >= 2 for i in range(2)), "a supervisor and a child on each"
        yield process


def _gone(farm: SshdFarm, seconds: float) -> bool:
    return until(lambda: not farm.processes(0) and not farm.processes(1), seconds)


def test_client_killed(query: Path, farm: SshdFarm) -> None:
    """kill -9 of the client: its coordinator's lease ends, and with it every runner."""
    with _running(query, farm) as process:
        coordinator = coordinator_of(process.pid)
        process.send_signal(signal.SIGKILL)
        assert _gone(farm, GONE_S), [farm.processes(i) for i in range(2)]
        assert until(lambda: not Path(f"/proc/{coordinator}").exists(), GONE_S)


def test_coordinator_killed(query: Path, farm: SshdFarm) -> None:
    """kill -9 of the coordinator: the runners go, the client says lost, prints what it has and exits 3."""
    with _running(query, farm) as process:
        os.kill(coordinator_of(process.pid), signal.SIGKILL)
        assert _gone(farm, GONE_S), [farm.processes(i) for i in range(2)]
        assert process.stdout is not None
        last = json.loads(process.stdout.readlines()[-1])
        assert process.wait(30) == 3
    assert last["final"] is True
    assert last["coverage"]["states"] == {"lost": 2}


def test_drained(query: Path, farm: SshdFarm) -> None:
    """Ctrl-C: a final snapshot, and nothing left."""
    with _running(query, farm) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        last = json.loads(process.stdout.readlines()[-1])
        assert process.wait(30) in (0, 3)
        assert last["final"] is True
        assert _gone(farm, GONE_S), [farm.processes(i) for i in range(2)]


def test_link_silent(query: Path, farm: SshdFarm) -> None:
    """A link that carries nothing any more, in neither direction: the runner's own lease ends it."""
    site = farm.sites[0]
    with SilentLink(site.address, site.port) as link:
        farm.moved(0, link.address, link.port)
        with _running(query, farm):
            link.silence()
            assert until(lambda: not farm.processes(0), SILENT_S), farm.processes(0)
            assert farm.processes(1), "the other provider is not concerned"
