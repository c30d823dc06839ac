"""Questions of one line: ``nginx access.log | where status >= 500 | count by path``.

`one_line` is all that others need; docs/reference/one-line.md is what it reads.
"""

from __future__ import annotations

from collections.abc import Sequence

from backplane.query.oneline.lowering import lowered
from backplane.query.oneline.mistakes import Mistake, OneLineError
from backplane.query.oneline.model import OneLine
from backplane.query.oneline.parser import parsed

__all__ = ["OneLine", "OneLineError", "one_line"]


def one_line(text: str, sources: Sequence[str] | None = None) -> OneLine:
    """What a line asks.

    Args:
        sources: paths instead of those that it names.

    Raises:
        OneLineError: it is wrong.
    """
    try:
        return lowered(parsed(text), sources)
    except Mistake as exc:
        raise OneLineError(exc.reason, text, min(exc.start, len(text)), exc.end) from None
