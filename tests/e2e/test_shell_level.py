"""Providers that have sshd and a shell and no Python: the same rows, the same words, and nothing left there."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from backplane.wire import limits
from tests.rigs.links import SilentLink
from tests.rigs.program import call, coordinator_of, reach, started, until
from tests.rigs.sshd import Knobs, SshdFarm

pytestmark = [pytest.mark.sshd, pytest.mark.timeout(240)]

#: After a close; silence takes the lease before that, and the clock of a shell is a few of its sleeps late.
GONE_S = 30.0
SHELL = Knobs(python="shell")

FILTERS = {
    "perl": '#!/usr/bin/env perl\nexit(-r $ENV{"logs"} ? 0 : 1);\n',
    "sh": '#!/bin/sh\ntest -r "$logs"\n',
}
MAPS = {
    "awk": '#!/usr/bin/awk -f\n{ print $1 "\\t" 1 }\n',
    "perl": '#!/usr/bin/perl -n\nprint((split)[0], "\\t1\\n");\n',
    "sh": '#!/bin/sh\nwhile read -r word rest; do printf "%s\\t1\\n" "$word"; done\n',
}
BASH = r"""#!/usr/bin/env bash
declare -A n
while IFS= read -r line; do
    [[ $line =~ \"key\":\"([^\"]*)\",\"value\":([0-9]+) ]] && ((n[${BASH_REMATCH[1]}] += BASH_REMATCH[2]))
done
for key in "${!n[@]}"; do printf '%s\t%s\n' "$key" "${n[$key]}"; done
"""
PYTHON = "def reduce(a, b):\n    return a + b\n"


@pytest.fixture(autouse=True)
def _tools() -> None:
    for name in ("awk", "perl", "bash"):
        if shutil.which(name) is None:
            pytest.skip(f"needs {name}")


def folder(path: Path, files: Mapping[str, str], constants: str = "") -> Path:
    """A query of these files."""
    path.mkdir()
    (path / "query.toml").write_text(f'logs = "app.log"\n{constants}')
    for name, text in files.items():
        (path / name).write_text(text)
    return path


def logs(farm: SshdFarm, count: int) -> Counter[str]:
    """Write a log to each provider, and count its words."""
    words: Counter[str] = Counter()
    for index in range(count):
        found = [f"w{n % (3 + index)}" for n in range(1000 + index)]
        words.update(found)
        # The last line lacks its end.
        (farm.dir(index) / "app.log").write_text("\n".join(f"{word} and more" for word in found))
    return words


@pytest.fixture
def mixed(tmp_path: Path) -> Iterator[SshdFarm]:
    """Two ordinary providers, and two without Python."""
    with SshdFarm(tmp_path / "farm", 4, {1: SHELL, 3: SHELL}) as farm:
        yield farm


@pytest.mark.parametrize(
    ("filtering", "mapping", "reduce", "constants"),
    [
        ("perl", "awk", {"reduce": BASH}, ""),
        ("sh", "perl", {"reduce.py": PYTHON}, ""),
        ("perl", "sh", {}, 'reduce = "sum"\n'),
    ],
    ids=["perl-awk-bash", "sh-perl-python", "perl-sh-aggregate"],
)
def test_the_same_rows(
    mixed: SshdFarm, tmp_path: Path, filtering: str, mapping: str, reduce: dict[str, str], constants: str
) -> None:
    """With and without Python together, whatever language; the answer names the level, and a filter that says no."""
    words = logs(mixed, 4)
    files = {"filter": FILTERS[filtering], "map": MAPS[mapping], **reduce}
    query = folder(tmp_path / "query", files, constants)
    done = call("run", query, *reach(mixed), "-o", "json")
    assert done.status == 0, done.err
    assert {row["key"]: row[next(name for name in row if name != "key")] for row in done.rows} == words
    rows = done.snapshot["coverage"]["providers"]
    assert [rows[f"p{index:02}"]["level"] for index in range(4)] == ["exec", "shell", "exec", "shell"]
    assert [rows[f"p{index:02}"]["emitted"] for index in range(4)] == [1000, 1001, 1002, 1003]
    assert done.snapshot["inexact"] == []
    (mixed.dir(1) / "app.log").unlink()
    done = call("run", query, *reach(mixed), "-o", "json")
    assert done.states == {"p00": "done", "p01": "filtered_out", "p02": "done", "p03": "done"}, done.err
    assert [mixed.processes(index) for index in range(4)] == [[], [], [], []]


def test_what_cannot_be_answered_is_said(tmp_path: Path) -> None:
    """Python is refused with what would do; a log that is missing, a script that fails, an interpreter that is not
    there, and text on stderr are told as with a runner."""
    with SshdFarm(tmp_path / "farm", 1, {0: SHELL}) as farm:
        asked = [*reach(farm), "-o", "json"]
        python = folder(
            tmp_path / "python", {"map.py": "def map(lines):\n    for line in lines:\n        yield line\n"}
        )
        done = call("run", python, *asked)
        assert (done.status, done.states) == (3, {"p00": "refused"})
        assert "no python3 on the PATH" in done.reason("p00")
        assert "(level shell) runs a folder whose filter and map are scripts in sh, awk, perl" in done.reason("p00")
        done = call("run", "raw app.log | count", *asked)
        assert (done.status, done.states) == (3, {"p00": "refused"})
        assert "a question of one line or of SQL needs Python" in done.reason("p00")
        query = folder(tmp_path / "query", {"map": MAPS["awk"]})
        done = call("run", query, *asked)
        assert (done.states, done.reason("p00")) == ({"p00": "failed"}, "there is no app.log"), done.err
        (farm.dir(0) / "app.log").write_text("x\n")
        (query / "map").write_text("#!/bin/sh\necho one\necho why >&2\nexit 4\n")
        done = call("run", query, *asked)
        assert done.states == {"p00": "failed"}
        assert done.reason("p00").endswith("/map ended with status 4: why")
        assert done.rows == [{"host": "p00", "value": "one"}], "what it had printed stays"
        assert "why" in done.err
        (query / "map").write_text("#!/opt/nosuch -f\n")
        done = call("run", query, *asked)
        assert done.states == {"p00": "refused"}
        assert "needs /opt/nosuch, which is not on this provider" in done.reason("p00")
        (query / "map").write_text("#!/bin/sh\ncat\n")
        done = call("run", query, "--from", "cmd:echo yes; echo no >&2; exit 3", *asked)
        assert done.states == {"p00": "failed"}, done.err
        assert "ended with status 3: no" in done.reason("p00")


def test_a_command_reaches_a_container_without_python(tmp_path: Path) -> None:
    """Level `shell` behind `via` too, asked for by name, and `--python` is believed."""
    (tmp_path / "app.log").write_text("a\nb\na\n")
    query = folder(tmp_path / "query", {"map": MAPS["awk"]}, 'reduce = "sum"\n')
    labels = {"name": "box", "via": f"env -C {tmp_path}", "level": "shell"}
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps([{"targets": ["box"], "labels": labels}]))
    done = call("run", query, "-i", inventory, "-o", "json")
    assert done.status == 0, done.err
    assert done.rows == [{"key": "a", "sum": 2}, {"key": "b", "sum": 1}]
    assert done.snapshot["coverage"]["providers"]["box"]["level"] == "shell"


def test_check_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`providers check` tells level, clock and readable logs without Python."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))
    with SshdFarm(tmp_path / "farm", 1, {0: SHELL}) as farm:
        (farm.dir(0) / "app.log").write_text("x\n")
        assert call("providers", "import", farm.inventory_json).status == 0
        options = [*reach(farm)[2:], "--log", "app.log", "--log", "none.log", "--log", "a*.log"]
        done = call("providers", "check", *options)
        listed = json.loads(call("providers", "ls", "-o", "json").out)
    assert (done.status, done.out.splitlines()[0]) == (
        0,
        "p00  shell, no Python; host key known; reads app.log, a*.log; may not read none.log",
    ), done.err
    assert 0 < listed[0]["facts"]["latency_ms"] < 30000
    assert abs(listed[0]["facts"]["clock_offset_s"]) < 30


BEHAVIOURS = {
    # Not awk: mawk reads a pipe by 4,096 bytes.
    "follows": '#!/bin/sh\nwhile read -r line; do echo "$line"; done\n',
    "hides": "#!/bin/sh\necho x\nsetsid sleep 3600 &\n(setsid sleep 3600 &)\nsleep 3600\n",
    "floods": "#!/bin/sh\nwhile :; do echo 0123456789012345678901234567890123456789; done\n",
}


@pytest.fixture(params=sorted(BEHAVIOURS))
def query(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "hides" and not Path("/proc/self/environ").exists():
        pytest.skip("needs /proc")
    return folder(tmp_path / "query", {"map": BEHAVIOURS[request.param]}, 'reduce = "count"\n')


@pytest.fixture
def two(tmp_path: Path) -> Iterator[SshdFarm]:
    """Without Python, both."""
    with SshdFarm(tmp_path / "farm", 2, {0: SHELL, 1: SHELL}) as farm:
        for index in range(2):
            (farm.dir(index) / "app.log").touch()
        yield farm


@contextlib.contextmanager
def running(query: Path, farm: SshdFarm) -> Iterator[subprocess.Popen[str]]:
    """The program, once both providers have emitted."""
    rhythm = ["-f", "-o", "jsonl", "--every", "200ms", "--coverage", "full"]
    with started("run", query, *reach(farm), *rhythm) as process:
        assert process.stdout is not None
        for line in process.stdout:
            providers = json.loads(line)["coverage"]["providers"]
            if all(row["emitted"] for row in providers.values()) and len(providers) == 2:
                break
            for index in range(2):
                with (farm.dir(index) / "app.log").open("a") as log:
                    log.write("a line\n")
        assert all(len(farm.processes(i)) >= 3 for i in range(2)), "a keeper, a clock and a script on each"
        yield process


def gone(farm: SshdFarm) -> bool:
    return until(lambda: not farm.processes(0) and not farm.processes(1), GONE_S)


def test_client_killed(query: Path, two: SshdFarm) -> None:
    """kill -9 of the client ends every shell and all that a script has started, also what left its group."""
    with running(query, two) as process:
        process.send_signal(signal.SIGKILL)
        assert gone(two), [two.processes(i) for i in range(2)]


def test_coordinator_killed(query: Path, two: SshdFarm) -> None:
    """kill -9 of the coordinator: likewise, and the one that takes its place starts anew, with a gap that is named."""
    with running(query, two) as process:
        before = [set(two.processes(i)) for i in range(2)]
        os.kill(coordinator_of(process.pid), signal.SIGKILL)
        assert until(lambda: not any(before[i] & set(two.processes(i)) for i in range(2)), GONE_S), before
        assert until(lambda: all(two.processes(i) for i in range(2)), GONE_S), "they begin anew"
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        last = json.loads(process.stdout.readlines()[-1])
        assert last["final"] is True
        assert len(last["inexact"]) >= 1, last["inexact"]
        assert gone(two), [two.processes(i) for i in range(2)]


def test_drained(query: Path, two: SshdFarm) -> None:
    """Ctrl-C: a final snapshot, and nothing left."""
    with running(query, two) as process:
        process.send_signal(signal.SIGINT)
        assert process.stdout is not None
        last = json.loads(process.stdout.readlines()[-1])
        assert process.wait(30) in (0, 3)
        assert last["final"] is True
        assert gone(two), [two.processes(i) for i in range(2)]


def test_link_silent(query: Path, two: SshdFarm) -> None:
    """A link that carries nothing any more, in neither direction: the shells' own clocks end them."""
    site = two.sites[0]
    with SilentLink(site.address, site.port) as link:
        two.moved(0, link.address, link.port)
        with running(query, two):
            link.silence()
            assert until(lambda: not two.processes(0), limits.LEASE_S + GONE_S), two.processes(0)
            assert two.processes(1), "the other provider is not concerned"
