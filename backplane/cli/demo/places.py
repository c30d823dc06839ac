"""What the process that plays the demo's hosts and the one that asks them agree on: settings, names, places.

Makes nothing.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Self

#: Who logs in. A resident provider takes any name; the key is what counts.
USER: Final = "demo"
#: One host in so many has no web server, so that the query's filter has something to prune.
WITHOUT_NGINX: Final = 5


@dataclass(frozen=True, slots=True)
class Settings:
    """What the hosts' process is told.

    Attributes:
        directory: an empty directory that belongs to the process.
        providers: how many hosts, from 1.
        seed: of the traffic.
        keep: leave the logs when it ends.
    """

    directory: str
    providers: int
    seed: int
    keep: bool

    def line(self) -> bytes:
        """As it goes on stdin."""
        return json.dumps(asdict(self)).encode() + b"\n"

    @classmethod
    def parse(cls, line: bytes) -> Self:
        """From stdin."""
        return cls(**json.loads(line))


@dataclass(frozen=True, slots=True)
class Places:
    """The files below the demo's directory."""

    directory: Path

    @property
    def inventory(self) -> Path:
        """The hosts, as Prometheus file_sd JSON."""
        return self.directory / "inventory.json"

    @property
    def known_hosts(self) -> Path:
        """The hosts' keys."""
        return self.directory / "known_hosts"

    @property
    def identity(self) -> Path:
        """The key that logs in."""
        return self.directory / "id_ed25519"

    @property
    def logs(self) -> Path:
        """A directory for each host's logs."""
        return self.directory / "logs"

    def root(self, name: str) -> Path:
        """A host's own directory, where its relative log paths start."""
        return self.logs / name


def names(providers: int) -> list[tuple[str, bool]]:
    """The hosts by name, sorted, and whether each has a web server.

    >>> names(6)
    [('db01', False), ('web01', True), ('web02', True), ('web03', True), ('web04', True), ('web05', True)]
    """
    without = providers // WITHOUT_NGINX
    width = max(2, len(str(providers)))
    databases = [(f"db{number:0{width}}", False) for number in range(1, without + 1)]
    return databases + [(f"web{number:0{width}}", True) for number in range(1, providers - without + 1)]
