"""What a runner does to the host that it is on: nothing is written, nobody is disturbed, old Pythons are told."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from provider import ship
from tests.rigs.pythons import at_hand, spread
from tests.rigs.runner_link import RunnerLink, script

pytestmark = pytest.mark.linux

STRACE = shutil.which("strace")
#: Calls that change a file system, or open something so that it could be changed.
WRITES = re.compile(
    r"\b(creat|mkdir|mkdirat|rename|renameat|renameat2|link|linkat|symlink|symlinkat|unlink|unlinkat|mknod|mknodat|"
    r"truncate|open|openat)\((.*)\) += (\d+)"
)
OPEN = re.compile(r"O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_APPEND|O_TMPFILE")


def whole(trace: str) -> str:
    """The calls of a trace in one line each: those that another process interrupted are put together again."""
    begun: dict[str, str] = {}
    calls = []
    for line in trace.splitlines():
        pid, _, call = line.partition(" ")
        if call.endswith("<unfinished ...>"):
            begun[pid] = call.removesuffix("<unfinished ...>")
        elif resumed := re.match(r" *<\.\.\. \w+ resumed> *,? *(.*)", call):
            calls.append(begun.pop(pid, "") + resumed[1])
        else:
            calls.append(call)
    return "\n".join(calls)


@pytest.mark.skipif(STRACE is None, reason="strace is not on this machine")
@pytest.mark.parametrize("python", spread())
def test_nothing_is_written(python: str, tmp_path: Path) -> None:
    """No call of the runner's whole tree creates, renames, or opens for writing, but for /dev/null."""
    log = tmp_path / "app.log"
    log.write_text("one\ntwo\n")
    trace = tmp_path / "trace"
    planted = tmp_path / "planted"
    command = [str(STRACE), "-f", "-qq", "-s", "200", "-e", "trace=file,desc", "-o", str(trace)]
    text = "import json, decimal\ndef map(lines):\n    for line in lines:\n        print(line)\n        yield line\n"
    asked = "def filter(provider):\n    return provider.run(['true']).status == 0\n"
    with RunnerLink(command=command + ship.argv(str(at_hand()[python]))) as link:
        link.start(1, script(text, filter=asked, sources=[str(log)]))
        link.start(2, script(text, sources=[str(log)], follow=True))
        # A script of an open profile may create an empty file: the one call that must be found, or nothing would be.
        link.start(3, script(f"def map():\n    open({str(planted)!r}, 'w').close()\n    yield 1\n", lines=False))
        assert link.end(1)["state"] == "done", link.end(1)
        assert link.end(3)["state"] == "done", link.end(3)
        link.cancel(2)
        link.end(2)
    calls = whole(trace.read_text())
    assert "app.log" in calls
    found = [
        match[0]
        for match in WRITES.finditer(calls)
        if (match[1] not in ("open", "openat") or OPEN.search(match[2])) and "/dev/null" not in match[2]
    ]
    assert len(found) == 1, found
    assert str(planted) in found[0]


def test_children_give_way_and_the_supervisor_does_not() -> None:
    """Nice 19, SCHED_IDLE, idle I/O class and the limits bind a job's process; the supervisor keeps its own."""
    text = """
import os, resource, time
def map():
    yield "nice", os.getpriority(os.PRIO_PROCESS, 0)
    yield "policy", os.sched_getscheduler(0) == os.SCHED_IDLE
    for name in ("AS", "NOFILE", "FSIZE", "CORE"):
        yield name, resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0]
    yield "fds", sorted(map_fds())
    yield "pid", os.getpid()
    time.sleep(600)
def map_fds():
    for fd in range(256):
        try:
            os.fstat(fd)
        except OSError:
            continue
        yield fd
"""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        link.start(1, script(text, lines=False, every_s=0.1), limits={"memory_mb": 200, "files": 99})
        link.until(lambda: len(link.values()) == 8, "the answers")
        said = dict(link.values())
        assert (said["nice"], said["policy"]) == (19, True)
        assert (said["AS"], said["NOFILE"], said["FSIZE"], said["CORE"]) == (200 << 20, 99, 0, 0)
        assert said["fds"] == [0, 1, 2, 3]
        if shutil.which("ionice"):
            asked = subprocess.run(["ionice", "-p", str(said["pid"])], capture_output=True, text=True, check=True)
            assert asked.stdout.strip() == "idle"
        stat = Path(f"/proc/{link.process.pid}/stat").read_text().rpartition(")")[2].split()
        assert stat[16] == str(os.getpriority(os.PRIO_PROCESS, 0))


def test_a_filter_is_bounded_and_not_idle() -> None:
    """A filter has every limit of its map but SCHED_IDLE, under which it could not keep its deadline on a busy host."""
    text = """
import os, resource
def filter(provider):
    print("nice", os.getpriority(os.PRIO_PROCESS, 0))
    print("policy", os.sched_getscheduler(0) == os.SCHED_OTHER)
    for name in ("AS", "NOFILE", "FSIZE", "CORE"):
        print(name, resource.getrlimit(getattr(resource, "RLIMIT_" + name))[0])
    return False
"""
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        limits = {"memory_mb": 200, "files": 99}
        link.start(1, script("def map(): pass\n", lines=False, filter=text), limits=limits)
        assert link.end()["state"] == "filtered_out"
        said = dict(line.split() for line in link.prints().splitlines())
    bounds = {"AS": str(200 << 20), "NOFILE": "99", "FSIZE": "0", "CORE": "0"}
    assert said == {"nice": "19", "policy": "True", **bounds}


def test_nothing_can_be_written_by_a_script(tmp_path: Path) -> None:
    """A file that a script opens for writing stays empty."""
    path = tmp_path / "written"
    text = f"def map():\n    with open({str(path)!r}, 'w') as file:\n        file.write('x')\n    yield 1\n"
    with RunnerLink(str(next(iter(at_hand().values())))) as link:
        link.start(1, script(text, lines=False))
        assert link.end()["state"] == "failed"
        assert path.stat().st_size == 0


def test_a_python_that_is_too_old_says_so() -> None:
    """Python 2 stops at the flags with a line that `ship.too_old` knows."""
    python = _pyenv_python2() or shutil.which("python2.7")
    if python is None:
        pytest.skip("no Python 2 on this machine")
    done = subprocess.run(ship.argv(python), input=ship.payload(), capture_output=True, timeout=20, check=False)
    assert done.returncode != 0
    assert ship.too_old(done.stderr) == "its python3 is older than Python 3.4, and 3.6 or newer is needed"


def _pyenv_python2() -> str | None:
    if not shutil.which("pyenv"):
        return None
    root = subprocess.run(["pyenv", "root"], capture_output=True, text=True, check=False).stdout.strip()
    return next(map(str, Path(root).glob("versions/2.7.*/bin/python2.7")), None)


def test_a_remote_command_runs_in_a_shell() -> None:
    """The shell's command line starts a runner that answers."""
    with RunnerLink(command=["/bin/sh", "-c", ship.remote_command(str(next(iter(at_hand().values()))))]) as link:
        # `exec` left no shell in between.
        assert link.hello.header["pid"] == link.process.pid
