"""What windows may expect of each provider, by how it stands.

Knows standings and the rules of `windows`. Does not know values or messages.
"""

from __future__ import annotations

from collections.abc import Mapping

from backplane.reduce import windows
from backplane.reduce.coverage import COMPLETE, Standing
from backplane.reduce.fold import Fold

_RUNNING = ("running", "stalled")


class Expecting:
    """See the module."""

    def __init__(self) -> None:
        #: Since when nobody knows what a provider has.
        self._away: dict[str, float] = {}

    def told(self, fold: Fold, standings: Mapping[str, Standing], now: float) -> tuple[windows.Told, ...] | None:
        """The windows that are closed by now; None if the answer is not by event time."""
        if fold.windows is None:
            return None
        # What is drained was cut off within its windows: they do not close by that.
        drained = {name for name, each in standings.items() if each.drained}
        over = {name for name, each in standings.items() if each.over or each.state in COMPLETE} - drained
        running = {name for name, each in standings.items() if each.state in _RUNNING} | drained
        self._away = {name: self._away.get(name, now) for name in standings if name not in over | running}
        expected = {
            name: windows.Expected(name in running, name in over, self._away.get(name, now), _missed(each))
            for name, each in standings.items()
        }
        fold.windows.advance(expected, now)
        return fold.windows.tell()


def _missed(standing: Standing) -> str:
    """What is said of a provider that a window did not wait for; nothing where nothing is missing."""
    return "" if standing.state in COMPLETE or standing.state == "running" else standing.state
