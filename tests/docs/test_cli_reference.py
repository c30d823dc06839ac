"""The command line reference says what the program does."""

from __future__ import annotations

from tests.docs.cli_reference import PAGE, page


def test_page_is_current() -> None:
    """docs/reference/cli.md is what the parsers say; `make reference` writes it anew."""
    assert PAGE.read_text(encoding="utf-8") == page()
