"""Queries through a coordinator, by frames, with real runners: local and by a command."""

from __future__ import annotations

import asyncio
import shlex
import sys
from pathlib import Path

import pytest

from backplane.wire import codec, limits
from backplane.wire.messages import Beat, Cancel, Credit, Cut, End, Fault, Hello, NeedStart, State, Submit, Targets
from backplane.wire.zmq import Dealer
from coordinator.relay import GRANT_BYTES
from coordinator.table import Provider
from provider.runner import frames
from tests.integration.coordinator_rig import serving, talking
from tests.integration.talker import Talker, connected, script

COUNT = script("def map():\n    yield from range(5)\n")
FOREVER = script("import time\ndef map():\n    while True:\n        yield 1\n        time.sleep(0.05)\n")
FLOOD = script("def map():\n    while True:\n        yield 'x' * 1000\n")
LOCAL = Provider("local", reach="local", python=sys.executable)


def by_command(name: str, via: str = "env") -> Provider:
    return Provider(name, reach="command", via=via, python=sys.executable)


async def test_a_local_query_goes_through_its_states_in_order() -> None:
    """Targets first, then each state once; the runner's end before the state that it leads to."""
    async with talking() as talker:
        talker.submit("q", COUNT, LOCAL)
        await talker.state("q", "local", "done")
        assert [s.state for s in talker.states("q", "local")] == [
            "pending", "connecting", "filtering", "running", "done",
        ]  # fmt: skip
        assert talker.values("local") == [0, 1, 2, 3, 4]
        kinds = [type(message) for message in talker.heard]
        assert kinds.index(Targets) < kinds.index(State)
        done = talker.heard.index(talker.states("q", "local")[-1])
        assert talker.heard.index(talker.of(End)[0]) < done
        (need,) = talker.of(NeedStart)
        assert (need.provider, need.python[:2]) == ("local", sys.version_info[:2])


async def test_a_command_reaches_a_runner_as_well() -> None:
    """`via` is split as a shell would, and {name} is the provider's."""
    via = shlex.join(["env", "WHERE=a b", "NAME={name}"])
    body = script("import os\ndef map():\n    yield os.environ['WHERE'] + os.environ['NAME']\n")
    async with talking() as talker:
        talker.submit("q", body, by_command("c1", via))
        await talker.state("q", "c1", "done")
        assert talker.values("c1") == ["a bc1"]


@pytest.mark.parametrize(
    ("provider", "state", "says"),
    [
        (by_command("a", "no-such-command-here"), "unreachable", "cannot run 'no-such-command-here'"),
        (by_command("a", "'"), "unreachable", "cannot be split into words"),
        (by_command("a", "sh -c 'echo no such container >&2; exit 1'"), "unreachable", "no such container"),
        (by_command("a", "sh -c 'exec no-python3'"), "refused", "no python3 on the PATH"),
        (by_command("a", "sh -c 'echo sudo: a password is required >&2; exit 1'"), "refused", "sudo"),
        (by_command("a", "sh -c 'echo Unknown option: -I >&2; exit 2'"), "refused", "3.6 or newer"),
        (by_command("a", "sh -c 'kill -9 $$'"), "unreachable", "signal KILL"),
        (Provider("a", reach="local", python="/no/python"), "refused", "cannot start /no/python"),
    ],
)
async def test_a_runner_that_does_not_start_has_its_class_and_a_sentence(
    provider: Provider, state: str, says: str
) -> None:
    """What the command said last is quoted."""
    async with talking() as talker:
        talker.submit("q", COUNT, provider, wait_s=0.3)
        found = await talker.state("q", "a", state)
    assert says.replace("python3 on", f"{provider.python} on") in (found.reason or "")


