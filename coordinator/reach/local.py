"""The reach `local`: a runner on this machine, by the same payload over a pipe.

Knows how a runner is started here. No shell, no network, and no other account than ours.
"""

from __future__ import annotations

import sys

from backplane.wire.errors import ReachError
from coordinator.reach.base import Channel, Receiver, Turn
from coordinator.reach.process import ProcessChannel
from coordinator.table import Provider, ReachOptions
from provider import ship


class LocalReach:
    """Starts runners as children of this process."""

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver, turn: Turn) -> Channel:
        """A channel to a new runner; see `Reach.open`."""
        python = provider.python or sys.executable
        argv = ship.argv(python)
        if provider.sudo or options.sudo:
            argv = ["sudo", "-n", "--", *argv]
        async with turn(None):
            receiver.at_stage(f"starting {python} on this machine")
            try:
                return await ProcessChannel.spawn(argv, receiver)
            except OSError as exc:
                raise ReachError(f"cannot start {argv[0]}: {exc.strerror}", state="refused", retry=False) from exc

    async def close(self) -> None:
        """Nothing is shared."""
