"""`logreduce rm NAME`: remove a named query with all that was kept of it."""

from __future__ import annotations

import argparse

from backplane.cli import ending
from backplane.cli.attach import asked
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory
from backplane.client.store.faults import Damaged
from backplane.client.store.lock import InUse, held, locked, owner
from backplane.wire.errors import UsageError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "Remove named queries that have ended, with all that was kept of them."
    parser.add_argument("names", metavar="NAME", nargs="+", help="as `ps` lists it")
    parser.add_argument("--force", action="store_true", help="one that has not ended is cancelled first")


def run(args: argparse.Namespace) -> int:
    """Remove them. Always 0.

    Raises:
        UsageError: there is no such query, or it has not ended.
    """
    for where in [asked(name) for name in args.names]:
        if held(where):
            if not args.force:
                raise InUse(where.name, owner(where))
            ending.cancelled(where, "drain")
        with locked(where):
            if not args.force:
                _ended(where)
            where.remove()
        print(f"{where.name} is removed")
    return 0


def _ended(where: Directory) -> None:
    try:
        with Store(where) as store:
            if store.facts.get("ended") is None and store.facts.get("asked") is not None:
                raise UsageError(
                    f"{where.name} has not ended, it only stopped: `logreduce attach {where.name}` goes on with it, "
                    f"`logreduce cancel {where.name}` ends it, and --force removes it as it is"
                )
    except Damaged:
        pass  # what is damaged cannot be gone on with
