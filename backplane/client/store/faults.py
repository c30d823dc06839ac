"""What can be wrong with a store, in sentences that name the way out.

Knows SQLite's error codes. Does not know what is stored.
"""

from __future__ import annotations

import sqlite3
from typing import Final

from backplane.wire.errors import LogReduceError

_FULL: Final = sqlite3.SQLITE_FULL
#: The file cannot be written now, and may be able to later; low bytes, since the rest says where it happened.
_LATER: Final = frozenset((_FULL, sqlite3.SQLITE_READONLY, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN))
_DAMAGED: Final = frozenset((sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB))


class StoreError(LogReduceError):
    """What a named query keeps cannot be used."""


class Unwritable(StoreError):
    """Nothing can be written now. What had been is intact, and nothing more may be taken until this is over."""


class Damaged(StoreError):
    """The file is not what was written."""

    def __init__(self, name: str, why: str) -> None:
        super().__init__(
            f"what was kept of {name} is damaged ({why}): `logreduce rm {name}` removes it, and it can be asked anew"
        )


class Newer(StoreError):
    """A later version of this program has written it."""

    def __init__(self, name: str) -> None:
        super().__init__(
            f"{name} was kept by a newer logreduce: go on with that one, or `logreduce rm --force {name}` removes it"
        )


def understood(name: str, path: str, exc: sqlite3.Error) -> StoreError:
    """An error of SQLite's as ours."""
    code = getattr(exc, "sqlite_errorcode", None)
    low = None if code is None else code & 0xFF
    if low in _DAMAGED:
        return Damaged(name, str(exc))
    if low in _LATER:
        why = "the disk is full: free some space" if low == _FULL else f"{exc}: make it writable"
        return Unwritable(f"{path} cannot be written, {why}")
    return StoreError(f"{path}: {exc}")
