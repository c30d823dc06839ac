"""Reaches that are harder than key and port: sudo, agents, certificates, revoked keys, floods, and hosts that hang."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from backplane.wire.messages import State
from coordinator.reach.ssh import SshReach
from coordinator.table import Provider, ReachOptions
from provider import ship
from tests.integration.coordinator_rig import options, ssh_provider, talking
from tests.integration.talker import Talker, script
from tests.integration.test_coordinator_ssh import Heard, at_once, failure
from tests.rigs.sshd import Knobs, SshdFarm

pytestmark = [pytest.mark.sshd]

PLAIN, CERTIFIED, ALLOWS, ASKS, NO_SUDO, TRUSTS_CA = range(6)
ONE = "def map():\n    yield 1\n"


def keygen(*argv: str | Path) -> None:
    subprocess.run(["ssh-keygen", "-q", *map(str, argv)], check=True, stdin=subprocess.DEVNULL)


def new_key(path: Path, passphrase: str = "") -> Path:
    keygen("-t", "ed25519", "-N", passphrase, "-C", "rig", "-f", path)
    return path


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("hard")


@pytest.fixture(scope="module")
def authority(directory: Path) -> Path:
    """The key that signs hosts and users."""
    return new_key(directory / "authority")


@pytest.fixture(scope="module")
def farm(directory: Path, authority: Path) -> Iterator[SshdFarm]:
    ship.payload()
    at = directory / "farm"
    empty = directory / "empty"
    empty.mkdir()
    shell = shutil.which("sh") or "/bin/sh"
    knobs = {
        CERTIFIED: Knobs(host_key="unknown", options=(f"HostCertificate {at / 'p01' / 'host_key-cert.pub'}",)),
        ALLOWS: Knobs(sudo="allows"),
        ASKS: Knobs(sudo="asks"),
        # A PATH of its own, in which there is a python3 and no sudo.
        NO_SUDO: Knobs(python=shell),
        TRUSTS_CA: Knobs(authorized=False, options=(f"TrustedUserCAKeys {authority}.pub",)),
    }
    with SshdFarm(at, 6, knobs) as farm:
        site = farm.sites[CERTIFIED]
        keygen("-s", authority, "-I", "host", "-h", "-n", site.address, at / "p01" / "host_key.pub")
        farm.kill(CERTIFIED)
        farm.restart(CERTIFIED)
        yield farm


async def reached(provider: Provider, **fields: Any) -> None:
    """Logs in and out again."""
    reach = SshReach()
    channel = await reach.open(provider, ReachOptions(**fields), Heard(), at_once)
    channel.close()
    await channel.wait_closed()
    await reach.close()


def ended(talker: Talker, query: str) -> dict[str, State]:
    states = [state for state in talker.of(State) if state.query == query]
    live = ("pending", "connecting", "filtering", "running", "stalled")
    return {s.provider: s for s in states if s.state not in live}


# sudo.


async def test_sudo_starts_the_runner_where_it_was_asked_for(farm: SshdFarm) -> None:
    """By the option or by the provider's own field, and not otherwise."""
    body = script("import os\ndef map():\n    yield os.environ.get('SUDO_USER', 'nobody')\n")
    async with talking() as talker:
        for query, own, asked in (("q", {}, {"sudo": True}), ("r", {"sudo": True}, {}), ("s", {}, {})):
            talker.submit(query, body, ssh_provider(farm, ALLOWS, name=query, **own), **options(farm, **asked))
            await talker.state(query, query, "done")
    assert [talker.values(query) for query in "qrs"] == [["rig"], ["rig"], ["nobody"]]


@pytest.mark.parametrize(
    ("index", "says"),
    [
        (
            ASKS,
            "sudo does not start python3 without a password (sudo: a password is required): it needs a NOPASSWD rule",
        ),
        (NO_SUDO, "there is no sudo on its PATH"),
    ],
)
async def test_sudo_that_starts_nothing_is_refused_with_a_sentence(farm: SshdFarm, index: int, says: str) -> None:
    """Once: a password is not going to be there the next time."""
    async with talking() as talker:
        talker.submit("q", script(ONE), ssh_provider(farm, index), **options(farm, sudo=True))
        state = await talker.state("q", f"p{index:02}", "refused")
    assert says in str(state.reason)


# Agents.


@contextlib.contextmanager
def agent(directory: Path, *keys: Path) -> Iterator[str]:
    """A real ssh-agent that holds these keys, and its socket."""
    path = str(directory / "agent")
    with subprocess.Popen(["ssh-agent", "-D", "-a", path], stdout=subprocess.DEVNULL) as process:
        try:
            while not os.path.exists(path):
                assert process.poll() is None
            for key in keys:
                environ = os.environ | {"SSH_AUTH_SOCK": path}
                subprocess.run(["ssh-add", "-q", str(key)], env=environ, check=True, stdin=subprocess.DEVNULL)
            yield path
        finally:
            process.send_signal(signal.SIGTERM)


