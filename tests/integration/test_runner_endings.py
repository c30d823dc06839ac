"""How jobs and runners end: asked to, told to, out of credit, out of touch; and that nothing of them is left."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from provider.runner import frames
from provider.runner.outbox import MOST_BYTES
from tests.rigs.pythons import at_hand
from tests.rigs.runner_link import RunnerLink, alive, descendants, gone, script

pytestmark = pytest.mark.linux

SLEEPING = "import time\ndef map():\n    yield 'begun'\n    time.sleep(600)\n"
SPINNING = "def map():\n    yield 'begun'\n    while True: pass\n"
FLOODING = "def map():\n    while True: yield 'x' * 100\n"
ESCAPING = """
import os, time
def map():
    pids = []
    for _ in range(3):
        r, w = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.setsid()
                os.write(w, str(os.getpid()).encode())
                time.sleep(600)
            os._exit(0)
        yield int(os.read(r, 20))
    time.sleep(%(seconds)s)
"""
BUSY = {"sleeping": SLEEPING, "spinning": SPINNING, "flooding": FLOODING, "escaping": ESCAPING % {"seconds": 600}}


def pythons() -> list[str]:
    """The oldest and the newest at hand: what ends a process is the same in all."""
    versions = list(at_hand())
    return sorted({versions[0], versions[-1]})


@pytest.fixture(params=pythons(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


def begun(link: RunnerLink, name: str = "sleeping", job: int = 1, **header: object) -> list[int]:
    """Starts a job that never ends, waits for its first values; every process below the runner."""
    link.start(job, script(BUSY[name], lines=False, every_s=0.1), **header)
    wanted = 3 if name == "escaping" else 1
    link.until_values(wanted, job)
    return descendants(link.process.pid)


# --- cancel


@pytest.mark.parametrize("name", ["sleeping", "spinning", "flooding"])
def test_a_map_without_lines_is_drained(link: RunnerLink, name: str) -> None:
    """A drain unwinds `map()`, whatever it is doing; what it had yielded is cut, and the end says drained."""
    begun(link, name)
    link.cancel(1)
    end = link.end()
    assert (end["state"], end["drained"], end["reason"]) == ("done", True, None)
    assert end["seq"] == len(link.cuts())
    assert len(link.values()) == end["counters"]["emitted"]


def test_a_drained_map_may_still_yield_its_totals(link: RunnerLink) -> None:
    """Without lines in a `finally`, with lines behind the loop, which sees the end of its lines."""
    bare = (
        "import time\ndef map():\n    try:\n        yield 'begun'\n        time.sleep(600)\n"
        "    finally:\n        yield 'total'\n"
    )
    ticking = (
        "def map(lines):\n    n = 0\n    for _ in lines:\n        n += 1\n        yield 'begun'\n    yield 'total'\n"
    )
    link.start(1, script(bare, lines=False, every_s=0.1))
    link.start(2, script(ticking, sources=["tick:10ms"], every_s=0.1))
    for job in (1, 2):
        link.until_values(1, job)
        link.cancel(job)
        assert link.end(job)["drained"] is True
        assert link.values(job)[-1] == "total"


def test_a_map_with_lines_ends_in_the_middle_of_a_block(link: RunnerLink, tmp_path: Path) -> None:
    """A slow map is drained at its next line, its position is that line's, and a second job goes on exactly there."""
    log = tmp_path / "app.log"
    log.write_text("".join(f"line {n}\n" for n in range(100)))
    slow = "import time\ndef map(lines):\n    for line in lines:\n        time.sleep(0.05)\n        yield line\n"
    link.start(1, script(slow, sources=[str(log)], every_s=0.1))
    link.until(lambda: len(link.cuts()) >= 2, "two cuts")
    link.cancel(1)
    end = link.end()
    done = len(link.values())
    assert (end["drained"], end["counters"]["lines"]) == (True, done)
    assert 0 < done < 100
    moves = [move for cut in link.cuts() for move in cut["moves"]]
    assert [a[2] for a in moves[:-1]] == [b[1] for b in moves[1:]]
    assert moves[0][1] == link.of(frames.OPEN)[0].payload
    fast = "def map(lines):\n    for line in lines:\n        yield line\n"
    link.start(2, script(fast, sources=[str(log)], positions=[[str(log), moves[-1][2]]]))
    link.end(2)
    assert link.of(frames.OPEN, 2)[0].header["reason"] == "resume"
    assert link.values(1) + link.values(2) == [f"line {n}" for n in range(100)]


