"""Scripts that do what no script should, and hosts that are not as others: values stay right, one END says how it was.

Each runs on the oldest Python at hand, since what is old differs most.
"""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from provider import ship
from provider.runner import frames
from tests.rigs.pythons import at_hand
from tests.rigs.runner_link import RunnerLink, script

pytestmark = pytest.mark.linux

PYTHON = str(next(iter(at_hand().values())))


@pytest.fixture
def link() -> Iterator[RunnerLink]:
    """A runner."""
    with RunnerLink(PYTHON) as runner:
        yield runner


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """Lines enough for several reads."""
    path = tmp_path / "app.log"
    path.write_text("".join(f"line {n}\n" for n in range(50000)))
    return path


def code(link: RunnerLink, job: int = 1) -> str:
    """The code of a job's one fault, behind which its end is failed."""
    assert link.end(job)["state"] == "failed"
    (fault,) = link.of(frames.FAULT, job)
    return str(fault.header["code"])


# --- scripts


def test_lines_in_another_thread_are_refused(link: RunnerLink, log: Path) -> None:
    """A thread of the script's that reads lines fails the job, though the script itself waits for it for ever."""
    text = (
        "import queue, threading\ndef map(lines):\n    found = queue.Queue()\n"
        "    def read():\n        for line in lines:\n            found.put(line)\n"
        "    threading.Thread(target=read).start()\n    while True:\n        yield found.get()\n"
    )
    link.start(1, script(text, sources=[str(log)], every_s=0.1))
    assert code(link) == "raised"
    assert "in the thread that map runs in" in link.end()["reason"]
    assert link.values() == []


def test_a_script_cannot_keep_to_itself_what_went_wrong(link: RunnerLink, log: Path) -> None:
    """A value that cannot travel fails the job, also where the script was asking for a line and catches it."""
    text = (
        "def map(lines):\n    try:\n        for n, line in enumerate(lines):\n"
        "            yield object() if n == 40000 else line\n    except Exception:\n        pass\n"
        "    for line in lines:\n        yield line\n"
    )
    link.start(1, script(text, sources=[str(log)], every_s=0.05))
    assert code(link) == "unserialisable"
    values = link.values()
    assert values == [f"line {n}" for n in range(len(values))]


def test_a_stray_stop_iteration_is_an_error(link: RunnerLink, log: Path) -> None:
    """``next()`` on something empty does not end a map as if it were done, not even in Python 3.6."""
    text = "def map(lines):\n    for line in lines:\n        yield line\n        next(iter([]))\n"
    link.start(1, script(text, sources=[str(log)]))
    assert code(link) == "raised"
    assert link.values() == ["line 0"]


@pytest.mark.parametrize("combine", [None, ["sum"]])
def test_an_iterator_in_c_is_drained(link: RunnerLink, combine: list[str] | None) -> None:
    """A map that returns an endless iterator without a line of Python is cut in time, and ends when it is asked to."""
    text = "import itertools\ndef map():\n    return itertools.repeat(1)\n"
    link.start(1, script(text, lines=False, combine=combine, every_s=0.1))
    link.until(lambda: len(link.of(frames.CUT)) >= 2, "two cuts")
    link.cancel(1)
    end = link.end()
    assert (end["state"], end["drained"], end["seq"]) == ("done", True, len(link.cuts()))


def test_a_script_may_use_the_alarm(link: RunnerLink, tmp_path: Path) -> None:
    """Behind ``signal.alarm`` values wait no longer than before."""
    log = tmp_path / "app.log"
    log.write_text("a\nb\nc\nd\n")
    text = (
        "import signal, time\ndef map(lines):\n    for line in lines:\n        yield line\n"
        "        signal.alarm(1)\n        time.sleep(1.5 if line < 'd' else 600)\n"
    )
    link.start(1, script(text, sources=[str(log)], every_s=0.1))
    link.until(lambda: link.values() == ["a", "b", "c"], "the lines before the long sleep")


