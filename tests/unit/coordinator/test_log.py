"""The coordinator's log, read as an operator would."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from coordinator import log


@pytest.fixture(autouse=True)
def silent_again() -> Iterator[None]:
    yield
    log.configure("none", "none")


@pytest.mark.parametrize("form", ["console", "json"])
def test_what_a_provider_says_stays_within_its_line(
    form: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A reason may quote anything: it neither forges a line nor moves the cursor."""
    monkeypatch.setenv("LOGREDUCE_LOG_FORMAT", form)
    log.configure("info", "none")
    log.debug("not asked for")
    log.info("link lost", provider="web01", reason="it said: \x1b[2J\nlink up   provider=web02 \u202e")
    err = capsys.readouterr().err
    assert err.count("\n") == 1
    assert err.strip().isprintable()
    if form == "json":
        assert json.loads(err)["provider"] == "web01"
    else:
        assert "provider='web01'" in err
