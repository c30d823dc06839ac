"""The examples of the README and the how-to pages, run as a reader would type them.

A fenced block ``LANGUAGE file=NAME`` is written to that file. In a ``console`` block each line that begins with ``$ ``
is a command of a shell in that folder, and what stands below it is what it must print (stdout and stderr as they come);
``...`` stands for anything, over lines too. ``console no-run`` is for the reader's eyes. A page is one test.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "how-to").glob("*.md"))]
#: Far above what any example takes: only a program that hangs is this slow.
HANGS_S = 60.0

_BLOCK = re.compile(r"^```(?P<info>[^\n`]*)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)


class Example(NamedTuple):
    """What a reader does at a line of a page: types a command, or (``command`` None) writes a file."""

    line: int
    command: str | None
    text: str
    file: str = ""


def examples(page: str) -> Iterator[Example]:
    """A page's examples, in order."""
    for block in _BLOCK.finditer(page):
        line = page.count("\n", 0, block.start()) + 2
        words = block["info"].split()
        files = [word.removeprefix("file=") for word in words if word.startswith("file=")]
        if files:
            yield Example(line, None, block["text"], files[0])
        elif words == ["console"]:
            yield from _commands(line, block["text"])


def _commands(line: int, text: str) -> Iterator[Example]:
    parts = re.split(r"^\$ ", text, flags=re.MULTILINE)
    for part in parts[1:]:
        command, _, output = part.partition("\n")
        yield Example(line, command, output)
        line += part.count("\n")


def agrees(expected: str, actual: str) -> bool:
    """Whether an output is the one that a page shows.

    >>> agrees("a ... c\\n", "a b c\\n"), agrees("a\\n", "a\\nb\\n")
    (True, False)
    """
    return re.fullmatch(".*".join(map(re.escape, expected.split("..."))), actual, re.DOTALL) is not None


class Reader:
    """A shell in a folder, with `logreduce` and our `python` on its path. Each command sees the last one's status."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._status = 0
        programs = folder / ".programs"
        programs.mkdir()
        for name, options in (("logreduce", "-P -m backplane.cli"), ("python", "")):
            program = programs / name
            program.write_text(f'#!/bin/sh\nexec "{sys.executable}" {options} "$@"\n')
            program.chmod(0o755)
        self._environ = {
            **os.environ,
            "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH")))),
        }

    def types(self, command: str) -> str:
        """Run a command to its end; returns what it printed."""
        done = subprocess.run(
            ["sh", "-c", f"(exit {self._status})\n{command}"],
            cwd=self._folder,
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=HANGS_S,
            check=False,
        )
        self._status = done.returncode
        # CSV ends its lines as its standard says, which no terminal shows.
        return done.stdout.decode("utf-8", "backslashreplace").replace("\r\n", "\n")


@pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")
@pytest.mark.parametrize("page", PAGES, ids=[page.stem for page in PAGES])
@pytest.mark.usefixtures("home")
def test_a_page_is_what_happens(page: Path, tmp_path: Path) -> None:
    """Whoever follows the page sees what the page shows."""
    folder = tmp_path / "reader"
    folder.mkdir()
    reader = Reader(folder)
    found = list(examples(page.read_text(encoding="utf-8")))
    assert any(example.command for example in found), f"{page.name} has no command to try"
    for example in found:
        if example.command is None:
            (folder / example.file).write_text(example.text, encoding="utf-8")
            continue
        shown = reader.types(example.command)
        assert agrees(example.text, shown), f"{page.name}:{example.line}: $ {example.command}\n{shown}"


def test_a_wrong_page_would_be_noticed(tmp_path: Path) -> None:
    """The reader types every command, keeps the status, and does not take one output for another."""
    page = "```text file=a.txt\none\n```\n```console no-run\n$ false\n```\n"
    page += "```console\n$ cat a.txt; exit 3\none\n$ echo $?\n3\n```\n"
    found = list(examples(page))
    assert [(example.line, example.command) for example in found] == [
        (2, None),
        (8, "cat a.txt; exit 3"),
        (10, "echo $?"),
    ]
    (tmp_path / found[0].file).write_text(found[0].text)
    reader = Reader(tmp_path)
    assert [reader.types(example.command) for example in found if example.command] == ["one\n", "3\n"]
    assert not agrees("one\n", "two\n")
    assert not agrees("one ...\n", "one\n")
