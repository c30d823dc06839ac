"""`logreduce completion SHELL`: prints the script that makes a shell complete our command lines.

Knows which shells there are. What the script asks at each TAB is `answer`'s, and the scripts themselves are `scripts`'.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from backplane.cli.completion.scripts import SCRIPTS

if TYPE_CHECKING:
    import argparse


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "Print the script that completes verbs, options, queries, formats, fields and names of providers at TAB; "
        "docs/how-to/complete-at-tab.md says where it goes."
    )
    parser.add_argument("shell", metavar="SHELL", choices=tuple(SCRIPTS), help=" or ".join(SCRIPTS))


def run(args: argparse.Namespace) -> int:
    """Print it."""
    print(SCRIPTS[args.shell], end="")
    return 0
