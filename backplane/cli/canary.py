"""`--canary N`: which providers are asked before the others. What is well, and what follows, is `client.canary`'s.

Knows the option and names.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final

from backplane.wire.errors import UsageError

if TYPE_CHECKING:
    from backplane.client.canary import Canary

#: Names of so many fit into a submit's header, and more are no try any more.
MOST: Final = 30
#: Of the 8 KiB of a header.
_NAMES_BYTES: Final = 6000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "--canary", type=_count, metavar="N", help="ask N providers first, and the others when these are well"
    )


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= MOST:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of providers to try first: write 1 to {MOST}")
    return int(text)


def canary(count: int, names: Sequence[str], *, endless: bool, say: Callable[[str], None]) -> Canary | None:
    """The canaries of a query; None where there are not more providers than that, so that all are asked at once.

    Args:
        names: whom the query asks.
        say: tells the user who was chosen.

    Raises:
        UsageError: their names are too long.
    """
    from backplane.client.canary import Canary, chosen
    from coordinator.inventory import nodes

    if len(names) <= count:
        say(f"--canary {count}: there are no more than {len(names)} targets, so all are asked at once")
        return None
    first = chosen(names, count)
    if sum(len(name.encode()) + 3 for name in first) > _NAMES_BYTES:
        raise UsageError(f"--canary {count}: the names of so many are too long together, so choose fewer")
    say(f"canaries: {nodes.fold(first)}; {len(names) - len(first)} others wait until they are well")
    return Canary(first, endless=endless)
