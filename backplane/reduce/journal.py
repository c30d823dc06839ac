"""What of an answer has changed since it was last stored.

Knows values as pieces, and names. Does not know a store, or what a cut is: whatever is noted here has been applied.

Values and places are given out together, once. Whoever stores them does so in one step: values without the positions
after them would count twice after a crash, positions without their values would lose them.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from dataclasses import dataclass
from typing import Any, NamedTuple

from backplane.reduce.cursors import Kept, Part
from backplane.reduce.saving import Saved

#: Contents of a cut that a fold takes; the others say where a provider stands.
_VALUES = frozenset(("values", "partials", "marks"))


class Place(NamedTuple):
    """A provider's place in the answer: its cursor and its standing."""

    name: str
    cursor: Kept
    standing: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Changes:
    """What has to be stored together."""

    #: Values that were applied, in order.
    pieces: tuple[Saved, ...] = ()
    #: Where each provider that has changed stands after them.
    places: tuple[Place, ...] = ()

    @property
    def size(self) -> int:
        """Bytes of values."""
        return sum(len(piece.payload) for piece in self.pieces)

    def __add__(self, later: Changes) -> Changes:
        places = {place.name: place for place in (*self.places, *later.places)}
        return Changes(self.pieces + later.pieces, tuple(places.values()))

    def __bool__(self) -> bool:
        return bool(self.pieces or self.places)


class Journal:
    """Gathers changes."""

    def __init__(self) -> None:
        self._pieces: list[Saved] = []
        self._moved: set[str] = set()
        self._beaten: set[str] = set()
        #: Bytes of values that wait.
        self.size = 0
        #: A place waits that nobody else knows: see `opened`.
        self.fresh = False

    def __bool__(self) -> bool:
        """Something is worth storing."""
        return bool(self._pieces or self._moved)

    def moved(self, provider: str) -> None:
        """A provider does not stand where it stood."""
        self._moved.add(provider)

    def opened(self, provider: str) -> None:
        """A source of a provider was given its first place: lost, it would begin elsewhere the next time."""
        self._moved.add(provider)
        self.fresh = True

    def beaten(self, provider: str) -> None:
        """A provider has only counted on: that is stored with the next change, and is no change by itself."""
        self._beaten.add(provider)

    def applied(self, provider: str, parts: Iterable[Part]) -> None:
        """The fold has taken these parts of a provider's cut."""
        self._moved.add(provider)
        for part in parts:
            if part.content in _VALUES:
                self._pieces.append(Saved(provider, part.content, part.payload))
                self.size += len(part.payload)

    def take(self, known: Container[str], place: Callable[[str], Place]) -> Changes:
        """All that waits; ``place`` says where a provider stands now, if it is still known."""
        names = [name for name in sorted(self._moved | self._beaten) if name in known]
        changes = Changes(tuple(self._pieces), tuple(map(place, names)))
        self._pieces = []
        self._moved = set()
        self._beaten = set()
        self.size = 0
        self.fresh = False
        return changes