async def test_a_stage_that_hangs_ends_by_its_own_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A command that says nothing is waited for by its hello, however short the wait; the reason says so."""
    monkeypatch.setattr(limits, "HELLO_S", 1.0)
    async with talking() as talker:
        talker.submit("q", COUNT, by_command("a", "sh -c 'cat >/dev/null'"), wait_s=0.1)
        found = await talker.state("q", "a", "unreachable")
    assert found.reason == "no hello from its runner within 1 s"


async def test_a_drain_keeps_the_state_and_brings_the_last_cut() -> None:
    """The end says that it was drained; no state follows."""
    async with talking() as talker:
        talker.submit("q", FOREVER, LOCAL)
        await talker.state("q", "local", "running")
        await talker.until(lambda: talker.values("local"))
        talker.send(Cancel(query="q", mode="drain"))
        end = (await talker.until(lambda: talker.of(End)))[0]
        assert end.drained
        assert end.seq == max(cut.seq for cut in talker.of(Cut))
        assert talker.states("q", "local")[-1].state == "running"


async def test_a_runner_that_dies_is_lost() -> None:
    """With the reason that its exit gives."""
    # The job's parent is its guard, and the guard's is the runner.
    runner = 'int(open("/proc/%d/stat" % os.getppid()).read().rpartition(")")[2].split()[1])'
    body = script(f"import os, time\ndef map():\n    yield {runner}\n    while True: time.sleep(1)\n")
    async with talking() as talker:
        talker.submit("q", FOREVER, LOCAL)
        await talker.state("q", "local", "running")
        talker.submit("r", body, LOCAL)
        await talker.state("r", "local", "running")
        pid = await talker.until(lambda: _supervisor(talker))
        import os
        import signal

        os.kill(pid, signal.SIGKILL)
        for query in ("q", "r"):
            lost = await talker.state(query, "local", "lost")
            assert lost.reason == "its runner ended by signal KILL"


def _supervisor(talker: Talker) -> int | None:
    values = talker.values("local")
    return next((value for value in values if value > 1), None)


async def test_all_queries_of_all_clients_share_one_runner() -> None:
    """One link a provider and login, whoever asks."""
    async with serving() as (coordinator, address), connected(address) as one, connected(address) as two:
        for number, talker in enumerate((one, two, one)):
            talker.submit(f"q{number}", FOREVER, LOCAL)
        await one.state("q0", "local", "running")
        await one.state("q2", "local", "running")
        await two.state("q1", "local", "running")
        counts = coordinator.statistics()
        assert (counts["links"], counts["up"], counts["queries"], counts["jobs"]) == (1, 1, 3, 3)


async def test_a_client_sees_no_job_of_another() -> None:
    """Touching one is not the protocol: that client is told, and dropped; the other one goes on."""
    async with serving() as (_, address), connected(address) as one, connected(address) as two:
        one.submit("q", FOREVER, LOCAL)
        await one.state("q", "local", "running")
        two.send(Cancel(job=one.of(NeedStart)[0].job, mode="abort"))
        fault = (await two.until(lambda: two.of(Fault)))[0]
        assert fault.code == "protocol"
        assert "not yours" in fault.text
        seen = len(one.values("local"))
        await one.until(lambda: len(one.values("local")) > seen)


async def test_a_flood_is_held_by_its_credit_and_the_neighbour_is_not() -> None:
    """A client that grants nothing more gets one window and no more; another query on the same runner goes on."""
    async with talking() as talker:
        talker.granting = False
        talker.submit("flood", FLOOD, LOCAL)
        await talker.state("flood", "local", "running")
        (job,) = talker.providers
        await talker.until(lambda: _bytes(talker, job) > limits.CREDIT_JOB_MOST_BYTES - frames.MAX_FRAME_BYTES)
        talker.granting = True
        talker.submit("fast", COUNT, LOCAL)
        await talker.state("fast", "local", "done")
        assert _bytes(talker, job) <= limits.CREDIT_JOB_MOST_BYTES + frames.MAX_FRAME_BYTES


def _bytes(talker: Talker, job: int) -> int:
    return sum(len(cut.payload) for cut in talker.of(Cut) if cut.job == job)


async def test_a_credit_without_measure_drops_the_client() -> None:
    """What waits for a client is bounded by what it granted; so that is bounded too."""
    async with talking() as talker:
        talker.submit("q", FOREVER, LOCAL)
        await talker.state("q", "local", "running")
        talker.send(Credit(job=talker.of(NeedStart)[0].job, granted=GRANT_BYTES * 10))
        fault = (await talker.until(lambda: talker.of(Fault)))[0]
        assert (fault.code, "credit" in fault.text) == ("protocol", True)


async def test_a_client_that_leaves_has_its_jobs_aborted() -> None:
    """The runner is told to end them, and the link stays for others."""
    async with serving() as (coordinator, address), connected(address) as stays:
        stays.submit("s", FOREVER, LOCAL)
        await stays.state("s", "local", "running")
        async with connected(address) as leaves:
            leaves.submit("q", FOREVER, LOCAL)
            await leaves.state("q", "local", "running")
            assert coordinator.statistics()["jobs"] == 2
        async with asyncio.timeout(10):
            while coordinator.statistics()["jobs"] > 1:  # noqa: ASYNC110 - the coordinator tells nobody
                await asyncio.sleep(0.05)
        assert coordinator.statistics()["clients"] == 1
        seen = len(stays.values("local"))
        await stays.until(lambda: len(stays.values("local")) > seen)


async def test_beats_come_every_second_with_counters() -> None:
    """The coordinator's own, and the newest counters of each job."""
    async with talking() as talker:
        talker.submit("q", FOREVER, LOCAL)
        await talker.until(lambda: [b for b in talker.of(Beat) if b.job and b.emitted])
        assert [b for b in talker.of(Beat) if not b.job]


