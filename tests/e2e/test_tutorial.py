"""The tutorial, followed word by word.

Its ``console`` blocks are typed into two terminals: the one that starts the demo, and a shell for all that comes after.
What a block shows below a command must be what comes out, ``...`` standing for anything. A ``file=`` block is written
to that file. Blocks marked ``no-run`` hold a path that is another one each time; the test does what they say.
"""

from __future__ import annotations

import os
import re
import select
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

from tests.rigs.program import HANGS_S

TUTORIAL = Path(__file__).resolve().parents[2] / "docs" / "tutorial" / "first-answer.md"
BLOCK = re.compile(r"^```(?P<kind>console|python file=\S+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL)
END = "-- end of the output --"

pytestmark = pytest.mark.timeout(180)


class Step(NamedTuple):
    """A command and what it prints, or a file (``command`` None)."""

    line: int
    command: str | None
    text: str
    file: str = ""


def steps(document: str) -> Iterator[Step]:
    """What a reader does, in order."""
    for block in BLOCK.finditer(document):
        line = document.count("\n", 0, block.start()) + 2
        if block["kind"] != "console":
            yield Step(line, None, block["text"], block["kind"].partition("=")[2])
            continue
        for part in re.split(r"^\$ ", block["text"], flags=re.MULTILINE)[1:]:
            command, _, text = part.partition("\n")
            yield Step(line, command, text)


def agrees(expected: str, actual: str) -> bool:
    """``...`` is anything within a line, alone on one any number of lines; nothing expected is nothing promised."""
    lines = expected.splitlines()
    pattern = "".join(
        "(?:.*\n)*" if line == "..." else ".*".join(map(re.escape, line.split("..."))) + "\n" for line in lines
    )
    return not expected or re.fullmatch(pattern, actual) is not None


class Shell:
    """The reader's second terminal: one shell, so that ``cd`` and ``$?`` mean what they do."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        self._process = process

    def type(self, command: str) -> str:
        """A command's output, both streams as a terminal shows them."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{command}\nstatus=$?; echo; echo '{END}'; (exit $status)\n".encode())
        self._process.stdin.flush()
        output = b""
        deadline = time.monotonic() + HANGS_S
        while not output.endswith(f"\n{END}\n".encode()):
            assert select.select([self._process.stdout], [], [], deadline - time.monotonic())[0], (command, output)
            data = os.read(self._process.stdout.fileno(), 65536)
            assert data, f"the shell ended at {command!r}: {output!r}"
            output += data
        return output.decode().removesuffix(f"\n{END}\n").replace("\r\n", "\n")  # CSV's line ends, unseen by a reader


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """The reader's: `logreduce` on the PATH, temporary files and home of the test's own."""
    programs = tmp_path / "bin"
    for place in (programs, tmp_path / "home", tmp_path / "tmp"):
        place.mkdir()
    for name, command in (("logreduce", f"{sys.executable} -P -m backplane.cli"), ("python3", sys.executable)):
        (programs / name).write_text(f'#!/bin/sh\nexec {command} "$@"\n')
        (programs / name).chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{programs}:{os.environ['PATH']}",
        "HOME": str(tmp_path / "home"),
        "TMPDIR": str(tmp_path / "tmp"),
        "LC_ALL": "C.UTF-8",
    }


def test_first_answer(tmp_path: Path, environ: dict[str, str]) -> None:
    """Every command of the tutorial works as it stands and prints what the tutorial shows."""
    todo = list(steps(TUTORIAL.read_text()))
    assert todo[0].command == "logreduce demo --keep"
    err = tmp_path / "stderr"
    with (
        err.open("wb") as stderr,
        subprocess.Popen(
            todo[0].command.split(), env=environ, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=stderr
        ) as demo,
    ):
        try:
            _until_it_stays(demo, err)
            (directory,) = (tmp_path / "tmp").glob("logreduce-demo-*")
            _follow(todo[1:], directory, environ)
        finally:
            demo.send_signal(signal.SIGINT)
        assert demo.wait(HANGS_S) == 0
    assert "logs" in os.listdir(directory)
    assert not {"id_ed25519", "inventory.json", "known_hosts"} & set(os.listdir(directory))
    shutil.rmtree(directory)
    assert os.listdir(tmp_path / "tmp") == []


def _until_it_stays(demo: subprocess.Popen[bytes], err: Path) -> None:
    deadline = time.monotonic() + HANGS_S
    while "Ctrl-C stops" not in err.read_text():
        assert demo.poll() is None, err.read_text()
        assert time.monotonic() < deadline, err.read_text()
        time.sleep(0.05)


def _follow(todo: list[Step], directory: Path, environ: dict[str, str]) -> None:
    with subprocess.Popen(
        ["/bin/sh"],
        cwd=directory,
        env=environ,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    ) as process:
        shell = Shell(process)
        for step in todo:
            if step.command is None:
                (directory / step.file).write_text(step.text)
                continue
            output = shell.type(step.command)
            assert agrees(step.text, output), f"{TUTORIAL.name}:{step.line}: {step.command}\n{output}"
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(HANGS_S) == 0
