"""Aggregates as a line calls them, and as the runner's aggregates are called: ``avg(x)`` is ``mean`` of ``x``.

Knows names and arguments. What an aggregate takes is checked where aggregates are, by `chosen`.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final, NamedTuple

from backplane.query.near import did_you_mean, listed
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.tree import Node
from provider.runner.aggregates import AggregateError, chosen
from provider.runner.aggregates.names import AGGREGATES

#: What others call them.
ALIASES: Final = {
    "avg": "mean",
    "average": "mean",
    "stdev": "stddev",
    "std": "stddev",
    "variance": "var",
    "quantile": "quantiles",
    "percentile": "quantiles",
    "dc": "distinct",
    "count_distinct": "distinct",
    "count_uniq": "distinct",
    "approx_distinct": "distinct",
    "values": "collect",
}
_PERCENT: Final = re.compile(r"p\d{1,3}(?:\.\d{1,6})?")
#: Those that fold numbers only.
_NUMBERS: Final = frozenset({"sum", "mean", "var", "stddev", "quantiles", "median", "histogram"})


class Called(NamedTuple):
    """An aggregate: its name with arguments, and what it folds, None for records."""

    name: str
    node: Node | None
    numeric: bool
    columns: tuple[str, ...]


def is_aggregate(name: str) -> bool:
    """A line may call one so.

    >>> is_aggregate("avg"), is_aggregate("p99.9"), is_aggregate("path")
    (True, True, False)
    """
    low = name.lower()
    return low in AGGREGATES or low in ALIASES or _PERCENT.fullmatch(low) is not None


def names() -> list[str]:
    """All of them, but for p50 and the like."""
    return [*AGGREGATES, *ALIASES]


def called(node: Node) -> Called:
    """The aggregate that an expression calls.

    Raises:
        Mistake: it calls none, or with something that it cannot take.
    """
    if node.kind not in ("call", "name"):
        raise Mistake("here comes an aggregate, as in count or p99(bytes)", node.start, node.end)
    said = str(node.value)
    name = ALIASES.get(said.lower(), said.lower())
    if not is_aggregate(said):
        near = did_you_mean(said.lower(), names()) or f"; there are {listed(AGGREGATES)}, and p50, p99 and the like"
        raise Mistake(f"there is no aggregate {said!r}{near}", node.start, node.start + len(said))
    numbers = [part for part in node.parts if part.kind == "value" and type(part.value) in (int, float)]
    folded = [part for part in node.parts if part not in numbers and part.kind != "star"]
    _folds(node, name, folded)
    shares = [_share(part, said.lower()) for part in numbers]
    return _made(name, folded[0] if folded else None, shares, node)


def _folds(node: Node, name: str, folded: Sequence[Node]) -> None:
    if len(folded) > 1:
        raise Mistake(f"{node.value} folds one expression, and got {len(folded)}", folded[1].start, folded[1].end)
    stars = [part for part in node.parts if part.kind == "star"]
    if stars and name != "count":
        raise Mistake(f"* is for count alone: {node.value} takes a field", stars[0].start, stars[0].end)
    if not folded and name != "count":
        raise Mistake(f"{node.value} takes what it folds: write {node.value}(bytes)", node.start, node.end)
    if folded and folded[0].kind == "value":
        raise Mistake(f"{node.value} takes a field, and a text is none: leave the quotes out", *_place(folded[0]))


def _share(part: Node, said: str) -> str:
    value = part.value
    if said == "percentile" and isinstance(value, (int, float)):
        value = value / 100
    return repr(value)


def _made(name: str, folded: Node | None, arguments: Sequence[str], node: Node) -> Called:
    full = f"{name}({', '.join(arguments)})" if arguments else name
    try:
        (aggregate,) = chosen([full])
    except AggregateError as exc:
        raise Mistake(str(exc), node.start, node.end) from None
    numeric = name in _NUMBERS or _PERCENT.fullmatch(name) is not None
    return Called(full, folded, numeric, tuple(aggregate.columns))


def _place(node: Node) -> tuple[int, int]:
    return node.start, node.end
