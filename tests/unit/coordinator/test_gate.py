"""The gate: handshakes are limited, held connections are not, and a refused login is not tried for ever."""

from __future__ import annotations

import asyncio

import pytest

from backplane.wire.errors import ReachError
from coordinator.gate import AUTH_FAILURES, LENT, NEAR, Gate


async def turns() -> None:
    """Let everything that can go on go on: far more turns of the loop than anything here takes."""
    for _ in range(200):
        await asyncio.sleep(0)


async def test_no_more_handshakes_than_the_fanout_at_a_time() -> None:
    """The others wait until one is done."""
    gate, inside, most, go = Gate(3, first=3), 0, 0, asyncio.Event()

    async def handshake() -> None:
        nonlocal inside, most
        async with gate.pass_through("u"):
            inside += 1
            most = max(most, inside)
            await go.wait()
            inside -= 1

    async with asyncio.TaskGroup() as tasks:
        for _ in range(10):
            tasks.create_task(handshake())
        await turns()
        go.set()
    assert (most, inside) == (3, 0)


async def test_a_slow_handshake_lends_its_place_but_not_without_end() -> None:
    """Dead hosts do not keep the living waiting; a slow network is not flooded."""
    gate, inside, go = Gate(1, slow_s=0.0), 0, asyncio.Event()

    async def hangs() -> None:
        nonlocal inside
        async with gate.pass_through("u"):
            inside += 1
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(LENT + 5):
            tasks.create_task(hangs())
        await turns()
        assert inside == LENT
        go.set()
    assert inside == LENT + 5


async def test_places_come_back_however_a_handshake_ends() -> None:
    """Cancelled, failed or lent before: the count is the same afterwards."""
    gate = Gate(1, slow_s=0.0)

    async def handshake(error: BaseException | None) -> None:
        async with gate.pass_through("u"):
            await turns()
            if error:
                raise error

    for error in (ReachError("no"), asyncio.CancelledError(), ValueError()):
        with pytest.raises(type(error)):
            await handshake(error)
    async with asyncio.timeout(1):
        await handshake(None)
    assert gate._active._value == 1


async def refuse(gate: Gate, login: str, times: int) -> None:
    for _ in range(times):
        with pytest.raises(ReachError, match="wrong key"):
            async with gate.pass_through(login):
                raise ReachError("wrong key", retry=False, auth=True)


async def test_ten_refusals_without_a_success_stop_the_login() -> None:
    """The rest are not tried, say so, and another login still may."""
    gate = Gate(4)
    await refuse(gate, "deploy", AUTH_FAILURES)
    with pytest.raises(ReachError, match=r"not tried: 10 providers refused the login 'deploy'") as caught:
        async with gate.pass_through("deploy"):
            pytest.fail("it was tried")
    assert (caught.value.retry, caught.value.auth) == (False, False)
    async with gate.pass_through("other"):
        pass


async def test_one_success_keeps_a_login_going() -> None:
    """The key is right then; the hosts that refuse it are the odd ones."""
    gate = Gate(4)
    await refuse(gate, "deploy", AUTH_FAILURES - 1)
    async with gate.pass_through("deploy"):
        pass
    await refuse(gate, "deploy", AUTH_FAILURES)


async def test_other_failures_do_not_count_as_refusals() -> None:
    """A hundred hosts that are down say nothing about the key."""
    gate = Gate(4)
    for _ in range(AUTH_FAILURES * 2):
        with pytest.raises(ReachError, match="down"):
            async with gate.pass_through("u"):
                raise ReachError("down")


async def test_a_fanout_of_refusals_at_once_is_no_more_than_ten() -> None:
    """Those under way count: a hundred hosts would have refused before the first of them was heard."""
    gate, tried, go = Gate(100, first=100), 0, asyncio.Event()

    async def refused() -> None:
        nonlocal tried
        async with gate.pass_through("deploy"):
            tried += 1
            await go.wait()
            raise ReachError("wrong key", retry=False, auth=True)

    attempts = [asyncio.ensure_future(refused()) for _ in range(100)]
    await turns()
    assert tried == AUTH_FAILURES
    go.set()
    said = [str(error) for error in await asyncio.gather(*attempts, return_exceptions=True)]
    assert tried == AUTH_FAILURES
    assert said.count("wrong key") == AUTH_FAILURES
    assert sum("not tried" in text for text in said) == 100 - AUTH_FAILURES


