"""The coordinator as a program: how it starts, and that nothing of it is left however it ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.wire import limits
from coordinator.table import Provider
from tests.integration.coordinator_rig import ROOT, alive, eventually, options, process, ssh_provider
from tests.integration.talker import Talker, connected, script
from tests.rigs.sshd import Knobs, SshdFarm

LOCAL = Provider("local", reach="local", python=sys.executable)
#: Its own pid, then sleeps, spins or floods.
SLEEPS = "import os, time\ndef map():\n    yield os.getpid()\n    while True: time.sleep(1)\n"
SPINS = "import os\ndef map():\n    yield os.getpid()\n    while True: pass\n"
FLOODS = "import os\ndef map():\n    yield os.getpid()\n    while True: yield 'x' * 10000\n"


def test_importing_it_imports_neither_asyncssh_nor_what_is_the_clients() -> None:
    """A private coordinator stands in the way of every ad-hoc query."""
    code = "import coordinator.main, sys; print(*sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    modules = found.stdout.split()
    assert "coordinator.service" in modules
    for name in ("asyncssh", "structlog", "backplane.query", "backplane.reduce", "backplane.client", "ClusterShell"):
        assert not [m for m in modules if m == name or m.startswith(f"{name}.")], name


async def started(talker: Talker, source: str) -> int:
    """Run a map on `local`, and give its pid."""
    talker.submit("q", script(source), LOCAL)
    found: list[Any] = await talker.until(lambda: talker.values("local"))
    return int(found[0])


@pytest.mark.linux
@pytest.mark.parametrize("source", [SLEEPS, SPINS, FLOODS], ids=["sleeps", "spins", "floods"])
async def test_it_ends_with_its_lease_and_takes_the_runners_along(source: str) -> None:
    """Whatever the map does: the pipe closes, and map, runner and coordinator are gone; so is the socket."""
    with process() as (child, address):
        async with connected(address) as talker:
            pid = await started(talker, source)
            assert child.stdin is not None
            child.stdin.close()
            await eventually(lambda: child.poll() is not None, 5)
        assert child.returncode == 0
        await eventually(lambda: not alive(pid), 5)
        assert not Path(address.removeprefix("ipc://")).exists()


@pytest.mark.linux
@pytest.mark.parametrize("source", [SLEEPS, SPINS, FLOODS], ids=["sleeps", "spins", "floods"])
async def test_killed_it_leaves_no_local_runner(source: str) -> None:
    """Its runners read the end of their input."""
    with process() as (child, address):
        async with connected(address) as talker:
            pid = await started(talker, source)
            runner = next(iter(_parents(pid)))
            child.kill()
            await eventually(lambda: not alive(pid) and not alive(runner), 5)


def _parents(pid: int) -> Iterator[int]:
    while (pid := int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])) > 1:
        yield pid


async def test_a_terminals_interrupt_is_the_clients_business() -> None:
    """The first Ctrl-C drains: the private coordinator lives on for that."""
    with process() as (child, address):
        child.send_signal(signal.SIGINT)
        async with connected(address) as talker:
            talker.submit("q", script("def map():\n    yield 1\n"), LOCAL)
            await talker.state("q", "local", "done")
        child.send_signal(signal.SIGTERM)
        await eventually(lambda: child.poll() is not None, 5)
        assert child.returncode == 0


def test_a_long_lived_one_ends_by_its_signal_without_a_lease(tmp_path: Path) -> None:
    """Standard input means nothing to it."""
    argv = [sys.executable, "-m", "coordinator", "--socket", str(tmp_path / "own" / "s")]
    with subprocess.Popen(
        argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=ROOT
    ) as c:
        assert c.stdout is not None
        assert c.stdout.readline() == b"ready\n"
        assert (tmp_path / "own").stat().st_mode & 0o777 == 0o700
        c.send_signal(signal.SIGTERM)
        assert c.wait(10) == 0
    assert not (tmp_path / "own" / "s").exists()


@pytest.mark.parametrize(
    ("arguments", "prepare", "says"),
    [
        (["--private"], 0o700, "takes a pipe on standard input"),
        ([], 0o755, "mode 0700"),
        (["--no-such"], 0o700, "unrecognized arguments"),
    ],
)
def test_what_it_cannot_do_is_one_line(tmp_path: Path, arguments: list[str], prepare: int, says: str) -> None:
    """And an exit status that is not 0."""
    directory = tmp_path / "d"
    directory.mkdir(mode=prepare)
    argv = [sys.executable, "-m", "coordinator", "--socket", str(directory / "s"), *arguments]
    with Path("/dev/null").open() as null:
        found = subprocess.run(argv, stdin=null, cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert found.returncode != 0
    assert says in found.stderr
    assert "Traceback" not in found.stderr


def test_its_log_is_json_if_asked_for_and_keeps_secrets(tmp_path: Path) -> None:
    """One object a line."""
    import json

    environment = dict(os.environ, LOGREDUCE_LOG_FORMAT="json", LOGREDUCE_LOG="debug")
    argv = [
        sys.executable,
        "-c",
        "from coordinator import log; log.configure(None, 'none'); log.info('x', query_id='q')",
    ]
    found = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=True, env=environment)
    line = json.loads(found.stderr)
    assert (line["event"], line["level"], line["query_id"]) == ("x", "info", "q")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdFarm]:
    with SshdFarm(tmp_path_factory.mktemp("farm"), 3, {1: Knobs(authorized=False)}) as farm:
        yield farm


@pytest.mark.sshd
@pytest.mark.parametrize("how", ["lease", "kill"])
async def test_nothing_is_left_on_a_provider(farm: SshdFarm, how: str) -> None:
    """However the coordinator ends, over ssh as well: nothing of a login lives 5 s later."""
    with process() as (child, address):
        async with connected(address) as talker:
            talker.submit("q", script(SPINS), ssh_provider(farm, 0), **options(farm))
            await talker.until(lambda: talker.values("p00"))
            assert farm.processes(0)
            if how == "kill":
                child.kill()
            else:
                assert child.stdin is not None
                child.stdin.close()
            await eventually(lambda: not farm.processes(0), 5)


@pytest.mark.sshd
async def test_a_link_that_is_cut_is_lost_and_leaves_nothing(farm: SshdFarm) -> None:
    """The sshd of the connection dies; its runner ends by its lease's end."""
    with process() as (_, address):
        async with connected(address) as talker:
            talker.submit("q", script(SLEEPS), ssh_provider(farm, 2), **options(farm))
            await talker.state("q", "p02", "running")
            farm.kill_sessions(2)
            lost = await talker.state("q", "p02", "lost")
            assert "the connection broke" in (lost.reason or "")
            await eventually(lambda: not farm.processes(2), limits.LEASE_S + 2)


