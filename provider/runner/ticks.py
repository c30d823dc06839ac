"""A source that is a clock: ``tick:5s`` gives the time, at once and then every five seconds.

Knows durations and clocks.
"""

import time
from typing import Iterator, Optional

from provider.runner.faults import Failure, Fault
from provider.runner.lines import Block, Source

_UNITS = (("ms", 0.001), ("s", 1.0), ("m", 60.0), ("h", 3600.0), ("d", 86400.0))
#: Faster than this is not a rhythm but a busy loop.
_LEAST_S = 0.01
_NAP_S = 0.2


def duration(text: str) -> float:
    """Seconds in ``500ms``, ``5s``, ``1m``, ``2h``, ``1d`` or a bare number of seconds.

    Raises:
        Failure: ``usage``.

    >>> duration("500ms"), duration("1.5m"), duration("2")
    (0.5, 90.0, 2.0)
    """
    number, factor = text, 1.0
    for unit, seconds in _UNITS:
        if text.endswith(unit):
            number, factor = text[: -len(unit)], seconds
            break
    try:
        found = float(number) * factor
    except ValueError:
        found = 0.0
    if not _LEAST_S <= found < 1e9:
        raise Failure(Fault("usage", "tick:%s is no rhythm, write one as tick:5s" % text))
    return found


class Ticks(Source):
    """See the module. A tick that comes while the map is busy with the one before is skipped."""

    def __init__(self, every_s: float) -> None:
        self._every_s = every_s
        self._next = time.monotonic()

    def blocks(self) -> "Iterator[Optional[Block]]":
        """One Unix time a block."""
        while True:
            late = time.monotonic() - self._next
            if late < 0:
                yield None
                continue
            self._next += self._every_s * (1 + int(late / self._every_s))
            yield Block("tick", [time.time()])

    def wait(self) -> None:
        """Until the next tick, or a nap."""
        time.sleep(max(0.0, min(_NAP_S, self._next - time.monotonic())))
