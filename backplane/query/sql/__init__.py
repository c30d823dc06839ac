"""Questions in SQL: ``SELECT status, count(*) FROM 'nginx:/var/log/nginx/access.log' GROUP BY status``.

`sql` is all that others need; docs/reference/sql.md is what it reads. What it gives is what a question of one line
gives, so whoever asks the one asks the other. Nothing else imports this package, because it imports sqlglot.
"""

from __future__ import annotations

from collections.abc import Sequence

from backplane.query.oneline.mistakes import Mistake, OneLineError
from backplane.query.oneline.model import OneLine
from backplane.query.sql.lowering import lowered
from backplane.query.sql.reading import read

__all__ = ["sql"]


def sql(text: str, sources: Sequence[str] | None = None) -> OneLine:
    """What a SELECT asks.

    Args:
        sources: paths instead of those that it names.

    Raises:
        OneLineError: it is wrong, or asks for what cannot be asked of many machines.
    """
    try:
        return lowered(read(text), text, sources)
    except Mistake as exc:
        raise OneLineError(exc.reason, text, min(exc.start, len(text)), exc.end) from None
    except RecursionError:
        raise OneLineError("this nests too deep: leave some parentheses out", text, 0, len(text)) from None
