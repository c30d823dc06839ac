"""Which part of the logs is asked for, and by how many processes: `--since`, `--until`, `--rotated`, `--parallel`.

Knows how users write a time. What they mean by it is settled here, once: each provider is sent the same moment.
"""

from __future__ import annotations

import argparse
from typing import Final, Self

from backplane.api import times
from backplane.wire.errors import UsageError

#: What a provider would do at most (`provider.runner.scanjob`).
MOST_PROCESSES: Final = 64


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The four options."""
    when = "10m ago, today, yesterday, or 2026-11-20T09:00 (this machine's zone unless it says one)"
    parser.add_argument("--since", type=moment, metavar="TIME", help=f"begin with the lines of this time: {when}")
    parser.add_argument("--until", type=moment, metavar="TIME", help="end before the lines of this time")
    parser.add_argument("--rotated", action="store_true", help="begin with the oldest rotated file of each log")
    parser.add_argument(
        "--parallel", type=processes, default=1, metavar="N", help="read large files by N processes on each provider"
    )


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: they do not go together.
    """
    if args.parallel > 1 and args.follow:
        raise UsageError("--parallel reads what is there, and --follow begins at its end: leave one of them out")
    if args.until is not None and args.follow:
        raise UsageError("--until has no meaning with --follow, which goes on: use --for to end it")
    if args.since is not None and args.until is not None and args.since >= args.until:
        raise UsageError("--since is not before --until, so no line is in between")


def processes(text: str) -> int:
    """How many, for use as an argparse type.

    Raises:
        argparse.ArgumentTypeError: it is no number that there may be.

    >>> processes("2")
    2
    """
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST_PROCESSES:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of processes: write 1 to {MOST_PROCESSES}")
    return int(text)


def of_file(args: argparse.Namespace) -> None:
    """Refuse what a script cannot be.

    Raises:
        UsageError: it is asked for.
    """
    if args.parallel > 1:
        raise UsageError(
            "--parallel is for questions of one line, which can be split; a script may remember what it read. As in\n"
            "  logreduce run 'nginx access.log | count by status' --parallel 2"
        )


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
    try:
        return Moment(times.moment(text), text)
    except ValueError as exc:
        raise argparse.ArgumentTypeError(str(exc)) from None
