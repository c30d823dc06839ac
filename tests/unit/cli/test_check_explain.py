"""`check` and `explain`: what they print, where, and how they exit. Both run nothing of what travels."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from backplane.cli.main import main

GOOD = '''"""Lines over a length."""
import re

logs = "/var/log/syslog"
least = 80
token = "swordfish"
secret = ["token"]


def map(lines):
    for line in lines:
        if len(line) > least:
            yield token, 1


reduce = "count"
'''


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A good query file."""
    path = tmp_path / "long.py"
    path.write_text(GOOD)
    return path


def test_check_sums_a_good_file_up(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good file: status 0, and what it asks, on stdout."""
    assert main(["check", str(file), "--set", "least=100"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert out.split("\n") == [
        f"{file}: good",
        "title       Lines over a length.",
        "sources     /var/log/syslog",
        "parameters  least = 100, token = (secret)",
        "ships       map: 6 lines",
        "reduce      count (folded on the providers, and here)",
        "replayable  yes: each line's values depend on that line alone",
        "on a break  a job goes on where it was, and the answer stays exact",
        "needs       nothing is declared",
        "",
    ]


def test_check_says_all_that_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A wrong file: status 2, and a line for each thing that is wrong."""
    path = tmp_path / "wrong.py"
    path.write_text('import numpy\nlogs = 3\ndef map(lines):\n    yield numpy.pi\nreduce = "cuont"\n')
    assert main(["check", str(path)]) == 2
    lines = capsys.readouterr().out.splitlines()
    assert [line.partition(": ")[0] for line in lines] == [f"{path}:1", f"{path}:2", f"{path}:5"]


def test_check_is_data_for_programs(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``-o json`` stdout is one document, of a good file as of a wrong one."""
    assert main(["check", str(file), "-o", "json"]) == 0
    good = json.loads(capsys.readouterr().out)
    assert (good["good"], good["problems"], good["query"]["secret"]) == (True, [], ["token"])
    assert good["query"]["parameters"] == {"least": 80, "token": "(secret)"}
    wrong = tmp_path / "wrong.py"
    wrong.write_text("x = 1\n")
    assert main(["check", str(wrong), "-o", "json"]) == 2
    bad = json.loads(capsys.readouterr().out)
    assert (bad["good"], bad["query"]) == (False, None)
    assert bad["problems"][0]["file"] == str(wrong)
    assert "there is no `map`" in bad["problems"][0]["text"]


def test_check_of_no_file_is_usage(capsys: pytest.CaptureFixture[str]) -> None:
    """A file that is not there is said on stderr, status 2."""
    assert main(["check", "./no-such.py"]) == 2
    assert capsys.readouterr().err == "logreduce: there is no query file ./no-such.py\n"


def test_a_warning_is_no_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What may not be meant is said, and the file is good."""
    path = tmp_path / "quiet.py"
    path.write_text("def map():\n    print(1)\n")
    assert main(["check", str(path)]) == 0
    assert f"warning: {path}:1: `map` never yields" in capsys.readouterr().out


def test_explain_shows_what_travels_where(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Targets folded, the source with the file's own line numbers, and no secret anywhere."""
    assert main(["explain", str(file), "-w", "web[01-20]", "--set", "token=hunter2", "--offline"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    assert "targets     20: web[01-20]" in out
    assert "not known   bytes to read" in out
    assert "profile     open" in out
    assert "   5  least = 80\n   6  token = '***'\n" in out
    assert "  10  def map(lines):\n  11      for line in lines:\n" in out
    assert "import re" not in out
    assert "sha256" in out
    assert "hunter2" not in out


def test_explain_without_a_target_says_whom_it_means(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """No target means this machine, which stderr says, and FILES are this machine's."""
    assert main(["explain", "--offline", str(file), str(file)]) == 0
    out, err = capsys.readouterr()
    assert "asking this machine" in err
    assert f"sources     {file}" in out


def test_explain_is_data_for_programs(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With ``-o json``: targets as a list, scripts with hash and source."""
    assert main(["explain", str(file), "-w", "b,a", "-o", "json", "--offline"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["targets"] == ["a", "b"]
    assert found["estimate"] is None
    assert found["scripts"].keys() == {"map"}
    assert "def map(lines):" in found["scripts"]["map"]["source"]
    assert "swordfish" not in json.dumps(found)


def test_settings_are_not_quoted_when_wrong(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A ``--set`` that is none is not shown: it may be a secret that was mistyped."""
    assert main(["check", str(file), "--set", "hunter2"]) == 2
    assert "hunter2" not in capsys.readouterr().err


def test_nothing_that_travels_is_executed(tmp_path: Path) -> None:
    """Neither verb runs module code that filter or map reach."""
    path = tmp_path / "q.py"
    mark = tmp_path / "ran"
    path.write_text(
        f"import pathlib\nMARK = pathlib.Path({str(mark)!r})\nMARK.touch()\nlogs = '/x'\n"
        "def filter(provider):\n    return MARK\ndef map(lines):\n    yield MARK\ndef reduce(a, b):\n    return a\n"
    )
    assert main(["check", str(path)]) == 0
    assert main(["explain", "--offline", str(path)]) == 0
    assert not mark.exists()