@pytest.mark.sshd
async def test_a_frozen_link_stalls_comes_back_and_is_lost_at_last(farm: SshdFarm) -> None:
    """Three seconds of silence are shown; ten end it."""
    with process() as (_, address):
        async with connected(address) as talker:
            talker.submit("q", script(SLEEPS), ssh_provider(farm, 2), **options(farm))
            await talker.state("q", "p02", "running")
            farm.freeze(2)
            try:
                await talker.state("q", "p02", "stalled")
                farm.thaw(2)
                await talker.until(lambda: talker.states("q", "p02")[-1].state == "running")
                farm.freeze(2)
                lost = await talker.state("q", "p02", "lost")
                assert lost.reason == "nothing was heard from it for 10 s"
                await eventually(lambda: not [pid for pid in farm.processes(2) if alive(pid)], limits.LEASE_S + 2)
            finally:
                farm.thaw(2)


@pytest.mark.sshd
async def test_ten_refused_logins_stop_the_fan_out(farm: SshdFarm) -> None:
    """The rest are not tried, and say why."""
    providers = [ssh_provider(farm, 1, name=f"w{number:02}") for number in range(14)]
    before = farm.log(1).count("Connection from")
    with process() as (_, address):
        async with connected(address) as talker:
            talker.submit("q", script(SLEEPS), *providers, **options(farm, fanout=2))
            await talker.until(lambda: all(_ended(talker, provider.name) for provider in providers))
    reasons = [talker.states("q", provider.name)[-1].reason or "" for provider in providers]
    tried = [reason for reason in reasons if "the login was refused" in reason]
    skipped = [reason for reason in reasons if "not tried: 10 providers refused the login" in reason]
    # With two at a time, one more may be under way when the tenth is refused.
    assert len(tried) in (10, 11)
    assert len(tried) + len(skipped) == 14
    assert farm.log(1).count("Connection from") - before == len(tried)


def _ended(talker: Talker, name: str) -> bool:
    return any(state.state == "unreachable" for state in talker.states("q", name))
