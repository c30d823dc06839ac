"""A named query's file: its question, and its answer so far, in one SQLite database.

Knows SQL, the file and its version. Does not know what an answer is made of beyond pieces and places, or when either
is worth storing. Touched by one thread at a time.

Theory of operation
-------------------
A commit is one transaction: values as they were applied are appended (`piece`), and the places of the providers
(`place`) replaced by those after these values. It is on the disk before `commit` returns (WAL with synchronous=FULL),
so what is read back after any crash is the state after some commit, never between two.

*In doubt.* A commit that fails may have reached the disk all the same, as when the last fsync is what failed. So each
has a number that is stored with it. After a failure the file is opened anew, and if it has the number, the commit is
not repeated. Whoever calls must come back with the same changes first.

*Compaction.* Pieces grow with every cut, and the groups that they are about do not. `compact` replaces them all by what
the fold holds, in one transaction too. Values and places stay those of the last commit: the caller sees to that.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import time
import zlib
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from backplane.client.store.directory import Directory
from backplane.client.store.faults import Damaged, Newer, Unwritable, understood
from backplane.reduce.cursors import Kept
from backplane.reduce.journal import Changes, Place
from backplane.reduce.saving import Saved
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError

#: The form of the tables. A file with a higher one was written by a newer LogReduce.
SCHEMA: Final = 1
#: "LRnq": tells our file from other programs'.
APPLICATION: Final = 0x4C526E71
#: Whoever only looks (`ps`) holds the file for milliseconds.
_BUSY_S: Final = 10.0
#: The log of SQLite's own that stays between two checkpoints. A compaction may be larger for its time.
_WAL_BYTES: Final = 16 << 20

_TABLES: Final = """
CREATE TABLE fact (name TEXT PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE place (
    name BLOB PRIMARY KEY, epoch INTEGER NOT NULL, crc INTEGER NOT NULL, at BLOB NOT NULL
) WITHOUT ROWID;
CREATE TABLE piece (
    number INTEGER PRIMARY KEY, provider BLOB NOT NULL, content TEXT NOT NULL, crc INTEGER NOT NULL,
    payload BLOB NOT NULL
);
"""


class Store:
    """See above. Use as a context, or `close` it.

    Args:
        directory: whose file it is. It is made if there is none.
        own: nobody else has it open meanwhile; False for a short look.

    Raises:
        StoreError: it cannot be opened.
    """

    def __init__(self, directory: Directory, *, own: bool = True) -> None:
        self._name = directory.name
        self._path = directory.database
        self._own = own
        self._base_bytes = 0
        self._log_bytes = 0
        #: What is known of the query as a whole, and where each provider stood, when this was opened.
        self.facts: Mapping[str, Any] = {}
        self.places: tuple[Place, ...] = ()
        #: The number of the last commit, and of one that may or may not have reached the disk.
        self._number = 0
        self._doubtful: int | None = None
        self._connection: sqlite3.Connection | None = None
        with self._understood():
            connection = self._opened()
            self._check(connection)
            rows = connection.execute("SELECT name, value FROM fact").fetchall()
            self.facts = {name: self._unpacked(value) for name, value in rows}
            self._number, self._base_bytes = self.facts.get("commit", 0), self.facts.get("base", 0)
            rows = connection.execute("SELECT name, epoch, crc, at FROM place ORDER BY name").fetchall()
            self.places = tuple(self._place(*row) for row in rows)
            (size,) = connection.execute("SELECT coalesce(sum(length(payload)), 0) FROM piece").fetchone()
            self._log_bytes = size - self._base_bytes

    # -- what is in it

    def _place(self, name: bytes, epoch: int, crc: int, at: bytes) -> Place:
        if zlib.crc32(at) != crc:
            raise Damaged(self._name, f"the place of {_text(name)} is not what was written")
        said = self._unpacked(at)
        return Place(_text(name), Kept(epoch, dict(said["positions"]), said["settled"]), said["standing"])

    def pieces(self) -> Iterator[Saved]:
        """All values up to the last commit, in order.

        Raises:
            StoreError: it cannot be read.
        """
        query = "SELECT number, provider, content, crc, payload FROM piece ORDER BY number"
        with self._understood():
            for number, provider, content, crc, payload in self._opened().execute(query):
                if zlib.crc32(payload) != crc:
                    raise Damaged(self._name, f"piece {number} is not what was written")
                yield Saved(_text(provider), content, payload)

    @property
    def base_bytes(self) -> int:
        """Bytes of values after the last compaction."""
        return self._base_bytes

    @property
    def log_bytes(self) -> int:
        """Bytes of values that were appended since."""
        return self._log_bytes

    # -- changing it

    def note(self, facts: Mapping[str, Any]) -> None:
        """Store facts, and nothing else.

        Raises:
            StoreError: it cannot be written; nothing has changed, unless this is what was in doubt.
        """
        with self._transaction() as connection:
            _note(connection, facts)

    def commit(self, changes: Changes, facts: Mapping[str, Any] | None = None) -> None:
        """Append values, and put the places after them in the place of the old ones.

        Raises:
            StoreError: it cannot be written. Call it again with the same changes before any others: if they have
                reached the disk all the same, that is noticed.
        """
        with self._understood():
            connection = self._opened()
            if self._doubtful is not None and self._last_commit(connection) == self._doubtful:
                self._number, self._doubtful = self._doubtful, None
                self._log_bytes += changes.size
                return
        self._doubtful = self._number + 1
        with self._transaction() as connection:
            _append(connection, changes.pieces)
            connection.executemany("REPLACE INTO place VALUES (?, ?, ?, ?)", map(_row, changes.places))
            _note(connection, {"commit": self._doubtful, "at": time.time(), **(facts or {})})
        self._number, self._doubtful = self._doubtful, None
        self._log_bytes += changes.size

    def compact(self, pieces: Iterable[Saved]) -> None:
        """Put these values in the place of all that are stored; they must mean the same.

        Raises:
            StoreError: it cannot be written; what was stored is there still.
        """
        size = 0
        with self._transaction() as connection:
            (last,) = connection.execute("SELECT coalesce(max(number), 0) FROM piece").fetchone()
            for piece in pieces:
                _append(connection, (piece,))
                size += len(piece.payload)
            connection.execute("DELETE FROM piece WHERE number <= ?", (last,))
            _note(connection, {"base": size})
        self._base_bytes, self._log_bytes = size, 0

    def close(self) -> None:
        """Close the file."""
        connection, self._connection = self._connection, None
        if connection is not None:
            with contextlib.suppress(sqlite3.Error):
                connection.close()

    def __enter__(self) -> Store:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    # -- the file

    def _opened(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._own:
                _private(self._path)
            self._connection = self._connect()
        return self._connection

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
        try:
            if self._own:
                # No shared memory, no other process: a state directory may lie where neither works.
                connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute(f"PRAGMA journal_size_limit = {_WAL_BYTES}")
            self._versioned(connection)
        except BaseException:
            connection.close()
            raise
        return connection

    def _versioned(self, connection: sqlite3.Connection) -> None:
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        if version > SCHEMA:
            raise Newer(self._name)
        if version and application != APPLICATION:
            raise Damaged(self._name, "another program's file is in its place")
        if not version and self._own:
            connection.executescript(
                f"BEGIN; {_TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = {SCHEMA}; COMMIT;"
            )

    def _check(self, connection: sqlite3.Connection) -> None:
        if self._own:
            (said,) = connection.execute("PRAGMA quick_check(1)").fetchone()
            if said != "ok":
                raise Damaged(self._name, said.strip().splitlines()[-1])

    def _last_commit(self, connection: sqlite3.Connection) -> int:
        found = connection.execute("SELECT value FROM fact WHERE name = 'commit'").fetchone()
        return int(self._unpacked(found[0])) if found else 0

    @contextlib.contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._understood():
            connection = self._opened()
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
                connection.execute("COMMIT")
            except BaseException:
                # What SQLite makes of a connection after an error of the disk differs: a new one knows nothing of it.
                self.close()
                raise

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as exc:
            raise understood(self._name, str(self._path), exc) from exc
        except OSError as exc:
            raise Unwritable(f"{self._path} cannot be written: {exc.strerror or exc}") from exc

    def _unpacked(self, value: bytes) -> Any:
        try:
            return codec.unpack(value)
        except RemoteProtocolError as exc:
            raise Damaged(self._name, str(exc)) from exc


def _private(path: Path) -> None:
    """The file, for this user alone; SQLite gives those beside it the same mode."""
    os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))


def _append(connection: sqlite3.Connection, pieces: Iterable[Saved]) -> None:
    connection.executemany(
        "INSERT INTO piece (provider, content, crc, payload) VALUES (?, ?, ?, ?)",
        ((_bytes(piece.provider), piece.content, zlib.crc32(piece.payload), piece.payload) for piece in pieces),
    )


def _row(place: Place) -> tuple[bytes, int, int, bytes]:
    cursor = place.cursor
    at = codec.pack(
        {"positions": list(cursor.positions.items()), "settled": cursor.settled, "standing": place.standing}
    )
    return _bytes(place.name), cursor.epoch, zlib.crc32(at), at


def _note(connection: sqlite3.Connection, facts: Mapping[str, Any]) -> None:
    connection.executemany(
        "REPLACE INTO fact VALUES (?, ?)", [(name, codec.pack(value)) for name, value in facts.items()]
    )


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


def _text(data: bytes) -> str:
    return data.decode("utf-8", "surrogateescape")
