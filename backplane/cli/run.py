"""`logreduce run QUERY [FILES]`: ask, show, and exit by the answer's coverage.

Composes: a query is loaded, targets are selected, a coordinator is found, and the answer is shown as it grows.
Knows the options of the contract. `execute` is the part that other verbs use with a question of their own.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import functools
import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from backplane.cli import around, canary, finding, naming, pruning, shown, starting, targets, trial, windowing
from backplane.cli.durations import seconds
from backplane.wire import limits
from backplane.wire.errors import UsageError

if TYPE_CHECKING:
    from backplane.cli.misfits import Misfits
    from backplane.client.begun import Begun
    from backplane.client.canary import Canary
    from backplane.client.named.running import Running
    from backplane.client.place import Place
    from backplane.client.planned import PlanQuestion
    from backplane.client.private import Private
    from backplane.client.question import QueryQuestion
    from backplane.client.session import Session
    from backplane.client.spec import Question
    from provider.runner.expressions import Expression


def add_arguments(parser: argparse.ArgumentParser, *said: str) -> None:
    """The options of this verb; ``said``: of the query, by a verb that takes another one."""
    parser.set_defaults(begun=None)
    parser.description = "Ask a question of many machines: run a query file, or a query of the library."
    naming.add_query(parser, *said)
    parser.add_argument("-f", "--follow", action="store_true", help="start at the end, and go on as the logs grow")
    parser.add_argument("--for", dest="for_s", type=seconds, metavar="TIME", help="end after this time")
    parser.add_argument(
        "--name", dest="named", metavar="NAME", help="keep question and answer by this name, and go on from there"
    )
    parser.add_argument("--detach", action="store_true", help="in a process of its own, which `attach` shows")
    canary.add_arguments(parser)
    trial.add_arguments(parser)
    starting.add_arguments(parser)
    windowing.add_arguments(parser)
    around.add_arguments(parser)
    shown.add_arguments(parser)
    targets.add_arguments(parser)
    finding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Ask, and return the exit status of the contract."""
    naming.check(args, "run")
    starting.check(args)
    trial.check(args)
    if args.named is not None or args.detach:
        from backplane.cli import named

        if args.canary is not None or args.dry_run:
            option = "--dry-run" if args.dry_run else "--canary"
            raise UsageError(f"{option} tries a question that ends with this command: leave --name and --detach out")
        return named.run(args)
    selection = targets.selection(args)
    question = load_question(args, selection)
    planned = plan(args, question)
    for warning in question.notices:
        planned.show.say(warning)
    if args.dry_run:
        return trial.run(args, question, selection, planned)
    return execute(question, selection, planned)


@dataclass(frozen=True, slots=True)
class Plan:
    """How an answer is got and shown."""

    show: shown.Show
    for_s: float | None
    wait_s: float | None
    filter_s: float
    refilter_s: float
    found: finding.Found
    verbose: bool
    #: The private coordinator, where none was found; None begins one.
    begun: Begun | None
    #: How large the answer may become.
    groups: shown.Limit
    #: What keeps a named query; None for one that ends with this process.
    named: Running | None = None
    #: Which providers the question asks at all (`pruning`); None for all.
    hosts: Expression | None = None
    follow: bool = False
    #: How many providers are asked before the others; None: all are asked at once.
    canaries: int | None = None

    def of(self, selection: targets.Selection) -> targets.Selection:
        """Those of the selected that the question asks, after saying what is to be known of them before."""
        if self.hosts is not None:
            selection = pruning.pruned(selection, self.hosts)
        for notice in (selection.notice, self.found.notice):
            if notice:
                self.show.say(notice)
        return selection


def plan(args: argparse.Namespace, question: Question) -> Plan:
    """The plan that the options ask for."""
    # A tick or a map() may have no end of its own either, but a host that is down must not keep others from being told.
    wait_s = args.wait if args.wait is not None or args.follow else limits.WAIT_S
    return Plan(
        show=shown.show(
            args,
            streams=question.streams,
            title=question.title,
            sought=_sought(args, question),
            keys=_keys(question),
        ),
        for_s=args.for_s,
        wait_s=wait_s,
        filter_s=args.filter_timeout,
        refilter_s=args.refilter,
        found=finding.coordinator(args),
        verbose=args.verbose,
        groups=args.groups,
        # `-qv` is one of the ways to ask for its log that are not seen before the command line is parsed.
        begun=args.begun if args.begun and args.begun.verbose == args.verbose else None,
        hosts=getattr(question, "hosts", None),  # of plans alone
        follow=args.follow,
        canaries=args.canary,
    )


def _keys(question: Question) -> tuple[str, ...]:
    """The columns that name a row, as the question calls them; a query file's are the reducer's own."""
    parsed = getattr(question, "parsed", None)  # of plans alone
    return () if parsed is None else tuple(each.name for each in parsed.keys)


def _sought(args: argparse.Namespace, question: Question) -> re.Pattern[str] | None:
    """What the lines that it shows were found by, so that a terminal can mark it."""
    parsed = getattr(question, "parsed", None)  # of plans alone
    if parsed is None or not question.streams or args.output is not None:
        return None
    from backplane.client.outputs.marked import sought

    return sought(parsed.where)


