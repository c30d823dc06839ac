"""How providers are reached: `ssh`, `local`, `command`. The index only; asyncssh is imported by the first SSH login."""

import asyncio
import importlib

from coordinator.reach.base import Channel, Reach, Receiver, Turn
from coordinator.table import Provider, ReachOptions

__all__ = ["Reach", "reaches"]


class _LazySsh:
    """`SshReach`, once it is needed: its import takes longer than everything else that a coordinator does to start."""

    def __init__(self) -> None:
        self._reach: Reach | None = None

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver, turn: Turn) -> Channel:
        return await (await self._loaded()).open(provider, options, receiver, turn)

    async def close(self) -> None:
        if self._reach is not None:
            await self._reach.close()

    async def _loaded(self) -> Reach:
        if self._reach is None:
            # In a thread: meanwhile the others go on.
            module = await asyncio.to_thread(importlib.import_module, "coordinator.reach.ssh")
            self._reach = self._reach or module.SshReach()
        return self._reach


def reaches() -> dict[str, Reach]:
    """A new set of reaches, by name."""
    from coordinator.reach.command import CommandReach
    from coordinator.reach.local import LocalReach

    return {"ssh": _LazySsh(), "local": LocalReach(), "command": CommandReach()}
