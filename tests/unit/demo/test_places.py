"""What the demo's two processes agree on."""

from __future__ import annotations

import pytest

from backplane.cli.demo.places import Settings, names


def test_settings_travel() -> None:
    """The hosts' process is told exactly what was asked for, in one line."""
    settings = Settings("/tmp/a b\n", 20, 7, True)
    assert settings.line().count(b"\n") == 1
    assert Settings.parse(settings.line()) == settings


@pytest.mark.parametrize("count", [1, 4, 5, 20, 100, 200])
def test_names(count: int) -> None:
    """There are as many as asked for, no two alike, sorted, at least one with a web server, one in five without."""
    hosts = names(count)
    assert len({name for name, _ in hosts}) == count
    assert hosts == sorted(hosts)
    assert sum(not nginx for _, nginx in hosts) == count // 5
    assert any(nginx for _, nginx in hosts)