async def test_each_account_is_counted_by_itself() -> None:
    """Three logins of one query: the one that is let in goes on, and of the others ten hosts each are tried."""
    gate, tried = Gate(100, first=100), {"good": 0, "bad": 0, "worse": 0}

    async def attempt(account: str) -> None:
        async with gate.pass_through(account):
            tried[account] += 1
            await turns()
            if account != "good":
                raise ReachError("wrong key", retry=False, auth=True)

    await asyncio.gather(*(attempt(name) for _ in range(40) for name in tried), return_exceptions=True)
    assert tried == {"good": 40, "bad": AUTH_FAILURES, "worse": AUTH_FAILURES}


async def test_hosts_that_hang_do_not_keep_an_account_waiting() -> None:
    """They have not come to authentication; the next ones may show whether the key is right."""
    gate, inside, go = Gate(100, slow_s=0.0, first=100), 0, asyncio.Event()

    async def hangs() -> None:
        nonlocal inside
        async with gate.pass_through("deploy"):
            inside += 1
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(30):
            tasks.create_task(hangs())
        await turns()
        assert inside == 30
        go.set()


async def test_the_gate_opens_as_runners_come_up() -> None:
    """A few at first, so that the first answer does not wait for a whole fan-out of handshakes."""
    gate, inside, go = Gate(8, first=2), 0, asyncio.Event()

    async def handshake() -> None:
        nonlocal inside
        async with gate.pass_through(None):
            inside += 1
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(handshake())
        await turns()
        seen = [inside]
        for _ in range(10):
            gate.widen()
            await turns()
            seen.append(inside)
        assert seen == [2, 3, 4, 5, 6, 7, 8, 8, 8, 8, 8]
        go.set()


async def test_the_gate_opens_also_where_the_first_hosts_hang() -> None:
    """Nobody comes up, and nobody waits for that."""
    gate, inside, go = Gate(8, first=2, first_s=0.0), 0, asyncio.Event()

    async def hangs() -> None:
        nonlocal inside
        async with gate.pass_through(None):
            inside += 1
            await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(20):
            tasks.create_task(hangs())
        await turns()
        assert inside == 8
        go.set()


async def test_a_few_look_up_what_they_need_and_the_others_wait() -> None:
    """Who has not passed yet and looks things up is one of a few; each that passes makes room for one more."""
    gate, looking, passed, go = Gate(4, first=2, first_s=3600.0), 0, 0, asyncio.Event()

    async def attempt() -> None:
        nonlocal looking, passed
        async with gate.approach() as turn:
            looking += 1
            async with turn(None):
                passed += 1
                await go.wait()

    async with asyncio.TaskGroup() as tasks:
        for _ in range(5 * NEAR):
            tasks.create_task(attempt())
        await turns()
        assert (passed, looking) == (2, 2 + NEAR)
        gate.widen()
        await turns()
        assert (passed, looking) == (3, 3 + NEAR)
        go.set()
    assert passed == 5 * NEAR


@pytest.mark.parametrize("aside", [True, False])
async def test_nobody_waits_for_a_slow_look_up(aside: bool) -> None:
    """One that takes long, or has stepped aside to wait for a jump host, or fails, is not in the way of the others."""
    gate, slow, go = Gate(4, first_s=3600.0 if aside else 0.0), 0, asyncio.Event()

    async def waits() -> None:
        nonlocal slow
        async with gate.approach() as turn:
            slow += 1
            if aside:
                turn.step_aside()
            await go.wait()
            raise ReachError("no jump host")

    waiting = [asyncio.ensure_future(waits()) for _ in range(5 * NEAR)]
    await turns()
    assert slow == 5 * NEAR
    go.set()
    assert all(isinstance(each, ReachError) for each in await asyncio.gather(*waiting, return_exceptions=True))
    async with gate.approach() as turn, turn(None):
        pass
