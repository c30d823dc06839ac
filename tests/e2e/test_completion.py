"""Completion in real shells: their own scripts, loaded as a user loads them."""

from __future__ import annotations

import os
import pty
import select
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.rigs.program import ARGV

#: Far above what a TAB takes.
HANGS_S = 60.0


def shell(name: str) -> str:
    """Where a shell is; skips the test where it is not."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not on this machine")
    return found


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    """An environment whose PATH has the program by its name, and whose user has nothing configured."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "logreduce"
    program.write_text(f'#!/bin/sh\nexec {shlex.join(map(str, ARGV))} "$@"\n')
    program.chmod(0o755)
    return {
        **os.environ,
        "PATH": f"{folder}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": os.pathsep.join(filter(None, (str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH")))),
        "HOME": str(tmp_path),
        "XDG_CONFIG_HOME": str(tmp_path / "config"),
        "XDG_STATE_HOME": str(tmp_path / "state"),
        "TERM": "dumb",
        "LC_ALL": "C.UTF-8",
    }


def script(name: str, tmp_path: Path, environ: dict[str, str]) -> Path:
    """The shell's script, in a file."""
    path = tmp_path / f"script.{name}"
    made = subprocess.run(["logreduce", "completion", name], capture_output=True, env=environ, timeout=HANGS_S)
    assert made.returncode == 0, made.stderr
    path.write_bytes(made.stdout)
    return path


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("logreduce pro", ["providers"]),
        ("logreduce run --fo", ["--follow", "--for"]),
        ("logreduce ps --output=j", ["json"]),
        ("logreduce run http", ["http-status"]),
        ("logreduce run 'nginx a.log | where refe", ["nginx a.log | where referer", "nginx a.log | where referer "]),
        ("logreduce run $'\\x' ; logreduce vers", ["version"]),
    ],
)
def test_bash_is_given_candidates(line: str, expected: list[str], tmp_path: Path, environ: dict[str, str]) -> None:
    """The function that bash calls at TAB leaves them in COMPREPLY."""
    bash = shell("bash")
    code = f"""
        source {shlex.quote(str(script("bash", tmp_path, environ)))}
        complete -p logreduce >&2 || exit 9
        COMP_LINE={shlex.quote(line)} COMP_POINT={len(line)} COMP_TYPE=9
        _logreduce
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    ran = subprocess.run(
        [bash, "--norc", "--noprofile", "-ic", code],
        capture_output=True,
        text=True,
        env=environ,
        timeout=HANGS_S,
        stdin=subprocess.DEVNULL,
        start_new_session=True,  # an interactive shell takes its terminal, if it has one
    )
    assert ran.stdout.splitlines() == expected, ran.stderr


class Terminal:
    """A shell on a terminal, which is typed into."""

    def __init__(self, argv: list[str], environ: dict[str, str], folder: Path) -> None:
        self.seen = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.chdir(folder)
            os.execvpe(argv[0], argv, environ)

    def type(self, text: str, until: Callable[[str], bool]) -> str:
        """Types, and gives what was shown since then once that is so."""
        self.seen = ""
        os.write(self.fd, text.encode())
        deadline = time.monotonic() + HANGS_S
        while not until(self.seen):
            assert time.monotonic() < deadline, self.seen
            if select.select([self.fd], [], [], 0.1)[0]:
                self.seen += os.read(self.fd, 4096).decode("utf-8", "replace")
        return self.seen

    def close(self) -> None:
        """Ends it."""
        os.close(self.fd)
        os.kill(self.pid, 9)
        os.waitpid(self.pid, 0)


@pytest.fixture
def typing(tmp_path: Path, environ: dict[str, str]) -> Iterator[Terminal]:
    """bash on a terminal, with completion loaded."""
    if sys.platform != "linux":
        pytest.skip("bash of other systems may be too old to complete in a terminal")
    bash = shell("bash")
    rc = tmp_path / "rc"
    rc.write_text(
        f"source {shlex.quote(str(script('bash', tmp_path, environ)))}\n"
        "PS1='ready> '\nbind 'set bell-style none'\nbind 'set enable-bracketed-paste off'\n"
    )
    terminal = Terminal([bash, "--noprofile", "--rcfile", str(rc), "-i"], environ, tmp_path)
    try:
        terminal.type("", lambda seen: "ready> " in seen)
        yield terminal
    finally:
        terminal.close()


def test_tab_in_a_question_leaves_its_quote_open(typing: Terminal) -> None:
    """A stage and a field are completed within the quotes, and the line that is run is the one that was meant."""
    typing.type("printf '<%s>\\n' x; logreduce run 'nginx a.log | wher\t", lambda seen: "| where" in seen)
    typing.type(" refe\t", lambda seen: "referer" in seen)
    shown = typing.type(" = 1'\x01#\r\x10\x01\x04: \r", lambda seen: seen.count("ready> ") >= 2)
    assert "nginx a.log | where referer = 1'" in shown


@pytest.mark.parametrize(
    ("name", "ask"),
    [
        ("fish", "source {script}; complete -C 'logreduce run --fo'"),
        ("fish", 'source {script}; complete -C "logreduce run \'nginx a.log | where refe"'),
    ],
)
def test_fish_is_given_candidates(name: str, ask: str, tmp_path: Path, environ: dict[str, str]) -> None:
    """fish's own builtin lists what a TAB would."""
    fish = shell(name)
    ran = subprocess.run(
        [fish, "--no-config", "-c", ask.format(script=script("fish", tmp_path, environ))],
        capture_output=True,
        text=True,
        env=environ,
        timeout=HANGS_S,
    )
    words = [line.partition("\t")[0] for line in ran.stdout.splitlines()]
    assert words in (["--follow", "--for"], ["nginx a.log | where referer"]), ran.stderr


def test_zsh_completes_at_tab(tmp_path: Path, environ: dict[str, str]) -> None:
    """zsh on a terminal, with its completion system: an option is completed, and a field within quotes."""
    zsh = shell("zsh")
    (tmp_path / ".zshrc").write_text(
        "PS1='ready> '\nunsetopt zle_bracketed_paste 2>/dev/null; unset zle_bracketed_paste\n"
        f"autoload -Uz compinit && compinit -u -D\nsource {shlex.quote(str(script('zsh', tmp_path, environ)))}\n"
    )
    terminal = Terminal([zsh, "-i"], {**environ, "ZDOTDIR": str(tmp_path)}, tmp_path)
    try:
        terminal.type("", lambda seen: "ready> " in seen)
        terminal.type("logreduce run --foll\t", lambda seen: "--follow" in seen)
        terminal.type("'nginx a.log | where refe\t", lambda seen: "referer" in seen)
    finally:
        terminal.close()
