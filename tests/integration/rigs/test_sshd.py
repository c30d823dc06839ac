"""The sshd rig does what its knobs say, seen by the plain ssh client."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rigs.sshd import SSHD, Knobs, SshdFarm

pytestmark = pytest.mark.sshd

KNOBS = {
    1: Knobs(python="none"),
    2: Knobs(host_key="wrong"),
    3: Knobs(host_key="unknown"),
    4: Knobs(authorized=False),
    5: Knobs(kind="refused"),
    6: Knobs(kind="mute"),
    7: Knobs(frozen=True),
    8: Knobs(options=("MaxStartups 1:100:1",)),
    9: Knobs(),
}


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdFarm]:
    with SshdFarm(tmp_path_factory.mktemp("farm"), 10, KNOBS) as farm:
        yield farm


def ask(farm: SshdFarm, index: int, command: str, *options: str) -> subprocess.CompletedProcess[str]:
    argv = farm.ssh(index)
    argv[1:1] = options
    return subprocess.run([*argv, command], capture_output=True, text=True, timeout=30, stdin=subprocess.DEVNULL)


def until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.01)


def test_a_login_begins_in_its_own_home(farm: SshdFarm) -> None:
    """Relative paths of two providers mean different files."""
    for index in (0, 9):
        (farm.dir(index) / "app.log").write_text(f"line of {index}\n")
    assert [ask(farm, index, "cat app.log").stdout for index in (0, 9)] == ["line of 0\n", "line of 9\n"]


def test_a_provider_can_be_without_python(farm: SshdFarm) -> None:
    """With python="none" a login finds sh and no python3."""
    assert ask(farm, 1, "exec python3 -c pass").returncode == 127
    assert ask(farm, 1, "echo sh").stdout == "sh\n"


def test_a_wrong_host_key_stops_ssh(farm: SshdFarm) -> None:
    """known_hosts holds another key than the provider shows."""
    assert "HOST IDENTIFICATION HAS CHANGED" in ask(farm, 2, "true").stderr


def test_an_unknown_host_key_stops_ssh(farm: SshdFarm) -> None:
    """known_hosts holds nothing about the provider."""
    assert "Host key verification failed" in ask(farm, 3, "true").stderr


def test_a_provider_can_refuse_the_identity(farm: SshdFarm) -> None:
    """The farm's key is not among the provider's authorized keys."""
    assert "Permission denied" in ask(farm, 4, "true").stderr


def test_a_port_can_refuse(farm: SshdFarm) -> None:
    """Nobody listens, and nobody else can take the port."""
    assert "Connection refused" in ask(farm, 5, "true").stderr


@pytest.mark.parametrize("index", [6, 7], ids=["mute", "frozen"])
def test_a_server_can_accept_and_never_answer(farm: SshdFarm, index: int) -> None:
    """TCP connects, and the banner never comes."""
    done = ask(farm, index, "true", "-o", "ConnectTimeout=1")
    assert "timed out during banner exchange" in done.stderr


def test_a_thawed_sshd_answers(farm: SshdFarm) -> None:
    """Freezing stops an sshd, and thawing lets it go on."""
    farm.freeze(9)
    assert ask(farm, 9, "true", "-o", "ConnectTimeout=1").returncode == 255
    farm.thaw(9)
    assert ask(farm, 9, "echo again").stdout == "again\n"


def test_options_replace_the_rigs_own(farm: SshdFarm) -> None:
    """A knob's sshd_config line holds in place of the rig's."""
    config = farm.dir(8).parent / "sshd_config"
    assert SSHD is not None
    done = subprocess.run([SSHD, "-T", "-f", config], capture_output=True, text=True, check=True)
    assert "maxstartups 1:100:1" in done.stdout


def test_killed_sessions_leave_the_listener_and_the_orphans(farm: SshdFarm) -> None:
    """The link goes, what the login started is still found, and the next login works."""
    with subprocess.Popen([*farm.ssh(0), "exec sleep 600"], stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ssh:
        until(lambda: any(name(pid) == "sleep" for pid in farm.processes(0)), "the command did not start")
        farm.kill_sessions(0)
        assert ssh.wait(20) == 255
    assert [name(pid) for pid in farm.processes(0)] == ["sleep"]
    assert ask(farm, 0, "echo again").stdout == "again\n"


def test_a_killed_provider_is_gone_and_can_return(tmp_path: Path) -> None:
    """kill ends the listener and every process of its logins; restart brings the listener back."""
    with SshdFarm(tmp_path, 1) as farm:
        argv = [*farm.ssh(0), "sleep 600"]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as ssh:
            until(lambda: bool(farm.processes(0)), "the command did not start")
            farm.kill(0)
            assert ssh.wait(20) == 255
        until(lambda: not farm.processes(0), "processes of the login outlive it")
        assert "Connection refused" in ask(farm, 0, "true").stderr
        farm.restart(0)
        assert ask(farm, 0, "echo again").stdout == "again\n"


def test_nothing_outlives_the_farm(tmp_path: Path) -> None:
    """close ends what a login left running in a session of its own."""
    with SshdFarm(tmp_path, 1) as farm:
        ask(farm, 0, "setsid sleep 600 >/dev/null 2>&1 </dev/null &")
        until(lambda: any(name(pid) == "sleep" for pid in farm.processes(0)), "the command did not start")
    assert farm.processes(0) == []


def test_another_python_can_be_found(tmp_path: Path) -> None:
    """With a path for python a login finds that interpreter as python3."""
    fake = tmp_path / "interpreter"
    fake.write_text("#!/bin/sh\necho called $1\n")
    fake.chmod(0o755)
    with SshdFarm(tmp_path / "farm", 1, {0: Knobs(python=fake)}) as farm:
        assert ask(farm, 0, "exec python3 -V").stdout == "called -V\n"


def name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""
