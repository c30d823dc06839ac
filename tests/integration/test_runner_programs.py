"""Filters, maps and sources that are programs, on a real runner: what they get, what becomes of what they print."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from provider.runner import frames
from tests.rigs.pythons import at_hand
from tests.rigs.runner_link import RunnerLink, script

pytestmark = pytest.mark.linux

AWK = '{ print $1 "\\t" NF }\n'


def pythons() -> list[str]:
    """The oldest and the newest at hand."""
    versions = list(at_hand())
    return sorted({versions[0], versions[-1]})


@pytest.fixture(params=pythons(), ids=lambda version: f"python{version}")
def link(request: pytest.FixtureRequest) -> Iterator[RunnerLink]:
    """A runner."""
    with RunnerLink(str(at_hand()[request.param])) as runner:
        yield runner


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "app.log"
    path.write_text("a b c\nd\n\xe9 f")
    return path


def folder(map_text: str, *argv: str, **fields: Any) -> bytes:
    """The payload of a folder whose map is a program."""
    programs = {"map": list(argv or ("/bin/sh",))} | fields.pop("programs", {})
    return script(map_text, file="q", programs=programs, **fields)


def ran(link: RunnerLink, payload: bytes, **header: Any) -> dict[str, Any]:
    """A job's END."""
    link.start(1, payload, body="folder", **header)
    return link.end()


def test_each_line_of_output_is_a_value(link: RunnerLink, log: Path) -> None:
    """A map in sh gets the lines, the last without a newline too; JSON, text and pairs are told apart."""
    text = 'cat\nprintf \'k\\t1\\n200\\t"v"\\n{"x": 1.5}\\n007\\nlast\'\n'
    end = ran(link, folder(text, sources=[str(log)]))
    assert (end["state"], end["reason"], end["counters"]["lines"]) == ("done", None, 3)
    bare = [value[1] if isinstance(value, tuple) and value[0] == [] else value for value in link.values()]
    assert bare == ["a b c", "d", "\xe9 f", ("k", 1), ("200", "v"), {"x": 1.5}, "007", "last"]
    assert link.of(frames.OPEN) == []
    assert [cut["moves"] for cut in link.cuts()] == [[]] * len(link.cuts())


@pytest.mark.parametrize("argv", [["/nowhere/awk", "-f"], ["/usr/bin/awk", "-f"], ["awk", "-f"]], ids=lambda a: a[0])
def test_the_interpreter_is_found_by_its_name(link: RunnerLink, log: Path, argv: list[str]) -> None:
    """Where the script says, or else of that name on the PATH."""
    if shutil.which("awk") is None:
        pytest.skip("needs awk")
    assert ran(link, folder(AWK, *argv, sources=[str(log)]))["state"] == "done"
    assert link.values() == [("a", 3), ("d", 1), ("\xe9", 2)]


def test_a_long_script_arrives_whole(link: RunnerLink, log: Path) -> None:
    """One of 300 KB, which no pipe holds at once, and a long input, in both directions at a time."""
    log.write_text("".join(f"line {n}\n" for n in range(100_000)))
    end = ran(link, folder(f"{'#' * 99}\n" * 3000 + "exec cat\n", sources=[str(log)]))
    assert (end["state"], end["counters"]["lines"]) == ("done", 100_000)
    assert link.values() == log.read_text().splitlines()


@pytest.mark.parametrize(("status", "state"), [(0, "done"), (1, "filtered_out"), (2, "failed")])
def test_a_filter_says_it_by_its_status(link: RunnerLink, log: Path, status: int, state: str) -> None:
    """0 keeps, 1 does not, anything else is a failure with the last line that it said."""
    text = f"echo looking; echo 'cannot $provider' >&2; exit {status}\n".replace("'", '"')
    end = ran(link, folder("cat\n", sources=[str(log)], filter=text, programs={"filter": ["sh"]}))
    assert end["state"] == state
    assert (end["reason"] or "").endswith("q/filter ended with status 2: cannot p1") == (status == 2)
    assert sorted(link.prints().splitlines()) == ["cannot p1", "looking"]


def test_a_map_that_fails_keeps_what_it_gave(link: RunnerLink, log: Path) -> None:
    """Its values stay, its complaint is printed under the script's own name, and the END has its last line."""
    end = ran(link, folder("echo 1\nexec 2>&1 1>/dev/null\nnosuchcommand >&2\nexit 9\n", sources=[str(log)]))
    assert (end["state"], end["reason"].startswith("q/map ended with status 9")) == ("failed", True)
    end = ran(link, folder("echo 1\necho oh no >&2\nexit 3\n", sources=[str(log)]), epoch=2)
    assert link.values()[0] == 1
    link.start(2, folder("echo 1\nnosuchcommand\n", sources=[str(log)]), body="folder")
    end = link.end(2)
    assert end["state"] == "failed"
    assert "nosuchcommand" in end["reason"]
    assert "q/map" in link.prints(2)
    assert "/dev/fd" not in link.prints(2)
    assert link.values(2) == [1]


