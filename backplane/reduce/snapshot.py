"""An answer at one moment, frozen, and its JSON form.

Knows the JSON contract (DESIGN section 8). Does no output. JSON has no bytes and neither NaN nor infinities; so that a
reader can tell them from text and null they are

    {"$bytes": base64}      bytes, and text that holds undecodable bytes
    {"$float": "nan"}       also "inf" and "-inf"

Times are texts: RFC 3339, in UTC.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from backplane.reduce.coverage import Coverage, iso
from backplane.reduce.rows import Rows
from backplane.reduce.times import written
from backplane.reduce.windows import Told


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One running answer, or with ``final`` its last form."""

    query: str
    query_id: str
    #: From 1, one higher each time.
    seq: int
    final: bool
    #: Seconds since the epoch.
    at: float
    table: Rows
    coverage: Coverage
    #: ``--coverage full``: a row for each provider in every snapshot's JSON, not in the final one's only.
    coverage_full: bool = False
    #: Event time in seconds since the epoch; None for all of it.
    window: tuple[float, float] | None = None
    revision: int = 0
    #: Of an answer by windows: those that are closed. None for any other, and for one window.
    windows: tuple[Told, ...] | None = None

    def __repr__(self) -> str:
        """One line, as a prompt or a notebook shows it: coverage has a row for each of maybe a thousand providers."""
        states = ", ".join(f"{number} {state}" for state, number in self.coverage.states.items())
        words = ["final"] * self.final + ["complete" if self.complete else "partial"] + ["inexact"] * bool(self.inexact)
        rows = f"{len(self.rows)} {'row' if len(self.rows) == 1 else 'rows'}"
        columns = ", ".join(map(repr, self.columns)) or "no columns"
        said = f"{', '.join(words)} ({states or 'no providers'})"
        return f"<Snapshot {self.query!r} {self.seq}: {said}; {rows} of {columns}>"

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the table's columns."""
        return self.table.columns

    @property
    def rows(self) -> tuple[tuple[Any, ...], ...]:
        """Values in the order of ``columns``; a time is an aware ``datetime``, in UTC."""
        return self.table.rows

    @property
    def kinds(self) -> dict[str, str]:
        """Types of the columns, where they are known before a value is there: ``int``, ``string``, ``time``, ..."""
        return dict(self.table.kinds)

    @property
    def errors(self) -> dict[str, str]:
        """Columns that are not exact, and how far they may be off."""
        return dict(self.table.errors)

    @property
    def complete(self) -> bool:
        """See `Coverage`."""
        return self.coverage.complete

    @property
    def inexact(self) -> tuple[str, ...]:
        """See `Coverage`."""
        return self.coverage.inexact

    @property
    def exit_status(self) -> int:
        """See `Coverage`."""
        return self.coverage.exit_status

    def of_each(self, some: Iterable[Told]) -> Iterator[Snapshot]:
        """A snapshot of each of these closed windows: its rows, and who may be missing in them."""
        at = self.columns.index("window")
        rows: dict[tuple[float, float], list[tuple[Any, ...]]] = {}
        for row in self.rows:
            rows.setdefault((row[at][0], row[at][1]), []).append(row[:at] + row[at + 1 :])
        columns = self.columns[:at] + self.columns[at + 1 :]
        for told in some:
            inexact = told.missing + self.inexact
            yield replace(
                self,
                final=False,
                table=self.table._replace(columns=columns, rows=tuple(rows.get(told.window, ()))),
                coverage=replace(self.coverage, complete=not told.missing, inexact=inexact),
                window=told.window,
                revision=told.revision,
                windows=None,
            )

    def to_pandas(self) -> Any:
        """The rows as a ``pandas.DataFrame``.

        Raises:
            UsageError: pandas is not installed.
        """
        from backplane.reduce import tabular

        return tabular.pandas(self.table)

    def to_polars(self) -> Any:
        """The rows as a ``polars.DataFrame``.

        Raises:
            UsageError: polars is not installed, or a column of it cannot hold the values of one of ours.
        """
        from backplane.reduce import tabular

        return tabular.polars(self.table)

    def to_arrow(self) -> Any:
        """The rows as a ``pyarrow.Table``.

        Raises:
            UsageError: pyarrow is not installed, or a column of it cannot hold the values of one of ours.
        """
        from backplane.reduce import tabular

        return tabular.arrow(self.table)

    def to_dict(self) -> dict[str, Any]:
        """The JSON contract, ready for ``json.dumps``. ``errors`` is there if a column is not exact."""
        errors = {"errors": {_name(name): error for name, error in self.table.errors}} if self.table.errors else {}
        return {
            "query": plain(self.query),
            "query_id": self.query_id,
            "seq": self.seq,
            "final": self.final,
            "at": iso(self.at),
            "window": None if self.window is None else list(map(moment, self.window)),
            "revision": self.revision,
            "columns": [_name(name) for name in self.columns],
            "rows": [
                {_name(name): plain(value) for name, value in zip(self.columns, row, strict=True)}
                for row in self._rows()
            ],
            **errors,
            "complete": self.complete,
            "inexact": [_said(reason) for reason in self.inexact],
            "coverage": _texts(self.coverage.to_dict(providers=self.final or self.coverage_full)),
        }

    def _rows(self) -> Iterable[tuple[Any, ...]]:
        """The rows, windows as times."""
        if self.windows is None or "window" not in self.columns:
            return self.rows
        at = self.columns.index("window")
        return ((*row[:at], list(map(moment, row[at])), *row[at + 1 :]) for row in self.rows)


def moment(at: float) -> str:
    """A window's edge: UTC, to the second, or to the millisecond where it is between two.

    >>> moment(1_795_165_200.0), moment(1_795_165_200.25)
    ('2026-11-20T09:00:00Z', '2026-11-20T09:00:00.250Z')
    """
    second, milliseconds = divmod(round(at * 1000), 1000)
    text = str(iso(second))
    return f"{text[:-1]}.{milliseconds:03}Z" if milliseconds else text


def plain(value: Any) -> Any:
    """A value as JSON can say it.

    >>> plain([b"\\xff", "caf\\udce9", float("inf"), {1: None}])
    [{'$bytes': '/w=='}, {'$bytes': 'Y2Fm6Q=='}, {'$float': 'inf'}, {'1': None}]
    """
    if isinstance(value, str):
        return value if _encodes(value) else _bytes(octets(value))
    if isinstance(value, bytes):
        return _bytes(value)
    if isinstance(value, datetime):
        return written(value)
    if isinstance(value, float) and not math.isfinite(value):
        return {"$float": str(value)}
    if isinstance(value, Mapping):
        return {_name(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(each) for each in value]
    return value


def octets(text: str) -> bytes:
    """The bytes that a text was made of."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that never was a byte, for instance out of JSON's "\\ud800"
        return text.encode("utf-8", "surrogatepass")


def _bytes(data: bytes) -> dict[str, str]:
    return {"$bytes": base64.b64encode(data).decode("ascii")}


def _encodes(text: str) -> bool:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        return False
    return True


def _name(key: Any) -> str:
    """Names in JSON are text, whatever they are made of."""
    return _said(
        key if isinstance(key, str) else key.decode("utf-8", "replace") if isinstance(key, bytes) else str(key)
    )


def _said(text: str) -> str:
    """Text for people: what is undecodable in it is replaced."""
    return text if _encodes(text) else octets(text).decode("utf-8", "replace")


def _texts(said: Any) -> Any:
    if isinstance(said, dict):
        return {_said(key): _texts(value) for key, value in said.items()}
    return _said(said) if isinstance(said, str) else said
