"""The gate: how many handshakes are under way at a time, and when to stop trying an account.

Knows counts. Does not know what is behind it.

Handshakes are limited because five hundred at once delay the first answer from 0.4 s to 6.2 s; held connections are
not. A handshake with a host that does not answer costs nothing but its place: after `SLOW_S` it lends its place to
the next one, so that a hundred dead hosts do not keep the living waiting. `LENT` times the fan-out is where that
ends, since a network that is merely slow must not be flooded either.

It opens by and by: the first few runners are to be up, and their answers on their way, before the rest of a fan-out
takes both ends' processors. Each runner that says hello lets one more handshake through at a time, and so does each
that takes longer than `FIRST_S`, so that it is open after a second or two even where the first hosts are all dead.

Only a few stand right before it (`NEAR`): what a login needs is looked up in threads, by as many as may come next. Five
hundred look-ups at once would keep the first host's address waiting behind the last host's key.

An account that nobody has let in yet is tried at `AUTH_FAILURES` hosts at most, those under way included: a whole
fan-out of refusals would come in before the first was counted. The first host that lets it in opens the gate.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Final

from backplane.wire.errors import ReachError
from coordinator.reach.base import Turn

#: The stage of whoever has not passed it yet.
WAITING_FOR_TURN: Final = "waiting for its turn to connect"
#: Longer than a handshake with a busy host (0.1 to 1 s), shorter than the deadlines of a dead one (5 and 8 s).
SLOW_S: Final = 2.0
LENT: Final = 8
#: Handshakes at a time before the first runner is up. Where both ends share two processors the first answer of a
#: hundred hosts comes 0.1 s later with 4, and 0.4 s later with 32; fewer than 2 would wait for a host that hangs.
FIRST: Final = 2
#: Look-ups take a millisecond each; fewer than this would let a gate that is wide open wait for them.
NEAR: Final = 8
#: Longer than a handshake over a quarter of the earth, so that it is hosts that hang which are not waited for.
FIRST_S: Final = 0.5
#: A wrong key shows within a few hosts; more tries only lock accounts and fill logs.
AUTH_FAILURES: Final = 10


class Gate:
    """One query's gate."""

    def __init__(self, fanout: int, slow_s: float = SLOW_S, first: int = FIRST, first_s: float = FIRST_S) -> None:
        first = min(first, fanout)
        self._active = asyncio.Semaphore(first)
        self._near = asyncio.Semaphore(NEAR)
        self._all = asyncio.Semaphore(fanout * LENT)
        #: How many places have not been opened yet.
        self._shut = fanout - first
        self._slow_s = slow_s
        self._first_s = first_s
        self._accounts: dict[str, _Account] = {}

    def widen(self) -> None:
        """A runner is up: let one more handshake through at a time, until there are as many as were asked for."""
        if self._shut:
            self._shut -= 1
            self._active.release()

    @contextlib.asynccontextmanager
    async def approach(self) -> AsyncIterator[Turn]:
        """Come near: look up what a handshake takes, then pass through by the turn that this gives, or not at all.

        Who takes longer than `FIRST_S` is not in the way of others.
        """
        await self._near.acquire()
        with _once_within(self._first_s, self._near.release) as leave:
            yield _Turn(self, leave)

    @contextlib.asynccontextmanager
    async def pass_through(self, account: str | None) -> AsyncIterator[None]:
        """Hold a place for one handshake.

        Args:
            account: the user to log in as, by whom authentication failures are counted; None where nobody logs in.

        Raises:
            ReachError: this account was refused too often, before or while we waited.
        """
        async with self._all:
            await self._active.acquire()
            with _once_within(self._slow_s, self._active.release), self._widened_after(self._first_s):
                if account is None:
                    yield
                    return
                async with self._accounts.setdefault(account, _Account(account)).tried(self._slow_s):
                    yield

    @contextlib.contextmanager
    def _widened_after(self, slow_s: float) -> Iterator[None]:
        """What is not done by then is not what others wait for."""
        timer = asyncio.get_running_loop().call_later(slow_s, self.widen)
        try:
            yield
        finally:
            timer.cancel()


class _Turn:
    """One attempt's way through a gate; see `coordinator.reach.base.Turn`."""

    def __init__(self, gate: Gate, leave: Callable[[], None]) -> None:
        self._gate = gate
        self.step_aside = leave

    @contextlib.asynccontextmanager
    async def __call__(self, account: str | None) -> AsyncIterator[None]:
        async with self._gate.pass_through(account):
            self.step_aside()
            yield


class _Account:
    """What became of the logins as one user."""

    def __init__(self, user: str) -> None:
        self._user = user
        self._let_in = False
        self._refused = 0
        #: Under way, but for those so slow that they have hardly come to authentication.
        self._trying = 0
        self._waiting: set[asyncio.Future[None]] = set()

    @contextlib.asynccontextmanager
    async def tried(self, slow_s: float) -> AsyncIterator[None]:
        """One login. Waits while as many are under way as may still be refused.

        Raises:
            ReachError: it was refused too often.
        """
        while not self._let_in and self._refused + self._trying >= AUTH_FAILURES:
            if self._refused >= AUTH_FAILURES:
                raise ReachError(
                    f"not tried: {AUTH_FAILURES} providers refused the login {self._user!r} and none accepted it; "
                    "check user and key",
                    retry=False,
                )
            await self._change()
        self._trying += 1
        with _once_within(slow_s, self._tried):
            try:
                yield
            except ReachError as exc:
                self._refused += exc.auth
                raise
            self._let_in = True

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._waiting.add(future)
        try:
            await future
        finally:
            self._waiting.discard(future)

    def _tried(self) -> None:
        self._trying -= 1
        for future in self._waiting:
            if not future.done():
                future.set_result(None)


@contextlib.contextmanager
def _once_within(slow_s: float, give_back: Callable[[], None]) -> Iterator[Callable[[], None]]:
    """Give back when told to, at the end of the block, or ``slow_s`` after its beginning: whichever comes first."""
    given = False

    def give() -> None:
        nonlocal given
        if not given:
            given = True
            give_back()

    timer = asyncio.get_running_loop().call_later(slow_s, give)
    try:
        yield give
    finally:
        timer.cancel()
        give()