def test_who_does_not_drain_is_killed(link: RunnerLink) -> None:
    """A map that swallows the drain is killed when its time is over, with a reason."""
    text = (
        "def map():\n    yield 1\n    while True:\n        try:\n            print('in here')\n"
        "            while True: pass\n        except BaseException: pass\n"
    )
    link.start(1, script(text, lines=False, every_s=0.1))
    # Its value alone would not say that: it is cut while the map has yet to come back from its yield.
    link.until(lambda: "in here" in link.prints(), "the map to be where it swallows")
    link.cancel(1)
    assert link.end()["reason"] == f"did not drain within {frames.DRAIN_S:g} s"
    assert (link.end()["state"], link.end()["drained"]) == ("killed", False)


@pytest.mark.parametrize("name", BUSY)
def test_abort_kills_at_once(link: RunnerLink, name: str) -> None:
    """An aborted job ends as killed, and nothing of it is left when its END comes, setsid and double fork or not."""
    pids = begun(link, name)
    link.cancel(1, "abort")
    end = link.end()
    assert (end["state"], end["reason"]) == ("killed", "cancelled")
    assert not [pid for pid in pids if alive(pid)]
    assert not link.of(frames.BEAT, 1) or link.frames.index(link.of(frames.END)[0]) > link.frames.index(
        link.of(frames.BEAT)[-1]
    )


def test_abort_needs_no_credit(link: RunnerLink) -> None:
    """END comes though the job's output waits for credit that nobody gives."""
    begun(link, "flooding", granted=1)
    link.cancel(1, "abort")
    assert link.end()["state"] == "killed"


def test_what_a_finished_map_left_behind_dies(link: RunnerLink) -> None:
    """Escapees of a job that is done die before its END, and those of another job live on."""
    begun(link, "escaping", job=2)
    others = link.values(2)
    link.start(1, script(ESCAPING % {"seconds": 0}, lines=False))
    assert link.end()["state"] == "done"
    assert not [pid for pid in link.values(1) if alive(pid)]
    assert all(map(alive, others))


def test_too_many_processes_are_killed(link: RunnerLink) -> None:
    """The limit counts the job's whole tree."""
    text = (
        "import os, time\ndef map():\n    for _ in range(20):\n        if os.fork() == 0: time.sleep(600)\n"
        "    time.sleep(600)\n    yield\n"
    )
    link.start(1, script(text, lines=False), limits={"processes": 10})
    end = link.end()
    assert (end["state"], end["reason"]) == ("killed", "more than 10 processes")


@pytest.mark.parametrize(
    ("body", "state", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "killed", "its process died of signal 9"),
        ("os.kill(os.getpid(), 11)", "failed", "its process died of signal 11"),
        ("os._exit(3)", "failed", "its process ended with status 3 before the job did"),
        ("os.write(3, b'no frame' * 100)", "failed", "the job's output is broken"),
        ("os.write(3, b'\\0\\0\\0\\x08\\x0c\\0\\0\\0\\1\\0\\1\\x80')", "failed", "the job's output is broken"),
    ],
)
def test_the_end_is_made_for_a_job_that_cannot(link: RunnerLink, body: str, state: str, reason: str) -> None:
    """Killed, crashed, gone, or speaking as it may not: one END, and the link lives."""
    begun(link, job=2)
    link.start(1, script(f"import os, time\ndef map():\n    {body}\n    time.sleep(600)\n    yield\n", lines=False))
    end = link.end()
    assert (end["state"], end["reason"]) == (state, reason)
    link.cancel(2)
    assert link.end(2)["state"] == "done"
    assert len(link.of(frames.END)) == 1


def test_a_fork_that_comes_back_does_not_speak_for_its_parent(link: RunnerLink) -> None:
    """A script that forks without care gets each value once, and a clean end."""
    text = "import os\ndef map():\n    for n in range(3):\n        os.fork()\n        yield n\n"
    link.start(1, script(text, lines=False))
    assert link.end()["state"] == "done"
    assert link.values() == [0, 1, 2]


# --- credit and rate


def until_spent(link: RunnerLink, granted: int) -> bool:
    """Reads until the credit is spent, and then a beat comes in spite of it; whether the job has ended instead."""
    link.until(lambda: bool(link.of(frames.END)) or link.spent.get(1, 0) >= granted, "the credit to be spent")
    beats = len(link.of(frames.BEAT, 0))
    link.until(lambda: bool(link.of(frames.END)) or len(link.of(frames.BEAT, 0)) > beats, "a beat in spite of it")
    return bool(link.of(frames.END))


