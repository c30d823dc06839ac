"""A token bucket: a rate that may be exceeded for a moment.

Knows a clock's readings. Does not know what is counted.
"""


class Bucket:
    """Lets `rate` units a second pass, and `burst` at once after a pause. It may go into debt once, and then waits."""

    __slots__ = ("_burst", "_level", "_rate", "_then")

    def __init__(self, rate: float, burst: float, now: float) -> None:
        self._rate = rate
        self._burst = burst
        self._level = burst
        self._then = now

    def level(self, now: float) -> float:
        """Units that may pass now; 0 or less: none."""
        self._level = min(self._burst, self._level + (now - self._then) * self._rate)
        self._then = now
        return self._level

    def spend(self, units: float) -> None:
        """They passed."""
        self._level -= units

    def wait_s(self, now: float) -> float:
        """Seconds until something may pass."""
        level = self.level(now)
        return 0.0 if level > 0 else (1.0 - level) / self._rate
