"""The demo's question: a query that follows its logs, and begins where they begin.

Following starts at the end, as a rule. In the demo the first answer should have something to say, and every row
should be what a plain count over the logs gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backplane.client.question import QueryQuestion
from backplane.client.spec import Ready


@dataclass(frozen=True, slots=True)
class FromTheBeginning(QueryQuestion):
    """A query's question that reads the whole of each log before it goes on at the end."""

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        return {**QueryQuestion.body(self, ready, positions), "begin": True}
