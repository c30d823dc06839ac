"""The leak check finds what a test leaves behind, and the loop check finds what blocks."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

pytest_plugins = ["pytester"]

HOUSE = Path(__file__).resolve().parents[2] / "conftest.py"

LEAKS = {
    "thread": "threading.Thread(target=time.sleep, args=(60,), name='idler', daemon=True).start()",
    "descriptor": "KEPT.append(open(__file__))",
    "pipe": "os.pipe()",
    "child": "KEPT.append(subprocess.Popen(['sleep', '60']))",
}
HEADER = "import asyncio, os, subprocess, sys, threading, time\nKEPT = []\n"


@pytest.fixture
def run(pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch) -> pytest.Pytester:
    pytester.makeconftest(HOUSE.read_text().replace("GIVE_BACK_S = 5.0", "GIVE_BACK_S = 0.3"))
    return pytester


def outcome(run: pytest.Pytester, body: str) -> tuple[dict[str, int], str]:
    run.makepyfile(f"{HEADER}def test_it():\n" + "\n".join(f"    {line}" for line in body.splitlines()))
    done = run.runpytest_subprocess("-p", "no:cacheprovider")
    return done.parseoutcomes(), done.stdout.str()


@pytest.mark.parametrize(
    ("what", "body"),
    [
        pytest.param(what, body, id=what, marks=[pytest.mark.linux] if what == "child" else [])
        for what, body in LEAKS.items()
    ],
)
def test_a_leak_is_an_error(run: pytest.Pytester, what: str, body: str) -> None:
    """Each kind of thing that a test can keep is found and named."""
    outcomes, text = outcome(run, body)
    assert outcomes == {"passed": 1, "errors": 1}
    assert f"left behind: {what.replace('pipe', 'descriptor')}" in text


def test_what_is_given_back_is_no_leak(run: pytest.Pytester) -> None:
    """A closed file, a joined thread and a reaped child are nobody's."""
    body = "with open(__file__): pass\nsubprocess.run(['true'])\nt = threading.Thread(target=int)\nt.start()\nt.join()"
    assert outcome(run, body)[0] == {"passed": 1}


def test_a_failed_test_is_reported_once(run: pytest.Pytester) -> None:
    """What it holds because it failed is not a second finding."""
    assert outcome(run, "file = open(__file__)\nassert not file")[0] == {"failed": 1}


def test_a_loop_of_ours_may_not_block(run: pytest.Pytester) -> None:
    """time.sleep called by our code beneath a running loop fails; the same call without a loop does not."""
    run.mkpydir("house_sample").joinpath("slow.py").write_text("import time\ndef nap(): time.sleep(0.001)\n")
    conftest = run.path / "conftest.py"
    conftest.write_text(conftest.read_text().replace('["backplane", "coordinator"]', '["house_sample"]'))
    run.syspathinsert()
    body = "from house_sample.slow import nap\nasync def main(): nap()\n"
    assert outcome(run, body + "nap()")[0] == {"passed": 1}
    outcomes, text = outcome(run, body + "asyncio.run(main())")
    assert outcomes == {"failed": 1}
    assert "BlockingError" in text


def test_the_suite_runs_under_these_checks(request: pytest.FixtureRequest) -> None:
    """They are on for this very test."""
    assert {"gives_back", "loop_never_blocks"} <= set(request.fixturenames)
    assert "blockbuster" in sys.modules
