"""Times of an answer as times: seconds since the epoch become aware ones, in UTC, once nothing computes with them.

Knows values and the types of columns (`backplane.query.kinds` says which there are). Pure. A number that no calendar
can say (NaN, infinity, a year above 9999) stays the number that it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final

from backplane.reduce.rows import Rows

Row = tuple[Any, ...]


def shown(names: Sequence[str], rows: Iterable[Row], kinds: Mapping[str, str]) -> tuple[Row, ...]:
    """Rows with the times of their columns as times."""
    readers = [(at, _SHOWN[kinds[name]]) for at, name in enumerate(names) if kinds.get(name) in _SHOWN]
    if not readers:
        return tuple(rows)
    made = []
    for row in rows:
        values = list(row)
        for at, read in readers:
            values[at] = read(values[at])
        made.append(tuple(values))
    return tuple(made)


def aware(value: Any) -> Any:
    """Seconds since the epoch as a time; whatever else it is, as it is.

    >>> aware(1431857103.25).isoformat(), aware(None), aware(float("inf"))
    ('2015-05-17T10:05:03.250000+00:00', None, inf)
    """
    if type(value) not in (int, float):
        return value
    try:
        return datetime.fromtimestamp(value, UTC)
    except (ValueError, OverflowError, OSError):
        return value


def _each(value: Any) -> Any:
    return list(map(aware, value)) if isinstance(value, list) else value


def _counted(value: Any) -> Any:
    pairs = isinstance(value, list) and all(isinstance(pair, list) and len(pair) == 2 for pair in value)
    return [[aware(at), count] for at, count in value] if pairs else value


_SHOWN: Final[dict[str | None, Callable[[Any], Any]]] = {"time": aware, "times": _each, "counted times": _counted}


def columns(table: Rows) -> list[bool]:
    """Of each column, whether it is one of times: it is said to be, and holds no number that no calendar can say."""
    kinds = dict(table.kinds)
    return [
        kinds.get(name) == "time" and all(isinstance(row[at], datetime | None) for row in table.rows)
        for at, name in enumerate(table.columns)
    ]


def written(at: datetime) -> str:
    """RFC 3339, in UTC, with as many digits of a second as there are.

    >>> written(datetime(2015, 5, 17, 10, 5, 3, tzinfo=UTC)), written(datetime(2015, 5, 17, 10, 5, 3, 250000, UTC))
    ('2015-05-17T10:05:03Z', '2015-05-17T10:05:03.25Z')
    """
    text = at.astimezone(UTC).replace(tzinfo=None).isoformat()
    return f"{text.rstrip('0') if at.microsecond else text}Z"
