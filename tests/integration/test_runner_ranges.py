"""Plans whose files are folded by several processes at a time, by a shipped runner: one answer, exact positions."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provider.runner import frames, ranges
from tests.rigs.plans import Applied, body, by_status, line, plan
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, descendants, gone

pytestmark = pytest.mark.linux


@pytest.fixture(params=spread(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on the oldest Python, on this one and on the newest."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """More than is worth two processes, with lines that do not parse and no end of the last one."""
    path = tmp_path_factory.mktemp("ranges") / "access.log"
    many = "".join(map(line, range(40_000)))
    odd = "odd\n\n" + "x" * 200_000 + "\n"
    with path.open("w") as file:
        while file.tell() < 2 * ranges.LEAST_BYTES:
            file.write(many + odd)
        file.write(line(3).rstrip("\n"))
    return path


def counted(link: RunnerLink, job: int) -> Applied:
    """What a client has of a job so far."""
    found = Applied()
    found.take(link, job)
    return found


def ended(link: RunnerLink, job: int) -> dict[str, Any]:
    """The counters of a job that ended well."""
    end = link.end(job)
    assert end["state"] == "done", link.of(frames.FAULT, job)
    return dict(end["counters"])


def test_ranges_say_what_one_process_says(link: RunnerLink, log: Path) -> None:
    """Two processes give the groups, the counters and the last positions of one."""
    link.start(1, body(plan(), [log], parallel=2), body="plan")
    several = ended(link, 1)
    link.start(2, body(plan(), [log]), body="plan")
    one = ended(link, 2)
    assert counted(link, 1).counts == counted(link, 2).counts == by_status(log.read_text())
    assert counted(link, 1).positions.keys() == counted(link, 2).positions.keys()
    assert {**several, "lag_s": 0} == {**one, "lag_s": 0}
    assert one["bytes"] == log.stat().st_size


@pytest.fixture
def logs(log: Path, tmp_path: Path) -> list[Path]:
    """The same under many names, so that it takes a while."""
    names = [tmp_path / f"{number:02}.log" for number in range(12)]
    for name in names:
        name.hardlink_to(log)
    return names


def test_a_worker_that_dies_is_done_without(link: RunnerLink, log: Path, logs: list[Path]) -> None:
    """While three processes read a file the scan child has three children; one is killed, and the answer is exact."""
    link.start(1, body(plan(), logs, parallel=3), body="plan")
    assert link.process is not None
    runner = link.process.pid

    def killed() -> bool:
        found = descendants(runner)
        assert not link.of(frames.END, 1)
        with contextlib.suppress(ProcessLookupError):
            if len(found) >= 4:
                os.kill(found[-1], signal.SIGKILL)
                return True
        return False

    link.until(killed)
    ended(link, 1)
    assert counted(link, 1).counts == {key: len(logs) * count for key, count in by_status(log.read_text()).items()}


def test_who_goes_on_from_a_cut_is_exact(log: Path, logs: list[Path]) -> None:
    """The scan child is killed, its workers die with it, and from its last cut others give just the rest."""
    with RunnerLink() as link:
        link.start(1, body(plan(), logs, parallel=2), body="plan")
        assert link.process is not None
        runner = link.process.pid
        link.until(lambda: len(descendants(runner)) >= 3 and len(link.of(frames.CUT, 1)) > 3)
        found = descendants(runner)
        os.kill(found[0], signal.SIGKILL)
        assert link.end(1)["state"] != "done"
        gone(found)
        first = counted(link, 1)
        positions = [[source, at] for source, at in first.positions.items()]
        fields = {"positions": positions, "resumed": True, "parallel": 2}
        link.start(2, body(plan(), logs, **fields), body="plan", epoch=2)
        ended(link, 2)
        counts = first.counts + counted(link, 2).counts
        assert counts == {key: len(logs) * count for key, count in by_status(log.read_text()).items()}


def test_a_file_that_shrinks_is_said_to(log: Path, tmp_path: Path) -> None:
    """What is cut off a file while it is read is a gap, as it is with one process, and no line counts twice."""
    path = tmp_path / "shrinks.log"
    path.write_bytes(log.read_bytes() * 12)
    lines = path.read_bytes().count(b"\n")
    with RunnerLink() as link:
        link.start(1, body(plan(), [path], parallel=2), body="plan")
        link.until(lambda: bool(link.of(frames.CUT, 1)))
        os.truncate(path, 1000)
        counters = ended(link, 1)
        assert [frame.header["reason"] for frame in link.of(frames.GAP, 1)] == ["truncated"]
        found = counted(link, 1)
        assert sum(found.counts.values()) == counters["matched"] <= counters["lines"] < lines
