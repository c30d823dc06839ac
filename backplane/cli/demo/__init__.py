"""`logreduce demo`: twenty providers on this machine, live logs, and a real query over them.

Composes: hosts are started (`farm`), and the same parts that `logreduce run` is made of ask them, told by the same
options; nothing of what asks knows that it is a demo. No sshd, no root and no network is needed.
"""

from __future__ import annotations

import argparse
import contextlib
import sys
from typing import TYPE_CHECKING

from backplane.cli.durations import seconds

if TYPE_CHECKING:
    from backplane.cli.demo.farm import Farm
    from backplane.cli.demo.places import Places

#: The query that is asked: a name of the library, as in ``logreduce run demo-status``.
QUERY = "demo-status"
#: Twice as often as `run` does: there is something to see at once, and only seconds to see it.
EVERY = "1s"
#: Each provider is a runner of some 15 MB and a handful of descriptors, all on this machine.
MOST = 200


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "Start providers on this machine, each with live nginx-, sshd- and application-like logs, some without the one "
        "asked for, and ask them a real query. Needs no sshd, no root and no network."
    )
    parser.add_argument("--providers", type=_count, default=20, metavar="N", help="how many (default 20)")
    parser.add_argument(
        "--for", dest="for_s", type=seconds, default=15.0, metavar="TIME", help="how long (default 15s)"
    )
    parser.add_argument("--seed", type=int, default=1, help=argparse.SUPPRESS)
    parser.add_argument("--keep", action="store_true", help="stay up afterwards, say what to try next, keep the logs")
    parser.add_argument("-o", "--output", choices=("table", "json", "jsonl", "csv"), help="form of the answer")


def _count(text: str) -> int:
    value = int(text)
    if not 1 <= value <= MOST:
        raise argparse.ArgumentTypeError(f"must be from 1 to {MOST}")
    return value


def run(args: argparse.Namespace) -> int:
    """Start, ask, end. Returns the query's exit status."""
    from backplane.cli.demo.farm import farm

    with farm(args.providers, seed=args.seed, keep=args.keep) as hosts:
        _say(f"{args.providers} hosts are up; asking them `{QUERY}` for {args.for_s:g} s (Ctrl-C ends it)\n")
        status = _ask(hosts.places, args.for_s, args.output)
        if args.keep:
            _stay(hosts, args.providers)
    return status


def _say(text: str) -> None:
    sys.stdout.flush()  # the answer first: it may be a file's or a pipe's whole content
    sys.stderr.write(text)
    sys.stderr.flush()


def _stay(hosts: Farm, providers: int) -> None:
    """Say what to try, and wait for Ctrl-C."""
    from backplane.cli.demo import trying

    _say(trying.text(hosts.places, providers))
    with contextlib.suppress(KeyboardInterrupt):
        hosts.wait()


def _ask(places: Places, for_s: float, output: str | None) -> int:
    """The query, as ``logreduce run`` would ask it."""
    from backplane.cli import run as run_verb
    from backplane.cli import targets
    from backplane.cli.demo.question import FromTheBeginning
    from backplane.cli.demo.trying import reach

    words = [QUERY, "-a", *reach(places), "--private", "--follow", "--for", f"{for_s}s", "--every", EVERY]
    if output:
        words += ["-o", output]
    parser = argparse.ArgumentParser(prog="logreduce run", allow_abbrev=False)
    run_verb.add_arguments(parser)
    options = parser.parse_args(words)
    selection = targets.selection(options)
    question = FromTheBeginning(run_verb.load_question(options, selection))
    return run_verb.execute(question, selection, run_verb.plan(options, question))
