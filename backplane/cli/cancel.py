"""`logreduce cancel`: end queries of a coordinator that runs."""

from __future__ import annotations

import argparse
import asyncio

from backplane.cli import finding
from backplane.cli.ps import asked
from backplane.wire.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "End queries of a running coordinator: your own, or anybody's where the coordinator is yours."
    parser.add_argument("query", nargs="?", metavar="QUERY", help="an id as `ps` lists it, its beginning, or a title")
    parser.add_argument("--all", action="store_true", help="all that you may end")
    parser.add_argument("--abort", action="store_true", help="at once, without what the providers have not sent yet")
    finding.add_arguments(parser, private=False)


def run(args: argparse.Namespace) -> int:
    """Ask for it, and say what was ended. 0, also if there was nothing to end."""
    if bool(args.query) == args.all:
        raise UsageError("say which query, or --all")
    said = {"query": args.query or "", "mode": "abort" if args.abort else "drain"}
    ended = asyncio.run(asked(finding.running(args), "cancel", said))
    print("\n".join(f"{query} is being ended" for query in ended) or "no query to end")
    return 0
