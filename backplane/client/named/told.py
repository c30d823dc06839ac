"""What a named query's process and whoever calls it say to each other, over a socket that only their user can open.

Knows messages and snapshots as bytes. Does not know who says what when.

A message is its size (u32, big-endian) and a msgpack map with `op`. A snapshot's values are what a map may emit, with
tuples and long ints as they were, which msgpack alone would not keep.
"""

from __future__ import annotations

import asyncio
import dataclasses
import struct
from typing import Any, Final

from backplane.reduce.coverage import Counters, Coverage, Row
from backplane.reduce.rows import Rows
from backplane.reduce.saving import packed, unpacked
from backplane.reduce.snapshot import Snapshot
from backplane.reduce.windows import Told
from backplane.wire import codec
from backplane.wire.errors import LogReduceError, RemoteProtocolError

_SIZE: Final = struct.Struct(">I")
#: A request; only snapshots are longer.
MOST_ASKED_BYTES: Final = 1 << 16


class Stranger(LogReduceError):
    """What answers is not this version of this program."""


def framed(message: dict[str, Any]) -> bytes:
    """A message's bytes."""
    body = codec.pack(message)
    return _SIZE.pack(len(body)) + body


async def read(reader: asyncio.StreamReader, most: int | None = None) -> dict[str, Any] | None:
    """The next message; None at the end.

    Args:
        most: bytes that it may have.

    Raises:
        Stranger: it is none.
    """
    try:
        (size,) = _SIZE.unpack(await reader.readexactly(_SIZE.size))
        if most is not None and size > most:
            raise Stranger(f"a message of {size} bytes")
        message = codec.unpack(await reader.readexactly(size))
    except (asyncio.IncompleteReadError, ConnectionError):
        return None
    except RemoteProtocolError as exc:
        raise Stranger(str(exc)) from exc
    if type(message) is not dict:
        raise Stranger("a message that is none")
    return message


def pack(snapshot: Snapshot) -> bytes:
    """A snapshot as bytes. Takes long for a large one: not in an event loop."""
    rest = {spec.name: getattr(snapshot, spec.name) for spec in dataclasses.fields(snapshot)}
    del rest["table"], rest["coverage"]
    rest["windows"] = None if snapshot.windows is None else list(map(tuple, snapshot.windows))
    rows = {name: _fields(row) for name, row in snapshot.coverage.providers.items()}
    coverage = {spec.name: getattr(snapshot.coverage, spec.name) for spec in dataclasses.fields(Coverage)}
    return packed({"rest": rest, "table": snapshot.table._asdict(), "coverage": {**coverage, "providers": rows}})


def unpack(data: bytes) -> Snapshot:
    """The snapshot that `pack` has packed.

    Raises:
        Stranger: it is none, or another version's.
    """
    try:
        said = unpacked(data)
        providers = {name: _row(row) for name, row in said["coverage"].pop("providers").items()}
        coverage = Coverage(providers=providers, **said["coverage"])
        windows = said["rest"].pop("windows")
        windows = None if windows is None else tuple(Told(*each) for each in windows)
        return Snapshot(table=Rows(**said["table"]), coverage=coverage, windows=windows, **said["rest"])
    except (RemoteProtocolError, KeyError, TypeError, AttributeError) as exc:
        raise Stranger(f"a snapshot that is none of this version ({type(exc).__name__}: {exc})") from exc


def _fields(row: Row) -> dict[str, Any]:
    said = {spec.name: getattr(row, spec.name) for spec in dataclasses.fields(row)}
    counters = {spec.name: getattr(row.counters, spec.name) for spec in dataclasses.fields(row.counters)}
    return {**said, "counters": {**counters, "dropped": dict(row.counters.dropped)}}


def _row(said: dict[str, Any]) -> Row:
    return Row(**{**said, "counters": Counters(**said["counters"])})
