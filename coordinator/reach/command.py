"""The reach `command`: a runner behind a command that runs another one somewhere (``docker exec -i web-0``).

Knows how a command line is split, as a shell would but without one. Does not know what the command does.
"""

from __future__ import annotations

import shlex

from backplane.wire.errors import ReachError
from coordinator.reach.base import Channel, Receiver, Turn
from coordinator.reach.process import ProcessChannel
from coordinator.table import Provider, ReachOptions
from provider import ship


class CommandReach:
    """Starts runners through each provider's ``via``."""

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver, turn: Turn) -> Channel:
        """A channel to a new runner; see `Reach.open`."""
        prefix = _via(provider, options)
        if provider.sudo or options.sudo:
            prefix += ["sudo", "-n", "--"]
        # As over SSH: where no runner is wanted, the answer of a host without Python.
        argv = ["sh", "-c", "exit 127"] if provider.level == "shell" else ship.argv(provider.python or "python3")
        async with turn(None):
            receiver.at_stage(f"starting a runner through `{prefix[0]}`")
            try:
                return await ProcessChannel.spawn(argv, receiver, prefix)
            except OSError as exc:
                raise ReachError(
                    f"cannot run {prefix[0]!r}, by which it is reached: {exc.strerror}", retry=False
                ) from exc

    async def close(self) -> None:
        """Nothing is shared."""


def _via(provider: Provider, options: ReachOptions) -> list[str]:
    text = provider.via or options.via or ""
    try:
        words = shlex.split(text)
    except ValueError as exc:
        raise ReachError(f"via {text!r} cannot be split into words: {exc}", retry=False) from exc
    if not words:
        raise ReachError("reached by a command, but `via` names none", retry=False)
    return [word.replace("{name}", provider.name) for word in words]
