"""The stories of queries: for each provider of each query, what happened, from start to end.

Knows lines, and bounds: so many lines a provider, so many in all. Nothing here is written to a disk. What
a provider said may stand in a line; whoever shows it makes it harmless.
"""

from __future__ import annotations

import time
from collections import OrderedDict, deque
from typing import Any, Final

#: Of one provider the newest. A reach that is retried for hours must not push out others' stories.
LINES: Final = 40
#: Of all queries together. At some 300 bytes each, 30 MB when everything is full.
MOST_LINES: Final = 100_000
#: A field of a line, in characters.
_FIELD_CHARS: Final = 300


class Story:
    """One query's. Made by `Stories.begin`; ``key`` is its client's."""

    def __init__(self, key: str | None) -> None:
        self.key = key
        self.over = False
        self.count = 0
        self._lines: dict[str, deque[dict[str, Any]]] = {}

    def add(self, provider: str, event: str, **fields: object) -> None:
        """Something happened. Fields that are None are left out."""
        lines = self._lines.get(provider)
        if lines is None:
            lines = self._lines[provider] = deque(maxlen=LINES)
        self.count += len(lines) < LINES
        told = {name: _short(value) for name, value in fields.items() if value is not None}
        lines.append({"at": time.time(), "event": event, **told})

    def of(self, provider: str) -> list[dict[str, Any]] | None:
        """A provider's lines, oldest first; None if it is not part of this story."""
        lines = self._lines.get(provider)
        return None if lines is None else list(lines)


class Stories:
    """All stories that are kept, by query id; the newest of an id counts."""

    def __init__(self) -> None:
        self._stories: OrderedDict[str, Story] = OrderedDict()

    def begin(self, query: str, key: str | None) -> Story:
        """A query begins. Older stories go, those that are over first."""
        self._make_room()
        self._stories.pop(query, None)
        story = self._stories[query] = Story(key)
        return story

    def get(self, query: str) -> Story | None:
        """The story of a query by its id."""
        return self._stories.get(query)

    def beginning(self, text: str) -> list[str]:
        """The ids that begin so; of nothing, none. An id itself means no other."""
        return (
            [text] if text in self._stories else [query for query in self._stories if text and query.startswith(text)]
        )

    def _make_room(self) -> None:
        count = sum(story.count for story in self._stories.values())
        for name in sorted(self._stories, key=lambda name: not self._stories[name].over):
            if count <= MOST_LINES:
                return
            count -= self._stories.pop(name).count


def _short(value: object) -> object:
    return value[:_FIELD_CHARS] if isinstance(value, str) else value
