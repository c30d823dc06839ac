"""What every output is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from backplane.reduce.snapshot import Snapshot

#: Columns and lines of the terminal, asked anew each time because it may be resized.
Size = Callable[[], tuple[int, int]]


class Output(Protocol):
    """Shows the snapshots of one query.

    Writing raises BrokenPipeError when nobody reads any more.
    """

    @property
    def live(self) -> bool:
        """It wants each snapshot, not the final one only."""

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Show a snapshot; the last one is final, or said to be the ``last`` that comes."""

    def close(self) -> None:
        """Leave the terminal as it was, also when no final snapshot came."""
