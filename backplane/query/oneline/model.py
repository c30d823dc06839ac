"""A question of one line, understood: what a plan holds, and what is left for home. Frozen data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backplane.query import kinds
from provider.runner.expressions import Expression
from provider.runner.formats.form import format_of


@dataclass(frozen=True, slots=True)
class OneLine:
    """See the module.

    Attributes:
        text: as it was typed.
        plan: a plan's data, which may speak of providers (`backplane.query.hosts`).
        hosts: which providers are asked; None: all.
        keys: names of the columns that group.
        values: names of the columns that are folded, or of a line query's own, none for whole lines.
        steps: what is done with the rows at home, in order (`backplane.reduce.finishing` says which there are).
        limit: most lines of a query without aggregates; None for the usual.
        notices: what the user should know.
    """

    text: str
    plan: Mapping[str, Any]
    hosts: Expression | None
    keys: tuple[str, ...]
    values: tuple[str, ...]
    steps: tuple[tuple[Any, ...], ...]
    limit: int | None
    notices: tuple[str, ...] = ()

    @property
    def streams(self) -> bool:
        """It has no aggregate: lines come as they are found."""
        return not self.plan["aggregates"]

    @property
    def kinds(self) -> tuple[tuple[str, str], ...]:
        """Columns of the answer whose types are known (`backplane.query.kinds`), each with its type."""
        types = format_of(self.plan["format"]).types
        return kinds.columns(self.plan, types, self.keys, self.values, self.steps)

    @property
    def paths(self) -> tuple[str, ...]:
        """What it reads."""
        return tuple(self.plan["paths"])
