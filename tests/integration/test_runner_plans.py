"""Plan jobs of a shipped runner: one scan child, and for each job what a plain loop says."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.query.formats import format_data
from provider.runner import frames
from tests.rigs.plans import Applied, body, by_status, field, line, plan
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, column, descendants

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


def test_plans_that_differ_are_read_together(link: RunnerLink, tmp_path: Path) -> None:
    """Over many blocks, one with an odd line, different plans each say what a loop says; one that fails does alone."""
    log = tmp_path / "long.log"
    lines = [line(number) for number in range(60_000)]
    lines[50_000:50_000] = ["what is this\n"]
    log.write_text("".join(lines))
    late = ["=", field("status"), ["value", 204]]
    far = [">=", field("bytes"), ["value", 40_000]]
    asked = [
        plan(),
        plan(where=late),
        plan(keys=[["path", field("path")]]),
        plan(where=far, aggregates=[["sum", field("path")]]),
        plan(keys=[]),
    ]
    for job, each in enumerate(asked, 1):
        link.start(job, body(each, [log]), body="plan")
    assert applied(link, 1).counts == by_status(log.read_text())
    assert applied(link, 2).counts == {204: len(range(4, 60_000, 7))}
    assert applied(link, 3).counts == {f"/p{path}": len(range(path, 60_000, 97)) for path in range(97)}
    assert "sum" in link.end(4)["reason"], link.end(4)
    assert applied(link, 5).counts == {(): 60_001}
    assert [link.end(job)["counters"]["parse_errors"] for job in (1, 2, 3, 5)] == [1, 1, 1, 0]


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
    link.start(2, body(plan(), ["tick:5s"]), body="plan")  # type: ignore[list-item]
    assert "version 99" in link.end(1)["reason"]
    assert link.end(2)["state"] == "refused"


def test_a_late_joiner_catches_up(link: RunnerLink, log: Path) -> None:
    """A job that begins at the beginning, while another follows, catches up with it; both hear the rest once."""
    link.start(1, body(plan(), [log], follow=True), body="plan")
    link.until(lambda: bool(link.of(frames.OPEN, 1)), "an open")
    with log.open("a") as file:
        file.writelines(map(line, range(500)))
    link.until(lambda: link_lines(link, 1) == 500, "what was appended")
    link.start(2, body(plan(), [log], follow=True, positions=[[str(log), b""]]), body="plan")
    link.until(lambda: link_lines(link, 2) == 10_500, "all lines")
    with log.open("a") as file:
        file.writelines(map(line, range(300)))
    appended = "".join(map(line, [*range(500), *range(300)]))
    for job, lines, text in ((1, 800, appended), (2, 10_800, log.read_text())):
        link.until(lambda job=job, lines=lines: link_lines(link, job) == lines, "the rest")  # type: ignore[misc]
        link.cancel(job)
        assert applied(link, job).counts == by_status(text)


def test_a_blocked_job_leaves_and_comes_back(link: RunnerLink, log: Path) -> None:
    """Without credit a job holds a bounded part and stops reading; others read on, and it has every line in the end."""
    with log.open("a") as file:
        file.writelines(map(line, range(10_000, 60_000)))
    lines: dict[str, Any] = {"keys": [], "aggregates": []}
    link.start(1, body(plan(**lines), [log]), body="plan", granted=1000)
    link.start(2, body(plan(), [log]), body="plan")
    assert applied(link, 2).counts == by_status(log.read_text())
    (pid,) = descendants(link.process.pid)
    peak = next(text for text in Path(f"/proc/{pid}/status").read_text().splitlines() if text.startswith("VmHWM"))
    assert int(peak.split()[1]) < 60 << 10
    beats = link.of(frames.BEAT, 1)
    assert not beats or beats[-1].header["lines"] < 30_000
    link.credit(1, 1 << 40)
    assert link.end(1)["state"] == "done"
    assert link.values(1) == log.read_text().splitlines()


def test_rotation_under_two_followers(link: RunnerLink, log: Path) -> None:
    """A log that is renamed and made anew is one source for both, without a loss or a double."""
    for job in (1, 2):
        link.start(job, body(plan(), [log], follow=True, positions=[[str(log), b""]]), body="plan")
    link.until(lambda: all(link_lines(link, job) == 10_000 for job in (1, 2)), "its lines")
    with log.open("a") as file:
        log.rename(log.with_name("access.log.1"))
        log.write_text("".join(map(line, range(700))))
        file.writelines(map(line, range(300)))
    whole = log.with_name("access.log.1").read_text() + log.read_text()
    for job in (1, 2):
        link.until(lambda job=job: link_lines(link, job) == 11_000, "both files")  # type: ignore[misc]
        link.cancel(job)
        assert applied(link, job).counts == by_status(whole)
        assert not link.of(frames.GAP, job)


def test_groups_without_a_value_have_no_state(link: RunnerLink, log: Path) -> None:
    """A key whose values are all null has a null in the place of a state."""
    log.write_text(line(1) + line(1).replace(" 1 ", " - ").replace(" 201 ", " 299 "))
    asked = plan(aggregates=[["count", None], ["sum", field("bytes")]])
    link.start(1, body(asked, [log]), body="plan")
    assert link.end()["state"] == "done", link.of(frames.FAULT)
    (cut,) = link.cuts()
    (partials,) = cut["partials"]
    columns = [column(each) for each in (partials["keys"], *partials["states"])]
    assert sorted(zip(*columns, strict=True)) == [(201, 1, 1), (299, 1, None)]


TRACE = "2015-10-18 18:01:47,978 {} [main] org.a.B: number {}\njava.io.IOException: no\n\tat org.a.B.c(B.java:7)\n"


def test_records_of_several_lines(link: RunnerLink, log: Path) -> None:
    """A record goes on over blocks and pauses of its writer, and the last one of a file counts."""
    log.write_text("".join(TRACE.format("INFO" if n % 3 else "ERROR", n) for n in range(4000)))
    asked = plan(
        format=format_data("log4j"),
        keys=[["level", field("level")]],
        where=["contains", field("line"), "B.java:7"],
    )
    link.start(1, body(asked, [log]), body="plan")
    assert applied(link, 1).counts == {"ERROR": 1334, "INFO": 2666}
    link.start(2, body(asked, [log], follow=True, positions=[[str(log), b""]]), body="plan")
    record = TRACE.format("WARN", 1)
    with log.open("a", buffering=1) as file:
        file.write(record[:60])
        link.pump(0.1)
        file.write(record[60:])
    link.until(lambda: link_matched(link, 2) == 4001, "the last record")
    link.cancel(2)
    assert applied(link, 2).counts == {"ERROR": 1334, "INFO": 2666, "WARN": 1}


def link_matched(link: RunnerLink, job: int) -> int:
    """Records that a job's cuts count."""
    found = [frame.header["counters"]["matched"] for frame in link.of(frames.CUT, job) if "counters" in frame.header]
    return max(found, default=0)


