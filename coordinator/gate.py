"""The gate: how many handshakes are under way at a time, and when to stop trying a login.

Knows counts. Does not know what is behind it.

Handshakes are limited because five hundred at once delay the first answer from 0.4 s to 6.2 s; held connections are
not. A handshake with a host that does not answer costs nothing but its place: after `SLOW_S` it lends its place to
the next one, so that a hundred dead hosts do not keep the living waiting. `LENT` times the fan-out is where that
ends, since a network that is merely slow must not be flooded either.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import AsyncIterator
from typing import Final

from backplane.wire.errors import ReachError

#: Longer than a handshake with a busy host (0.1 to 1 s), shorter than the deadlines of a dead one (5 and 8 s).
SLOW_S: Final = 2.0
LENT: Final = 8
#: A wrong key shows within a few hosts; more tries only lock accounts and fill logs.
AUTH_FAILURES: Final = 10


class Gate:
    """One query's gate."""

    def __init__(self, fanout: int, slow_s: float = SLOW_S) -> None:
        self._active = asyncio.Semaphore(fanout)
        self._all = asyncio.Semaphore(fanout * LENT)
        self._slow_s = slow_s
        self._refused: Counter[str] = Counter()
        self._succeeded: set[str] = set()

    @contextlib.asynccontextmanager
    async def pass_through(self, login: str) -> AsyncIterator[None]:
        """Hold a place for one handshake.

        Args:
            login: what authentication failures are counted by, in words (``deploy``).

        Raises:
            ReachError: this login was refused too often, before or while we waited.
        """
        async with self._all, _lending(self._active, self._slow_s):
            if login not in self._succeeded and self._refused[login] >= AUTH_FAILURES:
                raise ReachError(
                    f"not tried: {AUTH_FAILURES} providers refused the login {login!r} and none accepted it; "
                    "check user and key",
                    retry=False,
                )
            try:
                yield
            except ReachError as exc:
                self._refused[login] += exc.auth
                raise
            self._succeeded.add(login)


@contextlib.asynccontextmanager
async def _lending(places: asyncio.Semaphore, slow_s: float) -> AsyncIterator[None]:
    """Hold a place, but not for longer than ``slow_s``."""
    await places.acquire()
    held = True

    def release() -> None:
        nonlocal held
        if held:
            held = False
            places.release()

    timer = asyncio.get_running_loop().call_later(slow_s, release)
    try:
        yield
    finally:
        timer.cancel()
        release()
