"""What is done with a plan's rows at home, after they were folded: names for columns, steps in order, times as times.

Knows rows, and expressions over them. Pure. Steps are

    ("where", expression)                       rows for which it is true
    ("let", name, expression)                   a column more
    ("sort", ((expression, descending), ...))   nulls last, otherwise as they were
    ("limit", n)  ("tail", n)                   the first, the last so many
    ("columns", ((name, expression), ...))      these and no others, but for the window and the host
    ("default", values)                         the one row that there is where nothing was folded
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from backplane.reduce.rows import Rows
from backplane.reduce.times import shown
from provider.runner.aggregates.order import order
from provider.runner.expressions import Expression, evaluate, fields

Step = tuple[Any, ...]
#: Columns that stand before the keys where there are windows, or where rows are split by host.
_LEADING: Final = ("window", "host")
_Table = tuple[list[str], list[tuple[Any, ...]]]


@dataclass(frozen=True, slots=True)
class Finishing:
    """See the module.

    Attributes:
        keys: the names of the key columns.
        values: the names of the columns after them.
        kinds: the columns that there are in the end whose types are known, each with its type.
    """

    keys: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    steps: tuple[Step, ...] = ()
    kinds: tuple[tuple[str, str], ...] = ()

    def finish(self, rows: Rows) -> Rows:
        """The rows as the question asked for them."""
        leading = self._leading(rows)
        table: _Table = [*rows.columns[:leading], *self.keys, *self.values], list(rows.rows)
        for step in self.steps:
            table = _STEPS[step[0]](table, step[1:], leading)
        names, found = table
        kinds = tuple(each for each in self.kinds if each[0] in names)
        return Rows(tuple(names), shown(names, found, dict(kinds)), self._errors(rows, names), kinds)

    def _leading(self, rows: Rows) -> int:
        """How many columns stand before the keys. A key may be called as one of these, too."""
        count = 0
        for name in _LEADING:
            count += rows.columns[count : count + 1] == (name,)
        return min(count, max(0, len(rows.columns) - len(self.keys) - len(self.values)))

    def _errors(self, rows: Rows, names: Sequence[str]) -> tuple[tuple[str, str], ...]:
        """What is not exact, by the names that columns have now."""
        said = dict(rows.errors)
        folded = rows.columns[len(rows.columns) - len(self.values) :]
        inexact = {name: said[old] for name, old in zip(self.values, folded, strict=False) if old in said}
        for step in self.steps:
            computed = step[1] if step[0] == "columns" else [step[1:]] if step[0] == "let" else []
            found = {name: inexact[read] for name, value in computed for read in fields(value) if read in inexact}
            inexact = found if step[0] == "columns" else {**inexact, **found}
        return tuple((name, text) for name, text in inexact.items() if name in names)


def _record(names: Sequence[str], row: tuple[Any, ...]) -> dict[str, Any]:
    return dict(zip(names, row, strict=True))


def _where(table: _Table, step: Step, leading: int) -> _Table:
    names, rows = table
    return names, [row for row in rows if evaluate(step[0], _record(names, row)) is True]


def _let(table: _Table, step: Step, leading: int) -> _Table:
    names, rows = table
    name, expression = step
    added = [(row, evaluate(expression, _record(names, row))) for row in rows]
    if name in names:
        at = names.index(name)
        return names, [(*row[:at], value, *row[at + 1 :]) for row, value in added]
    return [*names, name], [(*row, value) for row, value in added]


def _sort(table: _Table, step: Step, leading: int) -> _Table:
    names, rows = table
    # From the last one to the first: each sort keeps the order of what is equal.
    for expression, down in reversed(step[0]):
        valued = [(evaluate(expression, _record(names, row)), row) for row in rows]
        there = [pair for pair in valued if pair[0] is not None]
        there.sort(key=lambda pair: order(pair[0]), reverse=down)
        rows = [row for _, row in there] + [row for value, row in valued if value is None]
    return names, rows


def _limit(table: _Table, step: Step, leading: int) -> _Table:
    return table[0], table[1][: step[0]]


def _tail(table: _Table, step: Step, leading: int) -> _Table:
    return table[0], table[1][-step[0] :]


def _columns(table: _Table, step: Step, leading: int) -> _Table:
    names, rows = table
    wanted: Sequence[tuple[str, Expression]] = step[0]
    kept = [at for at in range(leading) if names[at] not in dict(wanted)]
    picked = [
        (*(row[at] for at in kept), *(evaluate(expression, _record(names, row)) for _, expression in wanted))
        for row in rows
    ]
    return [*(names[at] for at in kept), *(name for name, _ in wanted)], picked


def _default(table: _Table, step: Step, leading: int) -> _Table:
    names, rows = table
    # Of windows, and of each host, there is none.
    return names, rows if rows or leading else [tuple(step[0])]


_STEPS: Final[dict[str, Callable[[_Table, Step, int], _Table]]] = {
    "where": _where,
    "let": _let,
    "sort": _sort,
    "limit": _limit,
    "tail": _tail,
    "columns": _columns,
    "default": _default,
}
