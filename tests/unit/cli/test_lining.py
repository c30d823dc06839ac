"""Questions of one line on the command line: `run`'s question, `explain` and `check`."""

from __future__ import annotations

import argparse
import hashlib
import json
import zlib
from pathlib import Path

import pytest

from backplane.cli import lining, run
from backplane.cli.main import main
from backplane.client.planned import PlanQuestion
from backplane.client.spec import Ready
from backplane.wire import codec
from backplane.wire.errors import UsageError
from provider.runner.plan import Plan


def _question(*words: str, local: bool = True) -> PlanQuestion:
    parser = argparse.ArgumentParser()
    run.add_arguments(parser)
    return lining.question(parser.parse_args(words), local=local)


def test_paths_are_meant_from_where_the_user_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On this machine; on others they are as they were written."""
    monkeypatch.chdir(tmp_path)
    ready = Ready("local")
    assert _question("raw a.log | count").body(ready, ())["sources"] == [str(tmp_path / "a.log")]
    assert _question("raw a.log | count", local=False).body(ready, ())["sources"] == ["a.log"]
    assert _question("raw | count", "b.log").body(ready, ())["sources"] == [str(tmp_path / "b.log")]


def test_each_provider_gets_a_plan_of_its_own() -> None:
    """With its own name and labels where the question speaks of them, and a plan that it can check."""
    question = _question("nginx f | where host.role = 'db' and (host = 'a' or status = 5) | count by host")
    plans = [
        question.body(Ready(name, labels={"role": role}), ())["plan"]
        for name, role in (("a", "db"), ("b", "db"), ("c", "x"))
    ]
    assert [plan["where"] for plan in plans] == [
        None,
        ["=", ["field", "status"], ["value", 5]],
        ["and", ["value", False], ["=", ["field", "status"], ["value", 5]]],
    ]
    assert [plan["keys"] for plan in plans] == [[["host", ["value", name]]] for name in "abc"]
    assert [Plan.of(plan).data() for plan in plans] == plans


def test_the_smaller_limit_counts() -> None:
    """Of the line's own and `--limit`."""
    assert _question("raw f | limit 5", "--limit", "9").limit_rows == 5
    assert _question("raw f | limit 5", "--limit", "3").limit_rows == 3
    assert _question("raw f | x").limit_rows is None
    assert _question("raw f | x").streams


def test_several_processes_travel_with_those_that_asked() -> None:
    """`--parallel` goes to the provider, and with it what only such a question needs."""
    ready = Ready("local")
    one, two = (_question("raw f | count", *more).body(ready, ()) for more in ((), ("--parallel", "2")))
    assert (one["parallel"], two["parallel"]) == (1, 2)
    names = [set(codec.unpack(zlib.decompress(body["modules"]))) for body in (one, two)]
    assert names[1] - names[0] == {"provider.runner.ranges"}


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["raw f | count", "--set", "a=1"], "--set: a question of one line has no parameters"),
        (["raw | count", "tick:5s"], "'tick:5s' has no records"),
        (["raw - b.log | count"], "'-' stands alone, and there are 2 sources"),
        (["raw f | count by host", "--by-host"], "--by-host: the question has a column host already"),
    ],
)
def test_what_a_line_cannot_is_refused(words: list[str], said: str) -> None:
    """With what to do instead."""
    with pytest.raises(UsageError, match=said):
        _question(*words)


def test_standard_input_is_of_this_machine() -> None:
    """It is fed, once; other machines are not asked for it."""
    question = _question("raw | count", "-")
    assert (question.feed, question.sources, question.work.resume) == (True, ("-",), "never")
    with pytest.raises(UsageError, match="leave the targets out"):
        _question("raw - | count", local=False)


def test_a_command_is_a_source() -> None:
    """Its quotes stand around the command alone; it starts processes, and is run anew only where it follows."""
    question = _question('raw cmd:"zcat x.gz" | count')
    assert question.sources == _question("raw 'cmd:zcat x.gz' | count").sources == ("cmd:zcat x.gz",)
    assert (question.feed, question.work.guard, question.work.resume) == (False, True, "never")
    assert _question('raw cmd:"tail -f x" | count', "-f").work.resume == "gap"


def test_check_says_where_it_is_wrong(capsys: pytest.CaptureFixture[str]) -> None:
    """On stdout, for people and for programs; the exit status is 2."""
    assert main(["check", "nginx f | where pth = 'a' | count"]) == 2
    said, shown, carets = capsys.readouterr().out.splitlines()
    assert "did you mean 'path'?" in said
    assert shown[carets.index("^") :].startswith("pth")
    assert main(["check", "nginx f | where pth = 'a' | count", "-o", "json"]) == 2
    problem = json.loads(capsys.readouterr().out)["problems"][0]
    assert problem["column"] == 17
    assert "did you mean 'path'?" in problem["text"]
    assert main(["check", "nginx f | count", "-o", "json"]) == 0
    assert json.loads(capsys.readouterr().out)["query"]["folds"] == "count"


def test_explain_shows_what_will_run(capsys: pytest.CaptureFixture[str]) -> None:
    """The targets, the plan, and the code of which it tells the hash."""
    line = "nginx /f | where status >= 507 | count by path | sort | limit 2"
    assert main(["explain", "--offline", line, "-o", "json"]) == 0
    told = json.loads(capsys.readouterr().out)
    script = told["scripts"]["plan"]
    assert told["targets"] == ["local"]
    assert script["sha256"] == hashlib.sha256(script["source"].encode()).hexdigest()[:12]
    assert "= 507" in script["source"]
    assert "def feed(data, start, end):" in script["source"]
    assert main(["explain", "--offline", line]) == 0
    text = capsys.readouterr().out
    assert f"sha256 {script['sha256']}" in text
    assert "keeps       status >= 507" in text
    assert "profile     open" in text
    assert told["profile"] == "open"
    assert "at home     sorts by count, largest first, then takes the first 2" in text
    assert main(["explain", "--offline", "nginx /f | where host = 'web9' | count"]) == 2
    assert "keeps none of the 1 targets: local" in capsys.readouterr().err
