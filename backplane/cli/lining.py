"""A QUERY of one line, or in SQL, as a question: read, given paths and the options of the command line.

Composes `backplane.query.oneline` or `backplane.query.sql`, the finishing of rows at home, and
`backplane.client.planned`.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from backplane.cli import around, naming, windowing
from backplane.client.planned import PlanQuestion, plan_question
from backplane.query.oneline import OneLine, one_line
from backplane.query.settings import wrong_sources
from backplane.reduce.finishing import Finishing
from backplane.wire.errors import UsageError
from backplane.wire.limits import WAIT_S


def read(args: argparse.Namespace, *, local: bool) -> OneLine:
    """What the command line asks in one line.

    Args:
        local: this machine alone is asked.

    Raises:
        UsageError: the line is wrong, or asks for what a line cannot.
    """
    if args.settings:
        raise UsageError("--set: a question of one line has no parameters, so write the value into it")
    asked = _asked(args.query, naming.sources(args, local), in_sql=getattr(args, "sql", False))
    for path in asked.paths:
        if path.startswith("tick:"):
            raise UsageError(f"{path!r} has no records: a question of one line reads a log, and a query file may tick")
    wrong = wrong_sources(asked.paths)
    if wrong:
        raise UsageError(wrong[0])
    if "-" in asked.paths and not local:
        raise UsageError(naming.NOT_STDIN)
    return asked


def _asked(text: str, sources: list[str] | None, *, in_sql: bool) -> OneLine:
    if not (in_sql or naming.is_sql(text)):
        return one_line(text, sources)
    # What reads SQL takes a third of a second to import, and other questions need none of it.
    from backplane.query.sql import sql

    return sql(text, sources)


def _planned(args: argparse.Namespace, plan: Mapping[str, Any]) -> dict[str, Any]:
    """A plan with what the options add to it."""
    planned = {**plan, "window": windowing.of_plan(args, dict(plan))}
    context = around.of_plan(args, plan)
    return planned if context is None else {**planned, "context": context}


def question(args: argparse.Namespace, *, local: bool) -> PlanQuestion:
    """The same, ready to be asked.

    Raises:
        UsageError: as `read`.
    """
    asked = read(args, local=local)
    if args.by_host and "host" in asked.keys:
        raise UsageError("--by-host: the question has a column host already, so leave one of them out")
    finishing = Finishing(asked.keys, asked.values, asked.steps, asked.kinds)
    limits = [limit for limit in (asked.limit, args.limit.rows) if limit is not None]
    return plan_question(
        asked.text,
        _planned(args, asked.plan),
        name=str(asked.plan["format"].get("name", "line")),
        paths=[naming.located(path) for path in asked.paths] if local else None,
        follow=args.follow,
        since=args.since,
        until=args.until,
        rotated=bool(args.rotated),
        parallel=args.parallel,
        every_s=args.every,
        limit=min(limits, default=None),
        limit_bytes=args.limit.bytes,
        by_host=args.by_host,
        finishing=finishing.finish if asked.steps or asked.kinds else None,
        names=asked.values if asked.plan["aggregates"] else None,
        hosts=asked.hosts,
        hold_s=args.wait or WAIT_S,
        notices=asked.notices,
    )