def test_credit_blocks_and_resumes_to_the_byte(link: RunnerLink) -> None:
    """What was sent never goes over what was granted by more than one body, and all of it comes in the end."""
    text = "def map():\n    for n in range(30000):\n        yield 'x' * 100 + str(n)\n"
    granted = 100_000
    link.start(1, script(text, lines=False), granted=granted)
    while not until_spent(link, granted):
        assert link.spent[1] < granted + frames.MAX_FRAME_BYTES
        granted += 1_000_000
        link.credit(1, granted)
        link.credit(1, 5)
    assert link.values() == ["x" * 100 + str(n) for n in range(30000)]


def test_a_job_without_credit_does_not_hold_up_another(link: RunnerLink) -> None:
    """Two jobs on one link: one is out of credit, the other finishes, and both beat."""
    begun(link, "flooding", granted=1)
    text = "def map():\n    for n in range(20000):\n        yield 'y' * 100\n"
    link.start(2, script(text, lines=False))
    assert link.end(2)["state"] == "done"
    assert len(link.values(2)) == 20000
    link.until(lambda: bool(link.of(frames.BEAT, 1)), "a beat of the blocked job")


def test_output_is_throttled(link: RunnerLink) -> None:
    """A flooding job is read no faster than its limit, and still beats and drains."""
    begin = time.monotonic()
    link.start(1, script(FLOODING, lines=False), limits={"output_bps": 200_000})
    link.until(lambda: link.spent.get(1, 0) > 400_000, "output")
    assert link.spent[1] < 200_000 * (time.monotonic() - begin + 1) + frames.MAX_FRAME_BYTES
    assert link.of(frames.BEAT, 1)


def test_a_home_that_does_not_read_does_not_fill_the_host(link: RunnerLink) -> None:
    """With credit but nobody reading, the supervisor holds its bounds, and goes on where it stopped."""
    begun(link, "flooding")
    status = Path(f"/proc/{link.process.pid}/status")
    deadline = time.monotonic() + 3
    while time.monotonic() < deadline:
        link.beat()
        time.sleep(0.05)
    rss = int(next(line for line in status.read_text().splitlines() if line.startswith("VmRSS")).split()[1])
    assert rss < 64 << 10
    # More than pipe and outbox can have held: it is read from the job again.
    fresh = link.read_bytes + 2 * MOST_BYTES
    link.until(lambda: link.read_bytes > fresh, "what the job yields now")
    link.cancel(1, "abort")
    assert link.end()["reason"] == "cancelled"


# --- lease


@pytest.mark.parametrize("name", BUSY)
def test_the_end_of_the_link_ends_everything(name: str) -> None:
    """EOF on stdin while the map sleeps, spins, floods or hides: nothing is left within five seconds."""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        pids = begun(link, name)
        if name == "escaping":
            assert set(link.values()) <= set(pids)
        # stdout stays open and unread: a full pipe must not keep it.
        link.hang_up()
        gone([link.process.pid, *pids])
        assert link.process.wait(5) == 0


@pytest.mark.parametrize("name", BUSY)
def test_silence_ends_everything(name: str) -> None:
    """A link that is open but says nothing loses its runner after the lease, also while its output is blocked."""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        link.send(frames.BEAT, 0, {"now": 0.0, "lease_s": 1.0})
        pids = begun(link, name)
        gone([link.process.pid, *pids])
        assert link.process.wait(5) == 75
        assert b"no word from home for 1 s" in link.stderr()


def test_a_closed_stdout_ends_everything() -> None:
    """A reader that is gone is noticed without a beat, and so is SIGTERM."""
    for how in ("stdout", "term"):
        with RunnerLink(str(next(iter(at_hand().values())))) as link:
            pids = begun(link)
            if how == "term":
                os.kill(link.process.pid, signal.SIGTERM)
            else:
                link.turn_away()
            gone([link.process.pid, *pids])


def test_a_killed_runner_takes_its_job_along() -> None:
    """Even kill -9 of the supervisor leaves no job's process: it dies with its parent."""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        pids = begun(link, "spinning")
        link.process.kill()
        gone(pids)


@pytest.mark.parametrize("sent", [b"\xff\xff\xff\xff", frames.framed(frames.encode(200, 0, {}))])
def test_a_broken_link_ends_the_runner(sent: bytes) -> None:
    """What is no frame, or a kind that may not be skipped, ends the runner with a status of its own."""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        begun(link)
        link.say(sent)
        assert link.process.wait(5) == 65


def test_another_version_is_told_so() -> None:
    """A peer that has no version in common gets FAULT version, and the runner ends."""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        link.send(frames.HELLO, 0, {"version": 9, "oldest": 9, "role": "coordinator"})
        assert link.wait_for(lambda f: f.kind == frames.FAULT).header["code"] == "version"
        assert link.process.wait(5) == 65
