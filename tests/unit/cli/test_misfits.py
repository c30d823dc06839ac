"""Lines that are not of the format that was named: what is said of them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backplane.cli.misfits import Misfits
from backplane.query.likely import likely
from backplane.reduce.coverage import Counters, Coverage, Row
from backplane.reduce.rows import Rows
from backplane.reduce.snapshot import Snapshot
from tests.rigs.program import call

SYSLOG = "Nov 20 09:00:01 web1 cron[7]: done\nNov 20 09:00:02 web1 last message repeated 2 times"


def snapshot(final: bool = True, **counters: tuple[int, int, int]) -> Snapshot:
    """An answer of providers with these (lines, matched, parse errors)."""
    rows = {
        name: Row("done", None, None, None, Counters(lines, 0, matched, matched, odd), None, 0.0, None, None, 0.0)
        for name, (lines, matched, odd) in counters.items()
    }
    coverage = Coverage(rows, True, ())
    return Snapshot("q", "1", 1, final, 0.0, Rows((), (), ()), coverage)


def said(given: Snapshot, *samples: tuple[str, str], several: bool = False) -> list[str]:
    """What is said of nginx' logs that are none."""
    misfits = Misfits("nginx", several=several)
    for provider, text in samples:
        misfits.sample(provider, text)
    return [*misfits.told(given), *misfits.told(given)]


def test_a_format_that_matches_nothing() -> None:
    """How many lines, such as which, which hosts, and the format that they are of; each once."""
    given = snapshot(web1=(10, 0, 10), web2=(5, 0, 5), web3=(7, 7, 0))
    assert said(given, ("web1", SYSLOG), ("web2", SYSLOG)) == [
        "web[1-2]: 0 of 15 lines are nginx; such as: Nov 20 09:00:01 web1 cron[7]: done",
        "they look like syslog: write syslog instead of nginx",
    ]


def test_a_few_lines_of_another_kind() -> None:
    """Then nobody named the wrong format."""
    assert said(snapshot(a=(10, 3, 2)), ("a", SYSLOG)) == [
        "a: 2 of 10 lines are not nginx; such as: Nov 20 09:00:01 web1 cron[7]: done"
    ]
    assert said(snapshot(a=(10, 0, 1)), ("a", "x" * 500)) == [f"a: 1 of 10 lines is not nginx; such as: {'x' * 160}..."]


def test_a_few_lines_where_nothing_was_found() -> None:
    """A text that rules out the others leaves it open of which format they are, so the likely one is named."""
    assert said(snapshot(a=(10, 0, 2)), ("a", SYSLOG)) == [
        "a: 2 of 10 lines are not nginx; such as: Nov 20 09:00:01 web1 cron[7]: done",
        "they look like syslog: write syslog instead of nginx",
    ]


def test_where_few_lines_are_looked_at() -> None:
    """A text that rules most out keeps them from being counted, and not from being shown."""
    assert said(snapshot(a=(10, 0, 0)), ("a", SYSLOG))[0].startswith("a: none of the first of 10 lines is nginx; such")


def test_records_of_several_lines_are_no_lines() -> None:
    """What is counted there are records."""
    assert said(snapshot(a=(10, 0, 1)), ("a", SYSLOG), several=True) == [
        "a: not all of 10 lines are nginx; such as: Nov 20 09:00:01 web1 cron[7]: done",
        "they look like syslog: write syslog instead of nginx",
    ]


def test_nothing_is_said_before_it_is_known_how_much() -> None:
    """A live answer says it with the first counters."""
    misfits = Misfits("nginx")
    misfits.sample("a", SYSLOG)
    assert misfits.told(snapshot(final=False, a=(0, 0, 0))) == []
    assert misfits.told(snapshot(final=False)) == []
    assert len(misfits.told(snapshot(final=False, a=(3, 0, 3)))) == 2
    assert misfits.told(snapshot(a=(9, 0, 9))) == []


@pytest.mark.parametrize(
    ("line", "form"),
    [
        ('10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 5 "-" "curl/8"', "nginx"),
        ('10.0.0.1 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" 200 5', "common"),
        ('{"level": "info", "took": 5}', "json"),
        ('{"__REALTIME_TIMESTAMP": "5", "MESSAGE": "x", "_PID": "7"}', "journald"),
        ('level=info msg="it is done" took=5', "logfmt"),
        ("2026-11-20 09:00:00,123 INFO [main] org.example.App: ready", "log4j"),
        ("2026-11-20 09:00:00,123 - INFO  [main:App@7] - ready", "zookeeper"),
        ("2026-11-20 09:00:00,123 INFO FSNamesystem.audit: allowed=true\tugi=a\tcmd=open", "hdfs-audit"),
        ("2026/11/20 09:00:00 [error] 7#7: *1 open() failed", "nginx-error"),
        ("2026-11-20 09:00:00,123 INFO [main] org.example.App - ready", "log4j"),
        ("2026-11-20 09:00:00.123 [main] INFO  org.example.App - ready", "logback"),
        ("2026-11-20T09:00:00.123Z  INFO 1234 --- [main] c.e.App : ready", "spring"),
        ("2026-11-20 09:00:00.123  INFO 1234 --- [           main] c.e.App    : ready", "spring"),
        ("nobody knows what this is", ""),
        ("a text with one=equals sign", ""),
        ("", ""),
    ],
)
def test_which_format_lines_are_of(line: str, form: str) -> None:
    """The one that finds most in them, and none where that would be a guess."""
    assert likely([line.encode()]) == form


def test_a_wrong_format_of_the_users_own_is_passed_over(home: Path) -> None:
    """It is not what the question is about."""
    folder = home / ".config" / "logreduce" / "formats"
    folder.mkdir(parents=True)
    (folder / "mine.toml").write_text("kind = 'regex'\npattern = '('\n")
    assert likely([b'{"a": 1}']) == "json"


@pytest.mark.parametrize(
    ("question", "much", "status"),
    [
        ("nginx {} | count by status", "0 of 3 lines are nginx", 3),
        ("nginx {} | where status = 500 | count", "none of the first of 3 lines is nginx", 0),
        ("log4j {} | count by level", "not all of 3 lines are log4j", 0),
    ],
)
@pytest.mark.usefixtures("home")
def test_the_program_says_so(tmp_path: Path, question: str, much: str, status: int) -> None:
    """On stderr, whatever the question looks for; where no line could be read, the answer is partial."""
    log = tmp_path / "auth.log"
    log.write_text("".join(f"Nov 20 09:00:0{n} web1 sshd[7]: Failed password for x\n" for n in range(3)))
    done = call("run", question.format(log))
    told = done.err.splitlines()
    assert f"logreduce: local: {much}; such as: Nov 20 09:00:00 web1 sshd[7]: Failed password for x" in told
    assert any(line.startswith("logreduce: they look like syslog: write syslog instead of ") for line in told)
    assert done.status == status
    reasons = ["local: none of 3 lines is of the format that was asked for"]
    snapshot = json.loads(call("run", question.format(log), "-q", "-o", "json").out)
    assert (snapshot["complete"], snapshot["inexact"]) == ((False, reasons) if status else (True, []))
    assert call("run", question.format(log), "-q").err == ""
