"""`logreduce cancel`: end queries: named ones of this user, and any of a coordinator that runs."""

from __future__ import annotations

import argparse
import asyncio
import os

from backplane.cli import finding
from backplane.cli.ps import asked
from backplane.client.store.directory import Directory, known
from backplane.wire.errors import NoCoordinator, UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "End named queries, whose last snapshot is kept, or queries of a running coordinator: your own, or anybody's "
        "where the coordinator is yours."
    )
    parser.add_argument(
        "query", nargs="?", metavar="QUERY", help="a name, an id as `ps` lists it, its beginning, or a title"
    )
    parser.add_argument("--all", action="store_true", help="all that you may end")
    parser.add_argument("--abort", action="store_true", help="at once, without what the providers have not sent yet")
    finding.add_arguments(parser, private=False)


def run(args: argparse.Namespace) -> int:
    """Ask for it, and say what was ended. 0, also if there was nothing to end."""
    if bool(args.query) == args.all:
        raise UsageError("say which query, or --all")
    mode = "abort" if args.abort else "drain"
    named = known(os.environ)
    if args.query:
        named = [each for each in named if each.name == args.query]
    lines = [f"{each.name} has ended" for each in named if _ended(each, mode)]
    if args.all or not named:
        try:
            place = finding.running(args)
        except NoCoordinator as exc:
            if args.query and not named:
                raise NoCoordinator(
                    f"there is no query {args.query!r}: no named one, and no coordinator runs; `logreduce ps` lists all"
                ) from exc
        else:
            said = {"query": args.query or "", "mode": mode}
            lines += [f"{query} is being ended" for query in asyncio.run(asked(place, "cancel", said))]
    print("\n".join(lines) or "no query to end")
    return 0


def _ended(named: Directory, mode: str) -> bool:
    from backplane.cli import ending

    return ending.cancelled(named, mode)
