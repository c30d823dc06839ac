"""`logreduce attach NAME`: a named query's snapshots, as its process makes them; one that had stopped goes on."""

from __future__ import annotations

import argparse
import asyncio
import os
import sys
import time

from backplane.cli import named, shown
from backplane.client.named import caller, process
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory, directory, known
from backplane.client.store.lock import held, locked
from backplane.query.near import did_you_mean
from backplane.wire.errors import UsageError

#: A process that has just been started, or is about to end, is neither reached nor gone for a moment.
_BETWEEN_S = 15.0
#: Forms of output that show an answer as it grows.
_LIVE = ("table", "jsonl")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "Show the snapshots of a named query. Ctrl-C detaches: the query goes on. One whose process is gone, after a "
        "crash or a reboot, is started again from where it was; of one that has ended, the last snapshot is shown. A "
        "form of one snapshot (-o json, csv, parquet, or a table off a terminal) shows a following query as it is now; "
        "with -o also one that has stopped, as it was then."
    )
    parser.add_argument("name", metavar="NAME", help="as `run --name` gave it, or `run --detach` printed it")
    shown.add_showing(parser.add_argument_group("output"))


def run(args: argparse.Namespace) -> int:
    """Show it, and return the exit status of what was shown; 0 after detaching.

    Raises:
        UsageError: there is no such query.
    """
    where = asked(args.name)
    deadline = time.monotonic() + _BETWEEN_S
    starting = False
    while True:
        try:
            if held(where):
                return asyncio.run(_attached(where, args))
            with locked(where), Store(where) as store:
                question, words = named.kept(store)
                ended = store.facts.get("ended") is not None
                if ended or _asks_last(args, words):
                    if not ended:
                        _say(f"{where.name} has stopped, and this is its last answer: without -o it would go on", args)
                    return named.show_last(args, named.stored_question(where, question, words), store)
            _say(f"{where.name} had stopped: going on with it", args)
            starting = True
            process.start(where)
            starting = False
        except caller.Gone:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        except KeyboardInterrupt:
            if starting:
                raise
            _say(f"detached: {where.name} goes on, and `logreduce cancel {where.name}` ends it", args)
            return 0


def _asks_last(args: argparse.Namespace, words: argparse.Namespace) -> bool:
    """One snapshot is asked for, of a query that by itself would never come to its last one."""
    return bool(words.follow) and args.output is not None and args.output not in _LIVE


def asked(name: str) -> Directory:
    """The directory of a query that was asked.

    Raises:
        UsageError: there is none of this name.
    """
    where = directory(name, os.environ)
    if not where.exists:
        names = [each.name for each in known(os.environ)]
        near = did_you_mean(name, names) or "; `logreduce ps` lists those that there are"
        raise UsageError(f"there is no named query {name!r}{near}")
    return where


async def _attached(where: Directory, args: argparse.Namespace) -> int:
    async with caller.call(where) as line:
        # The question's own words say how it is to be shown, so they come first.
        await line.say(op="status")
        about = await line.heard()
    show = shown.show(args, streams=about["streams"], title=about["title"])
    now = show.every_s is None and bool(about.get("endless"))  # its last snapshot is nothing to wait for
    async with caller.call(where) as line:
        await line.say(op="attach", every_s=args.every if now else show.every_s)
        with show:
            seen = False
            async for snapshot in line.snapshots():
                seen = snapshot.final or now
                (show.now if now and not snapshot.final else show.snapshot)(snapshot)
                if seen:
                    break
        if not seen:
            raise caller.Gone(f"{where.name} has just ended")
    return show.status


def _say(text: str, args: argparse.Namespace) -> None:
    if not args.quiet:
        print(f"logreduce: {text}", file=sys.stderr)
