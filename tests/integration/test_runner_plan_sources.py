"""Plans on what is no file, and the ends of the process that reads for all plans."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.query.formats import format_data
from provider import ship
from provider.runner import frames
from provider.runner.pack import packb
from tests.rigs.plans import Applied, body, by_status, line, plan
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, descendants

pytestmark = pytest.mark.linux

TEXT = "".join(map(line, range(20_000)))
#: A plan that gives lines.
LINES: dict[str, Any] = {"keys": [], "aggregates": []}


@pytest.fixture(params=spread(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner on the oldest Python, on this one and on the newest."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


def feed(link: RunnerLink, job: int, data: bytes) -> None:
    """All of it, as it is granted, and the end."""
    sent = 0
    while sent < len(data):
        link.until(lambda: any(f.header["granted"] > sent for f in link.of(frames.CREDIT, job)), "a grant")  # noqa: B023 - called at once
        granted = max(int(f.header["granted"]) for f in link.of(frames.CREDIT, job))
        chunk = data[sent : min(granted, sent + 50_000)]
        link.send(frames.FEED, job, {"end": False}, chunk)
        sent += len(chunk)
    link.send(frames.FEED, job, {"end": True}, b"")


def counts(link: RunnerLink, job: int) -> dict[Any, int]:
    """What a client has when a job has ended."""
    link.end(job)
    found = Applied()
    found.take(link, job)
    return found.counts


def test_what_is_fed_is_read_for_its_job_alone(link: RunnerLink) -> None:
    """Two plans are fed different bytes at a time, and each counts its own; a last line without an end is one."""
    for job in (1, 2):
        link.start(job, body(plan(), ["-"]), body="plan", feed=True)  # type: ignore[list-item]
    feed(link, 1, TEXT[:-1].encode())
    feed(link, 2, line(1).encode())
    assert counts(link, 1) == by_status(TEXT)
    assert counts(link, 2) == by_status(line(1))
    assert [link.end(job)["state"] for job in (1, 2)] == ["done", "done"]
    assert link.end(1)["counters"]["bytes"] == len(TEXT) - 1


def test_a_fed_plan_without_credit_is_fed_no_further(link: RunnerLink) -> None:
    """It holds a bounded part, grants nothing more, and has every line once it may go on."""
    link.start(1, body(plan(**LINES), ["-"]), body="plan", feed=True, granted=1000)  # type: ignore[list-item]
    link.start(2, body(plan(), ["-"]), body="plan", feed=True)  # type: ignore[list-item]
    data = (TEXT * 2).encode()
    sent = 0
    while not link.of(frames.END, 2):
        granted = max((int(f.header["granted"]) for f in link.of(frames.CREDIT)), default=0)
        chunk = data[sent : min(granted, sent + 50_000)]
        if chunk:
            link.send(frames.FEED, 1, {"end": False}, chunk)
            sent += len(chunk)
        elif sent:  # the other one comes to its end while this one waits
            link.send(frames.FEED, 2, {"end": True}, b"")
        link.pump(0.05)
    assert sent < len(data)
    link.credit(1, 1 << 40)
    while sent < len(data):
        link.until(lambda: any(f.header["granted"] > sent for f in link.of(frames.CREDIT)), "a grant")  # noqa: B023 - called at once
        granted = max(int(f.header["granted"]) for f in link.of(frames.CREDIT))
        chunk = data[sent : min(granted, sent + 50_000)]
        link.send(frames.FEED, 1, {"end": False}, chunk)
        sent += len(chunk)
    link.send(frames.FEED, 1, {"end": True}, b"")
    assert link.end(1)["state"] == "done"
    assert link.values(1) == data.decode().splitlines()


def test_a_command_is_read_to_its_exit(link: RunnerLink, tmp_path: Path) -> None:
    """What it prints is counted; another status than 0 fails its plan, and what it printed stays."""
    log = tmp_path / "access.log"
    log.write_text(TEXT)
    for job, command in ((1, f"cat {log}"), (2, f"cat {log}; echo gone wrong >&2; exit 3")):
        link.start(job, body(plan(), [f"cmd:{command}"]), body="plan", guard=True)  # type: ignore[list-item]
    assert counts(link, 1) == counts(link, 2) == by_status(TEXT)
    assert link.end(1)["state"] == "done"
    end = link.end(2)
    assert end["state"] == "failed"
    assert end["reason"].endswith("ended with status 3: gone wrong")


def test_a_command_ends_with_its_plan(link: RunnerLink) -> None:
    """Drained or aborted, nothing of it is left when the job has ended, and a plan on a file goes on."""
    for job in (1, 2):
        source = f"cmd:echo '{line(job).rstrip()}'; sleep 60 & sleep 60"
        link.start(job, body(plan(**LINES), [source]), body="plan", guard=True)  # type: ignore[list-item]
        link.until_values(1, job)
    assert len(descendants(link.process.pid)) >= 6
    link.cancel(1)
    assert link.end(1)["drained"]
    link.cancel(2, "abort")
    assert link.end(2)["state"] == "killed"
    link.until(lambda: not descendants(link.process.pid), "an end of all")


def test_what_no_plan_can_read_is_refused(link: RunnerLink) -> None:
    """A tick has no records, columns need a file's first line, and such a source stands alone."""
    link.start(1, body(plan(), ["tick:5s"]), body="plan")  # type: ignore[list-item]
    named = {**format_data("csv"), "header": True, "fields": {}}
    link.start(2, body(plan(format=named, keys=[]), ["-"]), body="plan", feed=True)  # type: ignore[list-item]
    link.start(3, body(plan(), ["-", "a.log"]), body="plan", feed=True)  # type: ignore[list-item]
    for job, said in ((1, "has no records"), (2, "named by the first line"), (3, "stands alone")):
        assert said in link.end(job)["reason"]


@pytest.mark.parametrize(
    ("error", "state", "said"),
    [("RuntimeError(7)", "failed", "RuntimeError: 7"), ("MemoryError", "killed", "256 MB of memory")],
)
def test_a_scan_child_that_fails_says_why(link: RunnerLink, tmp_path: Path, error: str, state: str, said: str) -> None:
    """Each of its jobs ends for that reason, and the next plan has a new one."""
    log = tmp_path / "access.log"
    log.write_text(TEXT)
    modules = {**ship.plan_modules(), **ship.job_modules()}
    name = "provider.runner.scan"
    at = "def _look_after(self):\n"
    assert at in modules[name]
    planted = f"{at}  if any(job.bytes for job in self._jobs.values()):\n   raise {error}\n"
    modules[name] = modules[name].replace(at, planted)
    broken = zlib.compress(packb(modules), 1)
    asked = body(plan(), [log], modules=broken, follow=True, positions=[[str(log), b""]])
    idle = body(plan(), [log], modules=broken, follow=True)
    link.start(1, idle, body="plan")
    link.until(lambda: bool(link.of(frames.OPEN, 1)), "an open")
    link.start(2, asked, body="plan")
    for job in (1, 2):
        end = link.end(job)
        assert (end["state"], said in end["reason"], end["broken"]) == (state, True, False), end
    link.start(3, body(plan(), [log]), body="plan")
    assert counts(link, 3) == by_status(TEXT)
