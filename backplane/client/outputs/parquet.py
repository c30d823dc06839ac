"""The final table as a Parquet file, which analysts' tools read with its types.

Knows rows, and what Arrow has types for. pyarrow is an extra: it is looked for when the output is chosen, so that
nobody waits for an answer that cannot be written, and imported when there is one.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final, TextIO

from backplane.client.outputs.cells import cell
from backplane.reduce import times
from backplane.reduce.snapshot import Snapshot, octets
from backplane.reduce.tabular import how_to_get
from backplane.wire.errors import UsageError

#: Kinds that a column may hold together; the wider one is its type.
_NUMBERS: Final = frozenset((int, float))
_INT64: Final = range(-(1 << 63), 1 << 63)


class Parquet:
    """Nothing before the final snapshot, then all of it. What a file must know besides (coverage) is in its metadata.

    Args:
        file: where it goes, once it is whole; None for ``out``.
        isatty: ``out`` is a terminal.

    Raises:
        UsageError: pyarrow is missing, nothing can be written there, or ``out`` is a terminal.
    """

    live = False

    def __init__(self, out: TextIO, file: str | None = None, *, isatty: bool = False) -> None:
        if importlib.util.find_spec("pyarrow") is None:
            raise UsageError(f"-o parquet needs pyarrow: {how_to_get('pyarrow')}")
        if file is None and isatty:
            raise UsageError("-o parquet is nothing for a terminal: write -o parquet=FILE, or send it to a file")
        self._out = out
        self._file = None if file is None else _writable(file)

    def show(self, snapshot: Snapshot, *, last: bool = False) -> None:
        """Write the final snapshot.

        Raises:
            UsageError: the file cannot be written.
        """
        if not (snapshot.final or last):
            return
        data = written(snapshot)
        if self._file is None:
            self._out.flush()
            self._out.buffer.write(data)
            self._out.buffer.flush()
            return
        # Whoever reads the file while it is written, or after a full disk, finds the one before.
        part = self._file.with_name(f".{self._file.name}.{os.getpid()}")
        try:
            part.write_bytes(data)
            part.replace(self._file)
        except OSError as exc:
            with contextlib.suppress(OSError):
                part.unlink()
            raise UsageError(f"{self._file} cannot be written: {exc.strerror or exc}") from exc

    def close(self) -> None:
        """Nothing is open."""


def _writable(file: str) -> Path:
    path = Path(file).expanduser()
    if not file or path.is_dir():
        raise UsageError("-o parquet=FILE names no file")
    if not os.access(path.parent, os.W_OK):
        why = "may not be written" if path.parent.is_dir() else "is no folder"
        raise UsageError(f"-o parquet={file}: {path.parent} {why}")
    return path


def written(snapshot: Snapshot) -> bytes:
    """A snapshot as a Parquet file."""
    # No types of its own are installed where the extra is not.
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    columns = list(zip(*snapshot.rows, strict=True)) if snapshot.rows else [()] * len(snapshot.columns)
    arrays = [
        arrow.array(values, type=arrow.timestamp("us", tz="UTC")) if timed else arrow.array(_column(name, values))
        for name, values, timed in zip(snapshot.columns, columns, times.columns(snapshot.table), strict=True)
    ]
    told = {key: value for key, value in snapshot.to_dict().items() if key not in ("rows", "columns")}
    table = arrow.Table.from_arrays(arrays, names=list(map(_said, snapshot.columns)))
    table = table.replace_schema_metadata({"logreduce": json.dumps(told)})
    sink = arrow.BufferOutputStream()
    parquet.write_table(table, sink)
    found: bytes = sink.getvalue().to_pybytes()
    return found


def _column(name: str, values: Sequence[Any]) -> list[Any]:
    """Values of one type, or None: a window as its beginning, what Arrow has no type for as the text of a cell."""
    if name == "window" and all(isinstance(value, list) and len(value) == 2 for value in values):
        return [datetime.fromtimestamp(value[0], UTC) for value in values]
    kinds = {type(value) for value in values if value is not None}
    if kinds == _NUMBERS:
        return [None if value is None else float(value) for value in values]
    if kinds == {str}:
        return _texts(values)
    fits = kinds != {int} or all(value is None or value in _INT64 for value in values)
    if len(kinds) <= 1 and kinds <= {int, float, bool, bytes} and fits:
        return list(values)
    return _texts([None if value is None else cell(value) for value in values])


def _texts(values: Sequence[str | None]) -> list[Any]:
    """Texts; where one of them is no UTF-8, the bytes of all."""
    try:
        for value in values:
            (value or "").encode("utf-8")
    except UnicodeEncodeError:
        return [None if value is None else octets(value) for value in values]
    return list(values)


def _said(name: str) -> str:
    return octets(name).decode("utf-8", "replace")
