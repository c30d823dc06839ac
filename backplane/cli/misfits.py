"""Lines that are not of the format that a question names: how many, such as which, and what they look like.

Knows coverage and samples. Does not know how they were found or where its sentences are shown.
"""

from __future__ import annotations

from typing import Final

from backplane.query.likely import likely
from backplane.reduce.coverage import Row
from backplane.reduce.names import folded
from backplane.reduce.snapshot import Snapshot

#: Of a line that is shown.
_MOST_SHOWN: Final = 160
_MOST_NAMES: Final = 8
_MOST_LINES: Final = 5


class Misfits:
    """What providers showed of them. Each is spoken of once, and those of which the same is to be said together.

    Args:
        name: of the format.
        several: its records may have several lines, so that counts of them are none of lines.
    """

    def __init__(self, name: str, *, several: bool = False) -> None:
        self._name = name
        self._several = several
        self._lines: dict[str, list[str]] = {}
        self._told: set[str] = set()

    def sample(self, provider: str, text: str) -> None:
        """A provider shows lines that did not parse."""
        known = self._lines.setdefault(provider, [])
        known += [line for line in text.splitlines() if line.strip()][: _MOST_LINES - len(known)]

    def told(self, snapshot: Snapshot) -> list[str]:
        """Sentences about providers of which nothing was said yet, once it is known how much they have read."""
        new: dict[bool, list[str]] = {}
        for provider, lines in self._lines.items():
            row = snapshot.coverage.providers.get(provider)
            if provider in self._told or not lines or row is None or not row.counters.lines:
                continue
            if snapshot.final or row.counters.parse_errors:
                self._told.add(provider)
                new.setdefault(self._none(row), []).append(provider)
        return [text for none, names in sorted(new.items(), reverse=True) for text in self._of(none, names, snapshot)]

    def _none(self, row: Row) -> bool:
        """Nothing of it was of the format, as far as that can be known."""
        of_all = self._several or row.counters.parse_errors in (0, row.counters.lines)
        return of_all and row.counters.matched == 0

    def _of(self, none: bool, names: list[str], snapshot: Snapshot) -> list[str]:
        rows = [snapshot.coverage.providers[name].counters for name in names]
        lines, odd = sum(row.lines for row in rows), sum(row.parse_errors for row in rows)
        shown = self._lines[names[0]]
        first = shown[0] if len(shown[0]) <= _MOST_SHOWN else shown[0][:_MOST_SHOWN] + "..."
        said = f"{folded(names, _MOST_NAMES)}: {self._much(none, lines, odd)}; such as: {first}"
        # A text that is asked for rules out lines before they are looked at, so where nothing was found it may be all.
        nothing = none or not any(row.matched for row in rows)
        other = likely([line.encode("utf-8", "replace") for line in shown]) if nothing else ""
        return [said, f"they look like {other}: write {other} instead of {self._name}"] if other else [said]

    def _much(self, none: bool, lines: int, odd: int) -> str:
        if self._several:
            return f"not all of {lines} lines are {self._name}"
        if not none:
            return f"{odd} of {lines} lines {'is' if odd == 1 else 'are'} not {self._name}"
        if odd:
            return f"0 of {lines} lines are {self._name}"
        # The text that is asked for rules out most lines before they are looked at.
        return f"none of the first of {lines} lines is {self._name}"
