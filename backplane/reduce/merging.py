"""Many groups at a time: columns of partials added up by numpy.

The one module that imports numpy, and only imported itself when partials are large enough to pay for that. Knows
columns and rows. Does not know keys, or what an aggregate's result is.

Adding is exact here as everywhere. Ints are added in 64 bits as long as no sum can go over them: the largest sum there
may be is kept track of, and what might go over is refused, for Python to add. A float is added to a few floats, each
taking up what the one before rounded away (Knuth's two-sum); what is left after the last one is given back, for Python
too.
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from typing import Final, NamedTuple, TypeVar

import numpy as np
import numpy.typing as npt

from backplane.reduce.columns import Packed

Ints = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]
_T = TypeVar("_T", bound=np.generic)

#: Sums beyond it are not added here: half of what 64 bits hold, since it is estimated in floats.
_MOST: Final = float(1 << 62)
#: Floats that hold one sum. Values of like size need two, and one more is for those that are not.
_FLOATS: Final = 3


def ids(raw: bytes) -> npt.NDArray[np.uint32]:
    """Numbers of keys."""
    return np.frombuffer(raw, "<u4")


def greatest(raw: bytes) -> int:
    """Of some numbers of keys; -1 for none."""
    found = ids(raw)
    return int(found.max()) if len(found) else -1


def rows(places: array[int], raw: bytes | None) -> Rows:
    """Where each number's key is, without numbers each key; -1 for one that has no row yet."""
    view: Rows = np.frombuffer(places, np.int64)
    return view.copy() if raw is None else view.take(ids(raw).astype(np.intp))


def unplaced(found: Rows, raw: bytes | None) -> list[int]:
    """Numbers that have no row."""
    if not len(found) or found.min() >= 0:
        return []
    (without,) = (found < 0).nonzero()
    missing: list[int] = (without if raw is None else ids(raw)[without]).tolist()
    return missing


def as_rows(found: Sequence[int] | array[int]) -> Rows:
    """Row numbers."""
    return np.array(found, np.int64)


class Sums(NamedTuple):
    """What one payload adds to each group, as columns."""

    ints: tuple[Ints, ...]
    #: For sums of floats, which also have a column of ints.
    floats: tuple[Floats, ...]
    #: The largest there is in each column of ints, of either sign.
    most: tuple[int, ...]


def sums(column: object, least: Sequence[int | None]) -> Sums | None:
    """The numbers of a state column: ints, one or a tuple; None if it is of another shape.

    Args:
        least: of each int column, its least value that may be; one below it is another shape too.
    """
    if not isinstance(column, Packed):
        return None
    flat = _flat(column)
    floats: tuple[Floats, ...] = ()
    if (
        len(flat) > len(least)
        and flat[0].kind == "i"
        and {each.kind for each in flat[1 : 1 - len(least) or None]} == {"f"}
    ):
        special, *rest = (np.frombuffer(each.raw, "<f8") for each in flat[1 : 1 - len(least) or None])
        if special.any() or not all(bool((np.abs(each) < 2.0**960).all()) for each in rest):
            return None
        floats = tuple(rest)
        flat = [flat[0], *flat[2 + len(rest) :]]
    if len(flat) != len(least) or any(each.kind != "i" for each in flat):
        return None
    ints = tuple(np.frombuffer(each.raw, "<i8") for each in flat)
    if not len(ints[0]):
        return Sums(ints, floats, (0,) * len(ints))
    spans = [(int(found.min()), int(found.max())) for found in ints]
    if any(bound is not None and low < bound for (low, _), bound in zip(spans, least, strict=True)):
        return None
    return Sums(ints, floats, tuple(max(-low, high) for low, high in spans))


def _flat(column: Packed) -> list[Packed]:
    return [each for part in column.parts for each in _flat(part)] if column.kind == "t" else [column]


class Adders:
    """Sums by row, of as many int columns as an aggregate's state has; the first of them may have a fraction."""

    def __init__(self, width: int) -> None:
        self._ints: list[Ints] = [np.zeros(0, np.int64) for _ in range(width)]
        self._most = [0.0] * width
        self._floats: list[Floats] = []
        self._is_float = np.zeros(0, np.bool_)

    def add(self, found: Rows, added: Sums, size: int) -> list[tuple[int, float]] | None:
        """Adds to each row; None if nothing was added, because a sum might go over 64 bits.

        Args:
            found: a row for each number; one may come twice.
            size: rows that there are.

        Returns:
            Rows, and what is still to be added to their first sum.
        """
        sized = enumerate(zip(added.ints, added.most, strict=True))
        if not all(self._has_room(number, each, most) for number, (each, most) in sized):
            return None
        if added.floats and len(np.unique(found)) != len(found):
            return None
        self._grow(size)
        for sums, each in zip(self._ints, added.ints, strict=True):
            np.add.at(sums, found, each)
        return self._add_floats(found, added.floats, size) if added.floats else []

    def _has_room(self, number: int, added: Ints, most: int) -> bool:
        more = float(most) * len(added)
        if self._most[number] + more >= _MOST:
            more = float(np.abs(added.astype(np.float64)).sum())
            have = self._ints[number].astype(np.float64)
            self._most[number] = float(np.abs(have).max()) if len(have) else 0.0
            if self._most[number] + more >= _MOST:
                return False
        self._most[number] += more
        return True

    def _grow(self, size: int) -> None:
        if len(self._ints[0]) < size:
            self._ints = [_grown(each, size) for each in self._ints]

    def _add_floats(self, found: Rows, floats: tuple[Floats, ...], size: int) -> list[tuple[int, float]]:
        if not self._floats:
            self._floats = [np.zeros(0, np.float64) for _ in range(_FLOATS)]
        if len(self._is_float) < size:
            self._floats = [_grown(each, size) for each in self._floats]
            self._is_float = _grown(self._is_float, size)
        self._is_float[found] = True
        left = []
        for added in floats:
            rest = added
            for sums in self._floats:
                have = sums[found]
                total = have + rest
                virtual = total - have
                sums[found] = total
                rest = (have - (total - virtual)) + (rest - virtual)
            (places,) = rest.nonzero()
            left += list(zip(found[places].tolist(), rest[places].tolist(), strict=True))
        return left

    def ints(self, number: int, size: int) -> list[int]:
        """The sums of a column, of the first so many rows."""
        self._grow(size)
        found: list[int] = self._ints[number][:size].tolist()
        return found

    def fractions(self, size: int) -> list[list[float] | None]:
        """The floats that the first column holds besides, of each row; None where it holds none."""
        most = min(size, len(self._is_float))
        flags: list[bool] = self._is_float[:most].tolist()
        held = zip(*(each[:most].tolist() for each in self._floats), strict=True)
        parts = [list(each) if is_float else None for is_float, each in zip(flags, held, strict=False)]
        return parts + [None] * (size - most)


def _grown(have: npt.NDArray[_T], size: int) -> npt.NDArray[_T]:
    grown = np.zeros(max(size, 2 * len(have), 1024), have.dtype)
    grown[: len(have)] = have
    return grown
