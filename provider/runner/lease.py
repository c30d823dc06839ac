"""A runner lives only as long as somebody at home wants it to.

Knows a clock's readings. Does not read anything itself.
"""

#: Seconds of silence that end a runner. Shorter kills long answers on a bad line, longer leaves a map running on a
#: host that nobody watches. Whoever holds the link may say another (``lease_s`` in a HELLO or BEAT).
LEASE_S = 10.0
#: Neither a typing error nor an attacker makes a lease endless, or so short that a beat cannot hold it.
LEAST_S = 1.0
MOST_S = 3600.0


class Lease:
    """When silence has lasted too long. Any byte counts as a word."""

    __slots__ = ("_last", "seconds")

    def __init__(self, now: float) -> None:
        self.seconds = LEASE_S
        self._last = now

    def heard(self, now: float) -> None:
        """Something came."""
        self._last = now

    def extend(self, seconds: object) -> None:
        """Another length, if it is a number."""
        if isinstance(seconds, (int, float)) and seconds == seconds:
            self.seconds = min(MOST_S, max(LEAST_S, float(seconds)))

    def left(self, now: float) -> float:
        """Seconds until it is over; not above 0 when it is."""
        return self._last + self.seconds - now