def test_an_exception_without_a_text_is_a_sentence(link: RunnerLink) -> None:
    """An exception whose ``__str__`` ends the program is a fault like any other."""
    bad = "class Bad(Exception):\n    def __str__(self):\n        raise SystemExit\n"
    text = bad + "def map():\n    yield 1\n    raise Bad\n"
    link.start(1, script(text, lines=False))
    assert code(link) == "raised"
    assert link.end()["reason"] == "query.py:6: Bad: (its text cannot be shown)"


def test_a_script_that_shows_tracebacks_shows_its_lines(link: RunnerLink) -> None:
    """Its file is not on the host; what it imports for that knows its text all the same."""
    text = (
        "import traceback\ndef map():\n    try:\n        1 / 0  # here\n"
        "    except ZeroDivisionError:\n        yield traceback.format_exc()\n"
    )
    link.start(1, script(text, lines=False))
    assert link.end()["state"] == "done"
    (shown,) = link.values()
    assert "1 / 0  # here" in shown


def test_who_leaves_no_file_descriptor_is_told_of_all_the_same(link: RunnerLink) -> None:
    """What it raised, where, and what it had given before; only its traceback may be missing."""
    text = (
        "import os, resource\ndef map():\n    yield 1\n    resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64))\n"
        "    while True:\n        os.dup(2)\n"
    )
    link.start(1, script(text, lines=False))
    assert code(link) == "raised"
    assert link.end()["reason"].startswith("query.py:6: OSError: [Errno 24]")
    assert link.values() == [1]


def test_who_closes_its_output_is_ended(link: RunnerLink) -> None:
    """A script that closes our descriptor and sleeps is not waited for: it can say nothing any more."""
    text = (
        "import os, signal, time\ndef map():\n    yield 1\n    signal.setitimer(signal.ITIMER_REAL, 0)\n"
        "    os.close(3)\n    time.sleep(600)\n"
    )
    link.start(1, script(text, lines=False))
    end = link.end()
    assert (end["state"], end["reason"]) == ("failed", "the job closed its output")


# --- sources


def test_what_has_no_size_is_not_followed(link: RunnerLink) -> None:
    """A file of /proc would be read again and again; it is read to its end where that is asked for."""
    each = "def map(lines):\n    for line in lines:\n        yield line\n"
    link.start(1, script(each, sources=["/proc/self/status"], follow=True))
    assert code(link) == "unreadable"
    link.start(2, script(each, sources=["/proc/self/status"]))
    assert link.end(2)["state"] == "done"
    assert sum(value.startswith("Name:") for value in link.values(2)) == 1


def test_a_thousand_files_are_not_open_at_once(link: RunnerLink, tmp_path: Path) -> None:
    """To the end, more files are read than may be open; followed, they are too many, and that is said."""
    for n in range(300):
        (tmp_path / f"{n:03}.log").write_text(f"{n}\n")
    each = "def map(lines):\n    for line in lines:\n        yield line\n"
    link.start(1, script(each, sources=[f"{tmp_path}/*.log"]))
    assert link.end()["state"] == "done"
    assert link.values() == [str(n) for n in range(300)]
    link.start(2, script(each, sources=[f"{tmp_path}/*.log"], follow=True))
    assert code(link, 2) == "limit"


def test_files_that_appear_beyond_the_limit_are_not_overlooked(link: RunnerLink, tmp_path: Path) -> None:
    """A followed glob that grows over the limit of open files fails the job, instead of leaving files unread."""
    (tmp_path / "0.log").write_text("")
    each = "def map(lines):\n    for line in lines:\n        yield line\n"
    link.start(1, script(each, sources=[f"{tmp_path}/*.log"], follow=True), limits={"files": 20})
    link.until(lambda: len(link.of(frames.OPEN)) == 1, "the first file")
    for n in range(1, 30):
        (tmp_path / f"{n}.log").write_text("")
    assert code(link) == "limit"


