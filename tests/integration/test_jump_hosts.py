"""Providers behind jump hosts: several hops, each checked, one connection to each, and one sentence where it fails."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.wire.errors import ReachError
from backplane.wire.messages import State
from coordinator.reach.base import Channel
from coordinator.reach.ssh import SshReach
from coordinator.table import Provider, ReachOptions
from provider import ship
from tests.integration.coordinator_rig import eventually, options, ssh_provider, talking
from tests.integration.talker import Talker, script
from tests.integration.test_coordinator_ssh import Heard, at_once
from tests.rigs.sshd import Knobs, SshdFarm

pytestmark = [pytest.mark.sshd]

A, B, C, TARGET, WRONG, STRANGER, MUTE, REFUSED = range(8)
ONE = "def map():\n    yield 1\n"
#: What Debian's sshd_config leaves unsaid.
DEFAULTS = ("MaxStartups 10:30:100", "MaxSessions 10")


@pytest.fixture(scope="module")
def farm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SshdFarm]:
    ship.payload()
    knobs = {
        WRONG: Knobs(host_key="wrong"),
        STRANGER: Knobs(authorized=False),
        MUTE: Knobs(kind="mute"),
        REFUSED: Knobs(kind="refused"),
    }
    with SshdFarm(tmp_path_factory.mktemp("farm"), 8, knobs) as farm:
        yield farm


def hops(farm: SshdFarm, *indexes: int) -> str:
    """What stands after -J."""
    sites = [farm.sites[index] for index in indexes]
    return ",".join(f"{farm.user}@[{site.address}]:{site.port}" for site in sites)


def behind(farm: SshdFarm, *indexes: int, **fields: Any) -> Provider:
    return ssh_provider(farm, TARGET, jump=hops(farm, *indexes), **fields)


def with_key(farm: SshdFarm, **fields: Any) -> dict[str, Any]:
    """The options with the key for the jump hosts too."""
    return options(farm, identity=str(farm.identity), **fields)


async def opened(reach: SshReach, provider: Provider, **fields: Any) -> Channel:
    return await reach.open(provider, ReachOptions(**fields), Heard(), at_once)


async def closed(*channels: Channel) -> None:
    for channel in channels:
        channel.close()
        await channel.wait_closed()


def logins(farm: SshdFarm, index: int) -> int:
    return farm.log(index).count("Accepted publickey")


async def failure(farm: SshdFarm, provider: Provider, **fields: Any) -> ReachError:
    reach = SshReach()
    with pytest.raises(ReachError) as caught:
        await opened(reach, provider, **with_key(farm, **fields))
    await reach.close()
    return caught.value


async def test_three_hops_are_gone_through_in_order(farm: SshdFarm) -> None:
    """Each is connected to by the one before: its log has the address of a hop, and a login of its own."""
    reach = SshReach()
    before = [logins(farm, index) for index in (A, B, C, TARGET)]
    channel = await opened(reach, behind(farm, A, B, C), **with_key(farm))
    assert [logins(farm, index) for index in (A, B, C, TARGET)] == [count + 1 for count in before]
    assert len(reach._jumps) == 3
    await closed(channel)
    assert len(reach._jumps) == 0
    await eventually(lambda: all(len(farm._sshds(index)) == 1 for index in (A, B, C)))


async def test_chains_share_the_hops_that_they_have_in_common(farm: SshdFarm) -> None:
    """Two providers through a,b and one through a alone: one connection to each hop."""
    reach = SshReach()
    before = [logins(farm, index) for index in (A, B)]
    own = with_key(farm)
    chains = ((A, B), (A, B), (A,))
    channels = await asyncio.gather(*(opened(reach, behind(farm, *chain), **own) for chain in chains))
    assert [logins(farm, index) for index in (A, B)] == [count + 1 for count in before]
    await closed(*channels[:2])
    # The last one still goes through a.
    assert len(reach._jumps) == 1
    await closed(channels[2])
    await reach.close()


async def test_ssh_config_sends_each_hop_on(farm: SshdFarm, tmp_path: Path) -> None:
    """ProxyJump of the provider, of the hop, and of the hop's hop."""
    config = tmp_path / "config"
    jumps = "".join(f"Host {name}\n  ProxyJump {jump}\n" for name, jump in (("p03", "p02"), ("p02", "p01")))
    config.write_text(jumps + farm.ssh_config.read_text())
    before = [logins(farm, index) for index in (B, C, TARGET)]
    reach = SshReach()
    await closed(await opened(reach, Provider("p03"), ssh_config=str(config)))
    assert [logins(farm, index) for index in (B, C, TARGET)] == [count + 1 for count in before]


