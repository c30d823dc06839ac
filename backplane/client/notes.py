"""What scripts print, on its way to a person: equal lines of several providers become one, and a flood is cut.

Knows lines, names and a clock's ticks. Does not know terminals: finished lines go out through the function that it is
given, and nothing in them has been made harmless yet.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from typing import Final

from backplane.reduce.names import folded

#: How long a line waits for its equals. Hosts that do the same do it within a round trip of each other; a person does
#: not notice a quarter of a second.
FOLD_S: Final = 0.25
#: Different lines in that time. Nobody reads so many, and a terminal that takes no more would hold up the beats.
MOST_LINES: Final = 2000


class Notes:
    """Collects lines for `FOLD_S` at a time.

    Args:
        write: takes finished lines (``web[01-20]: text``) in the order in which each was first said.
        most: lines at a time; the rest is counted.
    """

    def __init__(self, write: Callable[[list[str]], None], most: int = MOST_LINES) -> None:
        self._write = write
        self._most = most
        #: Who said a line, by the line and how many times they had said it before: a host's repetitions all count.
        self._said: dict[tuple[str, int], list[str]] = {}
        self._times: Counter[tuple[str, str]] = Counter()
        self._dropped = 0
        self._timer: asyncio.TimerHandle | None = None

    def add(self, provider: str, text: str) -> None:
        """Lines that a provider printed. Called in an event loop."""
        for line in text.splitlines():
            self._add(provider, line)
        if self._timer is None and (self._said or self._dropped):
            self._timer = asyncio.get_running_loop().call_later(FOLD_S, self.flush)

    def _add(self, provider: str, line: str) -> None:
        key = (line, self._times[provider, line])
        if key not in self._said and len(self._said) >= self._most:
            self._dropped += 1
            return
        self._times[provider, line] += 1
        self._said.setdefault(key, []).append(provider)

    def flush(self) -> None:
        """Write what waits, now."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        lines = [f"{folded(names)}: {line}" for (line, _), names in self._said.items()]
        if self._dropped:
            lines.append(f"({self._dropped} more lines of output dropped)")
        self._said.clear()
        self._times.clear()
        self._dropped = 0
        if lines:
            self._write(lines)
