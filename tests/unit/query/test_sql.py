"""What a SELECT becomes: sources, hosts, windows, and steps that are left for home."""

from __future__ import annotations

import subprocess
import sys

import pytest

from backplane.query.oneline import one_line
from backplane.query.sql import sql


@pytest.mark.parametrize(
    ("source", "paths"),
    [
        ("'nginx:/var/log/a.log'", ("/var/log/a.log",)),
        ("'nginx:/var/log/*.log' AS n", ("/var/log/*.log",)),
        ("['nginx:/a', 'nginx:/b']", ("/a", "/b")),
        ("[ 'nginx:/a','/b' ]", ("/a", "/b")),
        ("'nginx:/a', 'nginx:/b'", ("/a", "/b")),
        ("nginx('/a', '/b')", ("/a", "/b")),
        ("nginx", ("/var/log/nginx/access.log",)),
        ("NGINX", ("/var/log/nginx/access.log",)),
        ('"nginx:/a b"', ("/a b",)),
    ],
)
def test_a_source_is_a_format_and_paths(source: str, paths: tuple[str, ...]) -> None:
    """However it is written."""
    asked = sql(f"SELECT count(*) FROM {source}")
    assert asked.paths == paths
    assert asked.plan["format"]["name"] == "nginx"


def test_files_of_the_command_line_go_instead() -> None:
    """As they do of one line."""
    assert sql("SELECT path FROM nginx", ["/x"]).paths == ("/x",)


def test_a_condition_on_hosts_is_not_asked_of_lines() -> None:
    """What speaks of providers alone prunes them, and the rest travels."""
    asked = sql("SELECT path FROM nginx WHERE host.role = 'web' AND status > 3 AND host IN ('a', 'b')")
    assert asked.hosts == [
        "and",
        ["=", ["field", "host.role"], ["value", "web"]],
        ["in", ["field", "host"], ["a", "b"]],
    ]
    assert asked.plan["where"] == [">", ["field", "status"], ["value", 3]]


def test_the_plan_is_that_of_one_line() -> None:
    """So it is folded, cached and explained as one."""
    asked = sql("SELECT path, count(*) AS count, avg(bytes) AS mean FROM nginx WHERE status >= 500 GROUP BY path")
    assert asked.plan == one_line("nginx | where status >= 500 | count, avg(bytes) by path").plan
    assert asked.steps == ()


@pytest.mark.parametrize(
    ("by", "window"),
    [
        ("tumble(time, '1 minute')", ["time", 60, 60, 0.0]),
        ("tumble(time, INTERVAL 5 MINUTES)", ["time", 300, 300, 0.0]),
        ("hop(time, '1 minute', '1 hour')", ["time", 3600, 60, 0.0]),
    ],
)
def test_windows(by: str, window: list[object]) -> None:
    """Size and step, as names for them say in other systems; the window is a column, and no key."""
    asked = sql(f"SELECT {by}, status, count(*) FROM nginx GROUP BY 1, status")
    assert asked.plan["window"] == window
    assert asked.keys == ("status",)


@pytest.mark.parametrize("by", ["1", "p", "lower(path)", "ALL", "LOWER( path )"])
def test_a_key_is_named_in_four_ways(by: str) -> None:
    """By its place, its name, itself, or as all that is not folded."""
    asked = sql(f"SELECT lower(path) AS p, count(*) FROM nginx GROUP BY {by}")
    assert asked.plan["keys"] == [["p", ["call", "lower", ["field", "path"]]]]


def test_what_is_not_behind_select_is_folded_and_left_out() -> None:
    """HAVING and ORDER BY may fold what nobody wants to see."""
    asked = sql("SELECT path FROM nginx GROUP BY path HAVING sum(bytes) > 9 ORDER BY max(bytes) DESC LIMIT 3")
    assert [name for name, _ in asked.plan["aggregates"]] == ["sum", "max", "count"]
    assert [step[0] for step in asked.steps] == ["where", "sort", "limit", "columns"]
    assert asked.steps[-1] == ("columns", (("path", ["field", "path"]),))


def test_other_questions_import_no_reader_of_sql() -> None:
    """It takes a third of a second, which a question of one line has no use for."""
    program = (
        "import sys; from backplane.cli import lining, explain, run; from backplane.query.oneline import one_line; "
        "one_line('nginx | count'); print('sqlglot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_a_limit_of_each_window_is_said() -> None:
    """SQL means all rows, so whoever cuts off windows is told; whoever orders or cuts off anything else is not."""
    windows = "SELECT tumble(time, '1 minute'), count(*) AS n FROM nginx GROUP BY 1 ORDER BY n"
    (told,) = sql(f"{windows} LIMIT 2").notices
    assert "of each window" in told and "time_bucket" in told
    assert sql(windows).notices == ()
    assert sql("SELECT path, count(*) AS n FROM nginx GROUP BY path ORDER BY n LIMIT 2").notices == ()