@pytest.mark.parametrize("chain", [(WRONG,), (WRONG, A), (A, WRONG), (A, B, WRONG)])
async def test_host_keys_are_strict_at_every_hop(farm: SshdFarm, chain: tuple[int, ...]) -> None:
    """The sentence names the hop, and nobody behind it is spoken to."""
    site, before = farm.sites[WRONG], logins(farm, TARGET)
    exc = await failure(farm, behind(farm, *chain))
    assert str(exc).startswith(f"the jump host {site.address}:{site.port}: its host key has CHANGED")
    assert not exc.retry
    assert logins(farm, TARGET) == before


async def test_the_host_key_of_a_provider_behind_jump_hosts_is_strict(farm: SshdFarm) -> None:
    """A jump host could send us anywhere."""
    exc = await failure(farm, ssh_provider(farm, WRONG, jump=hops(farm, A, B)))
    assert "its host key has CHANGED" in str(exc)
    assert "jump host" not in str(exc)


async def test_what_a_jump_host_cannot_reach_is_said_of_the_provider(farm: SshdFarm) -> None:
    """The jump host is well, and named as who tried."""
    exc = await failure(farm, ssh_provider(farm, REFUSED, jump=hops(farm, A)))
    site = farm.sites[A]
    assert str(exc).startswith(f"the jump host {site.address}:{site.port} cannot connect to it: ")
    assert exc.retry
    exc = await failure(farm, ssh_provider(farm, MUTE, jump=hops(farm, A)), connect_s=0.3, login_s=0.3)
    assert "no SSH server said anything" in str(exc)


def ended(talker: Talker, query: str) -> dict[str, State]:
    states = [state for state in talker.of(State) if state.query == query]
    return {s.provider: s for s in states if s.state not in ("pending", "connecting", "filtering", "running")}


@pytest.mark.parametrize(
    ("index", "says"),
    [(STRANGER, "the login was refused for user"), (WRONG, "its host key has CHANGED"), (MUTE, "no SSH server said")],
)
async def test_a_failed_jump_host_is_one_reason_for_all_behind_it_and_is_tried_once(
    farm: SshdFarm, index: int, says: str
) -> None:
    """Forty providers do not ask it forty times: with a wrong key that would lock the account."""
    before = farm.log(index).count("Connection from") if index != MUTE else 0
    providers = [behind(farm, A, index, name=f"web{n:02}") for n in range(40)]
    async with talking() as talker:
        talker.submit("q", script(ONE), *providers, **with_key(farm, login_s=1.0), wait_s=0.5)
        await talker.until(lambda: len(ended(talker, "q")) == 40)
    reasons = {str(state.reason) for state in ended(talker, "q").values()}
    site = farm.sites[index]
    # A mute one may be given up while the wait ends: those whose turn came late have their first try to the end.
    assert len(reasons) == 1 or index == MUTE
    assert all(f"the jump host {site.address}:{site.port}" in reason for reason in reasons)
    if index != MUTE:
        assert says in str(next(iter(ended(talker, "q").values())).reason)
        assert farm.log(index).count("Connection from") == before + 1


async def test_a_hundred_providers_behind_one_default_bastion_are_all_reached(tmp_path: Path) -> None:
    """Channels to go through are no sessions, and one login is no flood: not one is dropped or tried twice."""
    knobs = {0: Knobs(options=DEFAULTS)}
    with SshdFarm(tmp_path / "farm", 11, knobs) as farm:
        jump = hops(farm, 0)
        providers = [ssh_provider(farm, 1 + n % 10, name=f"web{n:03}", jump=jump) for n in range(100)]
        async with talking() as talker:
            talker.submit("q", script(ONE), *providers, **with_key(farm, fanout=64), wait_s=30.0)
            await talker.until(lambda: len(ended(talker, "q")) == 100, 40.0)
        found = Counter((state.state, state.reason) for state in ended(talker, "q").values())
        assert found == {("done", None): 100}
        assert logins(farm, 0) == 1
        assert sum(logins(farm, index) for index in range(1, 11)) == 100
        assert "drop connection" not in farm.log(0)
        assert "no more sessions" not in farm.log(0)
