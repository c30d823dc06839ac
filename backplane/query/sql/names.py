"""What a column is called that nobody gave a name: as DuckDB calls it.

Knows texts of expressions. ``count(*)`` is ``count_star()``, ``COUNT(path)`` is ``count(path)``, ``a/2`` is
``(a / 2)``; whatever is rarer is called as it would be typed.
"""

from __future__ import annotations

from typing import Final

from sqlglot import exp

from backplane.query.sql.nodes import SIGNS
from backplane.query.sql.places import head

#: As DuckDB writes them.
_SIGNS: Final = {kind: sign.upper() for kind, sign in SIGNS.items()}


def name_of(part: exp.Expr, text: str) -> str:
    """The name of the column that an expression is."""
    if isinstance(part, exp.Paren):
        return name_of(part.this, text)
    if isinstance(part, exp.Literal):
        return f"'{part.this}'" if part.is_string else str(part.this)
    if isinstance(part, exp.Column):
        return ".".join(str(each.this) for each in part.parts)
    if isinstance(part, exp.Cast):
        return f"CAST({name_of(part.this, text)} AS {_type(part)})"
    if type(part) in _SIGNS:
        return f"({name_of(part.this, text)} {_SIGNS[type(part)]} {name_of(part.expression, text)})"
    if isinstance(part, exp.Count) and (part.this is None or isinstance(part.this, exp.Star)):
        return "count_star()"
    if isinstance(part, exp.Func) and type(part) not in (exp.Case, exp.Extract):
        return _called(part, text)
    if isinstance(part, exp.Neg) and not isinstance(part.this, exp.Literal):
        return f"(-({name_of(part.this, text)}))"
    said: str = part.sql("duckdb")
    return said


def _type(part: exp.Cast) -> str:
    said: str = part.to.sql("duckdb")
    return {"INT": "INTEGER", "TEXT": "VARCHAR"}.get(said, said)


def _called(part: exp.Expr, text: str) -> str:
    """A function's name in small letters, and its arguments."""
    name = head(part, text).lower()
    if isinstance(part.this, exp.Distinct):
        return f"{name}(DISTINCT {', '.join(name_of(each, text) for each in part.this.expressions)})"
    given = part.expressions if isinstance(part, exp.Anonymous) else _given(part)
    return f"{name}({', '.join(name_of(each, text) for each in given)})"


def _given(part: exp.Expr) -> list[exp.Expr]:
    values = [each for value in part.args.values() for each in (value if isinstance(value, list) else [value])]
    return [each for each in values if isinstance(each, exp.Expr)]