async def test_a_key_that_only_the_agent_holds_is_used(
    farm: SshdFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By $SSH_AUTH_SOCK, after five keys that are not let in: sshd takes six tries."""
    strangers = [new_key(tmp_path / f"stranger{n}") for n in range(5)]
    monkeypatch.setenv("HOME", str(tmp_path))
    with agent(tmp_path, *strangers, farm.identity) as path:
        monkeypatch.setenv("SSH_AUTH_SOCK", path)
        await reached(ssh_provider(farm, PLAIN, key=None), **options(farm))


async def test_identity_agent_and_identities_only_choose_of_many_keys(
    farm: SshdFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight keys before the right one are more than sshd takes; IdentitiesOnly offers that one alone."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    strangers = [new_key(tmp_path / f"stranger{n}") for n in range(8)]
    # ssh_config names a key whose private half is not here.
    (tmp_path / "mine.pub").write_bytes(farm.identity.with_suffix(".pub").read_bytes())
    config = tmp_path / "config"
    with agent(tmp_path, *strangers, farm.identity) as path:
        lines = f"IdentityAgent {path}\nIdentityFile {tmp_path / 'mine'}\n"
        provider = ssh_provider(farm, PLAIN, key=None)
        config.write_text(lines + "IdentitiesOnly yes\n")
        await reached(provider, **options(farm, ssh_config=str(config)))
        config.write_text(lines)
        exc = await failure(provider, **options(farm, ssh_config=str(config)))
        assert exc.auth


async def test_an_agent_that_is_gone_is_named(farm: SshdFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A socket of a login that has ended is the usual reason why keys are missing."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("SSH_AUTH_SOCK", str(tmp_path / "gone"))
    exc = await failure(ssh_provider(farm, PLAIN, key=None), **options(farm))
    assert f"the agent at {tmp_path / 'gone'} gives no keys" in str(exc)


# Certificates and revoked keys.


async def test_a_user_certificate_beside_its_key_is_offered(farm: SshdFarm, authority: Path, tmp_path: Path) -> None:
    """The host knows the authority and no key."""
    key = new_key(tmp_path / "id")
    provider = ssh_provider(farm, TRUSTS_CA, key=str(key))
    exc = await failure(provider, **options(farm))
    assert exc.auth
    keygen("-s", authority, "-I", "me", "-n", farm.user, f"{key}.pub")
    await reached(provider, **options(farm))


def known(tmp_path: Path, *lines: str) -> str:
    path = tmp_path / "known"
    path.write_text("".join(f"{line}\n" for line in lines))
    return str(path)


def public(path: Path) -> str:
    return " ".join(Path(f"{path}.pub").read_text().split()[:2])


async def test_a_host_certificate_is_trusted_by_its_authority(farm: SshdFarm, authority: Path, tmp_path: Path) -> None:
    """And only for the names that the line is about; a host without one says so."""
    ours = f"@cert-authority 127.0.1.* {public(authority)}"
    await reached(ssh_provider(farm, CERTIFIED), **options(farm, known_hosts=known(tmp_path, ours)))
    exc = await failure(ssh_provider(farm, PLAIN), **options(farm, known_hosts=known(tmp_path, ours)))
    assert "has no host certificate" in str(exc)
    theirs = f"@cert-authority *.example.org {public(authority)}"
    exc = await failure(ssh_provider(farm, CERTIFIED), **options(farm, known_hosts=known(tmp_path, theirs)))
    assert "is not known" in str(exc)


async def test_a_certificate_of_another_authority_is_not_trusted(farm: SshdFarm, tmp_path: Path) -> None:
    """An authority is one key."""
    other = f"@cert-authority * {public(new_key(tmp_path / 'other'))}"
    exc = await failure(ssh_provider(farm, CERTIFIED), **options(farm, known_hosts=known(tmp_path, other)))
    assert "its host certificate is not to be trusted" in str(exc)
    assert not exc.retry


@pytest.mark.parametrize("host_key", ["strict", "accept-new"])
async def test_a_revoked_key_is_refused_by_its_line(farm: SshdFarm, tmp_path: Path, host_key: str) -> None:
    """Also where another line trusts it, and where new keys are accepted."""
    site = farm.sites[PLAIN]
    key = public(farm._site_directory(PLAIN) / "host_key")
    revoked = f"@revoked * {key}"
    for lines in ([revoked], [f"[{site.address}]:{site.port} {key}", revoked]):
        path = known(tmp_path, *lines)
        exc = await failure(ssh_provider(farm, PLAIN), **options(farm, known_hosts=path, host_key=host_key))
        assert f"its host key is REVOKED by {path} line {len(lines)}" in str(exc)
        assert not exc.retry


# Floods.


@contextlib.asynccontextmanager
async def asked(providers: Sequence[Provider], **fields: Any) -> AsyncIterator[Talker]:
    async with talking() as talker:
        talker.submit("q", script(ONE), *providers, **fields)
        yield talker


async def test_a_hundred_at_once_against_default_max_startups_are_all_reached(tmp_path: Path) -> None:
    """sshd drops many of them unheard; they come again, each in its own time."""
    with SshdFarm(tmp_path / "farm", 1, {0: Knobs(options=("MaxStartups 10:30:100",))}) as farm:
        providers = [ssh_provider(farm, 0, name=f"web{n:03}") for n in range(100)]
        async with asked(providers, **options(farm, fanout=100), wait_s=30.0) as talker:
            await talker.until(lambda: len(ended(talker, "q")) == 100, 40.0)
        found = Counter((state.state, state.reason) for state in ended(talker, "q").values())
        assert found == {("done", None): 100}


async def test_a_wrong_login_is_tried_at_ten_hosts_and_the_other_logins_go_on(tmp_path: Path) -> None:
    """Sixty hosts and three logins, of which one is let in; the hosts' own logs say how often each was tried."""
    with SshdFarm(tmp_path / "farm", 2, {1: Knobs(authorized=False)}) as farm:
        logins = (farm.user, "nosuch1", "nosuch2")
        providers = [
            ssh_provider(farm, 0 if user == farm.user else 1, name=f"{user}{n}", user=user)
            for n in range(20)
            for user in logins
        ]
        async with asked(providers, **options(farm)) as talker:
            await talker.until(lambda: len(ended(talker, "q")) == 60, 40.0)
        found = Counter(state.state for state in ended(talker, "q").values())
        assert found == {"done": 20, "unreachable": 40}
        for user in logins[1:]:
            reasons = [str(s.reason) for name, s in ended(talker, "q").items() if name.startswith(user)]
            assert sum("not tried" in reason for reason in reasons) == 10
            # sshd writes one such line a connection.
            assert farm.log(1).count(f"Invalid user {user} from") == 10


# Hosts that hang.

BLACK_HOLE, MUTE, TARPIT, FROZEN_SSHD, FROZEN_COMMAND, FROZEN_RUNNER = range(6)
HOSTS = 60


@pytest.fixture
def hanging(tmp_path: Path) -> Iterator[SshdFarm]:
    """One host in ten hangs, each in its way; logins at the others are ordinary."""
    sleeper = tmp_path / "sleeper"
    # Its PATH holds nothing but itself.
    sleeper.write_text(f"#!/bin/sh\nexec {shutil.which('sleep')} 600\n")
    sleeper.chmod(0o755)
    knobs = {
        BLACK_HOLE: Knobs(kind="black hole"),
        MUTE: Knobs(kind="mute"),
        TARPIT: Knobs(kind="tarpit"),
        FROZEN_SSHD: Knobs(frozen=True),
        FROZEN_COMMAND: Knobs(python=sleeper),
    }
    with SshdFarm(tmp_path / "farm", 12, knobs) as farm:
        yield farm


async def test_hosts_that_hang_are_each_named_in_time_and_hold_nobody_up(hanging: SshdFarm) -> None:
    """Every healthy one is done before the first dead one is given up, and each of those says how far it came."""
    farm = hanging
    body = script(
        "import os, time\ndef map():\n    yield 1\n    while os.path.exists('hang'):\n        time.sleep(0.05)\n"
    )
    (farm.dir(FROZEN_RUNNER) / "hang").touch()
    dead = [ssh_provider(farm, index, name=f"dead{index}") for index in range(6)]
    well = [ssh_provider(farm, 6 + n % 6, name=f"well{n:02}") for n in range(HOSTS - 6)]
    async with talking() as talker:
        talker.submit("q", body, *dead, *well, **options(farm, connect_s=15.0, login_s=15.0), wait_s=16.0)
        await talker.until(lambda: talker.values(f"dead{FROZEN_RUNNER}") == [1])
        for pid in farm.processes(FROZEN_RUNNER):
            os.kill(pid, signal.SIGSTOP)
        await talker.until(lambda: len(ended(talker, "q")) == HOSTS, 60.0)
    # The deadlines of hellos and leases are shorter, and a busy machine may need longer than those.
    order = [name for name in ended(talker, "q") if name not in (f"dead{FROZEN_COMMAND}", f"dead{FROZEN_RUNNER}")]
    assert all(name.startswith("well") for name in order[: len(well)])
    found = {name: (state.state, state.reason) for name, state in ended(talker, "q").items()}
    assert {found[provider.name] for provider in well} == {("done", None)}
    said = [found[provider.name] for provider in dead]
    assert [state for state, _ in said] == ["unreachable"] * 5 + ["lost"]
    for (_, reason), words in zip(
        said,
        ("TCP connect", "no SSH server said", "no SSH server said", "no SSH server said", "hello", "nothing was heard"),
        strict=True,
    ):
        assert words in str(reason)
