"""One job's credit at the client: what it was granted, what came, and when to grant more.

Pure arithmetic, no I/O. The rule: at any time a job may have ``window`` bytes under way that are not in staging yet.
"""

from __future__ import annotations


class Window:
    """The receiving side of one job's credit, in bytes of frame bodies, cumulative since the start."""

    __slots__ = ("applied", "granted", "received", "window")

    def __init__(self, window: int) -> None:
        self.window = window
        self.received = 0
        #: The last cut that counts; it travels with the next grant.
        self.applied = 0
        self.granted = window

    def take(self, size: int) -> None:
        """A frame of so many bytes has arrived."""
        self.received += size

    def grant(self) -> int | None:
        """The new total to grant, or None while the step is too small to be worth a frame (a quarter of the window).

        >>> window = Window(1000)
        >>> window.take(200); window.grant()
        >>> window.take(100); window.grant()
        1300
        """
        total = self.received + self.window
        if total - self.granted < self.window // 4:
            return None
        self.granted = total
        return total
