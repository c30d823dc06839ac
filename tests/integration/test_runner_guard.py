"""Nothing that a job starts outlives it: however it hides, and however the job, its guard or its runner ends."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from provider.runner.frames import VERDICT
from tests.rigs.pythons import at_hand
from tests.rigs.runner_link import RunnerLink, alive, descendants, gone, script

pytestmark = pytest.mark.linux

#: Each hides in another way, and writes its number where the test finds it.
HIDING = {
    "plain": "(echo $$ > {path}/plain.$$; exec sleep 600)",
    "setsid": "setsid sh -c 'echo $$ > {path}/setsid.$$; exec sleep 600'",
    "double": "(sh -c 'sh -c \"echo \\$\\$ > {path}/double.\\$\\$; exec sleep 600\" &' &)",
    "daemon": "(setsid sh -c 'setsid sh -c \"echo \\$\\$ > {path}/daemon.\\$\\$; exec sleep 600 <&- >&- 2>&-\" &' &)",
    "deaf": "setsid sh -c 'trap \"\" TERM HUP INT USR1 USR2; echo $$ > {path}/deaf.$$; while :; do sleep 600; done'",
}
SCRIPT = "\n".join(f"{line} &" for line in HIDING.values())


VERSIONS = list(at_hand())


@pytest.fixture(params=sorted({VERSIONS[0], VERSIONS[-1]}), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


def escapees(link: RunnerLink, path: Path, end: str = "sleep 600") -> list[int]:
    """Starts a job whose map hides processes in every way; their numbers."""
    path.mkdir(exist_ok=True)
    text = SCRIPT.replace("{path}", str(path)) + f"\n{end}\n"
    payload = script(text, file="q", programs={"map": ["/bin/sh"]}, lines=False)
    link.start(1, payload, body="folder", limits={"file_mb": 1})
    link.wait_for(lambda frame: frame.kind == VERDICT)

    def written() -> list[Path]:
        return [each for each in path.iterdir() if each.stat().st_size]

    link.until(lambda: len(written()) == len(HIDING), "all have hidden")
    return [int(each.read_text()) for each in written()]


def _killed_runner(link: RunnerLink) -> None:
    link.process.kill()
    link.process.wait()


def _killed_guard(link: RunnerLink) -> None:
    os.kill(_guard(link), signal.SIGKILL)


def _killed_job(link: RunnerLink) -> None:
    os.kill(descendants(_guard(link))[0], signal.SIGKILL)


def _guard(link: RunnerLink) -> int:
    return descendants(link.process.pid)[0]


WAYS: dict[str, Callable[[RunnerLink], None]] = {
    "runner killed": _killed_runner,
    "guard killed": _killed_guard,
    "job killed": _killed_job,
    "hung up": RunnerLink.hang_up,
    "turned away": RunnerLink.turn_away,
    "terminated": lambda link: link.process.terminate(),
    "aborted": lambda link: link.cancel(1, "abort"),
    "drained": lambda link: link.cancel(1),
}


@pytest.mark.parametrize("way", WAYS)
def test_nothing_is_left(link: RunnerLink, tmp_path: Path, way: str) -> None:
    """Background, setsid, double fork, daemon and one that is deaf to signals: all are gone within seconds."""
    pids = [*escapees(link, tmp_path / "pids"), *filter(alive, descendants(link.process.pid))]
    assert len(pids) > len(HIDING) + 2
    WAYS[way](link)
    if way in ("aborted", "drained", "guard killed", "job killed"):
        link.end()
    gone(pids, 10.0)


def test_silence_ends_all(tmp_path: Path) -> None:
    """A lease that is not renewed."""
    with RunnerLink(beats=False) as link:
        pids = escapees(link, tmp_path / "pids")
        link.send(8, 0, {"now": time.time(), "lease_s": 1.0})
        gone(pids, 10.0)


def test_a_job_that_ends_leaves_nothing(link: RunnerLink, tmp_path: Path) -> None:
    """Its END comes when all that it left behind is gone."""
    pids = escapees(link, tmp_path / "pids", end=f"while [ $(ls {tmp_path}/pids | wc -l) -lt 5 ]; do sleep 0.05; done")
    assert link.end()["state"] == "done"
    assert [pid for pid in pids if alive(pid)] == []


def test_a_shell_that_kills_its_group_kills_no_job(link: RunnerLink, tmp_path: Path) -> None:
    """`kill 0` is common in scripts, and means the script."""
    link.start(1, script("trap '' TERM\nkill 0\necho 1\n", file="q", programs={"map": ["sh"]}, lines=False))
    assert link.end()["state"] == "done"
    assert link.values() == [1]


def test_what_a_script_runs_dies_with_its_deadline(link: RunnerLink, tmp_path: Path) -> None:
    """`provider.run()` kills the whole of what took too long, and the filter goes on."""
    path = tmp_path / "pid"
    text = (
        "def filter(provider):\n    try:\n"
        f"        provider.run(['sh', '-c', 'sleep 600 & echo $! > {path}; wait'], timeout_s=0.5)\n"
        "    except TimeoutError:\n        return True\n"
    )
    payload = script("def map():\n    import time\n    yield 1\n    time.sleep(600)\n", filter=text, lines=False)
    link.start(1, payload, limits={"file_mb": 1})
    link.until_values(1)
    gone([int(path.read_text())])


def test_without_a_guard_there_is_one_process(link: RunnerLink) -> None:
    """A script that can start nothing has none between itself and its runner."""
    text = "import time\ndef map():\n    yield 1\n    time.sleep(600)\n"
    for job, guard in ((1, False), (2, True)):
        link.start(job, script(text, lines=False, every_s=0.1), guard=guard)
        link.until_values(1, job)
        assert len(descendants(link.process.pid)) == (1 if not guard else 3)


def test_an_end_is_what_the_job_died_of(link: RunnerLink) -> None:
    """Through the guard the runner sees the job's own status."""
    for job, (death, state, reason) in enumerate(
        [
            ("os._exit(7)", "failed", "its process ended with status 7 before the job did"),
            ("os.kill(os.getpid(), 11)", "failed", "its process died of signal 11"),
            ("os.kill(os.getpid(), 9)", "killed", "its process died of signal 9"),
        ],
        1,
    ):
        link.start(job, script(f"import os\ndef map():\n    yield 1\n    {death}\n", lines=False))
        end = link.end(job)
        assert (end["state"], end["reason"]) == (state, reason)
