"""The folds of plans: what other folds give, under the plan's own column names.

Knows tables. Does not know plans: their names of keys and columns are passed in.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from backplane.reduce.aggregated import of_nothing
from backplane.reduce.folds import AggregateFold, StreamFold
from backplane.reduce.rows import Rows

#: What is done with a table before it is shown.
Finish = Callable[[Rows], Rows]


class GroupedPlan(AggregateFold):
    """Groups.

    Args:
        aggregates: their names as providers know them.
        keys: a column's name for each part of a key.
        names: a column's name for each that the aggregates give; None for the aggregates' own.
        finish: see `Finish`.
        windowed: these are groups of windows, of which there are as many as there is something in.
    """

    def __init__(
        self,
        aggregates: Sequence[str],
        *,
        keys: Sequence[str] = (),
        names: Sequence[str] | None = None,
        finish: Finish | None = None,
        by_host: bool = False,
        windowed: bool = False,
    ) -> None:
        super().__init__(aggregates, by_host=by_host)
        self._shown = tuple(names) if names is not None else self._columns
        if len(self._shown) != len(self._columns):
            raise ValueError(f"{len(self._shown)} names for {len(self._columns)} columns")
        self._keys = tuple(keys)
        self._finish = finish
        #: Without keys there is one row, of nothing too: as in SQL a count of it is 0, and a sum null.
        self._of_nothing: tuple[int | None, ...] | None = None
        if not (keys or by_host or windowed):
            self._of_nothing = tuple(value for each in self._aggregates for value in of_nothing(each))

    def rows(self) -> Rows:
        found = super().rows()
        lead = tuple(name for name in found.columns[: -len(self._columns)] if name in ("window", "host"))
        columns = (*lead, *self._keys, *self._shown)
        errors = tuple(
            (shown, said)
            for name, said in found.errors
            for own, shown in zip(self._columns, self._shown, strict=True)
            if own == name
        )
        if found.rows and len(columns) != len(found.columns):
            return found  # a key of another shape than the plan's: shown as it is
        rows = found.rows if found.rows or self._of_nothing is None else (self._of_nothing,)
        table = Rows(columns, rows, tuple(dict.fromkeys(errors)))
        return table if self._finish is None else self._finish(table)


class StreamedPlan(StreamFold):
    """Lines, or some columns of them, as they arrive.

    Args:
        names: of the columns; None for whole lines.
        finish: see `Finish`.
    """

    def __init__(
        self,
        names: Sequence[str] | None = None,
        *,
        finish: Finish | None = None,
        limit: int | None = None,
        most_bytes: int | None = None,
    ) -> None:
        super().__init__(limit, most_bytes)
        self._names = tuple(names) if names else None
        self._finish = finish

    def rows(self) -> Rows:
        found = super().rows()
        if self._names is not None:
            width = len(self._names)
            rows = tuple((row[0], *row[-1]) for row in found.rows if len(row[-1]) == width)
            found = Rows(("host", *self._names), rows)
        return found if self._finish is None else self._finish(found)
