"""Event time on the provider: which windows a record is in, and how far each source has come.

Knows a window, times and states. Does not know files, cuts or frames. It travels: standard library only,
Python 3.6.

Theory of operation
-------------------
A record of a window that slides is in several. It is folded once, into its *pane*: the longest span that no window
begins or ends within. What goes home is of windows all the same, and made of panes when a cut takes the groups.

A source's *watermark* is the latest time that was seen in it, because a log is about in order; how far it may be out of
order (the lateness) is home's affair, which closes windows. Times far ahead of the host's clock are wrong, and one of
them would close everything: such records are counted (`future`) and move nothing. A source that was read to its end and
gets no more would hold back all the others, so after a while its watermark follows the host's clock at a distance.
"""

import time
from math import floor
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional, Tuple

from provider.runner.aggregates.base import Aggregate, States
from provider.runner.columns import BARE
from provider.runner.pack import packb, unpackb

#: A record may be so far ahead of the host's clock: more than clocks and zones are wrong by where anybody looks.
AHEAD_S = 3600.0
#: The year 68: no log is so old. Below it nothing is a time, minus infinity least of all.
LOW = -6e10
#: A source that was read to its end is given so long before its watermark moves without it, or the lateness if longer.
IDLE_S = 1.0
_NEVER = float("-inf")


class Window(NamedTuple):
    """Event time cut into windows of ``size_s`` that begin each ``every_s``, open for ``lateness_s`` longer."""

    #: Which field of a record is its time.
    field: str
    size_s: float
    every_s: float
    lateness_s: float


class Taken(NamedTuple):
    """What was folded of one window since this was last asked.

    Attributes:
        window: from and to, in seconds since the epoch; None for all of time.
        records: how many records it is made of.
        states: for each aggregate, the state of each key.
    """

    window: Optional[List[float]]
    records: int
    states: List[States]


class _Source:
    __slots__ = ("quiet", "seen", "told")

    def __init__(self) -> None:
        self.seen = _NEVER
        #: What home knows; None: not even that it is there.
        self.told: Optional[float] = None
        #: Since when it has been at its end, by the host's clock.
        self.quiet: Optional[float] = None


