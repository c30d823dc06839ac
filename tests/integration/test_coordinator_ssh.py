"""The reach `ssh` against real OpenSSH: it works, and each way in which it does not is told apart."""

from __future__ import annotations

import asyncio
import contextlib
import os
import subprocess
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.wire.errors import ReachError
from coordinator.reach.base import Channel, Exit
from coordinator.reach.ssh import SshReach
from coordinator.table import Provider, ReachOptions
from provider import ship
from provider.runner import frames
from tests.integration.coordinator_rig import eventually, options, ssh_provider, talking
from tests.integration.talker import script
from tests.rigs.sshd import Knobs, SshdFarm

pytestmark = [pytest.mark.sshd]

GOOD, WRONG, UNKNOWN, STRANGER, REFUSED, MUTE, NO_PYTHON, FULL = range(8)


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdFarm]:
    ship.payload()  # reads files; a coordinator has it made in a thread
    knobs = {
        WRONG: Knobs(host_key="wrong"),
        UNKNOWN: Knobs(host_key="unknown"),
        STRANGER: Knobs(authorized=False),
        REFUSED: Knobs(kind="refused"),
        MUTE: Knobs(kind="mute"),
        NO_PYTHON: Knobs(python="none"),
        FULL: Knobs(options=("MaxStartups 1:100:1",)),
    }
    with SshdFarm(tmp_path_factory.mktemp("farm"), 8, knobs) as farm:
        yield farm


class Heard:
    """A receiver that keeps what it hears."""

    def __init__(self) -> None:
        self.stages: list[str] = []
        self.data = b""
        self.how: Exit | None = None

    def at_stage(self, stage: str) -> None:
        self.stages.append(stage)

    def data_received(self, data: bytes) -> None:
        self.data += data

    def channel_closed(self, how: Exit) -> None:
        self.how = how


class AtOnce:
    """A gate that is open."""

    @contextlib.asynccontextmanager
    async def __call__(self, account: str | None) -> AsyncIterator[None]:
        yield

    def step_aside(self) -> None:
        """Nobody is in the way of anybody."""


at_once = AtOnce()


async def opened(provider: Provider, **fields: Any) -> tuple[Channel, Heard, SshReach]:
    reach, heard = SshReach(), Heard()
    channel = await reach.open(provider, ReachOptions(**fields), heard, at_once)
    return channel, heard, reach


async def failure(provider: Provider, **fields: Any) -> ReachError:
    with pytest.raises(ReachError) as caught:
        await opened(provider, **fields)
    return caught.value


async def test_a_runner_says_hello_and_ends_with_its_channel(farm: SshdFarm) -> None:
    """Payload up, hello down; closing leaves no process at the provider."""
    channel, heard, reach = await opened(ssh_provider(farm, GOOD), **options(farm))
    channel.write(ship.payload())
    await eventually(lambda: frames.PREAMBLE in heard.data)
    assert channel.level == "exec"
    assert any("login" in stage for stage in heard.stages)
    channel.close()
    await channel.wait_closed()
    await reach.close()
    assert heard.how is not None
    await eventually(lambda: not farm.processes(GOOD))


async def test_a_changed_host_key_is_final_and_names_the_line(farm: SshdFarm) -> None:
    """File, line and what to do."""
    exc = await failure(ssh_provider(farm, WRONG), **options(farm))
    assert (exc.retry, exc.auth, exc.state) == (False, False, "unreachable")
    line = next(i for i, text in enumerate(farm.known_hosts.read_text().splitlines(), 1) if "127.0.1.2]" in text)
    assert "CHANGED" in str(exc)
    assert f"{farm.known_hosts} line {line}" in str(exc)
    assert "ssh-keygen -R" in str(exc)


async def test_accept_new_does_not_accept_a_changed_key(farm: SshdFarm) -> None:
    """New means that no line speaks of the host."""
    before = farm.known_hosts.read_text()
    exc = await failure(ssh_provider(farm, WRONG), **options(farm, host_key="accept-new"))
    assert "CHANGED" in str(exc)
    assert farm.known_hosts.read_text() == before


async def test_an_unknown_host_key_is_final(farm: SshdFarm) -> None:
    """Strict is the default."""
    exc = await failure(ssh_provider(farm, UNKNOWN), **options(farm))
    assert not exc.retry
    assert "is not known" in str(exc)
    assert "accept-new" in str(exc)


