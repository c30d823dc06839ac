"""The demo's question: a query that follows its logs, and begins where they begin.

Following starts at the end, as a rule. In the demo the first answer should have something to say, and every row
should be what a plain count over the logs gives.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from backplane.client.spec import Question, Ready, Work
from backplane.reduce.folds import Fold

#: The position that every source has, whatever is in it (docs/reference/frames.md, "start").
BEGINNING = b""


@dataclass(frozen=True, slots=True)
class FromTheBeginning:
    """Another question, asked of the whole of each log before it goes on at the end."""

    question: Question

    @property
    def name(self) -> str:
        return self.question.name

    @property
    def title(self) -> str:
        return self.question.title

    @property
    def endless(self) -> bool:
        return self.question.endless

    @property
    def feed(self) -> bool:
        return self.question.feed

    @property
    def streams(self) -> bool:
        return self.question.streams

    @property
    def work(self) -> Work:
        return self.question.work

    def fold(self) -> Fold:
        return self.question.fold()

    def body(self, ready: Ready, positions: Sequence[tuple[str, bytes]]) -> dict[str, Any]:
        body = self.question.body(ready, positions)
        if not positions:
            body["positions"] = [[source, BEGINNING] for source in body["sources"]]
        return body
