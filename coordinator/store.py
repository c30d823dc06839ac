"""The provider table on disk: who the providers are, and what the last check found, in one SQLite file.

Knows SQL, the file and its version. Does not know who asks, what a selection is, or how a provider is reached.

One connection, under a lock: calls block for a few milliseconds and belong into a thread (`asyncio.to_thread`). Several
coordinators of one user may share the file; WAL lets one write while others read, and `Store.stamp` tells each what
the others have done. The file is the user's own (0600), because it says who may be logged in to and with which key.
"""

from __future__ import annotations

import contextlib
import json
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any, Final

from backplane.wire.errors import UsageError
from coordinator.table import Provider

#: The form of the tables. A file with a higher one was written by a newer LogReduce.
SCHEMA: Final = 1
#: "LRpt": tells our file from other programs'.
APPLICATION: Final = 0x4C527074
#: Another coordinator writes for milliseconds, an import of thousands for a second.
_BUSY_S: Final = 10.0

_FIELDS: Final = tuple(spec.name for spec in fields(Provider))

_TABLES: Final = """
CREATE TABLE providers (
    name TEXT PRIMARY KEY, address TEXT, port INTEGER, user TEXT, key TEXT, jump TEXT, python TEXT,
    sudo INTEGER NOT NULL, via TEXT, level TEXT, labels TEXT NOT NULL, reach TEXT NOT NULL,
    source TEXT NOT NULL, changed_at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE checks (
    name TEXT PRIMARY KEY REFERENCES providers (name) ON DELETE CASCADE,
    checked_at REAL NOT NULL, level TEXT, python TEXT, latency_ms REAL, clock_offset_s REAL, host_key TEXT,
    logs TEXT NOT NULL, problem TEXT
) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Facts:
    """What a check found.

    Attributes:
        checked_at: when, in seconds since the epoch.
        level: how little it is (`exec`, `resident`).
        python: its version, as ``3.11.2``.
        latency_ms: a question to its runner and the answer.
        clock_offset_s: how far its clock is ahead of the coordinator's.
        host_key: ``known``, ``new``, ``unknown``, ``changed``; None where there is none.
        logs: paths, and whether the login may read them.
        problem: why it could not be checked; None if it could.
    """

    checked_at: float
    level: str | None = None
    python: str | None = None
    latency_ms: float | None = None
    clock_offset_s: float | None = None
    host_key: str | None = None
    logs: Mapping[str, bool] | None = None
    problem: str | None = None

    def to_wire(self) -> dict[str, Any]:
        """As an answer carries it."""
        found = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        return found | {"logs": dict(self.logs or {})}


@dataclass(frozen=True, slots=True)
class Row:
    """A provider of the table; ``source`` is the inventory that it was imported from, empty if it was added by hand."""

    provider: Provider
    source: str
    changed_at: float
    facts: Facts | None


@dataclass(frozen=True, slots=True)
class Change:
    """What a write did, by names."""

    added: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    same: int = 0

    def to_wire(self) -> dict[str, Any]:
        """As an answer carries it."""
        return {
            "added": list(self.added),
            "updated": list(self.updated),
            "removed": list(self.removed),
            "same": self.same,
        }

    def __bool__(self) -> bool:
        """Something is not as it was."""
        return bool(self.added or self.updated or self.removed)


class Store:
    """See above. The file is made by the first write; until then the table is empty.

    Args:
        path: of the file. Its directory is made too, for this user alone.
    """

    def __init__(self, path: str) -> None:
        self.path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        #: Which file the connection is to: a user may take it away, and the next one is another.
        self._file: tuple[int, int] | None = None
        self._writes = 0

    def rows(self) -> list[Row]:
        """Everything, by name.

        Raises:
            UsageError: the file is none of ours, damaged or newer than this version.
        """
        with self._reading() as connection:
            if connection is None:
                return []
            query = (
                "SELECT p.*, c.checked_at, c.level, c.python, c.latency_ms, c.clock_offset_s, c.host_key, c.logs, "
                "c.problem FROM providers p LEFT JOIN checks c USING (name) ORDER BY p.name"
            )
            return [_row(values) for values in connection.execute(query)]

    def providers(self) -> dict[str, Provider]:
        """The providers by name.

        Raises:
            UsageError: as `rows`.
        """
        with self._reading() as connection:
            if connection is None:
                return {}
            found = connection.execute(f"SELECT {', '.join(_FIELDS)} FROM providers ORDER BY name")
            return {values[0]: _provider(values) for values in found}

    def add(self, providers: Sequence[Provider], *, replacing: bool) -> Change:
        """Add providers.

        Args:
            replacing: one that is there already, with other fields, takes the new ones.

        Raises:
            UsageError: one is there and may not be replaced; nothing has been added. Or as `rows`.
        """
        with self._writing() as connection:
            change, _ = self._put(connection, providers, "")
            if change.updated and not replacing:
                shown = ", ".join(change.updated[:5]) + (" and more" if len(change.updated) > 5 else "")
                raise UsageError(f"{shown}: in the table already, with other fields; --replace overwrites them")
        return change

    def take(self, providers: Sequence[Provider], source: str, *, prune: bool) -> Change:
        """Import an inventory: add, update, and with ``prune`` remove what an earlier import from there had added.

        Raises:
            UsageError: as `rows`.
        """
        with self._writing() as connection:
            change, names = self._put(connection, providers, source)
            if prune:
                there = connection.execute("SELECT name FROM providers WHERE source = ? ORDER BY name", (source,))
                gone = tuple(name for (name,) in there if name not in names)
                _delete(connection, gone)
                change = replace(change, removed=gone)
        return change

    def remove(self, names: Iterable[str]) -> Change:
        """Remove providers; those that are not there do not matter.

        Raises:
            UsageError: as `rows`.
        """
        with self._writing() as connection:
            there = _names(connection)
            gone = tuple(sorted(there & set(names)))
            _delete(connection, gone)
        return Change(removed=gone)

    def note(self, facts: Mapping[str, Facts]) -> None:
        """Keep what a check found of providers that are in the table; of others nothing is kept.

        Raises:
            UsageError: as `rows`.
        """
        with self._writing() as connection:
            there = _names(connection)
            connection.executemany(
                "INSERT OR REPLACE INTO checks VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
                [
                    (
                        name,
                        each.checked_at,
                        each.level,
                        each.python,
                        each.latency_ms,
                        each.clock_offset_s,
                        each.host_key,
                        json.dumps(dict(each.logs or {})),
                        each.problem,
                    )
                    for name, each in facts.items()
                    if name in there
                ],
            )

    def stamp(self) -> tuple[object, ...]:
        """Another one whenever the table may have changed, by whomever; cheap enough for each second.

        Raises:
            UsageError: as `rows`.
        """
        with self._reading() as connection:
            if connection is None:
                return (None,)
            # Counts what other connections commit, and not what this one does.
            (version,) = connection.execute("PRAGMA data_version").fetchone()
            return (self._file, version, self._writes)

    def close(self) -> None:
        """Close the file. The next call opens it again."""
        with self._lock:
            self._shut()

    def _put(
        self, connection: sqlite3.Connection, providers: Sequence[Provider], source: str
    ) -> tuple[Change, set[str]]:
        found = connection.execute(f"SELECT {', '.join(_FIELDS)} FROM providers")
        there = {values[0]: _provider(values) for values in found}
        wanted = {provider.name: provider for provider in providers}
        added = [name for name in sorted(wanted) if name not in there]
        updated = [name for name in sorted(wanted) if name in there and wanted[name] != there[name]]
        now = time.time()
        connection.executemany(
            f"INSERT INTO providers VALUES ({', '.join('?' * (len(_FIELDS) + 2))}) ON CONFLICT (name) DO UPDATE SET "
            + ", ".join(f"{name} = excluded.{name}" for name in (*_FIELDS[1:], "source", "changed_at")),
            [(*_values(wanted[name]), source, now) for name in (*added, *updated)],
        )
        same = len(wanted) - len(added) - len(updated)
        return Change(tuple(added), tuple(updated), (), same), set(wanted)

    @contextlib.contextmanager
    def _reading(self) -> Iterator[sqlite3.Connection | None]:
        """The connection, None while there is no file."""
        with self._lock, self._explained():
            yield self._connected() if os.path.exists(self.path) else None

    @contextlib.contextmanager
    def _writing(self) -> Iterator[sqlite3.Connection]:
        """A transaction: all of it or nothing."""
        with self._lock, self._explained():
            self._make()
            connection = self._connected()
            # IMMEDIATE: of two that read first and then wanted to write, one would fail.
            connection.execute("BEGIN IMMEDIATE")
            try:
                yield connection
            except BaseException:
                connection.execute("ROLLBACK")
                raise
            connection.execute("COMMIT")
            self._writes += 1

    def _make(self) -> None:
        """An empty file that nobody else may read, before SQLite would make one that others may."""
        Path(self.path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Only a new one: closing any descriptor of a file gives up the locks that SQLite holds on it in this process.
        with contextlib.suppress(FileExistsError):
            os.close(os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))

    def _connected(self) -> sqlite3.Connection:
        stat = os.stat(self.path)
        if self._file != (stat.st_dev, stat.st_ino):
            self._shut()
        if self._connection is None:
            # Of its own threads one at a time comes here. No isolation level: transactions are begun by hand.
            connection = sqlite3.connect(self.path, timeout=_BUSY_S, isolation_level=None, check_same_thread=False)
            try:
                self._prepare(connection)
            except BaseException:
                connection.close()
                raise
            self._connection, self._file = connection, (stat.st_dev, stat.st_ino)
        return self._connection

    def _prepare(self, connection: sqlite3.Connection) -> None:
        connection.execute("PRAGMA foreign_keys = ON")
        # In a transaction: what is read belongs together, also while somebody else makes the tables.
        connection.execute("BEGIN")
        version = self._version(connection)
        connection.execute("COMMIT")
        if version == SCHEMA:
            return
        _enter_wal(connection)
        connection.execute("BEGIN IMMEDIATE")
        # Somebody else may have been faster.
        if self._version(connection) == 0:
            for statement in _TABLES.split(";\n"):
                connection.execute(statement)
            connection.execute(f"PRAGMA application_id = {APPLICATION}")
            connection.execute(f"PRAGMA user_version = {SCHEMA}")
        connection.execute("COMMIT")

    def _version(self, connection: sqlite3.Connection) -> int:
        """The file's schema, 0 for a new one.

        Raises:
            UsageError: it is none of ours, or newer.
        """
        (version,) = connection.execute("PRAGMA user_version").fetchone()
        (application,) = connection.execute("PRAGMA application_id").fetchone()
        (tables,) = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()
        if application != APPLICATION and (tables or version or application):
            raise UsageError(f"{self.path} is another program's database, not a table of providers")
        if version > SCHEMA:
            raise UsageError(
                f"{self.path} was written by a newer version of LogReduce (schema {version}, this one knows {SCHEMA}): "
                "use that version, or move the file away"
            )
        return int(version)

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """What SQLite and the system say, as a sentence with a way out."""
        try:
            yield
        except sqlite3.OperationalError as exc:
            self._shut()
            raise UsageError(f"{self.path}: the table of providers cannot be used: {exc}") from exc
        except (sqlite3.DatabaseError, ValueError) as exc:
            self._shut()
            raise UsageError(
                f"{self.path} is damaged ({exc}): move it away, then add the providers anew (`logreduce providers "
                f"import`); `sqlite3 {self.path} .recover` may save what is in it"
            ) from exc
        except OSError as exc:
            raise UsageError(f"{self.path}: the table of providers cannot be used: {exc.strerror}") from exc

    def _shut(self) -> None:
        if self._connection:
            self._connection.close()
        self._connection = self._file = None


def _enter_wal(connection: sqlite3.Connection) -> None:
    """Once in the life of a file. SQLite does not wait here for others who do the same, so we do."""
    deadline = time.monotonic() + _BUSY_S
    while True:
        try:
            connection.execute("PRAGMA journal_mode = WAL")
            return
        except sqlite3.OperationalError:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.01)


def _names(connection: sqlite3.Connection) -> set[str]:
    return {name for (name,) in connection.execute("SELECT name FROM providers")}


def _delete(connection: sqlite3.Connection, names: Iterable[str]) -> None:
    connection.executemany("DELETE FROM providers WHERE name = ?", [(name,) for name in names])


def _values(provider: Provider) -> tuple[object, ...]:
    """A provider's fields as columns."""
    values = {name: getattr(provider, name) for name in _FIELDS}
    return tuple((values | {"sudo": int(provider.sudo), "labels": json.dumps(dict(provider.labels))}).values())


def _provider(columns: Sequence[Any]) -> Provider:
    values = dict(zip(_FIELDS, columns, strict=False))
    return Provider(**(values | {"sudo": bool(values["sudo"]), "labels": json.loads(values["labels"])}))


def _row(columns: Sequence[Any]) -> Row:
    own = len(_FIELDS)
    source, changed_at, checked_at, *found = columns[own:]
    facts = None
    if checked_at is not None:
        level, python, latency_ms, clock_offset_s, host_key, logs, problem = found
        facts = Facts(checked_at, level, python, latency_ms, clock_offset_s, host_key, json.loads(logs), problem)
    return Row(_provider(columns), source, changed_at, facts)
