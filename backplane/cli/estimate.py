"""What a question would cost, for people and programs: asked of its providers, and put into words.

Composes: a selection, a coordinator and `backplane.client.estimating`. Knows the words.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import sys
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from backplane.cli import finding, pruning
from backplane.client.outputs.harmless import harmless

if TYPE_CHECKING:
    from backplane.cli.targets import Selection
    from backplane.client.estimating import Cost, Estimate
    from backplane.client.place import Place
    from backplane.client.planned import PlanQuestion
    from backplane.client.private import Private
    from backplane.client.question import QueryQuestion

#: Providers that have a line of their own; the largest come first.
MOST_ROWS: Final = 10
#: What nobody knows who has asked nobody.
UNKNOWN: Final = "bytes to read, seconds, and whom a filter keeps (--offline: no provider was asked)"


@dataclass(frozen=True, slots=True)
class Look:
    """What was seen before a question is asked.

    Attributes:
        names: whom it would ask.
        labels: theirs, where they are known here.
        estimate: None where nobody was asked.
        pruned: whom the question's condition on ``host`` leaves out.
    """

    names: list[str]
    labels: Mapping[str, Mapping[str, str]]
    estimate: Estimate | None
    pruned: tuple[str, ...] = ()


def look(
    args: argparse.Namespace, question: QueryQuestion | PlanQuestion, selection: Selection, *, offline: bool
) -> Look:
    """Whom a question would ask, and what that would cost them.

    Args:
        offline: ask no provider; of a provider table its coordinator is asked all the same.

    Raises:
        UsageError: it would ask nobody.
        NoCoordinator: none could be started or reached.
    """
    before = selection.names if selection.select is None else []
    selection = pruning.pruned(selection, getattr(question, "hosts", None))  # of plans alone
    if offline and selection.select is None:
        return Look(selection.names, _labels(selection), None, _without(before, selection.names))
    # Since this process began, as far as what it has computed tells: `run` has to begin as well.
    began = time.monotonic() - time.process_time()
    found = finding.coordinator(args)
    look = asyncio.run(_looked(args, question, selection, found.place, began, offline=offline))
    return look if selection.select is not None else replace(look, pruned=_without(before, look.names))


async def _looked(
    args: argparse.Namespace,
    question: QueryQuestion | PlanQuestion,
    selection: Selection,
    place: Place | None,
    began: float,
    *,
    offline: bool,
) -> Look:
    from backplane.client.estimating import WAIT_S, estimated
    from backplane.client.private import private_coordinator
    from backplane.client.session import open_session
    from backplane.client.spec import Options

    hosts = getattr(question, "hosts", None)
    async with contextlib.AsyncExitStack() as stack:
        where: Place | Private | None = place
        if where is None:
            where = await stack.enter_async_context(private_coordinator(getattr(args, "begun", None)))
        session = await stack.enter_async_context(open_session(where, _say))
        names, notices = await selection.chosen(session)
        before = names
        if hosts is not None and selection.select is not None:
            selection = pruning.pruned_table(selection, hosts, names, follow=False)
            names, notices = await selection.chosen(session)
        pruned = _without(before, names)
        for notice in notices:
            _say(notice)
        if offline:
            return Look(names, _labels(selection), None, pruned)
        wait_s = WAIT_S if args.wait is None else args.wait
        options = Options(wait_s=wait_s, filter_s=args.filter_timeout, refilter_s=None)
        entries = [provider.to_wire() for provider in selection.providers]
        told = await estimated(session, question, entries, selection.reach, selection.select, options, began)
        return Look(names, _labels(selection), told, pruned)


def _without(names: Sequence[str], kept: Sequence[str]) -> tuple[str, ...]:
    return tuple(sorted(set(names) - set(kept)))


def _labels(selection: Selection) -> Mapping[str, Mapping[str, str]]:
    return {provider.name: provider.labels for provider in selection.providers}


def _say(text: str) -> None:
    print(f"logreduce: {harmless(text)}", file=sys.stderr)


# --- in words


def lines(look: Look, *, follow: bool, plan: bool) -> Iterator[str]:
    """What was seen, line by line.

    Args:
        follow: the question begins at the end of its logs, and goes on.
        plan: it is one, so that what it does with its lines was tried.
    """
    from coordinator.inventory import nodes

    estimate = look.estimate
    if look.pruned:
        yield f"{'pruned':<11} {len(look.pruned)} by the condition on host: {nodes.fold(look.pruned)}"
    if estimate is None:
        yield f"{'not known':<11} {UNKNOWN}"
        return
    if estimate.left_out:
        yield f"{'left out':<11} {len(estimate.left_out)} by the filter: {nodes.fold(estimate.left_out)}"
    known = {name: cost for name, cost in estimate.providers.items() if cost.bytes is not None}
    if known:
        yield f"{'bytes':<11} {_bytes(estimate, known.values(), follow=follow)}"
        yield f"{'seconds':<11} {_seconds(estimate, known, plan=plan)}"
    tried = [cost for cost in known.values() if cost.tried]
    if plan and tried:
        yield f"{'sample':<11} {_sample(tried)}"
    if len(known) > 1:
        yield from _rows(known)
    unknown: dict[str, list[str]] = defaultdict(list)
    for name, cost in estimate.providers.items():
        if cost.bytes is None:
            unknown[cost.why or "it did not say"].append(name)
    for why, names in unknown.items():
        yield f"{'not known':<11} {nodes.fold(names)}: {why}"


def _bytes(estimate: Estimate, known: Any, *, follow: bool) -> str:
    costs = list(known)
    files = sum(cost.files for cost in costs)
    text = f"{size(estimate.bytes or 0)} to read, in {_count(files, 'log')} on {_count(len(costs), 'provider')}"
    stored = sum(cost.stored for cost in costs)
    if stored < (estimate.bytes or 0):
        text += f" ({size(stored)} on their disks)"
    if follow:
        growth = sum(cost.growth or 0.0 for cost in costs)
        text += f"; then about {size(growth)} a second as they grow" if growth else "; then what comes"
    return text


def _seconds(estimate: Estimate, known: Mapping[str, Cost], *, plan: bool) -> str:
    if estimate.seconds is None or estimate.reach_s is None:
        return "not known: nothing was there to be tried"
    name, slowest = max(known.items(), key=lambda item: item[1].seconds or 0.0)
    text = f"about {estimate.seconds:.1f}: {estimate.reach_s:.1f} until all have begun"
    text += f", {slowest.seconds or 0.0:.1f} to read"
    if slowest.speed:
        by = f" by {slowest.processes} processes" if slowest.processes > 1 else ""
        text += f" ({name}, at {size(slowest.speed)} a second{by})"
    return text if plan else f"{text}; what map does with the lines comes on top, which --dry-run measures"


def _sample(tried: Sequence[Cost]) -> str:
    lines_, odd = sum(cost.lines for cost in tried), sum(cost.parse_errors for cost in tried)
    text = f"{size(sum(cost.tried for cost in tried))} tried: {_count(lines_, 'line')}"
    text += f", {sum(cost.matched for cost in tried)} taken, {odd} do not parse"
    return text + (" (is this the right format?)" if odd and 2 * odd >= lines_ else "")


def _rows(known: Mapping[str, Cost]) -> Iterator[str]:
    ordered = sorted(known.items(), key=lambda item: (-(item[1].bytes or 0), item[0]))
    width = max(len(name) for name, _ in ordered[:MOST_ROWS])
    for name, cost in ordered[:MOST_ROWS]:
        took = "?" if cost.seconds is None else f"{cost.seconds:.1f}"
        yield f"{'':<11} {name:<{width}}  {size(cost.bytes or 0):>9}  {took:>6} s"
    if len(ordered) > MOST_ROWS:
        rest = sum(cost.bytes or 0 for _, cost in ordered[MOST_ROWS:])
        yield f"{'':<11} and {len(ordered) - MOST_ROWS} more with {size(rest)}"


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def size(number: float) -> str:
    """Bytes as people say them.

    >>> size(12), size(4096), size(1.5e9)
    ('12 B', '4.1 kB', '1.5 GB')
    """
    for unit in ("B", "kB", "MB", "GB", "TB"):
        if number < 1000 or unit == "TB":
            break
        number /= 1000
    return f"{number:.0f} B" if unit == "B" else f"{number:.1f} {unit}"
