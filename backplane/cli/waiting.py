"""Who is being tried again, said once where no table shows it: a query that is longer than its hosts should say why.

Knows states as the coordinator reports them, and how a user shortens the wait.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import TYPE_CHECKING, Final

from backplane.reduce.names import folded

if TYPE_CHECKING:
    from backplane.wire.messages import State

#: Nobody wonders before; a host that is only restarting its sshd is back by then.
PATIENCE_S: Final = 2.0
#: Reasons said, and hosts named of each.
_MOST_REASONS: Final = 3
_MOST_NAMES: Final = 8


class Waited:
    """See the module.

    Args:
        wait_s: how long they are tried; None for as long as the query goes on.
        say: writes a line for people.
    """

    def __init__(self, wait_s: float | None, say: Callable[[str], None]) -> None:
        self._wait_s = wait_s
        self._say = say
        self._reasons: dict[str, str] = {}
        self._changed = asyncio.Event()

    def heard(self, state: State) -> None:
        """A provider is in this state now."""
        if state.state == "connecting" and state.reason:
            self._reasons[state.provider] = state.reason
            self._changed.set()
        else:
            self._reasons.pop(state.provider, None)

    def lines(self) -> list[str]:
        """What there is to say of those that are being tried."""
        names: dict[str, list[str]] = defaultdict(list)
        for name, reason in sorted(self._reasons.items()):
            names[reason].append(name)
        long = "" if self._wait_s is None else f" ({self._wait_s:g} s; --wait 0 does not)"
        said = [f"waiting for {folded(each, _MOST_NAMES)}: {reason}{long}" for reason, each in names.items()]
        more = len(said) - _MOST_REASONS
        return said[:_MOST_REASONS] + ([f"waiting for others, for {more} more reasons"] if more > 0 else [])

    @contextlib.asynccontextmanager
    async def watched(self) -> AsyncIterator[None]:
        """While entered, it is said once."""
        task = asyncio.create_task(self._watch())
        try:
            yield
        finally:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task

    async def _watch(self) -> None:
        await asyncio.sleep(PATIENCE_S)
        while not self._reasons:
            self._changed.clear()
            await self._changed.wait()
        for line in self.lines():
            self._say(line)
