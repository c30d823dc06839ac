"""Runs a process of a world: ``python -m tests.chaos.driver MUTANT client|coordinator|resident ...``.

The program as it is, but for its patience: leases are shorter, so that a world sees more in the same time, and nobody
gives up what is ended again and again, as only worlds like these do. A mutant is a bug that is planted here.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any, Final

from backplane.wire import limits

#: Silence that ends a link, a client's or a runner's life. Ordinary are 10 s.
LEASE_S: Final = 3.0
BEAT_S: Final = 0.5
STALLED_S: Final = 1.5


def hurry() -> None:
    """Shorten what is patient, before anything has looked at it."""
    limits.LEASE_S = LEASE_S  # type: ignore[misc]
    limits.BEAT_S = BEAT_S  # type: ignore[misc]
    limits.STALLED_S = STALLED_S  # type: ignore[misc]
    from provider import ship

    edit(ship, "provider.runner.lease", "LEASE_S = 10.0", f"LEASE_S = {LEASE_S}")
    edit(ship, "provider.runner.supervisor", "BEAT_S = 1.0", f"BEAT_S = {BEAT_S}")


def edit(ship: Any, module: str, old: str, new: str) -> None:
    """Ship another text of a module of the runner's.

    Raises:
        ValueError: it does not have that text just once any more.
    """
    shipped: Mapping[str, tuple[bool, str]] = ship._modules()
    package, source = shipped[module]
    if source.count(old) != 1:
        raise ValueError(f"{module} has {old!r} {source.count(old)} times")
    changed = {**shipped, module: (package, source.replace(old, new))}
    ship._modules = lambda: changed


class _Elsewhere:
    """`subprocess`, for whoever starts a private coordinator: it starts ours."""

    PIPE = subprocess.PIPE
    TimeoutExpired = subprocess.TimeoutExpired

    def __init__(self, mutant: str) -> None:
        self._mutant = mutant

    def Popen(self, argv: list[str], **how: Any) -> subprocess.Popen[bytes]:
        at = argv.index("coordinator")
        return subprocess.Popen([*argv[:at], "tests.chaos.driver", self._mutant, "coordinator", *argv[at + 1 :]], **how)


def client(mutant: str, words: list[str]) -> None:
    """See `tests.chaos.client`."""
    from backplane.client import again, begun, keeping
    from tests.chaos import client, harms, mutants

    begun.subprocess = _Elsewhere(mutant)  # type: ignore[assignment, attr-defined]
    again.MOST_SHORT = 1_000_000  # type: ignore[misc]
    # Tidied often, so that a crash meets it.
    keeping._WORTH_BYTES = 2000  # type: ignore[misc]
    keeping._MOST_BYTES = 4000  # type: ignore[misc]
    keeping.IDLE_S = 0.05  # type: ignore[misc]
    # And stored often: a client that lives for a second only is to have something to lose.
    keeping.COMMIT_S = 0.2  # type: ignore[misc]
    harms.install()
    mutants.plant(mutant, "client")
    asyncio.run(client.main(json.loads(words[0])))


def coordinator(mutant: str, words: list[str]) -> int:
    """As ``python -m coordinator``."""
    from coordinator import plan
    from coordinator.main import main
    from tests.chaos import mutants

    plan.MOST_DEATHS = 1_000_000  # type: ignore[attr-defined]
    mutants.plant(mutant, "coordinator")
    return main(words)


if __name__ == "__main__":
    hurry()
    if sys.argv[2] == "client":
        client(sys.argv[1], sys.argv[3:])
    elif sys.argv[2] == "resident":
        from tests.chaos import resident

        resident.main(sys.argv[3:])
    else:
        sys.exit(coordinator(sys.argv[1], sys.argv[3:]))
