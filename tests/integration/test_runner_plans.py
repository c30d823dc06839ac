"""Plan jobs of a shipped runner: one scan child, and for each job what a plain loop says."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provider.runner import frames
from tests.rigs.plans import Applied, body, by_status, field, line, plan
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, descendants

pytestmark = pytest.mark.linux


@pytest.fixture(params=spread(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on the oldest Python, on this one and on the newest."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Some blocks of an access log."""
    path = tmp_path / "access.log"
    path.write_text("".join(map(line, range(10_000))))
    return path


def applied(link: RunnerLink, job: int) -> Applied:
    """What a client has when a job has ended well."""
    end = link.end(job)
    assert end["state"] == "done", link.of(frames.FAULT, job)
    found = Applied()
    found.take(link, job)
    return found


def test_a_plan_counts_what_a_loop_counts(link: RunnerLink, log: Path) -> None:
    """A plan's groups are those of a plain loop, its counters are those of its lines, and it keeps its provider."""
    link.start(1, body(plan(), [log]), body="plan")
    assert applied(link, 1).counts == by_status(log.read_text())
    counters = link.end()["counters"]
    assert (counters["lines"], counters["matched"], counters["bytes"]) == (10_000, 10_000, log.stat().st_size)
    assert [frame.header["keep"] for frame in link.of(frames.VERDICT)] == [True]
    assert [frame.header["last"] for frame in link.of(frames.OPEN)] == [True]


def test_many_plans_share_a_child_and_each_is_exact(link: RunnerLink, log: Path) -> None:
    """Ten jobs, equal and different ones, run in one process, and each has all of its answer."""
    condition = [">=", field("status"), ["value", 204]]
    for job in range(1, 11):
        link.start(job, body(plan(where=condition if job % 2 else None), [log]), body="plan")
    whole = by_status(log.read_text())
    assert len(descendants(link.process.pid)) <= 1
    for job in range(1, 11):
        wanted = {status: count for status, count in whole.items() if status >= 204} if job % 2 else whole
        assert applied(link, job).counts == wanted


def test_lines_are_values(link: RunnerLink, log: Path) -> None:
    """A plan without aggregates gives the lines that fit, in order; with columns a list for each."""
    condition = ["=", field("path"), ["value", "/p5"]]
    lines: dict[str, Any] = {"where": condition, "keys": [], "aggregates": []}
    link.start(1, body(plan(**lines), [log]), body="plan")
    link.start(2, body(plan(**lines, columns=[["s", field("status")], ["b", field("bytes")]]), [log]), body="plan")
    numbers = [number for number in range(10_000) if number % 97 == 5]
    assert (link.end(1)["state"], link.end(2)["state"]) == ("done", "done")
    assert link.values(1) == [line(number)[:-1] for number in numbers]
    assert link.values(2) == [[200 + number % 7, number] for number in numbers]


def test_lines_that_do_not_parse_are_counted_and_shown(link: RunnerLink, log: Path) -> None:
    """Odd lines are counted, and the first of them come as samples."""
    log.write_text(line(1) + "what is this\n" + line(2) + "\n")
    link.start(1, body(plan(), [log]), body="plan")
    assert sum(applied(link, 1).counts.values()) == 2
    assert link.end()["counters"]["parse_errors"] == 2
    (note,) = link.of(frames.NOTE)
    assert (note.header["stream"], note.payload) == ("sample", b"what is this\n\n")


def test_no_newline_at_the_end(link: RunnerLink, log: Path) -> None:
    """The last line counts without a newline."""
    log.write_text((line(1) + line(2))[:-1])
    link.start(1, body(plan(), [log]), body="plan")
    assert applied(link, 1).counts == {201: 1, 202: 1}