def test_a_value_that_cannot_be_folded_fails_its_plan_alone(link: RunnerLink, log: Path) -> None:
    """A sum of texts is a plain sentence, and the neighbour on the same log has its answer."""
    log.write_text('{"a": 1, "b": "x"}\n{"a": 2, "b": "y"}\n')
    json = {"format": format_data("json"), "keys": []}
    link.start(1, body(plan(**json, aggregates=[["sum", field("b")]]), [log]), body="plan")
    link.start(2, body(plan(**json, aggregates=[["sum", field("a")]]), [log]), body="plan")
    end = link.end(1)
    assert (end["state"], "sum cannot take" in end["reason"]) == ("failed", True), end
    assert link.end(2)["state"] == "done"


def test_columns_that_a_file_names(link: RunnerLink, log: Path) -> None:
    """The first line of each file names the columns and is no record; a file with others is refused."""
    named = {**format_data("csv"), "header": True, "fields": {}}
    for name in ("a.csv", "b.csv"):
        (log.parent / name).write_text('level,"the path"\n' + "info,/a\nwarn,/b\ninfo,/c\n")
    (log.parent / "c.csv").write_text("other,columns\n1,2\n")
    asked = plan(format=named, keys=[["level", field("level")]])
    link.start(1, body(asked, [log.parent / "a.csv", log.parent / "b.csv"]), body="plan")
    link.start(2, body(asked, [log.parent / "a.csv", log.parent / "c.csv"]), body="plan")
    assert applied(link, 1).counts == {"info": 4, "warn": 2}
    end = link.end(2)
    assert (end["state"], "c.csv names other columns" in end["reason"]) == ("failed", True), end
