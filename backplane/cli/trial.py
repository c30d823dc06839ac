"""`--dry-run`: one provider is asked for two seconds, and what the question would cost on all is said by that.

Composes: targets are selected, one of them is chosen, and `backplane.client.trial` asks it. Knows the words.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import TYPE_CHECKING

from backplane.cli import pruning
from backplane.cli.estimate import size
from backplane.client.outputs.harmless import harmless
from backplane.wire.errors import UsageError

if TYPE_CHECKING:
    from backplane.cli.run import Plan
    from backplane.cli.targets import Selection
    from backplane.client.place import Place
    from backplane.client.planned import PlanQuestion
    from backplane.client.private import Private
    from backplane.client.question import QueryQuestion
    from backplane.client.trial import Trial


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The option."""
    parser.add_argument(
        "--dry-run", action="store_true", help="ask one provider for two seconds, and say what all would cost"
    )


def check(args: argparse.Namespace) -> None:
    """Refuse what cannot be meant.

    Raises:
        UsageError: it does not go with other options.
    """
    if args.dry_run and args.canary is not None:
        raise UsageError("--dry-run asks one provider and no others, and --canary goes on to them: use one of the two")


def run(args: argparse.Namespace, question: QueryQuestion | PlanQuestion, selection: Selection, plan: Plan) -> int:
    """Try it, say what it would cost, and return the exit status of what was tried.

    Raises:
        UsageError: it reads standard input.
    """
    from backplane.cli import naming

    if question.feed:
        raise UsageError("--dry-run would read some of standard input, which nobody could read again")
    selection = plan.of(selection)
    with naming.own_prints():
        found = asyncio.run(_tried(question, selection, plan))
    if args.output in ("json", "jsonl"):
        print(json.dumps(found.to_dict(), indent=2 if args.output == "json" else None))
    else:
        for line in lines(found):
            print(harmless(line))
    return found.exit_status


async def _tried(question: QueryQuestion | PlanQuestion, selection: Selection, plan: Plan) -> Trial:
    from backplane.client.canary import chosen
    from backplane.client.private import private_coordinator
    from backplane.client.session import open_session
    from backplane.client.spec import Options
    from backplane.client.trial import TRY_S, tried

    show = plan.show
    async with contextlib.AsyncExitStack() as stack:
        where: Place | Private | None = plan.found.place
        if where is None:
            where = await stack.enter_async_context(private_coordinator(plan.begun, verbose=plan.verbose))
        session = await stack.enter_async_context(open_session(where, show.say))
        names, notices = await selection.chosen(session)
        if plan.hosts is not None and selection.select is not None:
            selection = pruning.pruned_table(selection, plan.hosts, names, follow=False)
            names, notices = await selection.chosen(session)
        for notice in notices:
            show.say(notice)
        (one,) = chosen(names, 1)
        others = f"; the other {len(names) - 1} targets are not asked" if len(names) > 1 else ""
        show.say(f"trying {one} for {TRY_S:.0f} s{others}")
        options = Options(
            wait_s=plan.wait_s, filter_s=plan.filter_s, refilter_s=None, on_note=show.note, on_fault=show.fault
        )
        alone = _alone(selection, one)
        entries = [provider.to_wire() for provider in alone.providers]
        return await tried(session, question, entries, alone.reach, alone.select, options, len(names))


def _alone(selection: Selection, name: str) -> Selection:
    """The selection of this one of them."""
    if selection.select is None:
        return replace(selection, providers=tuple(each for each in selection.providers if each.name == name))
    select = {**selection.select, "everything": False, "groups": [], "names": [name]}
    return replace(selection, select=select)


def lines(found: Trial) -> Iterator[str]:
    """What was seen and what is projected, line by line."""
    row, counters = found.row, found.row.counters
    why = f": {row.reason}" if row.reason else ""
    yield f"{'tried':<11} {found.provider}, 1 of {found.targets}: {row.state}{why}"
    if found.exit_status or row.state == "filtered_out":
        return
    yield (
        f"{'read':<11} {size(counters.bytes)} in {found.took_s:.1f} s, {size(found.speed)} a second: "
        f"{counters.lines} lines, {counters.emitted} values emitted, {counters.parse_errors} do not parse"
    )
    yield f"{'answer':<11} {found.groups} groups or rows, in {size(found.memory_bytes)} of this process's memory"
    yield ""
    of = f"all {found.targets}" if found.targets > 1 else "it"
    if found.bytes is None:
        why = found.cost.why if found.cost is not None and found.cost.why else "it did not say"
        yield f"{'bytes':<11} nobody knows: {why}"
    else:
        yield f"{'bytes':<11} {size(found.bytes)} to read on {of}, if they are alike (`explain` asks them)"
    if found.seconds is not None and found.reach_s is not None:
        read_s = found.seconds - found.reach_s
        yield f"{'seconds':<11} about {found.seconds:.1f}: {found.reach_s:.1f} to begin, {read_s:.1f} to read"
    yield f"{'values':<11} about {found.values * found.targets:.0f} a second are emitted"
    groups, memory = found.most(found.groups), found.most(found.memory_bytes)
    if groups is not None and memory is not None:
        why = "its limit is reached by then" if found.full else "if no two parts share one"
        yield f"{'groups':<11} at most {groups}, {why}"
        yield f"{'memory':<11} at most {size(memory)} here"
