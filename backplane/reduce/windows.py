"""Windows of event time: which are open, which are closed, and what is still to be said of them.

Knows times, providers by name and whether more may come of each. Does not know values: whoever holds those asks `place`
before it takes any, and drops what `forgotten` names. No I/O, no clock.

Theory of operation
-------------------
A source's *watermark* is the latest time seen in it, and travels in its cuts. The query's is the least of all
sources of all providers of which more may come, and never goes back. A window *closes* when the watermark is past its
end by the lateness: what it holds then is its row, of revision 0.

Whom a window waits for:

running, stalled        their sources' watermarks; a provider that has told none yet holds all windows.
pending, connecting,    hold all windows: nobody knows what they have. But no longer than the query waits for anybody
filtering, lost         (``hold_s``, since they are so), because one dead host must not keep an answer from everybody.
ended                   nobody waits for them.

So a window may close without somebody who comes later, and says so (``missing``). Values for a closed window that is
still kept change its row, and the next snapshot shows it with the revision one higher. Of a query that goes on, closed
windows are forgotten when there are many, the oldest first; values that come for those are *late*: dropped, counted.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

from backplane.reduce.columns import Window
from backplane.reduce.names import folded

#: Closed windows that are kept of a query that goes on, once they were shown; and of those that nobody was shown.
KEPT: Final = 100
MOST_UNSHOWN: Final = 10_000
_NEVER: Final = float("-inf")
_OVER: Final = float("inf")


class Expected(NamedTuple):
    """What is to be expected of a provider."""

    #: Its job runs.
    running: bool
    #: Nothing more comes of it.
    over: bool
    #: Since when it is as it is, in seconds since the epoch.
    since: float
    #: Why it may be missing, for people; empty where nothing is.
    said: str


class Told(NamedTuple):
    """A closed window as a snapshot shows it."""

    window: Window
    revision: int
    #: Higher than that of any window told before with other values.
    serial: int
    #: Why something may be missing in it, in sentences.
    missing: tuple[str, ...]


class _Closed:
    __slots__ = ("changed", "missing", "revision", "serial")

    def __init__(self, missing: tuple[str, ...]) -> None:
        self.revision = -1
        self.serial = 0
        self.missing = missing
        #: Something of it has not been told.
        self.changed = True


class Windows:
    """See the module.

    Args:
        lateness_s: how far out of order logs may be.
        hold_s: how long windows wait for somebody who is not there.
        keeps: closed windows that are kept once they were told; None for all of them.
    """

    def __init__(self, lateness_s: float = 0.0, *, hold_s: float = 10.0, keeps: int | None = None) -> None:
        self._lateness_s = lateness_s
        self._hold_s = hold_s
        self._keeps = keeps
        self._marks: dict[str, dict[str, float]] = {}
        self._open: set[Window] = set()
        self._closed: dict[Window, _Closed] = {}
        #: Windows up to this end are forgotten, unless they are kept.
        self._horizon = _NEVER
        self._serial = 0
        self._late: dict[str, int] = {}
        #: The least time that any source may still bring, as far as it is waited for.
        self.watermark = _NEVER

    # --- what arrives

    def marked(self, provider: str, marks: Iterable[tuple[str, float | None]]) -> None:
        """Watermarks of a provider's sources, out of a cut. What is None is there, and has none yet."""
        known = self._marks.setdefault(provider, {})
        for source, mark in marks:
            known[source] = max(known.get(source, _NEVER), _NEVER if mark is None else mark)

    def place(self, provider: str, window: Window, records: int) -> bool:
        """Values for a window are here: True if they are to be taken. They are late otherwise, and counted.

        Args:
            records: how many records they are made of.
        """
        closed = self._closed.get(window)
        if closed is not None:
            closed.changed = True
        elif window[1] <= self._horizon:
            self._late[provider] = self._late.get(provider, 0) + records
            return False
        else:
            self._open.add(window)
        return True

    @property
    def late(self) -> Mapping[str, int]:
        """Records that came too late for their window, by provider."""
        return self._late

    # --- time

    def advance(self, standings: Mapping[str, Expected], now: float) -> None:
        """Close what can be closed.

        Args:
            standings: of all providers.
            now: seconds since the epoch, of the same clock as theirs.
        """
        least = min((self._least(name, each, now) for name, each in standings.items()), default=_NEVER)
        self.watermark = max(self.watermark, least)
        due = sorted(window for window in self._open if self.watermark >= window[1] + self._lateness_s)
        for window in due:
            self._open.discard(window)
            self._closed[window] = _Closed(self._missing(standings, window))

    def _least(self, name: str, standing: Expected, now: float) -> float:
        """What windows wait for of one provider."""
        if standing.over:
            return _OVER
        if standing.running:
            return min(self._marks.get(name, {}).values(), default=_NEVER)
        if now - standing.since >= self._hold_s:
            return _OVER
        return min(self._marks.get(name, {}).values(), default=_NEVER)

    def _missing(self, standings: Mapping[str, Expected], window: Window) -> tuple[str, ...]:
        """Who had not come so far, and was not waited for."""
        without: dict[str, list[str]] = {}
        for name, each in standings.items():
            reached = min(self._marks.get(name, {}).values(), default=_NEVER)
            if each.said and reached < window[1]:
                without.setdefault(each.said, []).append(name)
        return tuple(f"{folded(names)}: {said}, and this window closed without" for said, names in without.items())

    # --- what is told

    def tell(self) -> tuple[Told, ...]:
        """All closed windows that are kept, the earliest first, those that have changed with a new revision."""
        told = []
        for window, closed in sorted(self._closed.items()):
            if closed.changed:
                self._serial += 1
                closed.changed, closed.serial = False, self._serial
                closed.revision += 1
            told.append(Told(window, closed.revision, closed.serial, closed.missing))
        return tuple(told)

    def forgotten(self, *, shown: bool) -> list[Window]:
        """Windows whose values are of no use any more.

        Args:
            shown: all that was told has been shown.
        """
        if self._keeps is None:
            return []
        most = self._keeps if shown else MOST_UNSHOWN
        over = sorted(self._closed)[: max(0, len(self._closed) - most)]
        for window in over:
            del self._closed[window]
            self._horizon = max(self._horizon, window[1])
        return over

    # --- what outlives this process

    def saved(self) -> dict[str, Any]:
        """All of it, as msgpack knows it."""
        return {
            "watermark": self.watermark,
            "horizon": self._horizon,
            "serial": self._serial,
            "marks": self._marks,
            "late": self._late,
            "open": [list(window) for window in sorted(self._open)],
            "closed": [
                [*window, each.revision, each.serial, list(each.missing), each.changed]
                for window, each in sorted(self._closed.items())
            ],
        }

    def restore(self, saved: Mapping[str, Any]) -> None:
        """Be what `saved` said.

        Raises:
            KeyError, TypeError, ValueError: it is not that.
        """
        self.watermark = max(self.watermark, float(saved["watermark"]))
        self._horizon = max(self._horizon, float(saved["horizon"]))
        self._serial = int(saved["serial"])
        for provider, marks in saved["marks"].items():
            self.marked(provider, marks.items())
        self._late = dict(saved["late"])
        self._open = {(float(begin), float(end)) for begin, end in saved["open"]}
        self._closed = {}
        for begin, end, revision, serial, missing, changed in saved["closed"]:
            closed = self._closed[float(begin), float(end)] = _Closed(tuple(missing))
            closed.revision, closed.serial, closed.changed = revision, serial, changed
