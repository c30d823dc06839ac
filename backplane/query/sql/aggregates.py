"""Aggregates as SQL calls them, as the calls of questions of one line.

Knows sqlglot's aggregates. What ours take is checked where those of one line are.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

from sqlglot import exp

from backplane.query.oneline.aggregates import is_aggregate
from backplane.query.sql.nodes import Nodes

_NAMES: Final[dict[type[exp.Expr], str]] = {
    exp.Sum: "sum",
    exp.Min: "min",
    exp.Max: "max",
    exp.Avg: "mean",
    exp.Stddev: "stddev",
    exp.StddevSamp: "stddev",
    exp.Variance: "var",
    exp.Median: "median",
    exp.ApproxDistinct: "distinct",
    exp.AnyValue: "first",
    exp.First: "first",
    exp.Last: "last",
    exp.ArrayAgg: "collect",
}
_QUANTILES: Final = (exp.Quantile, exp.ApproxQuantile, exp.PercentileCont, exp.PercentileDisc)
#: With names of ours that no aggregate of SQL has; functions of a value are called so too.
_NOT: Final = frozenset({"values"})


class Taken(NamedTuple):
    """An aggregate: its name as a line calls it, what it folds (None: records), numbers for it, and its condition."""

    name: str
    folded: exp.Expr | None
    arguments: tuple[float | int, ...] = ()
    where: exp.Expr | None = None
    #: It folds the rows for which what it folds is true.
    true: bool = False


def taken(part: exp.Expr, nodes: Nodes) -> Taken | None:
    """The aggregate that an expression is; None: it is none.

    Raises:
        Mistake: it has a part that cannot be folded on many machines.
    """
    if isinstance(part, exp.Filter):
        inner = taken(part.this, nodes)
        if inner is None:
            raise nodes.wrong("FILTER stands behind an aggregate, as in count(*) FILTER (WHERE status >= 500)", part)
        return inner._replace(where=part.expression.this)
    if isinstance(part, exp.WithinGroup):
        return _within(part, nodes)
    if isinstance(part, (exp.IgnoreNulls, exp.RespectNulls)):
        return taken(part.this, nodes)
    if isinstance(part, exp.Count):
        return _count(part, nodes)
    if isinstance(part, exp.CountIf):
        return Taken("count", part.this, true=True)
    if isinstance(part, _QUANTILES):
        return _quantile(part, part.this, part.args.get("quantile") or part.args.get("expression"), nodes)
    if type(part) in _NAMES:
        return Taken(_NAMES[type(part)], _plain(part, part.this, nodes))
    if isinstance(part, exp.Anonymous) and is_aggregate(str(part.this)) and str(part.this).lower() not in _NOT:
        return _ours(part, nodes)
    if isinstance(part, exp.AggFunc):
        said = nodes.called(part)
        if is_aggregate(said):
            return Taken(said.lower(), _plain(part, part.this, nodes))
        raise nodes.wrong(
            f"there is no aggregate {said!r}: there are count, sum, avg, min, max, stddev, median, approx_quantile, "
            "count(DISTINCT x), first, last and array_agg, and those of docs/reference/aggregates.md",
            part,
        )
    return None


def _plain(part: exp.Expr, folded: exp.Expr | None, nodes: Nodes) -> exp.Expr | None:
    if isinstance(folded, exp.Distinct):
        raise nodes.wrong(f"DISTINCT is for count alone: leave it out of {nodes.called(part)}", part)
    if isinstance(folded, (exp.Order, exp.Limit)):
        raise nodes.wrong("rows of many machines have no order: leave ORDER BY out of the aggregate", part)
    return folded


def _count(part: exp.Expr, nodes: Nodes) -> Taken:
    folded = part.this
    if folded is None or isinstance(folded, exp.Star):
        return Taken("count", None)
    if not isinstance(folded, exp.Distinct):
        return Taken("count", folded)
    if len(folded.expressions) != 1 or isinstance(folded.expressions[0], (exp.Star, exp.Tuple)):
        raise nodes.wrong("count(DISTINCT x) counts one column: GROUP BY several, and count the rows", part)
    return Taken("distinct", folded.expressions[0])


def _within(part: exp.Expr, nodes: Nodes) -> Taken:
    order = part.expression
    one = order.expressions[0] if isinstance(order, exp.Order) and len(order.expressions) == 1 else None
    if not isinstance(part.this, (exp.PercentileCont, exp.PercentileDisc)) or one is None:
        raise nodes.wrong("WITHIN GROUP stands behind percentile_cont(0.99), with ORDER BY one column", part)
    found = _quantile(part, one.this, part.this.this, nodes)
    if one.args.get("desc"):
        return found._replace(arguments=(round(1 - found.arguments[0], 9),))
    return found


def _quantile(part: exp.Expr, folded: exp.Expr, share: exp.Expr | None, nodes: Nodes) -> Taken:
    said = str(share.this) if isinstance(share, exp.Literal) and not share.is_string else ""
    if not re.fullmatch(r"\d*\.?\d+", said) or not 0 <= float(said) <= 1:
        raise nodes.wrong("a quantile takes one number from 0 to 1, as in approx_quantile(bytes, 0.99)", share or part)
    return Taken("quantiles", _plain(part, folded, nodes), (float(said),))


def _ours(part: exp.Expr, nodes: Nodes) -> Taken:
    """One of ours by its own name: ``p99(bytes)``, ``top(5, path)``."""
    numbers = [each for each in part.expressions if isinstance(each, exp.Literal) and not each.is_string]
    folded = [each for each in part.expressions if each not in numbers]
    if len(folded) > 1:
        raise nodes.wrong(f"{part.this} folds one expression, and got {len(folded)}", folded[1])
    said = [str(each.this) for each in numbers]
    values = tuple(int(each) if each.isdigit() else float(each) for each in said)
    return Taken(str(part.this).lower(), folded[0] if folded else None, values)
