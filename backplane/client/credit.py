"""Credit at the client: what a job was granted, what came, and who may be granted more.

Pure arithmetic, no I/O. The rules: at any time a job may have ``window`` bytes under way that are not in staging yet;
and values of many fragments, which no staging holds before they are complete, are bounded together (`Fragments`).
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


class Fragments:
    """Bytes of values of which some fragments are here and some are not, of all jobs of a query.

    A value may be larger than its job's window, so credit is returned while it comes in. Five hundred jobs at 16 MiB
    are not to be had in memory: above ``most`` bytes only the value that began first is let in, until it is whole.
    """

    __slots__ = ("_most", "_sizes", "total")

    def __init__(self, most: int) -> None:
        self._most = most
        #: By job and kind of frame, since those are joined apart; the oldest first.
        self._sizes: dict[tuple[int, int], int] = {}
        self.total = 0

    @property
    def crowded(self) -> bool:
        """Only one job may go on."""
        return self.total >= self._most

    def add(self, job: int, kind: int, size: int) -> None:
        """A fragment that completes nothing."""
        self._sizes[job, kind] = self._sizes.get((job, kind), 0) + size
        self.total += size

    def complete(self, job: int, kind: int) -> None:
        """The value is whole."""
        self.total -= self._sizes.pop((job, kind), 0)

    def forget(self, job: int) -> None:
        """The job is over: what it left incomplete has been dropped."""
        for other, kind in list(self._sizes):
            if other == job:
                self.complete(job, kind)

    def admits(self, job: int) -> bool:
        """Whether the job may be granted more."""
        return not self.crowded or next(iter(self._sizes))[0] == job
