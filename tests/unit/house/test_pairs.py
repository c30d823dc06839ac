"""The benchmark harness measures what it says, and refuses to compare different answers."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from tests.bench.pairs import Spread, Way, compare, run_once

SPIN = "import time\nwhile time.process_time() < {}: pass\n"


def python(name: str, code: str, *, reports: bool = False) -> Way:
    return Way(name, [sys.executable, "-IS", "-c", code], reports=reports)


def test_cpu_seconds_are_those_of_the_tree() -> None:
    """A child's work counts as its parent's, and sleeping counts as none."""
    spin = SPIN.format(0.3)
    tree = run_once(python("tree", f"import subprocess, sys; subprocess.run([sys.executable, '-IS', '-c', {spin!r}])"))
    assert tree.cpu_s >= 0.3
    sleep = run_once(python("sleep", "import time; time.sleep(0.3)"))
    assert sleep.wall_s >= 0.3 > sleep.cpu_s


def test_a_report_takes_the_place_of_what_was_measured() -> None:
    """Its last line is the report, and the rest is the answer."""
    run = run_once(python("reporting", "print('42'); print('{\"cpu_s\": 7.5}')", reports=True))
    assert (run.answer, run.cpu_s) == ("42", 7.5)


def test_a_comparison_is_pair_by_pair(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Ratios are of pairs, a over b, and reach the table and the file."""
    figures = tmp_path / "figures"
    monkeypatch.setattr(sys, "argv", ["bench", "--pairs", "2", "--json", str(figures)])
    slow, quick = (f"print({json.dumps({'cpu_s': cpu, 'wall_s': wall})!r})" for cpu, wall in ((4, 8), (2, 2)))
    found = compare("trial", python("slow", slow, reports=True), python("quick", quick, reports=True))
    assert found.cpu_ratio == Spread(2.0, 2.0, 2.0)
    assert found.wall_ratio == Spread(4.0, 4.0, 4.0)
    assert json.loads(figures.read_text())["cpu_ratio"] == {"median": 2.0, "least": 2.0, "most": 2.0}
    assert "trial: median of 2 pairs" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("code", "why"), [("print(2)", "answered"), ("raise SystemExit(3)", "status 3")], ids=["answer", "status"]
)
def test_what_differs_is_not_compared(monkeypatch: pytest.MonkeyPatch, code: str, why: str) -> None:
    """Another answer, or no answer, is no result."""
    monkeypatch.setattr(sys, "argv", ["bench", "--pairs", "1"])
    with pytest.raises(RuntimeError, match=why):
        compare("trial", python("right", "print(1)"), python("wrong", code))
