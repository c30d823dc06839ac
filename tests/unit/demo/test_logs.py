"""The demo's traffic: well-formed, varied, and the same for the same seed."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

from backplane.cli.demo.logs import APP, AUTH, NGINX, STEP_S, Line, Traffic

START = datetime(2026, 11, 5, 9, 0, tzinfo=UTC)
DOCUMENTATION = [ipaddress.ip_network(text) for text in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]
COMBINED = re.compile(
    r'(\S+) - - \[(\d\d/Nov/2026:09:\d\d:\d\d \+0000)\] "(?:GET|POST) (\S+) HTTP/1\.1" (\d{3}) (\d+) "-" "([^"]+)"'
)
SSHD = re.compile(
    r"Nov  5 09:\d\d:\d\d web01 sshd\[\d+\]: "
    r"(?:Failed password for (?:invalid user )?\S+|Accepted publickey for \S+) from (\S+) port \d+ ssh2"
)
LOGFMT = re.compile(
    r"ts=2026-11-05T09:\d\d:\d\d\.\d{3}Z level=(?:info|error) event=\w+ path=\S+ status=\d{3} ms=\d+\.\d user=u\d{4}"
)


def minutes(traffic: Traffic, count: int = 5) -> list[Line]:
    steps = int(count * 60 / STEP_S)
    return [line for step in range(steps) for line in traffic.batch(START + timedelta(seconds=step * STEP_S))]


def test_lines_have_their_formats() -> None:
    """Every line is one that nginx (combined), sshd or a logfmt application could have written."""
    forms = {NGINX: COMBINED, AUTH: SSHD, APP: LOGFMT}
    lines = minutes(Traffic("web01", 1, nginx=True))
    assert {line.path for line in lines} == set(forms)
    for line in lines:
        assert forms[line.path].fullmatch(line.text), line


def test_addresses_are_nobodys() -> None:
    """Addresses are of the ranges reserved for documentation, and of all three of them."""
    found = Counter(
        network
        for line in minutes(Traffic("web01", 1, nginx=True), 20)
        for text in re.findall(r"\b\d+\.\d+\.\d+\.\d+\b", line.text.split('"')[0])
        for network in [next(net for net in DOCUMENTATION if ipaddress.ip_address(text) in net)]
    )
    assert set(found) == set(DOCUMENTATION)


def test_traffic_varies() -> None:
    """There is something to find: many statuses, paths and failed logins, and no two hosts are alike."""
    lines = [COMBINED.fullmatch(line.text) for line in minutes(Traffic("web01", 1, nginx=True)) if line.path == NGINX]
    requests = [match for match in lines if match]
    assert {"200", "301", "304", "404", "500"} <= {match[4] for match in requests}
    assert len({match[3] for match in requests}) >= 8
    assert len(minutes(Traffic("web02", 1, nginx=True))) != len(requests)


def test_same_seed_same_lines() -> None:
    """The same seed, name and moments give the same lines; another seed or name gives others."""
    lines = minutes(Traffic("web01", 1, nginx=True), 1)
    assert lines == minutes(Traffic("web01", 1, nginx=True), 1)
    assert lines != minutes(Traffic("web01", 2, nginx=True), 1)
    assert lines != minutes(Traffic("web02", 1, nginx=True), 1)


def test_host_without_nginx() -> None:
    """A host without a web server has the other logs, and no line of its log."""
    traffic = Traffic("db01", 1, nginx=False)
    assert traffic.paths == [AUTH, APP]
    assert {line.path for line in minutes(traffic)} == {AUTH, APP}
