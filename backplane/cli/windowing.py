"""Windows of event time: `--window`, `--lateness`.

Knows how users write them, and what they need. What a window means is `backplane.reduce.windows`'.
"""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any, Final

from backplane.api import times
from backplane.cli.durations import seconds
from backplane.wire.errors import UsageError

if TYPE_CHECKING:
    from backplane.query.model import Query

_NOT_LATE: Final = "--lateness says how long a window stays open, and there is none: add --window 1m"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The two options."""
    parser.add_argument(
        "--window", type=window, metavar="SIZE[/STEP]", help="an answer for each 1m of event time, or 5m/1m"
    )
    parser.add_argument(
        "--lateness", type=seconds, metavar="TIME", help="how far out of order the logs may be: windows close so late"
    )


def window(text: str) -> tuple[float, float]:
    """Size and step, in seconds, for use as an argparse type.

    Raises:
        argparse.ArgumentTypeError: it means neither.

    >>> window("1m"), window("5m/1m")
    ((60.0, 60.0), (300.0, 60.0))
    """
    try:
        return times.window(text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None


def of_plan(args: argparse.Namespace, plan: dict[str, Any]) -> list[Any] | None:
    """The window of a plan, which may have one of its own.

    Raises:
        UsageError: there is nothing to have windows of, or there are two.
    """
    own: list[Any] | None = plan["window"]
    if args.window is None:
        if own is None and args.lateness is not None:
            raise UsageError(_NOT_LATE)
        return own if own is None or args.lateness is None else [*own[:3], args.lateness]
    if own is not None:
        raise UsageError("--window: the question has a timeslice already")
    time = plan["format"].get("time")
    if not time:
        raise UsageError("--window needs a format whose lines have a time; `explain` shows the format's fields")
    if not plan["aggregates"]:
        raise UsageError("--window needs something to count: add an aggregate, as in '... | count by path'")
    return [time, *args.window, args.lateness or 0.0]


def of_file(args: argparse.Namespace, query: Query) -> tuple[float, float] | None:
    """The window of a query file; None for all of time.

    Raises:
        UsageError: there can be none of this query, or there is nothing to be late for.
    """
    if args.window is None:
        if args.lateness is not None:
            raise UsageError(_NOT_LATE)
        return None
    from backplane.client.question import no_windows

    why = no_windows(query)
    if why is not None:
        raise UsageError(f"--window: {why}")
    size_s, step_s = args.window  # a list, where it was kept
    return size_s, step_s
