"""`explain` asks the providers themselves what a question would cost; what it says is what `run` then reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.rigs.plans import line
from tests.rigs.program import Done, call, reach
from tests.rigs.sshd import Knobs, SshdFarm

QUERY = '''
"""Lines, counted."""
logs = "access.log"


def filter(provider):
    return provider.readable("wanted")


def map(lines):
    open("started", "w").close()
    for line in lines:
        yield 1


reduce = "count"
'''


def estimate(done: Done) -> dict[str, Any]:
    """What ``-o json`` says of the cost."""
    assert done.status == 0, done.err
    found: dict[str, Any] = json.loads(done.out)["estimate"]
    return found


def read(done: Done) -> dict[str, int]:
    """Bytes that each provider has read, by the coverage."""
    return {name: row["bytes"] for name, row in done.snapshot["coverage"]["providers"].items() if row["bytes"]}


@pytest.mark.sshd
def test_the_estimate_is_what_is_read(tmp_path: Path) -> None:
    """Of each that is kept, to the byte; who is left out or not reached is named, and no map has run."""
    query = tmp_path / "count.py"
    query.write_text(QUERY.lstrip())
    with SshdFarm(tmp_path / "farm", 4, {3: Knobs(kind="refused")}) as farm:
        names = [site.name for site in farm.sites]
        for index in range(3):
            (farm.dir(index) / "access.log").write_text("".join(map(line, range(500 * (index + 1)))))
        for index in range(2):
            (farm.dir(index) / "wanted").touch()
        told = estimate(call("explain", query, *reach(farm), "-o", "json", "--wait", "1s"))
        assert not any((farm.dir(index) / "started").exists() for index in range(4))
        done = call("run", query, *reach(farm), "-o", "json", "--wait", "1s")
        planned = estimate(call("explain", "combined access.log | count", *reach(farm), "-o", "json", "--wait", "1s"))
        shown = call("explain", query, *reach(farm), "--wait", "1s").out
    known = {name: cost["bytes"] for name, cost in told["providers"].items() if cost["bytes"] is not None}
    assert known == read(done)
    assert (list(known), told["bytes"]) == (names[:2], sum(known.values()))
    assert told["filtered_out"] == [names[2]]
    assert list(told["unknown"]) == [names[3]]
    assert "refuses connections" in told["unknown"][names[3]]
    assert told["seconds"] >= told["reach_s"] > 0
    assert [planned["providers"][name]["lines"] for name in names[:3]] == [500, 1000, 1500]
    for part in (f"left out    1 by the filter: {names[2]}", "not known   ", "what map does"):
        assert part in shown


@pytest.mark.sshd
def test_a_host_without_python_tells_sizes(tmp_path: Path) -> None:
    """A shell counts the bytes, and how long they take stays unknown; a plan cannot run there, and is told so."""
    folder = tmp_path / "count"
    folder.mkdir()
    (folder / "query.toml").write_text('logs = ["app*.log", "nothing.log"]\n')
    for name, text in (("map", "wc -l"), ("filter", "test -e wanted")):
        (folder / name).write_text(f"#!/bin/sh\n{text}\n")
        (folder / name).chmod(0o755)
    with SshdFarm(tmp_path / "farm", 2, {0: Knobs(python="shell"), 1: Knobs(python="shell")}) as farm:
        (farm.dir(0) / "wanted").touch()
        for name in ("app1.log", "app2.log"):
            (farm.dir(0) / name).write_text("a line\n" * 100)
        told = estimate(call("explain", folder, *reach(farm), "-o", "json"))
        planned = estimate(call("explain", "raw app1.log | count", *reach(farm), "-o", "json"))
        names = [site.name for site in farm.sites]
    assert (told["bytes"], told["filtered_out"]) == (1400, [names[1]])
    assert (told["providers"][names[0]]["files"], told["providers"][names[0]]["seconds"]) == (2, None)
    assert "no python3" in planned["unknown"][names[0]]


def test_times_and_rotated_files_count_as_they_are_read(tmp_path: Path) -> None:
    """`--since` and `--rotated` change what there is to read, as they change what is read."""
    log = tmp_path / "app.log"
    log.write_text("".join(f"2015-05-17T10:{n // 60:02}:{n % 60:02}Z line {n}\n" for n in range(3000)))
    log.with_name("app.log.1").write_text("2015-05-16T10:00:00Z the day before\n" * 1000)
    question = f"raw {log} | count"
    for options in ([], ["--rotated"], ["--since", "2015-05-17T10:20:00Z"], ["--since", "2015-05-16T00:00:00Z"]):
        told = estimate(call("explain", question, *options, "-o", "json"))
        assert {"local": told["bytes"]} == read(call("run", question, *options, "-o", "json")), options


def test_a_condition_on_host_prunes_before_anybody_is_asked(tmp_path: Path) -> None:
    """Whom it leaves out is named, and has no cost."""
    log = tmp_path / "access.log"
    log.write_text("".join(map(line, range(30))))
    hosts = tmp_path / "hosts.json"
    groups = [(["web1", "web2"], "web"), (["db1"], "db")]
    hosts.write_text(json.dumps([{"targets": names, "labels": {"role": role, "via": "env"}} for names, role in groups]))
    text = f"combined {log} | where host.role = 'web' | count"
    done = call("explain", text, "-i", hosts, "-o", "json")
    assert list(estimate(done)["providers"]) == json.loads(done.out)["targets"] == ["web1", "web2"]
    assert json.loads(done.out)["pruned"] == ["db1"]
    assert "pruned      1 by the condition on host: db1" in call("explain", text, "-i", hosts, "--offline").out


def test_a_wrong_format_shows_before_it_is_run(tmp_path: Path) -> None:
    """The sample of a log of another format asks whether it is the right one."""
    log = tmp_path / "app.log"
    log.write_text("no access at all\n" * 100)
    done = call("explain", f"combined {log} | count by status")
    assert "100 lines, 0 taken, 100 do not parse (is this the right format?)" in done.out


def test_what_has_no_end_is_not_known(tmp_path: Path) -> None:
    """A command is not run to find out; SQL is explained by its own verb as well."""
    mark = tmp_path / "ran"
    done = call("explain", f"raw cmd:'touch {mark}' | count")
    assert done.status == 0, done.err
    assert "is no file" in done.out
    assert not mark.exists()
    log = tmp_path / "access.log"
    log.write_text("".join(map(line, range(30))))
    done = call("sql", "--explain", f"SELECT count(*) FROM 'combined:{log}'")
    assert f"bytes       {log.stat().st_size / 1000:.1f} kB to read, in 1 log on 1 provider" in done.out