def load_question(args: argparse.Namespace, selection: targets.Selection) -> QueryQuestion | PlanQuestion:
    """The query that the options name, ready to be asked of the selection.

    Raises:
        QueryError: the query file is wrong.
        UsageError: the query, a file or a parameter does not exist, or stdin is asked of other machines.
    """
    if naming.is_one_line(args.query):
        from backplane.cli import lining

        return lining.question(args, local=selection.local)
    from backplane.client.question import QueryQuestion
    from backplane.query.load import load

    around.of_file(args)
    starting.of_file(args)
    with naming.own_prints():
        query = load(args.query, naming.settings(args.settings), naming.sources(args, selection.local))
    if "-" in query.sources and not selection.local:
        raise UsageError(naming.NOT_STDIN)
    return QueryQuestion(
        query,
        follow=args.follow,
        since=args.since,
        until=args.until,
        rotated=args.rotated,
        every_s=args.every,
        limit_rows=args.limit.rows,
        limit_bytes=args.limit.bytes,
        by_host=args.by_host,
        window=windowing.of_file(args, query),
        lateness_s=args.lateness or 0.0,
        hold_s=args.wait or limits.WAIT_S,
    )


def execute(question: Question, selection: targets.Selection, plan: Plan) -> int:
    """Ask a question of the selected providers, show the answer, and return the exit status."""
    selection = plan.of(selection)
    with naming.own_prints():
        return asyncio.run(_asked(question, selection, plan))


async def _asked(question: Question, selection: targets.Selection, plan: Plan) -> int:
    from backplane.client.private import private_coordinator

    async with contextlib.AsyncExitStack() as stack:
        where: Place | Private | None = plan.found.place
        if where is None:
            where = await stack.enter_async_context(private_coordinator(plan.begun, verbose=plan.verbose))
        return await _answered(where, question, selection, plan)


async def _answered(where: Place | Private, question: Question, selection: targets.Selection, plan: Plan) -> int:
    from backplane.cli.interrupts import Interrupts
    from backplane.cli.main import PARTIAL
    from backplane.cli.waiting import Waited
    from backplane.client.session import open_session
    from backplane.client.spec import Options
    from backplane.wire.messages import Admit

    show = plan.show
    misfits = _misfits(question)
    waited = Waited(plan.wait_s, show.aside)
    options = Options(
        every_s=show.every_s,
        for_s=plan.for_s,
        wait_s=plan.wait_s,
        filter_s=plan.filter_s,
        refilter_s=plan.refilter_s,
        coverage_full=show.coverage_full,
        on_note=show.note,
        on_sample=misfits.sample if misfits else None,
        on_fault=show.fault,
        on_break=show.say if plan.verbose else None,
        on_notice=show.say,
        on_state=waited.heard,
        most_groups=plan.groups.rows,
        most_bytes=plan.groups.bytes,
    )
    entries = [provider.to_wire() for provider in selection.providers]
    async with open_session(where, show.say) as session:
        names, notices = await selection.chosen(session)
        for notice in notices:
            show.say(notice)
        if plan.hosts is not None:
            selection = pruning.pruned_table(selection, plan.hosts, names, follow=plan.follow)
        first = await _first(session, question, selection, plan, names)
        if first is not None:
            options = replace(options, first=first.first)
        named = plan.named
        store = named.store if named else None
        run = session.ask(question, entries, selection.reach, options, selection.select, store)
        async with contextlib.AsyncExitStack() as shown_to:
            await shown_to.enter_async_context(waited.watched())
            if named:
                await shown_to.enter_async_context(named.shown(run))
            if first is not None:
                admit = functools.partial(session.send, Admit(query=run.query_id))
                await shown_to.enter_async_context(first.watched(run, admit, show.say))
            with Interrupts(named.stopping(run) if named else run.drain, show.say, show.out), show:
                async for snapshot in run.snapshots():
                    show.snapshot(snapshot)
                    for sentence in misfits.told(snapshot) if misfits else ():
                        show.say(sentence)
                    if named:
                        await named.saw(snapshot)
        await session.release(run)
        if named:
            await named.over(run)
            if named.stopped:
                show.say(f"{named.name} has stopped: this command or `logreduce attach {named.name}` goes on with it")
    return show.status if first is None or first.stopped is None else PARTIAL


def _misfits(question: Question) -> Misfits | None:
    """What tells of lines that are not of a plan's format."""
    parsed = getattr(question, "parsed", None)  # of plans alone
    if parsed is None:
        return None
    from backplane.cli.misfits import Misfits

    name = str(parsed.format.data.get("name", "of its format"))
    return Misfits(name, several=parsed.format.start is not None)


async def _first(
    session: Session, question: Question, selection: targets.Selection, plan: Plan, names: list[str]
) -> Canary | None:
    """The canaries, where there are to be any."""
    if plan.canaries is None:
        return None
    if plan.hosts is not None and selection.select is not None:
        names, _ = await selection.chosen(session)  # without those whom the condition does not keep
    return canary.canary(plan.canaries, names, endless=question.endless, say=plan.show.say)