async def test_accept_new_remembers_a_new_host_in_a_line_that_ssh_reads(farm: SshdFarm, tmp_path: Path) -> None:
    """The second login is strict, and plain ssh takes the line too."""
    known = tmp_path / "ssh" / "known_hosts"
    provider = ssh_provider(farm, UNKNOWN)
    own = options(farm, known_hosts=str(known))
    for host_key in ("accept-new", "strict"):
        channel, _, reach = await opened(provider, **own, host_key=host_key)
        channel.close()
        await channel.wait_closed()
        await reach.close()
    assert known.read_text().startswith(f"[{provider.address}]:{provider.port} ssh-ed25519 ")
    assert known.stat().st_mode & 0o777 == 0o600
    found = subprocess.run(["ssh-keygen", "-F", f"[{provider.address}]:{provider.port}", "-f", str(known)], check=True)
    assert found.returncode == 0


async def test_a_refused_login_is_final_and_counts_as_authentication(farm: SshdFarm) -> None:
    """It stops the fan-out when there are many."""
    exc = await failure(ssh_provider(farm, STRANGER), **options(farm))
    assert (exc.retry, exc.auth) == (False, True)
    assert str(exc) == f"the login was refused for user {farm.user!r}; check user and key"


async def test_a_refused_port_may_be_tried_again(farm: SshdFarm) -> None:
    """A host that boots refuses for a while."""
    exc = await failure(ssh_provider(farm, REFUSED), **options(farm))
    assert exc.retry
    assert str(exc) == "its SSH port refuses connections; is sshd running there?"


async def test_a_mute_listener_ends_by_the_login_deadline(farm: SshdFarm) -> None:
    """It obeys neither the connect deadline nor any other."""
    exc = await failure(ssh_provider(farm, MUTE), **options(farm, login_s=0.5))
    assert exc.retry
    assert "no SSH server said anything" in str(exc)


async def test_a_black_hole_ends_by_the_connect_deadline(farm: SshdFarm) -> None:
    """A listener whose backlog is full takes no more connections, and says nothing either."""
    import socket

    with socket.create_server(("127.0.0.1", 0), backlog=0) as full:
        held = []
        try:
            for _ in range(4):
                sock = socket.socket()
                sock.setblocking(False)
                sock.connect_ex(full.getsockname())
                held.append(sock)
            provider = ssh_provider(farm, GOOD, address="127.0.0.1", port=full.getsockname()[1])
            exc = await failure(provider, **options(farm, connect_s=0.5))
        finally:
            for sock in held:
                sock.close()
    assert exc.retry
    assert "TCP connect" in str(exc)


async def test_a_frozen_sshd_ends_by_the_login_deadline(farm: SshdFarm) -> None:
    """The kernel takes its connections; nobody speaks."""
    farm.freeze(GOOD)
    try:
        exc = await failure(ssh_provider(farm, GOOD), **options(farm, login_s=0.5))
    finally:
        farm.thaw(GOOD)
    assert exc.retry
    assert "no SSH server said anything" in str(exc)


async def test_a_handshake_that_sshd_drops_may_be_tried_again(farm: SshdFarm) -> None:
    """MaxStartups: the connection is closed without a word."""
    site = farm.sites[FULL]
    reader, writer = await asyncio.open_connection(site.address, site.port)
    await reader.readline()
    try:
        exc = await failure(ssh_provider(farm, FULL), **options(farm))
    finally:
        writer.close()
        await writer.wait_closed()
    assert exc.retry
    assert "during the SSH handshake" in str(exc)


async def test_what_is_no_ssh_server_is_final(farm: SshdFarm) -> None:
    """A web server does not become one by waiting."""

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n" * 2000)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        exc = await failure(ssh_provider(farm, GOOD, address="127.0.0.1", port=port), **options(farm))
    assert "is no SSH server that we understand" in str(exc)


async def test_a_name_that_does_not_resolve_says_so(farm: SshdFarm) -> None:
    """The name stands in the sentence only where it is another than the provider's own."""
    exc = await failure(ssh_provider(farm, GOOD, address="no-such-host.invalid"), **options(farm))
    assert str(exc) == "its address no-such-host.invalid does not resolve: check the spelling or ssh_config"
    exc = await failure(ssh_provider(farm, GOOD, name="no-such.invalid", address=None), **options(farm))
    assert str(exc) == "its name does not resolve: check the spelling or ssh_config"


