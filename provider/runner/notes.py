"""What a script prints, on its way home: labelled, bounded, never a reason for the script to wait.

Knows bytes out of a pipe. Does not know frames or credit.
"""

from provider.runner.bucket import Bucket

#: Bytes a second that a job may print. Prints are for a person's eyes; data goes by yield.
RATE_BYTES = 64 << 10
#: A line without an end is passed on when it is so long: progress bars have none.
_LINE_BYTES = 8 << 10
#: What one read takes; fits in one frame.
READ_BYTES = 32 << 10


class Notes:
    """Cuts prints into whole lines and counts the lines that were too many."""

    __slots__ = ("_bucket", "_partial", "dropped")

    def __init__(self, now: float) -> None:
        self._bucket = Bucket(RATE_BYTES, RATE_BYTES, now)
        self._partial = b""
        #: Lines that did not travel since this was last set to 0.
        self.dropped = 0

    def add(self, data: bytes, now: float) -> bytes:
        """What may travel now: whole lines, or nothing."""
        data = self._partial + data
        end = data.rfind(b"\n") + 1
        if not end and len(data) >= _LINE_BYTES:
            end = len(data)
        self._partial = data[end:]
        return self._admit(data[:end], now)

    def rest(self, now: float) -> bytes:
        """The last line, which has no end: nothing more will come."""
        data, self._partial = self._partial, b""
        return self._admit(data, now)

    def _admit(self, data: bytes, now: float) -> bytes:
        if not data:
            return b""
        if self._bucket.level(now) < len(data):
            self.lost(data)
            return b""
        self._bucket.spend(len(data))
        return data

    def lost(self, data: bytes) -> None:
        """These lines do not travel."""
        self.dropped += data.count(b"\n") or 1
