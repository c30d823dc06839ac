"""`logreduce sql` through the whole program, on this machine."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from tests.rigs.plans import by_status, line
from tests.rigs.program import call

PAID = "SELECT status, count(*) AS n, sum(bytes) FROM 'combined:{}' WHERE bytes > 3 GROUP BY status ORDER BY status"


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A few hundred lines."""
    path = tmp_path / "access.log"
    path.write_text("".join(map(line, range(300))))
    return path


def test_sql_gives_what_a_line_and_a_loop_give(log: Path) -> None:
    """The same rows under SQL's names, and a count of a loop."""
    asked = call("sql", PAID.format(log), "-o", "json")
    lined = call(
        "run", f"combined {log} | where bytes > 3 | count as n, sum(bytes) by status | sort status", "-o", "json"
    )
    assert (asked.status, lined.status) == (0, 0)
    rows, same = (done.rows for done in (asked, lined))
    assert [list(row.values()) for row in rows] == [list(row.values()) for row in same]
    assert list(rows[0]) == ["status", "n", "sum(bytes)"]
    counted = Counter(by_status("".join(map(line, range(4, 300)))))
    assert {row["status"]: row["n"] for row in rows} == counted


def test_run_takes_a_select_too_and_windows_have_their_column(log: Path) -> None:
    """A text that begins with SELECT is SQL for `run`; a window is a column of its row."""
    text = f"SELECT tumble(time, '1 minute'), host, count(*) AS n FROM 'combined:{log}' GROUP BY 1, 2"
    done = call("run", text, "-o", "json")
    assert done.status == 0, done.err
    (row,) = done.rows
    assert row == {"window": ["2015-05-17T10:05:00Z", "2015-05-17T10:06:00Z"], "host": "local", "n": 300}


def test_a_group_of_nothing_is_one_row(log: Path) -> None:
    """Aggregates of no rows: counts are 0, and the others null."""
    done = call("sql", f"SELECT count(*) AS n, max(bytes) AS m FROM 'combined:{log}' WHERE status = 7", "-o", "json")
    assert done.rows == [{"n": 0, "m": None}]
    line = f"combined {log} | where status = 7 | count as n, max(bytes) as m"
    assert call("run", line, "-o", "json").rows == done.rows
    assert call("run", line, "-o", "csv").out == "n,m\r\n0,\r\n"
    assert call("run", f"{line} by path", "-o", "csv").out == "path,n,m\r\n"
    missing = call("run", line.replace(str(log), f"{log}.gone"), "-o", "csv")
    assert (missing.status, missing.out) == (3, "n,m\r\n")


def test_what_is_wrong_is_pointed_at(log: Path) -> None:
    """By all verbs that take SQL, with exit status 2, and a word alone is no query of the library."""
    for words in (["sql"], ["run"], ["explain"], ["sql", "--explain"]):
        done = call(*words, f"SELECT sttus FROM 'nginx:{log}'")
        assert done.status == 2
        assert "did you mean 'status'?" in done.err
        assert done.err.splitlines()[-1].strip() == "^^^^^"
    checked = call("check", f"SELECT sttus FROM 'nginx:{log}'")
    assert (checked.status, "did you mean 'status'?" in checked.out) == (2, True)
    alone = call("sql", "http-status")
    assert (alone.status, "a question begins with SELECT" in alone.err) == (2, True)
    assert "Traceback" not in alone.err


def test_explain_says_where_and_what(log: Path) -> None:
    """A condition on host chooses whom to ask; the rest is shown as it is asked there, and here."""
    text = f"SELECT path, count(*) AS n FROM 'nginx:{log}' WHERE host = 'a' AND status > 3 GROUP BY path HAVING n > 1"
    for words in (["sql", "--explain"], ["explain"]):
        done = call(*words, text)
        assert done.status == 2  # `local` is all that is asked, and it is not `a`
        assert "keeps none of the 1 targets" in done.err
        told = call(*words, text.replace("'a'", "'local'"))
        assert told.status == 0, told.err
        for part in ("keeps       status > 3", "at home     keeps n > 1", "providers   those with host = 'local'"):
            assert part in told.out