class Windows:
    """See the module.

    Args:
        ahead_s: how far ahead of the host's clock a time may be.
        clock: seconds since the epoch.
    """

    def __init__(self, window: Window, ahead_s: float = AHEAD_S, clock: Callable[[], float] = time.time) -> None:
        size, every = _milliseconds(window.size_s), _milliseconds(window.every_s)
        pane = _greatest_divisor(size, every)
        #: Length of a pane. The pane of a time is ``time // pane_s``.
        self.pane_s = pane / 1000
        #: The latest time that was seen in the source that is being read. Whoever reads records keeps it.
        self.top = _NEVER
        self._size, self._every = size // pane, every // pane
        self._window = window
        self._ahead_s = ahead_s
        self._clock = clock
        self._sources: Dict[str, _Source] = {}
        self._reading = _Source()
        self._dropped: Dict[str, int] = {}

    # --- records

    def limit(self) -> float:
        """The latest time that is believed, now."""
        return self._clock() + self._ahead_s

    def missed(self, at: Any) -> None:
        """A record is in no window: it has no time, or one that is not believed."""
        reason = "future" if type(at) in (int, float) and at > 0 else "no_time"
        self._dropped[reason] = self._dropped.get(reason, 0) + 1

    def saw(self, at: Any) -> None:
        """A record had this time, whether it matches or not. One that is not believed moves nothing."""
        if type(at) in (int, float) and self.top < at <= self.limit():
            self.top = at

    def dropped(self) -> Dict[str, int]:
        """Records that are in no window, in all, by reason."""
        return dict(self._dropped)

    # --- sources

    def known(self, source: str) -> None:
        """There is such a source: until something is known of its times, it holds all windows open."""
        self._sources.setdefault(source, _Source())

    def turn(self, source: str) -> None:
        """What is read from here on is of this source."""
        self.known(source)
        self._settle()
        self._reading = self._sources[source]
        self._reading.quiet = None
        self.top = self._reading.seen

    def rest(self) -> None:
        """All sources have been read to their ends, for now."""
        now = self._clock()
        for each in self._sources.values():
            if each.quiet is None:
                each.quiet = now

    def anew(self) -> None:
        """Home is another one, which knows nothing."""
        for each in self._sources.values():
            each.told = None

    def marks(self) -> List[List[Any]]:
        """The content ``marks`` of a cut: watermarks that home does not know yet."""
        self._settle()
        now = self._clock()
        distance = max(IDLE_S, self._window.lateness_s)
        changed = []
        for name, each in self._sources.items():
            if each.quiet is not None and now - each.quiet >= distance:
                each.seen = max(each.seen, now - distance)
            if each.told is None or each.seen > each.told:
                each.told = each.seen
                changed.append([name, None if each.seen == _NEVER else each.seen])
        return changed

    @property
    def watermark(self) -> Optional[float]:
        """The least of all sources that may give more; None while one of them has none."""
        self._settle()
        least = min([each.seen for each in self._sources.values()] or [_NEVER])
        return least if least >= LOW else None

    def _settle(self) -> None:
        """What was seen belongs to the source that was being read."""
        self._reading.seen = max(self._reading.seen, self.top)

    # --- windows

    def of(self, pane: float) -> List[List[float]]:
        """The windows that hold a pane: from and to, the earliest first."""
        first = floor((pane - self._size) / self._every) + 1
        last = floor(pane / self._every)
        starts = [number * self._window.every_s for number in range(first, last + 1)]
        return [[start, start + self._window.size_s] for start in starts]

    def spread(self, aggregates: List[Aggregate], panes: "Dict[float, Tuple[int, List[States]]]") -> Iterator[Taken]:
        """Windows out of panes, the earliest first. The panes' states are of no use afterwards.

        Args:
            panes: for each, how many records, and for each aggregate the states by key.
        """
        parts: "Dict[Tuple[float, float], List[float]]" = {}
        for pane in sorted(panes):
            for begin, end in self.of(pane):
                parts.setdefault((begin, end), []).append(pane)
        for begin, end in sorted(parts):
            some = [panes[pane] for pane in parts[begin, end]]
            states = some[0][1] if self._size == self._every else _joined(aggregates, [each[1] for each in some])
            yield Taken([begin, end], sum([each[0] for each in some]), states)


def _joined(aggregates: List[Aggregate], panes: List[List[States]]) -> List[States]:
    """The states of several panes, which stay as they are: others are made of them too."""
    joined: List[States] = [{} for _ in aggregates]
    for states in panes:
        for aggregate, into, each in zip(aggregates, joined, states):
            copies = unpackb(packb(aggregate.dumps(list(each.values()))))
            aggregate.absorb(into, zip(each, map(aggregate.load, copies)))
    return joined


def _milliseconds(seconds: float) -> int:
    return max(1, round(seconds * 1000))


def _greatest_divisor(one: int, other: int) -> int:
    while other:
        one, other = other, one % other
    return one


def by_pane(states: List[States], counts: Dict[float, int], keys: int) -> "Dict[float, Tuple[int, List[States]]]":
    """Groups whose keys begin with a pane, by pane.

    Args:
        states: for each aggregate.
        counts: records of each pane.
        keys: how many columns a key has behind the pane.
    """
    panes: "Dict[float, Tuple[int, List[States]]]" = {}
    for number, each in enumerate(states):
        for key, state in each.items():
            pane, rest = _parted(key, keys)
            if pane not in panes:
                panes[pane] = (counts.get(pane, 0), [{} for _ in states])
            panes[pane][1][number][rest] = state
    return panes


def _parted(key: Any, keys: int) -> "Tuple[float, Any]":
    if not keys:
        return key, BARE
    return key[0], key[1] if keys == 1 else key[1:]