def test_a_missing_log_fails_its_own_job(link: RunnerLink, log: Path) -> None:
    """A job without its log fails with a reason, and its neighbour does not."""
    link.start(1, body(plan(), [log.parent / "none.log"]), body="plan")
    link.start(2, body(plan(), [log]), body="plan")
    end = link.end(1)
    assert (end["state"], "none.log" in end["reason"]) == ("failed", True)
    assert applied(link, 2).counts == by_status(log.read_text())


def test_a_follower_hears_what_is_appended(link: RunnerLink, log: Path) -> None:
    """Two followers begin at the end, join, and are drained with all that was appended."""
    for job in (1, 2):
        link.start(job, body(plan(), [log], follow=True), body="plan")
    link.until(lambda: all(link.of(frames.OPEN, job) for job in (1, 2)), "opens")
    with log.open("a") as file:
        file.writelines(map(line, range(500)))
    for job in (1, 2):
        link.until(lambda job=job: link_lines(link, job) == 500, "its lines")  # type: ignore[misc]
        link.cancel(job)
        assert applied(link, job).counts == by_status("".join(map(line, range(500))))
        assert link.end(job)["drained"]


def link_lines(link: RunnerLink, job: int) -> int:
    """Lines that a job's cuts count."""
    found = [frame.header["counters"]["lines"] for frame in link.of(frames.CUT, job) if "counters" in frame.header]
    return max(found, default=0)


def test_a_blocked_job_blocks_no_other(link: RunnerLink, log: Path) -> None:
    """A job without credit waits, others do not; with credit it has all of its answer."""
    lines: dict[str, Any] = {"keys": [], "aggregates": []}
    link.start(1, body(plan(**lines), [log]), body="plan", granted=1000)
    link.start(2, body(plan(), [log]), body="plan")
    assert applied(link, 2).counts == by_status(log.read_text())
    assert not link.of(frames.END, 1)
    link.credit(1, 1 << 40)
    assert link.end(1)["state"] == "done"
    assert link.values(1) == log.read_text().splitlines()


def test_a_killed_scan_child_breaks_its_jobs_and_they_resume_exactly(link: RunnerLink, log: Path) -> None:
    """Killed from outside, each job says that it broke; from its positions another has just the rest."""
    for job in (1, 2):
        link.start(job, body(plan(), [log], follow=True, positions=[[str(log), b""]]), body="plan")
        link.until(lambda job=job: link_lines(link, job) == 10_000, "its lines")  # type: ignore[misc]
    (pid,) = descendants(link.process.pid)
    with log.open("a") as file:
        file.writelines(map(line, range(3000)))
        file.flush()
        os.kill(pid, signal.SIGKILL)
    whole = by_status(log.read_text())
    for job in (1, 2):
        assert link.end(job)["broken"]
        found = Applied()
        found.take(link, job)
        positions = [list(each) for each in found.positions.items()]
        link.start(job + 10, body(plan(), [log], positions=positions, resumed=True), body="plan", epoch=2)
        assert link.end(job + 10)["state"] == "done"
        found.take(link, job + 10)
        assert found.counts == whole


def test_an_aborted_job_leaves_the_others(link: RunnerLink, log: Path) -> None:
    """Abort ends one job at once, and what the others ask for goes on."""
    for job in (1, 2):
        link.start(job, body(plan(), [log], follow=True, positions=[[str(log), b""]]), body="plan")
    link.until(lambda: bool(link.of(frames.CUT, 1)), "a cut")
    link.cancel(1, "abort")
    assert link.end(1)["state"] == "killed"
    link.until(lambda: link_lines(link, 2) == 10_000, "its lines")
    link.cancel(2)
    assert applied(link, 2).counts == by_status(log.read_text())


def test_nonsense_is_refused_in_a_sentence(link: RunnerLink, log: Path) -> None:
    """What is no plan, or needs what is no file, ends with a reason."""
    link.start(1, body(plan(version=99), [log]), body="plan")
    link.start(2, body(plan(), ["cmd:date"]), body="plan")  # type: ignore[list-item]
    assert "version 99" in link.end(1)["reason"]
    assert link.end(2)["state"] == "refused"
