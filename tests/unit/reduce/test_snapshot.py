"""A snapshot as a prompt shows it."""

from __future__ import annotations

from backplane.reduce.coverage import Counters, Coverage, Row
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot


def test_a_prompt_shows_one_line() -> None:
    """However many providers there are; names of columns that logs made are quoted."""
    rows = {
        f"web{number}": Row("done", None, None, None, Counters(), None, 0.0, None, None, 0.0) for number in range(9)
    }
    rows["db"] = Row("failed", "no log", None, None, Counters(), None, 0.0, None, None, 0.0)
    table = Rows(("key", "\x1b[2J"), (("/", 1),))
    partial = Snapshot("nginx", "1", 7, True, 0.0, table, Coverage(rows, False, ("a sentence",)))
    assert repr(partial) == (
        "<Snapshot 'nginx' 7: final, partial, inexact (9 done, 1 failed); 1 row of 'key', '\\x1b[2J'>"
    )
    running = Snapshot("nginx", "1", 1, False, 0.0, Rows((), ()), Coverage({}, True, ()))
    assert repr(running) == "<Snapshot 'nginx' 1: complete (no providers); 0 rows of no columns>"
