"""Where a session attaches again when its coordinator is gone: to the same place, or to another private one.

Knows how a private coordinator is started and ended. Does not know links or queries.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from typing import Final, Protocol

from backplane.client.place import Place
from backplane.client.private import Private, private_coordinator
from backplane.wire.errors import NoCoordinator

#: One that ended sooner than this after it was ready was not ended by an accident.
LASTING_S: Final = 5.0
#: Of those so many in a row, and no other is started.
MOST_SHORT: Final = 3


class GoneForGood(NoCoordinator):
    """There is nothing more to attach to."""


class Again(Protocol):
    """Where to attach again."""

    async def place(self) -> Place:
        """The place, where somebody listens or soon will.

        Raises:
            NoCoordinator: not now, or as `GoneForGood` not any more.
        """


class Elsewhere:
    """A coordinator that somebody else runs, who will start it again if it is to be."""

    def __init__(self, place: Place) -> None:
        self._place = place

    async def place(self) -> Place:
        return self._place


class Own:
    """A private coordinator, and those that follow it.

    Args:
        private: the first; whoever made it ends it.
        stack: ends the others.
    """

    def __init__(self, private: Private, stack: contextlib.AsyncExitStack) -> None:
        self._stack = stack
        self._current = private
        self._since = time.monotonic()
        self._short = 0
        self._renewed = asyncio.Event()

    @property
    def current(self) -> Private:
        """The one that lives, or was the last to."""
        return self._current

    async def follows(self, private: Private) -> None:
        """Wait until another has taken this one's place."""
        while self._current is private:
            await self._renewed.wait()

    async def place(self) -> Place:
        # It may be stopped and not ended: its lease would hold as long as this process lives.
        self._current.kill()
        self._short = self._short + 1 if time.monotonic() - self._since < LASTING_S else 0
        if self._short >= MOST_SHORT:
            raise GoneForGood(f"{MOST_SHORT} private coordinators ended within {LASTING_S:.0f} s each")
        private = await self._stack.enter_async_context(private_coordinator(verbose=self._current.verbose))
        self._since = time.monotonic()
        # Until it is ready its stdout is read here, and afterwards by whoever waits for its end.
        await private.ready()
        self._current = private
        self._renewed.set()
        self._renewed = asyncio.Event()
        return Place(private.address)
