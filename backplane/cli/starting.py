"""Which part of the logs is asked for: `--since`, `--until`, `--rotated`.

Knows how users write a time. What they mean by it is settled here, once: each provider is sent the same moment.
"""

from __future__ import annotations

import argparse
import time
from datetime import datetime
from typing import Self

from backplane.cli.durations import seconds
from backplane.wire.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The three options."""
    when = "10m ago, today, yesterday, or 2026-11-20T09:00 (this machine's zone unless it says one)"
    parser.add_argument("--since", type=moment, metavar="TIME", help=f"begin with the lines of this time: {when}")
    parser.add_argument("--until", type=moment, metavar="TIME", help="end before the lines of this time")
    parser.add_argument("--rotated", action="store_true", help="begin with the oldest rotated file of each log")


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: the three do not go together.
    """
    if args.until is not None and args.follow:
        raise UsageError("--until has no meaning with --follow, which goes on: use --for to end it")
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise UsageError("--since is not before --until, so no line is in between")


class Moment(float):
    """Seconds since the epoch, which were meant by ``text``: 10m is another moment each time that it is said."""

    text: str

    def __new__(cls, at: float, text: str) -> Self:
        found = super().__new__(cls, at)
        found.text = text
        return found


def moment(text: str) -> Moment:
    """The moment that a text means, for use as an argparse type.

    Raises:
        argparse.ArgumentTypeError: it means none.

    >>> moment("2026-11-20T09:00:00Z")
    1795165200.0
    """
    return Moment(_at(text), text)


def _at(text: str) -> float:
    bare = text.strip().removesuffix(" ago")
    midnight = datetime.now().astimezone().replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    if bare == "now":
        return time.time()
    if bare == "today":
        return midnight.timestamp()
    if bare == "yesterday":
        return datetime.fromordinal(midnight.toordinal() - 1).timestamp()
    try:
        return datetime.fromisoformat(bare).timestamp()
    except (ValueError, OverflowError, OSError):
        pass
    try:
        return time.time() - seconds(bare)
    except argparse.ArgumentTypeError:
        raise argparse.ArgumentTypeError(
            f"{text!r} is no time: write 10m, today, yesterday or 2026-11-20T09:00"
        ) from None
