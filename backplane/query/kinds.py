"""Of which type each column of an answer is, read out of a question's plan and of what is done at home.

Knows plans and steps as data. Does not know how they were asked: whatever makes a plan has its columns typed here.

A column is of one of the types of `provider.runner.expressions`, or of one of two more: `TIMES` is a list of times,
`COUNTED_TIMES` a list of times each of which has its count. ``any`` is what nobody can know before it is there.

So many seconds before or after a time is a time; what is between two of them is a number of seconds. A percentile of
times is a number, too: it is within 1 % of seconds since 1970, which is months, and written as a time it would look
exact.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from backplane.query.hosts import OWN, is_host
from provider.runner.aggregates import chosen
from provider.runner.expressions import ARITHMETIC, FUNCTIONS, NUMERIC, Expression, of_arithmetic

#: Names, each with what a plan says of it.
Named = Iterable[Sequence[Any]]

TIMES: Final = "times"
COUNTED_TIMES: Final = "counted times"

_COUNTS: Final = ("count", "distinct")
#: Aggregates that give one of the values that they fold.
_ONE_OF: Final = ("min", "max", "first", "last")
#: Those of which nothing is known besides: they give lists.
_LISTS: Final = ("collect", "sample", "top", "histogram")
_VALUES: Final = {bool: "bool", int: "int", float: "float", str: "string"}


def fields(types: Mapping[str, str]) -> dict[str, str]:
    """A format's fields under the names that expressions have for them."""
    return {OWN + name if is_host(name) else name: each for name, each in types.items()}


def kind(expression: Expression, types: Mapping[str, str]) -> str:
    """The type of an expression that fits; unlike on a provider, null beside a value does not hide that one's.

    Args:
        types: of the fields by name; ``*`` of those that are not named.

    >>> kind(["if", ["field", "ok"], ["field", "at"], ["value", None]], {"ok": "bool", "at": "time"})
    'time'
    >>> kind(["-", ["field", "at"], ["field", "at"]], {"at": "time"})
    'float'
    """
    head, parts = expression[0], expression[1:]
    if head == "value":
        return _VALUES.get(type(parts[0]), "any")
    if head == "field":
        name = parts[0]
        return types.get(name) or ("string" if is_host(name) else types.get("*", "any"))
    if head == "if":
        return _either([kind(each, types) for each in parts[1:] if each != ["value", None]])
    if head == "call":
        gives = FUNCTIONS[parts[0]].gives
        if gives != "number":
            return gives
        gives = kind(parts[1], types)
        return gives if gives in NUMERIC else "any"
    if head in ARITHMETIC:
        return of_arithmetic(head, *(kind(each, types) for each in parts))
    return "bool"


def _either(kinds: Sequence[str]) -> str:
    if len(set(kinds)) == 1:
        return kinds[0]
    # Beside a time a number is one: that is how a text that is a time is lowered, and the time of now.
    if "time" in kinds and {"time", "int", "float"}.issuperset(kinds):
        return "time"
    return "float" if kinds and NUMERIC.issuperset(kinds) else "any"


def folded(aggregate: str, taken: str) -> str:
    """The type of what an aggregate gives.

    Args:
        aggregate: its name, with arguments.
        taken: the type of what it folds.

    >>> folded("max", "time"), folded("p99", "time"), folded("top(3)", "time"), folded("count", "any")
    ('time', 'float', 'counted times', 'int')
    """
    name = aggregate.partition("(")[0]
    if name in _COUNTS:
        return "int"
    if name in _ONE_OF:
        return taken
    if taken == "time" and name in ("collect", "sample", "top"):
        return COUNTED_TIMES if name == "top" else TIMES
    if name in _LISTS:
        return "any"
    if name == "mean" and taken == "time":
        return "time"
    return "int" if name == "sum" and taken == "int" else "float"


def of_row(kind: str) -> str:
    """A column's type as expressions over rows know it: lists have none."""
    return "any" if kind in (TIMES, COUNTED_TIMES) else kind


def of_plan(keys: Named, aggregates: Named, columns: Named, types: Mapping[str, str]) -> list[str]:
    """The types of what a plan gives: keys, what aggregates give, columns; in this order.

    Args:
        types: of its format's fields.
    """
    known = fields(types)
    found = [kind(value, known) for _, value in keys]
    for name, value in aggregates:
        (aggregate,) = chosen([name])
        found += [folded(name, "any" if value is None else kind(value, known))] * len(aggregate.columns)
    return found + [kind(value, known) for _, value in columns]


def columns(
    plan: Mapping[str, Any],
    types: Mapping[str, str],
    keys: Sequence[str],
    values: Sequence[str],
    steps: Iterable[Sequence[Any]],
) -> tuple[tuple[str, str], ...]:
    """The columns of an answer whose types are known, each with its type.

    Args:
        plan: a plan's data.
        types: of its format's fields.
        keys: names of the columns that group.
        values: names of the columns after them.
        steps: what is done at home (`backplane.reduce.finishing`).
    """
    found = of_plan(plan["keys"], plan["aggregates"], plan["columns"], types)
    named = dict(zip([*keys, *values], found, strict=True))
    for step in steps:
        rows = {name: of_row(each) for name, each in named.items()}
        if step[0] == "let":
            named[step[1]] = _computed(step[2], named, rows)
        elif step[0] == "columns":
            named = {name: _computed(value, named, rows) for name, value in step[1]}
    return tuple((name, each) for name, each in named.items() if each != "any")


def _computed(value: Expression, named: Mapping[str, str], rows: Mapping[str, str]) -> str:
    # A column that is only shown stays what it is, a list as well.
    return named.get(value[1], "any") if value[0] == "field" else kind(value, rows)
