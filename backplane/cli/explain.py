"""`logreduce explain QUERY [FILES]`: whom a query would ask, exactly what would travel there, and what it would cost.

Composes: a query is loaded and targets are selected, as `run` does it. Its providers are asked what there is to read,
which runs its filter and a small sample of a plan, and never its map; with ``--offline`` nothing is sent. Secrets are
masked in everything it prints, the hash included, because a short one could be guessed from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from backplane.cli import check, estimate, finding, naming, shown, starting, targets, windowing
from backplane.cli import run as running
from backplane.client.outputs.harmless import harmless
from backplane.client.planned import PlanQuestion
from backplane.query.model import Query
from coordinator.inventory import nodes

#: Enough to tell two scripts apart at a glance.
_HASH_DIGITS: Final = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "Show whom a query would ask, what would travel there, and what it would cost them."
    naming.add_query(parser)
    parser.add_argument("-f", "--follow", action="store_true", help="as for `run`: start at the end, and go on")
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the output")
    parser.add_argument("--offline", action="store_true", help="ask no provider: what there is to read stays unknown")
    starting.add_arguments(parser)
    windowing.add_arguments(parser)
    # Of `run`'s other options none changes what is read.
    parser.set_defaults(begun=None, every=2.0, limit=shown.Limit(None, None), by_host=False)
    targets.add_arguments(parser)
    finding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the explanation.

    Raises:
        QueryError: the query file is wrong.
        UsageError: the query, a parameter or a target is.
    """
    naming.check(args, "explain")
    starting.check(args)
    selection = targets.selection(args)
    question = running.load_question(args, selection)
    for text in (selection.notice, *question.notices):
        if text:
            print(f"logreduce: {harmless(text)}", file=sys.stderr)
    # `sql --explain` has no such option.
    offline = getattr(args, "offline", False)
    look = estimate.look(args, question, selection, offline=offline)
    if isinstance(question, PlanQuestion):
        return _line(args, selection, look)
    query = question.query
    if args.output == "json":
        print(json.dumps(_document(query, look), indent=2, default=repr))
    else:
        cost = estimate.lines(look, follow=args.follow, plan=False)
        lines = _lines(query, look.names, _sudo(selection, look.names), cost)
        print("\n".join(harmless(line, keep="\t") for line in lines))
    return 0


def _line(args: argparse.Namespace, selection: targets.Selection, look: estimate.Look) -> int:
    """The same of a question of one line."""
    from backplane.cli import lining, plans

    asked = lining.read(args, local=selection.local)
    names = look.names
    labels = look.labels.get(names[0], {})
    if args.output == "json":
        code = plans.code(asked, names[0], labels)
        scripts = {"plan": {"sha256": plans.digest(code), "source": code}}
        document = {
            "targets": names,
            "pruned": list(look.pruned),
            "profile": "open",
            "query": plans.document(asked),
            "estimate": _estimate(look),
            "scripts": scripts,
        }
        print(json.dumps(document, indent=2, default=repr))
        return 0
    cost = estimate.lines(look, follow=args.follow, plan=True)
    for line in plans.lines(asked, names, nodes.fold(names), labels, cost):
        print(harmless(line, keep="\t"))
    return 0


def _estimate(look: estimate.Look) -> dict[str, Any] | None:
    return None if look.estimate is None else look.estimate.to_dict()


def _sudo(selection: targets.Selection, names: list[str]) -> list[str]:
    """Where the runner is to start through sudo: everywhere, or where an inventory says so."""
    if selection.reach.get("sudo"):
        return names
    return [provider.name for provider in selection.providers if provider.sudo and provider.name in names]


def scripts(query: Query) -> Iterator[tuple[str, str]]:
    """What travels, by name, with secrets masked."""
    for name, source in (("filter", query.filter_source), ("map", query.map_source)):
        if source is not None:
            yield name, query.masked(source)


def _hash(source: str) -> str:
    return hashlib.sha256(source.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]


def _lines(query: Query, names: list[str], sudo: list[str], cost: Iterator[str]) -> Iterator[str]:
    told = check.summary(query)
    del told["ships"]
    head = {
        "title": told.pop("title"),
        "file": query.file,
        "targets": f"{len(names)}: {nodes.fold(names)}",
        "profile": query.profile,
        **({"sudo": f"the runner runs as root on {nodes.fold(sudo)}"} if sudo else {}),
        **told,
    }
    for name, text in head.items():
        yield f"{name:<11} {text}"
    yield from cost
    for name, source in scripts(query):
        yield ""
        yield f"{name} travels: {check.lines(source)} lines{check.runs(query, name)}, sha256 {_hash(source)}"
        yield from numbered(source)


def numbered(source: str) -> Iterator[str]:
    """The lines that are there, with the numbers that they have in the user's file.

    >>> list(numbered("\\nx = 1\\n"))
    ['   2  x = 1']
    """
    blank = False
    started = False
    for number, line in enumerate(source.split("\n"), 1):
        if not line.strip():
            blank = started
            continue
        if blank:
            yield ""
        blank, started = False, True
        yield f"{number:>4}  {line}"


def _document(query: Query, look: estimate.Look) -> dict[str, Any]:
    return {
        "file": query.file,
        "targets": look.names,
        "profile": query.profile,
        "query": check.document(query),
        "estimate": _estimate(look),
        "scripts": {name: {"sha256": _hash(source), "source": source} for name, source in scripts(query)},
    }
