"""The provider table from end to end: kept, checked over real sshds, asked, and changed under a running query."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.program import call, snapshots, started
from tests.rigs.sshd import Knobs, SshdFarm

QUERY = '''
"""Lines by kind."""
logs = "app.log"


def map(lines):
    for line in lines:
        yield line.strip(), 1


reduce = "sum"
'''
ROOT = ["--allow-root"] if os.getuid() == 0 else []


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A table of the test's own, and no coordinator that runs already."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(tmp_path / "run"))


def _host(tmp_path: Path, name: str) -> Path:
    """A provider that is reached by a command, in a directory of its own; in the table from now on."""
    home = tmp_path / name
    home.mkdir()
    (home / "app.log").write_text("old\n")
    done = call("providers", "add", name, "--via", f"env -C {home}", "--label", "role=app")
    assert (done.status, done.out) == (0, f"added 1: {name}\n"), done.err
    return home


def test_a_table_is_kept_from_call_to_call(tmp_path: Path) -> None:
    """What is added is listed; the file is the user's own; what is removed is gone, and -a asks what is left."""
    assert call("providers", "ls").out == "no providers\n"
    for name in ("app1", "app2", "app3"):
        _host(tmp_path, name)
    assert call("providers", "ls", "app*", "-x", "app3", "-o", "json").out.count('"name"') == 2
    (file,) = (tmp_path / "state" / "logreduce").glob("providers.sqlite")
    assert file.stat().st_mode & 0o777 == 0o600
    assert call("providers", "rm", "-l", "role=app", "-x", "app[1-2]").out == "removed 1: app3\n"
    query = tmp_path / "kinds.py"
    query.write_text(QUERY.lstrip())
    done = call("run", query, "-a", "--python", "python3", "-o", "json")
    assert done.status == 0, done.err
    assert done.rows == [{"key": "old", "sum": 2}]
    assert set(done.states) == {"app1", "app2"}
    explained = call("explain", "--offline", query, "-w", "app*", "-o", "json")
    assert json.loads(explained.out)["targets"] == ["app1", "app2"]


def test_import_says_what_changed(tmp_path: Path) -> None:
    """Imported anew, an inventory adds, updates and with --prune removes, and what was added by hand stays."""
    inventory = tmp_path / "hosts.json"
    inventory.write_text(json.dumps([{"targets": ["web1", "web2"], "labels": {"role": "web"}}]))
    assert call("providers", "add", "db1").status == 0
    assert call("providers", "import", inventory).out == "added 2: web[1-2]\n"
    inventory.write_text(json.dumps([{"targets": ["web2", "web3"], "labels": {"role": "front"}}]))
    done = call("providers", "import", inventory, "--prune")
    assert done.out == "added 1: web3\nupdated 1: web2\nremoved 1: web1\n"
    assert [row["provider"]["name"] for row in json.loads(call("providers", "ls", "-o", "json").out)] == [
        "db1",
        "web2",
        "web3",
    ]
    refused = call("providers", "add", "web2", "--user", "root")
    assert (refused.status, "--replace" in refused.err) == (2, True)


@pytest.mark.sshd
def test_check_over_ssh_names_the_broken(tmp_path: Path) -> None:
    """Four real sshds: what is the same is one line, a changed host key and a refused port are reasons, status 3."""
    knobs = {2: Knobs(host_key="wrong"), 3: Knobs(kind="refused")}
    with SshdFarm(tmp_path / "farm", 4, knobs) as farm:
        for index in (0, 1):
            (farm.dir(index) / "app.log").write_text("x\n")
        assert call("providers", "import", farm.inventory_json).status == 0
        argv: list[str | Path] = [
            "providers",
            "check",
            "--known-hosts",
            farm.known_hosts,
            *ROOT,
            "--log",
            "app.log",
            "--log",
            "none.log",
        ]
        done = call(*argv)
        assert done.status == 3, done.err
        lines = done.out.splitlines()
        assert lines[0].startswith("p[00-01]  exec, Python 3.")
        assert lines[0].endswith("host key known; reads app.log; may not read none.log")
        assert "p02" in lines[1] and "host key has CHANGED" in lines[1]
        assert "p03" in lines[2] and "refuses connections" in lines[2]
        listed = json.loads(call("providers", "ls", "-o", "json").out)
    rows = {row["provider"]["name"]: row["facts"] for row in listed}
    assert rows["p00"]["level"] == "exec"
    assert 0 < rows["p00"]["latency_ms"] < 10_000
    assert abs(rows["p00"]["clock_offset_s"]) < 5
    assert rows["p02"]["host_key"] == "changed"


def test_a_running_query_hears_of_the_table(tmp_path: Path) -> None:
    """Under a following query one provider joins and counts; one leaves, is `left`, and what it gave stays."""
    first = _host(tmp_path, "app1")
    query = tmp_path / "kinds.py"
    query.write_text(QUERY.lstrip())
    argv: list[str | Path] = [
        "run",
        query,
        "-l",
        "role=app",
        "-f",
        "--every",
        "200ms",
        "-o",
        "jsonl",
        "--coverage",
        "full",
    ]
    with started(*argv) as process:
        seen = snapshots(process)

        def until(true: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
            return next(each for each in seen if true(each))

        def rows(each: dict[str, Any]) -> dict[str, int]:
            return {row["key"]: row["sum"] for row in each["rows"]}

        def is_in(name: str, wanted: str) -> Callable[[dict[str, Any]], bool]:
            return lambda each: each["coverage"]["providers"].get(name, {}).get("state") == wanted

        until(is_in("app1", "running"))
        second = _host(tmp_path, "app2")
        until(is_in("app2", "running"))
        for home, word in ((first, "one"), (second, "two")):
            with (home / "app.log").open("a") as log:
                log.write(f"{word}\n")
        until(lambda each: rows(each) == {"one": 1, "two": 1})
        assert call("providers", "rm", "app1").status == 0
        left = until(is_in("app1", "left"))
        assert rows(left) == {"one": 1, "two": 1}
        with (first / "app.log").open("a") as log:
            log.write("away\n")
        done = call("providers", "add", "app1", "--via", f"env -C {first}", "--label", "role=app")
        assert done.status == 0
        until(is_in("app1", "running"))
        with (first / "app.log").open("a") as log:
            log.write("back\n")
        until(lambda each: rows(each) == {"one": 1, "two": 1, "back": 1})