async def test_no_python_is_refused_by_the_exit(farm: SshdFarm) -> None:
    """What the shell says is put in our words, the same for every provider."""
    async with talking() as talker:
        body = script("def map():\n    yield 1\n")
        talker.submit("q", body, ssh_provider(farm, NO_PYTHON), **options(farm))
        state = await talker.state("q", "p06", "refused")
    assert state.reason == "no python3 on the PATH; --python names another"


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path: None, "cannot be read: No such file"),
        (lambda path: path.write_text("hello"), "is no private key"),
        (
            lambda path: subprocess.run(
                ["ssh-keygen", "-q", "-t", "ed25519", "-N", "secret", "-f", str(path)], check=True
            ),
            "has a passphrase",
        ),
    ],
)
async def test_a_key_that_cannot_be_used_is_named(
    farm: SshdFarm, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, make: Any, says: str
) -> None:
    """One sentence with the file's name, and nothing is connected to."""
    monkeypatch.delenv("SSH_AUTH_SOCK", raising=False)
    make(tmp_path / "id")
    exc = await failure(ssh_provider(farm, GOOD, key=str(tmp_path / "id")), **options(farm))
    assert not exc.retry
    assert f"the key {tmp_path / 'id'} {says}" in str(exc)


async def test_ssh_config_says_where_a_name_is(farm: SshdFarm) -> None:
    """HostName, Port, User, IdentityFile and UserKnownHostsFile are all that is needed."""
    channel, _, reach = await opened(Provider("p00"), ssh_config=str(farm.ssh_config))
    channel.close()
    await channel.wait_closed()
    await reach.close()


async def test_ssh_config_cannot_switch_checking_off(farm: SshdFarm, tmp_path: Path) -> None:
    """StrictHostKeyChecking no and a known_hosts of /dev/null are not honoured."""
    config = tmp_path / "config"
    loose = "  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n"
    config.write_text(farm.ssh_config.read_text().replace(f"  UserKnownHostsFile {farm.known_hosts}\n", loose))
    exc = await failure(Provider("p02"), ssh_config=str(config), known_hosts=str(farm.known_hosts))
    assert "is not known" in str(exc)


async def test_one_jump_host_is_gone_through_and_shared(farm: SshdFarm) -> None:
    """Several providers behind it are one connection to it; it closes with the last of them."""
    gate = farm.sites[GOOD]
    jump = f"{farm.user}@[{gate.address}]:{gate.port}"
    reach, heard = SshReach(), Heard()
    own = ReachOptions(**options(farm, identity=str(farm.identity)))
    before = farm.log(GOOD).count("Accepted publickey")
    channels = await asyncio.gather(
        *(reach.open(ssh_provider(farm, index, jump=jump), own, heard, at_once) for index in (GOOD, NO_PYTHON))
    )
    # One for the jump, and one of the provider that is the same host.
    assert farm.log(GOOD).count("Accepted publickey") == before + 2
    for channel in channels:
        channel.close()
        await channel.wait_closed()
    await eventually(lambda: len(farm._sshds(GOOD)) == 1)
    await reach.close()


async def test_a_jump_host_that_fails_is_named(farm: SshdFarm) -> None:
    """The sentence says that it is the jump host, and which."""
    gate = farm.sites[REFUSED]
    exc = await failure(
        ssh_provider(farm, GOOD, jump=f"[{gate.address}]:{gate.port}"),
        **options(farm, identity=str(farm.identity)),
    )
    assert str(exc).startswith(f"the jump host {gate.address}:{gate.port}: its SSH port ")
    assert "refuses connections" in str(exc)


@pytest.mark.skipif(os.getuid() != 0, reason="logs in as root")
async def test_a_root_login_is_refused_unless_it_is_allowed(farm: SshdFarm) -> None:
    """Only over ssh, and only where nobody said that it is well."""
    async with talking() as talker:
        body = script("def map():\n    yield 1\n")
        talker.submit("q", body, ssh_provider(farm, GOOD), **options(farm, allow_root=False))
        state = await talker.state("q", "p00", "refused")
        assert "--allow-root" in (state.reason or "")
        talker.submit("r", body, ssh_provider(farm, GOOD), **options(farm))
        await talker.state("r", "p00", "done")
    assert talker.values("p00") == [1]
