"""Plans as a runner is sent them, an access log to ask, and what a plain loop says of it."""

from __future__ import annotations

import re
import zlib
from collections import Counter
from pathlib import Path
from typing import Any

from backplane.query.formats import format_data
from provider import ship
from provider.runner.pack import packb
from tests.rigs.runner_link import RunnerLink, column

_MODULES = zlib.compress(packb({**ship.plan_modules(), **ship.job_modules()}), 1)
_LINE = re.compile(r'\S+ \S+ \S+ \[[^]]+\] "\S+ (\S+) \S+" (\d+) (\d+) ')


def field(name: str) -> list[Any]:
    """An expression."""
    return ["field", name]


def plan(**parts: Any) -> dict[str, Any]:
    """Count by status of combined lines, unless told otherwise."""
    usual: dict[str, Any] = {
        "version": 1,
        "format": format_data("combined"),
        "paths": [],
        "where": None,
        "keys": [["status", field("status")]],
        "aggregates": [["count", None]],
        "columns": [],
        "window": None,
        "since": None,
        "until": None,
    }
    return usual | parts


def body(asked: dict[str, Any], sources: list[Path], **fields: Any) -> bytes:
    """The payload of a START."""
    usual: dict[str, Any] = {
        "plan": asked,
        "sources": [str(source) for source in sources],
        "follow": False,
        "every_s": 0.1,
        "provider": {"name": "p1", "labels": {}},
        "positions": [],
        "modules": _MODULES,
    }
    return packb(usual | fields)


def line(number: int) -> str:
    """A line of an access log, different for each number."""
    day = "17/May/2015:10:05:03 +0000"
    return f'10.0.0.{number % 250} - - [{day}] "GET /p{number % 97} HTTP/1.1" {200 + number % 7} {number} "-" "agent"\n'


def by_status(text: str) -> dict[int, int]:
    """What `plan` asks, by a plain loop."""
    found = (_LINE.match(each) for each in text.splitlines())
    return dict(Counter(int(match[2]) for match in found if match))


class Applied:
    """What a client has of a job's cuts: counts by key, and positions. Every move is checked to follow the last one."""

    def __init__(self) -> None:
        self.counts: Counter[Any] = Counter()
        self.positions: dict[str, bytes] = {}
        self._keys: list[Any] = []

    def take(self, link: RunnerLink, job: int) -> None:
        """All that a job has said so far, from its first frame on; call it once for a job."""
        from provider.runner import frames

        for opened in link.of(frames.OPEN, job):
            known = self.positions.setdefault(opened.header["source"], opened.payload)
            assert known == opened.payload or opened.header["reason"] in ("resume", "generation")
        for cut in link.cuts(job):
            for partials in cut["partials"]:
                self._add(partials)
            for source, begin, end in cut["moves"]:
                assert self.positions[source] == begin
                self.positions[source] = end

    def _add(self, partials: dict[str, Any]) -> None:
        new = [()] * partials["new"] if partials["keys"] is None else column(partials["keys"])
        if partials["base"] == 0:
            self._keys = []
        assert partials["base"] == len(self._keys)
        self._keys += new
        ids = partials["ids"]
        numbers = range(len(self._keys)) if ids is None else memoryview(ids).cast("I")
        for number, count in zip(numbers, column(partials["states"][0]), strict=True):
            self.counts[self._keys[number]] += count
