"""Connections to jump hosts: one for each chain of hops and login, shared by all that go through it, kept while used.

Knows how they are shared, and what becomes of one that fails. Each hop is a login of its own, made through the
connection to the one before: host keys are as strict at the last as at the first.

A jump host that fails, fails for everybody behind it, with one sentence that names it. For `AGAIN_S` nobody tries it
again: a hundred providers would ask it a hundred times, and with a wrong key lock the account.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import Final

from backplane.wire.errors import ReachError
from coordinator.reach.credentials import Login
from coordinator.reach.destination import Destination
from coordinator.reach.login import log_in
from coordinator.table import ReachOptions
from provider.quiet import no_library_search

with no_library_search():
    import asyncssh

#: Longer than it takes a fan-out to meet the failure, shorter than it takes a person to mend it and ask again.
AGAIN_S: Final = 2.0
#: A jump host has no beats of ours: it is known to be frozen after this x (count + 1).
KEEPALIVE_S: Final = 5
KEEPALIVE_COUNT: Final = 2


class Jumps:
    """The connections to jump hosts."""

    def __init__(self) -> None:
        self._jumps: dict[Destination, _Jump] = {}

    def __len__(self) -> int:
        return len(self._jumps)

    async def hold(
        self,
        login: Login,
        options: ReachOptions,
        at_stage: Callable[[str], None],
        stack: contextlib.AsyncExitStack,
    ) -> asyncssh.SSHClientConnection:
        """The connection to a jump host, held as long as ``stack``.

        Raises:
            ReachError: it or one before it cannot be had; the sentence names the one that failed.
        """
        key = login.to
        jump = self._jumps.get(key)
        if jump is None or jump.over:
            jump = self._jumps[key] = _Jump()
        jump.users += 1
        stack.push_async_callback(self._release, key, jump)
        # The same words for all that wait, and not those of whoever happens to be the first.
        at_stage(f"waiting for the jump host {key}")
        async with jump.lock:
            if jump.failure:
                # Each gets an exception of its own: one that is raised many times collects all their tracebacks.
                raise _copied(jump.failure)
            if jump.connection is None:
                try:
                    await self._connect(jump, login, options)
                except ReachError as exc:
                    jump.fail(_named(exc, key))
                    assert jump.failure is not None
                    raise _copied(jump.failure) from exc
        assert jump.connection is not None
        return jump.connection

    async def close(self) -> None:
        """End all of them."""
        for jump in list(self._jumps.values()):
            await jump.close()
        self._jumps.clear()

    async def _connect(self, jump: _Jump, login: Login, options: ReachOptions) -> None:
        """Log in, through the hops before it if there are any."""
        async with contextlib.AsyncExitStack() as stack:
            tunnel = await self.hold(login.jump, options, _unheard, stack) if login.jump else None
            connection = await log_in(login, options, login.to.host, tunnel, _unheard)
            connection.set_keepalive(KEEPALIVE_S, KEEPALIVE_COUNT)
            stack.push_async_callback(connection.wait_closed)
            stack.callback(connection.close)
            jump.connection = connection
            jump.held = stack.pop_all()

    async def _release(self, key: Destination, jump: _Jump) -> None:
        jump.users -= 1
        if jump.users:
            return
        if self._jumps.get(key) is jump and (jump.failure is None or jump.over):
            del self._jumps[key]
        await jump.close()


class _Jump:
    """A connection to a jump host, or why there is none."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.users = 0
        self.connection: asyncssh.SSHClientConnection | None = None
        self.held: contextlib.AsyncExitStack | None = None
        self.failure: JumpFailed | None = None
        self._again_at = 0.0

    @property
    def over(self) -> bool:
        """It is of no use any more: a new one is to be tried."""
        if self.failure:
            return asyncio.get_running_loop().time() >= self._again_at
        return self.connection is not None and self.connection.is_closed()

    def fail(self, failure: JumpFailed) -> None:
        """It cannot be had."""
        self.failure = failure
        self._again_at = asyncio.get_running_loop().time() + AGAIN_S

    async def close(self) -> None:
        held, self.held = self.held, None
        if held:
            await held.aclose()


class JumpFailed(ReachError):
    """A jump host cannot be had; the sentence names it.

    That a jump host refused a login does not count as its providers' refusals: what is said of those would be wrong.
    """


def _named(exc: ReachError, to: Destination) -> JumpFailed:
    """A failure in the words for those behind the jump host."""
    text = str(exc) if isinstance(exc, JumpFailed) else f"the jump host {to}: {exc}"
    return JumpFailed(text, state=exc.state, retry=exc.retry)


def _copied(exc: JumpFailed) -> JumpFailed:
    return JumpFailed(str(exc), state=exc.state, retry=exc.retry)


def _unheard(stage: str) -> None:
    """What goes on at a jump host is nobody's stage."""
