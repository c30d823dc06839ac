"""What is said on stderr beside an answer."""

from __future__ import annotations

import argparse

import pytest

from backplane.cli import shown
from backplane.reduce import folds
from backplane.reduce.answer import Answer
from backplane.reduce.snapshot import Snapshot
from backplane.wire.messages import Fault, State

MISSING = Fault(code="source", text="there is no /var/log/app.log")
ERROR = Fault(code="raised", text="ValueError: x", payload=b'  File "q.py", line 2\nValueError: x')


def final(**reasons: str) -> Snapshot:
    """The last snapshot of providers that failed for these reasons."""
    answer = Answer(query="q", query_id="1", fold=folds.AggregateFold(["count"]), targets=reasons)
    for name, reason in reasons.items():
        answer.handle(name, State(query="1", provider=name, state="failed", reason=reason))
    return answer.snapshot(final=True)


def said(capsys: pytest.CaptureFixture[str], *faults: Fault, snapshot: Snapshot | None, **options: bool) -> list[str]:
    """The lines on stderr of an answer with these faults, of web1 and web2 each."""
    flags = {"follow": False, "quiet": False, **options}
    args = argparse.Namespace(output=None, every=2.0, verbose=False, coverage=None, **flags)
    with shown.show(args, streams=False, title="") as show:
        for fault in faults:
            for provider in ("web1", "web2"):
                show.fault(provider, fault)
        if snapshot is not None:
            show.snapshot(snapshot)
    return capsys.readouterr().err.splitlines()


def test_a_log_that_is_not_there_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    """By the coverage, which names all who lack it."""
    snapshot = final(web1=MISSING.text, web2=MISSING.text)
    assert said(capsys, MISSING, snapshot=snapshot) == [
        "logreduce: 2 failed",
        f"logreduce: failed web[1-2]: {MISSING.text}",
    ]


def test_who_follows_is_told_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Its coverage may come in a week; two logs that are missing are two sentences."""
    other = Fault(code="source", text="there is no /var/log/other.log")
    assert said(capsys, MISSING, other, snapshot=None, follow=True) == [
        f"logreduce: web1: {MISSING.text}",
        f"logreduce: web1: {other.text}",
    ]


def test_what_coverage_does_not_say_is_said_all_the_same(capsys: pytest.CaptureFixture[str]) -> None:
    """Of a job that broke off and went on, of an answer that never came, and where coverage is not shown."""
    first = f"logreduce: web1: {MISSING.text}"
    assert said(capsys, MISSING, snapshot=final(web1="another reason"))[0] == first
    assert said(capsys, MISSING, snapshot=None) == [first]
    assert said(capsys, MISSING, snapshot=final(web1=MISSING.text), quiet=True) == [first]


def test_a_traceback_is_said_at_once(capsys: pytest.CaptureFixture[str]) -> None:
    """Coverage has no room for it."""
    assert said(capsys, ERROR, snapshot=None)[:2] == ["logreduce: web1: ValueError: x", '      File "q.py", line 2']
