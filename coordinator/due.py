"""Names and when something is due about each, soonest first.

Knows names and times, each name with one time at most. Reads no clock.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterator


def soonest(*times: float | None) -> float | None:
    """The first of these times, None being never.

    >>> soonest(None, 2.0, 1.0), soonest(None)
    (1.0, None)
    """
    return min((at for at in times if at is not None), default=None)


class Due:
    """A heap whose entries may be moved and taken back.

    >>> due = Due()
    >>> due.put("a", 2.0); due.put("b", 1.0); due.put("a", 3.0); due.drop("b")
    >>> due.next(), list(due.take(2.5)), list(due.take(3.0)), due.next()
    (3.0, [], ['a'], None)
    """

    def __init__(self) -> None:
        self._at: dict[str, float] = {}
        #: An entry whose name has another time by now is void.
        self._heap: list[tuple[float, str]] = []

    def put(self, name: str, at: float) -> None:
        """Due then, and not when it was before."""
        self._at[name] = at
        heapq.heappush(self._heap, (at, name))

    def drop(self, name: str) -> None:
        """Due no more."""
        self._at.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._at

    def next(self) -> float | None:
        """When the first is due."""
        while self._heap and self._at.get(self._heap[0][1]) != self._heap[0][0]:
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def take(self, at: float) -> Iterator[str]:
        """Those that are due by now; they are not any more."""
        while (first := self.next()) is not None and first <= at:
            _, name = heapq.heappop(self._heap)
            del self._at[name]
            yield name
