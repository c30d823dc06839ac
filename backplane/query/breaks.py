"""What becomes of a query's job that broke off: whether another may follow it, and from where.

Knows queries. Decides on the side of the answer: what cannot be read again is never run a second time, unless the query
follows, which is when a gap is better than an end.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final, Literal, NamedTuple

from backplane.query.model import Query

How = Literal["exact", "inexact", "gap", "never"]

_UNPOSITIONED: Final = {
    "-": "standard input is read once",
    "tick:": "ticks are not made up for",
    "cmd:": "what a command prints has no position",
}


class AfterBreak(NamedTuple):
    """What becomes of a job that broke off.

    Attributes:
        how: ``exact``: another goes on where it was, and the answer does not show it. ``inexact``: likewise, and the
            answer says that it is inexact. ``gap``: another begins anew, and the answer says what it missed.
            ``never``: it is lost.
        why: the reason, as one clause.
    """

    how: How
    why: str


def after_break(query: Query, *, follow: bool) -> AfterBreak:
    """What becomes of a job of this query that broke off.

    Args:
        follow: it goes on at the end of its sources.
    """
    why = _no_position(query)
    if why is None:
        return AfterBreak("exact" if query.replayable else "inexact", query.replayable_reason)
    if "-" in query.sources:
        return AfterBreak("never", why)
    ticks = any(source.startswith("tick:") for source in query.sources)
    return AfterBreak("gap" if follow or ticks else "never", why)


def told(query: Query) -> str:
    """The same for people, whether it follows or not."""
    how, follows = after_break(query, follow=False).how, after_break(query, follow=True).how
    if how == "exact":
        text = "a job goes on where it was, and the answer stays exact"
    elif how == "inexact":
        text = "a job goes on where it was, and the answer says that it is inexact"
    elif how == "gap":
        text = "a job begins anew, and the answer names the gap"
    else:
        text = "a job is lost, and is not run again"
        text += "; with -f it begins anew, and the answer names the gap" if follows == "gap" else ""
    return text + ("; it waits until the one before is surely gone" if query.effects and follows != "never" else "")


def _no_position(query: Query) -> str | None:
    """Why its jobs have no positions; None if they have."""
    if not query.takes_lines:
        return "a map without a source has no position"
    if "map" in (query.programs or {}):
        return query.replayable_reason
    return unpositioned(query.sources)


def unpositioned(sources: Iterable[str]) -> str | None:
    """Why these sources have no positions; None if they have."""
    for source in sources:
        for kind, why in _UNPOSITIONED.items():
            if source.startswith(kind) if kind.endswith(":") else source == kind:
                return why
    return None
