"""Ends that are nobody's fault are quiet: an interrupt while the program starts, a reader who has seen enough."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from tests.rigs.program import ARGV, HANGS_S

#: Interrupts this process when the module of that name is about to be imported.
_INTERRUPTS = """
import os, signal, sys
class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == os.environ["INTERRUPT_AT"]:
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Finder())
"""


@pytest.mark.parametrize(
    "module", ["backplane.cli.main", "backplane.cli.early", "backplane.cli.run", "backplane.cli.parsing", "asyncio"]
)
def test_an_interrupt_while_it_starts(module: str, tmp_path: Path) -> None:
    """Ctrl-C during the imports is status 130 without a word, and leaves no directory behind."""
    (tmp_path / "sitecustomize.py").write_text(_INTERRUPTS)
    query = tmp_path / "q.py"
    query.write_text("def map():\n    yield 1\n")
    made = tmp_path / "t"
    made.mkdir()
    environ = {"PYTHONPATH": str(tmp_path), "INTERRUPT_AT": module, "TMPDIR": str(made)}
    done = subprocess.run(
        [*ARGV, "run", str(query), "--private"],
        capture_output=True,
        timeout=HANGS_S,
        check=False,
        env={**os.environ, **environ},
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, b"", b"")
    assert not list(made.iterdir())


@pytest.mark.parametrize("words", [["help"], ["--help"], ["run", "--help"], ["version"]])
def test_a_page_that_nobody_reads_to_its_end(words: list[str]) -> None:
    """Whoever closes the pipe of a page has seen enough: status 0, and nothing on stderr."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = subprocess.run(
            [*ARGV, *words], stdout=writer, stderr=subprocess.PIPE, timeout=HANGS_S, check=False, text=True
        )
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_closed_streams_are_empty_ones() -> None:
    """A program that is started without standard streams does not write its answer into a file of its own."""
    quoted = " ".join(f"'{word}'" for word in (*ARGV, "version"))
    done = subprocess.run(["sh", "-c", f"{quoted} <&- >&- 2>&-"], timeout=HANGS_S, check=False)
    assert done.returncode == 0
