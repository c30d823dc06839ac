"""The writer of the demo's logs, and what is taken away at the end."""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from backplane.cli.demo.hosts import Writer, clear
from backplane.cli.demo.logs import APP, AUTH, NGINX, STEP_S, Traffic
from backplane.cli.demo.places import Places

START = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)
HOSTS = [("db01", False), ("web01", True)]


def test_writer_writes_the_traffic(tmp_path: Path) -> None:
    """The logs hold every line of the traffic once, in order, and a host without a web server has no log of one."""
    places = Places(tmp_path)
    writer = Writer(places, 3, HOSTS)
    writer.open()
    for step in range(100):
        writer.step(START + timedelta(seconds=step * STEP_S))
    writer.close()
    for name, nginx in HOSTS:
        traffic = Traffic(name, 3, nginx)
        lines = [line for step in range(100) for line in traffic.batch(START + timedelta(seconds=step * STEP_S))]
        for path in (NGINX, AUTH, APP):
            expected = "".join(line.text + "\n" for line in lines if line.path == path)
            file = places.root(name) / path
            assert (file.read_text() if file.exists() else "") == expected
        assert Counter(line.path for line in lines)[NGINX] == 0 or nginx
    assert not (places.root("db01") / "nginx").exists()


@pytest.mark.parametrize("keep", [False, True])
def test_clear(tmp_path: Path, keep: bool) -> None:
    """What is to be kept are the logs; keys and inventory go in any case, and without --keep everything."""
    places = Places(tmp_path / "demo")
    log = places.root("web01") / AUTH
    log.parent.mkdir(parents=True)
    for path in (log, places.identity, places.known_hosts, places.inventory):
        path.touch()
    clear(places, keep)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == ([log] if keep else [])
    assert places.directory.exists() == keep
