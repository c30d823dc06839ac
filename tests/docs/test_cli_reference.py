"""What is made of the parsers says what the program does: the reference page, the manual page, completion's words."""

from __future__ import annotations

import os
import shutil
import subprocess

import pytest

from tests.docs import completion_words, man_page
from tests.docs.cli_reference import PAGE, page

#: Programs that format a manual page and warn of what is wrong in it.
FORMATTERS = {
    "mandoc": ("mandoc", "-T", "lint", "-W", "warning"),
    "groff": ("groff", "-man", "-Tutf8", "-ww"),
    "man": ("man", "--warnings=w", "-l"),
}


def test_page_is_current() -> None:
    """docs/reference/cli.md is what the parsers say; `make reference` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()


def test_man_page_is_current() -> None:
    """docs/reference/logreduce.1 likewise."""
    assert man_page.PAGE.read_text(encoding="utf-8") == man_page.page()


def test_completion_words_are_current() -> None:
    """Completion offers the options that there are."""
    assert completion_words.FILE.read_text(encoding="utf-8") == completion_words.text()


@pytest.mark.parametrize("name", FORMATTERS)
def test_man_page_has_no_mistakes(name: str) -> None:
    """Whatever shows manual pages shows this one, every verb included, and has nothing to warn of."""
    argv = FORMATTERS[name]
    if shutil.which(argv[0]) is None or (name == "man" and shutil.which("groff") is None):
        pytest.skip(f"{argv[0]} is not on this machine")
    environ = {**os.environ, "LC_ALL": "C.UTF-8", "MANPAGER": "cat", "MANWIDTH": "100"}
    shown = subprocess.run([*argv, str(man_page.PAGE)], capture_output=True, text=True, timeout=60, env=environ)
    assert shown.returncode == 0, shown.stderr
    assert shown.stderr == ""
    if name != "mandoc":
        assert "completion" in shown.stdout.lower().replace("\b", "")