def test_without_its_interpreter_a_job_is_refused(link: RunnerLink, log: Path) -> None:
    """The END names what is missing."""
    end = ran(link, folder("", "/opt/nosuch", sources=[str(log)]))
    assert (end["state"], end["reason"]) == ("refused", "q/map needs /opt/nosuch, which is not on this provider")


@pytest.mark.parametrize(
    ("need", "reason"),
    [
        ("exec:nosuch", "the query needs the command nosuch, which is not on this provider"),
        ("module:nosuch", "the query needs the Python module nosuch, which is not on this provider"),
        ("module:json", None),
        ("exec:sh", None),
        ("net:127.0.0.1:1", None),
    ],
)
def test_what_is_needed_is_there_or_named(link: RunnerLink, log: Path, need: str, reason: str | None) -> None:
    """Commands and modules are looked for before anything of the query runs."""
    payload = script("def map(lines):\n    yield 1\n", sources=[str(log)], needs=[need])
    end = ran(link, payload)
    assert (end["state"], end["reason"]) == ("refused" if reason else "done", reason)


def test_a_following_program_is_drained(link: RunnerLink, log: Path) -> None:
    """Its input ends, and what it says then counts; values come on the way too."""
    text = 'while read -r line; do echo "$line"; done; echo total\n'
    log.write_text("")
    link.start(1, folder(text, sources=[str(log)], follow=True, every_s=0.1), body="folder")
    link.wait_for(lambda frame: frame.kind == frames.VERDICT)
    with log.open("a") as file:
        file.write("one\n")
    while not link.values():
        with log.open("a") as file:
            file.write("more\n")
        link.pump(0.1)
    link.cancel(1)
    end = link.end()
    assert (end["state"], end["drained"], link.values()[-1]) == ("done", True, "total")


def test_a_program_that_never_ends_is_asked_to(link: RunnerLink) -> None:
    """Without a source it runs until the query ends, and that is no failure."""
    text = "while :; do echo tick; sleep 0.05; done\n"
    link.start(1, folder(text, lines=False, every_s=0.1), body="folder")
    link.until_values(2)
    link.cancel(1)
    assert link.end()["state"] == "done"


def test_who_stops_reading_is_not_waited_for(link: RunnerLink, log: Path) -> None:
    """A map may leave its input, and what it started in the background does not hold the job."""
    log.write_text("line\n" * 200_000)
    end = ran(link, folder("sleep 600 &\nhead -n 1\n", sources=[str(log)]))
    assert (end["state"], link.values()) == ("done", ["line"])


def test_a_line_without_an_end_is_no_value(link: RunnerLink) -> None:
    """A program that prints 16 MiB and no newline fails."""
    end = ran(link, folder("head -c 40000000 /dev/zero\n", lines=False), limits={"output_bps": 1 << 30})
    assert (end["state"], end["reason"]) == ("failed", "q/map printed a line over 16 MiB")


def test_a_command_is_a_source(link: RunnerLink) -> None:
    """Its lines reach a map in Python, its complaints are prints, and its status is the job's."""
    upper = "def map(lines):\n    for line in lines:\n        yield line.upper()\n"
    link.start(1, script(upper, sources=["cmd:echo one; echo said >&2; printf two"]))
    link.start(2, script(upper, sources=["cmd:echo one; echo why >&2; exit 4"]))
    assert link.end()["state"] == "done"
    assert link.values() == ["ONE", "TWO"]
    assert link.prints() == "said\n"
    end = link.end(2)
    assert link.values(2) == ["ONE"]
    assert (end["state"], end["reason"].endswith("ended with status 4: why")) == ("failed", True)


def test_a_command_that_goes_on_is_drained(link: RunnerLink) -> None:
    """The map sees the end of its lines."""
    text = "def map(lines):\n    for line in lines:\n        yield line\n    yield 'total'\n"
    link.start(1, script(text, sources=["cmd:while :; do echo x; sleep 0.05; done"], every_s=0.1))
    link.until_values(2)
    link.cancel(1)
    assert (link.end()["state"], link.values()[-1]) == ("done", "total")


def test_a_folder_may_write_only_where_it_may(link: RunnerLink, tmp_path: Path) -> None:
    """A job makes no file of any size, unless its start says how much."""
    target = tmp_path / "out"
    text = f"echo data > {target}\n"
    assert ran(link, folder(text, lines=False))["state"] == "failed"
    assert target.read_text() == ""
    link.start(2, folder(text, lines=False), body="folder", limits={"file_mb": 1})
    assert link.end(2)["state"] == "done"
    assert target.read_text() == "data\n"