async def test_a_query_without_providers_or_with_nonsense_is_answered_by_a_fault() -> None:
    """A usage fault that names the query; the client stays."""
    async with talking() as talker:
        talker.submit("none", COUNT)
        talker.submit("twice", COUNT, Provider("a"), Provider("a"))
        payload = codec.pack({"entries": [{"name": "a", "reach": "pigeon"}], "select": None, "reach": {}})
        talker.send(Submit(query="pigeon", payload=payload))
        payload = codec.pack({"entries": [], "select": {"all": True}, "reach": {}})
        talker.send(Submit(query="select", payload=payload))
        await talker.until(lambda: len(talker.of(Fault)) == 4)
        assert [(f.code, f.query) for f in talker.of(Fault)] == [
            ("usage", "none"), ("usage", "twice"), ("usage", "pigeon"), ("usage", "select"),
        ]  # fmt: skip
        talker.submit("q", COUNT, LOCAL)
        await talker.state("q", "local", "done")


@pytest.mark.parametrize(
    "bodies",
    [
        [b""],
        [b"x"],
        [b"\xff" * 100],
        [frames.encode(frames.CUT, 0, {})],
        [frames.encode(200, 0, {})],
        [frames.encode(frames.HELLO, 0, {"role": 7})],
        [frames.encode(frames.SUBMIT, 0, {"query": "q"}, b"\xc1")],
        [frames.encode(frames.SUBMIT, 0, {"query": "q"}, codec.pack([1]))],
    ],
)
@pytest.mark.parametrize("polite", [True, False])
async def test_garbage_ends_the_client_and_not_the_service(bodies: list[bytes], polite: bool) -> None:
    """Before a hello or after it: a fault says why, and everybody else is served."""
    async with serving() as (_, address), connected(address) as other:
        dealer = Dealer()
        await dealer.connect(address)
        try:
            if polite:
                dealer.send([codec.encode_one(Hello(role="client"))])
                assert isinstance(codec.decode((await dealer.recv())[0]), Hello)
            dealer.send(bodies)
            async with asyncio.timeout(5):
                told = [codec.decode(body) for body in await dealer.recv()]
            # A frame of another kind than hello may be for whoever listened here before: it says hello anew.
            readable = not polite and len(bodies[0]) > 1 and bodies[0][0] not in (frames.HELLO, 0xFF)
            code = "restarted" if readable else "protocol"
            assert [message.code for message in told if isinstance(message, Fault)] == [code]
        finally:
            dealer.close(0.2)
        other.submit("q", COUNT, LOCAL)
        await other.state("q", "local", "done")


async def test_a_client_of_another_version_is_told_so_and_nothing_else() -> None:
    """One fault, `version`; what it says afterwards is ignored."""
    async with serving() as (_, address):
        dealer = Dealer()
        await dealer.connect(address)
        try:
            dealer.send([codec.encode_one(Hello(role="client", version=9, oldest=8))])
            async with asyncio.timeout(5):
                (body,) = await dealer.recv()
            told = codec.decode(body)
            assert isinstance(told, Fault)
            assert (told.code, "protocol 1" in told.text) == ("version", True)
            dealer.send([codec.encode_one(Hello(role="client"))])
            with pytest.raises(TimeoutError):
                async with asyncio.timeout(0.3):
                    await dealer.recv()
        finally:
            dealer.close(0.2)


async def test_a_file_is_read_through_the_same_way(tmp_path: Path) -> None:
    """Bytes come through unchanged: this hop opens nothing."""
    log = tmp_path / "log"
    log.write_bytes(b"a\x00b\n\xff\xfe\n" + "€\n".encode())
    source = (
        "def map(lines):\n    for line in lines:\n        yield line.rstrip('\\n').encode('utf-8', 'surrogateescape')\n"
    )
    async with talking() as talker:
        talker.submit("q", script(source, lines=True, sources=[str(log)]), LOCAL)
        await talker.state("q", "local", "done")
        assert talker.values("local") == [b"a\x00b", b"\xff\xfe", "€".encode()]
