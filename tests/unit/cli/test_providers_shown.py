"""The table of providers as people see it."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.cli.providers import shown


def row(**provider: Any) -> dict[str, Any]:
    return {"provider": provider, "facts": None}


def test_a_row_says_where_a_provider_is(capsys: pytest.CaptureFixture[str]) -> None:
    """Where that is not under its name, and at sshd's own port; only those of equal rows stand in one line."""
    shown.rows(
        {
            "rows": [
                row(name="web1"),
                row(name="web2"),
                row(name="web3", port=2201),
                row(name="web4", address="10.0.0.4", port=2202),
            ]
        },
        None,
    )
    assert [line.split() for line in capsys.readouterr().out.splitlines()] == [
        ["web[1-2]", "never", "checked"],
        ["web3", "at", ":2201", "never", "checked"],
        ["web4", "at", "10.0.0.4:2202", "never", "checked"],
    ]