@pytest.mark.parametrize("name", ["a\0b.log", "a\0*.log"])
def test_a_name_that_no_file_can_have_is_missing(link: RunnerLink, name: str) -> None:
    """A NUL in a path is said like any other file that is not there."""
    link.start(1, script("def map(lines):\n    yield 1\n", sources=["/" + name]))
    assert code(link) == "missing"


# --- hosts


def test_names_are_bytes_in_any_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the C locale a path beyond ASCII is read, named and resumed as in any other."""
    monkeypatch.setenv("LC_ALL", "C")
    log = tmp_path / "größe.log"
    log.write_text("a\n")
    each = "def map(lines):\n    for line in lines:\n        yield lines.path\n"
    check = f"def filter(provider):\n    return provider.exists({str(log)!r}) and provider.readable({str(log)!r})\n"
    with RunnerLink(PYTHON) as link:
        link.start(1, script(each, sources=[str(log)], filter=check, file="größe.py"))
        link.start(2, script(each, sources=[f"{tmp_path}/gr*.log"]))
        for job in (1, 2):
            assert link.end(job)["state"] == "done"
            assert link.values(job) == [str(log)]
            assert [move[0] for cut in link.cuts(job) for move in cut["moves"]] == [str(log)]


@pytest.mark.parametrize("without", ["ctypes", "os.sched_setscheduler", "os.SCHED_IDLE"])
def test_a_host_may_lack_what_bounds_a_job(without: str, log: Path) -> None:
    """Without ctypes or the scheduler's calls a job runs all the same, and is drained."""
    module, _, name = without.partition(".")
    lacks = f"import os;del os.{name};" if name else f"import sys;sys.modules[{module!r}]=None;"
    argv = [PYTHON, ship.FLAGS, "-c", lacks + ship.loader(len(ship.payload()))]
    sleeps = "import time\ndef map():\n    yield 1\n    time.sleep(600)\n"
    with RunnerLink(command=argv) as link:
        link.start(1, script(sleeps, lines=False, every_s=0.1))
        link.until(lambda: bool(link.values()), "the first value")
        link.cancel(1)
        assert link.end()["drained"] is True


def test_a_closed_stderr_is_nobodys_frames() -> None:
    """A runner that is started without stderr keeps its frames apart from what is printed."""
    command = ["/bin/sh", "-c", ship.remote_command(PYTHON) + " 2>&-"]
    with RunnerLink(command=command) as link:
        link.start(1, script("import os\ndef map():\n    os.write(2, b'printed')\n    yield 1\n", lines=False))
        assert link.end()["state"] == "done"
        assert (link.values(), link.prints()) == ([1], "printed")
        fds = {fd: os.readlink(f"/proc/{link.process.pid}/fd/{fd}") for fd in (1, 2)}
        assert fds == {1: "/dev/null", 2: "/dev/null"}


def test_without_proc_a_group_dies_with_its_job() -> None:
    """Where /proc is hidden, what a job left running is still found by its process group when the job is done."""
    if os.geteuid() or subprocess.run(["unshare", "-m", "true"], check=False, capture_output=True).returncode:
        pytest.skip("may not hide /proc")
    hidden = f"mount -t tmpfs none /proc && {ship.remote_command(PYTHON)}"
    leaves = (
        "import os, time\ndef map():\n    if os.fork() == 0:\n        os.closerange(0, 256)\n"
        "        time.sleep(600)\n        os._exit(0)\n    yield 1\n"
    )
    with RunnerLink(command=["unshare", "-m", "/bin/sh", "-c", hidden]) as link:
        link.start(1, script(leaves, lines=False))
        assert link.end()["state"] == "done"
        mine = Path(f"/proc/{link.process.pid}/task/{link.process.pid}/children")
        link.until(lambda: not mine.read_text().split(), "the end of what the job left")
