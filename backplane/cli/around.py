"""Lines around those that are found: `-A`, `-B`, `-C`, as grep has them.

Knows the options, and what they need. Which lines those are is `provider.runner.context`'s.
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import Any

from backplane.wire.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three options."""
    group = parser.add_argument_group("context (questions without an aggregate)")
    for flag, name, where in (
        ("-A", "--after", "behind each line that is found"),
        ("-B", "--before", "before it"),
        ("-C", "--context", "around it"),
    ):
        group.add_argument(flag, name, dest=name[2:], type=_lines, metavar="N", help=f"show N lines {where}")


def _lines(text: str) -> int:
    from provider.runner.plan import MOST_CONTEXT

    if not text.isdecimal() or int(text) > MOST_CONTEXT:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of lines from 0 to {MOST_CONTEXT}")
    return int(text)


def of_plan(args: argparse.Namespace, plan: Mapping[str, Any]) -> list[int] | None:
    """How many lines before and after; None for none.

    Raises:
        UsageError: the question does not show lines.
    """
    wanted = _wanted(args)
    if any(wanted) and plan["aggregates"]:
        raise UsageError(f"{_flag(args)} shows lines around others, and an aggregate shows none: leave one of them out")
    if any(wanted) and plan["columns"]:
        raise UsageError(f"{_flag(args)} shows whole lines: leave `fields` out, or {_flag(args)}")
    return wanted if any(wanted) else None


def of_file(args: argparse.Namespace) -> None:
    """Refuse them where a script says what is emitted.

    Raises:
        UsageError: they are asked for.
    """
    if any(_wanted(args)):
        raise UsageError(
            f"{_flag(args)} is for questions of one line, as in logreduce run 'raw app.log | where line contains "
            f'"ERROR"\' {_flag(args)}: a query file emits what its map yields'
        )


def _wanted(args: argparse.Namespace) -> list[int]:
    """A question that was kept before there was context, and verbs without it, ask for none."""
    both = getattr(args, "context", None) or 0
    found = [getattr(args, name, None) for name in ("before", "after")]
    return [both if each is None else each for each in found]


def _flag(args: argparse.Namespace) -> str:
    name, value = next((name, value) for name in ("context", "after", "before") if (value := getattr(args, name, None)))
    return f"-{name[0].upper()} {value}"
