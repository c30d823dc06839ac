"""No output at all: a detached query's answer is shown by whoever attaches. Knows nothing."""

from __future__ import annotations

from backplane.reduce.snapshot import Snapshot


class NothingOutput:
    """Shows nothing."""

    live = False

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Nowhere."""

    def close(self) -> None:
        """There is nothing to leave."""
