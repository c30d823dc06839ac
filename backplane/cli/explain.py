"""`logreduce explain QUERY [FILES]`: whom a query would ask, and exactly what would travel there. Nothing is sent.

Composes: a query is loaded and targets are selected, as `run` does it. Secrets are masked in everything it prints, the
hash included, because a short one could be guessed from it.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import sys
from collections.abc import Iterator
from typing import Any, Final

from backplane.cli import check, finding, naming, pruning, targets
from backplane.client.outputs.harmless import harmless
from backplane.query.load import load
from backplane.query.model import Query
from coordinator.inventory import nodes

#: Enough to tell two scripts apart at a glance.
_HASH_DIGITS: Final = 12


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "Show whom a query would ask and what would travel there, without sending anything."
    naming.add_query(parser)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the output")
    targets.add_arguments(parser)
    finding.add_arguments(parser)


def run(args: argparse.Namespace) -> int:
    """Print the explanation.

    Raises:
        QueryError: the query file is wrong.
        UsageError: the query, a parameter or a target is.
    """
    selection = targets.selection(args)
    if naming.is_one_line(args.query):
        return _line(args, selection)
    with naming.own_prints():
        query = load(args.query, naming.settings(args.settings), naming.sources(args, selection.local))
    for text in (selection.notice, *query.warnings):
        if text:
            print(f"logreduce: {harmless(text)}", file=sys.stderr)
    names = _names(selection, args)
    if args.output == "json":
        print(json.dumps(_document(query, names), indent=2, default=repr))
    else:
        lines = _lines(query, names, _sudo(selection, names))
        print("\n".join(harmless(line, keep="\t") for line in lines))
    return 0


def _line(args: argparse.Namespace, selection: targets.Selection) -> int:
    """The same of a question of one line."""
    from backplane.cli import lining, plans

    asked = lining.read(args, local=selection.local)
    selection = pruning.pruned(selection, asked.hosts)
    for text in (selection.notice, *asked.notices):
        if text:
            print(f"logreduce: {harmless(text)}", file=sys.stderr)
    names = _names(selection, args)
    if asked.hosts is not None:
        selection = pruning.pruned_table(selection, asked.hosts, names, follow=False)
        names = _names(selection, args)
    labels = {provider.name: provider.labels for provider in selection.providers}.get(names[0], {})
    if args.output == "json":
        code = plans.code(asked, names[0], labels)
        scripts = {"plan": {"sha256": plans.digest(code), "source": code}}
        document = {"targets": names, "profile": "sealed", "query": plans.document(asked), "scripts": scripts}
        print(json.dumps(document, indent=2, default=repr))
        return 0
    for line in plans.lines(asked, names, nodes.fold(names), labels):
        print(harmless(line, keep="\t"))
    return 0


def _names(selection: targets.Selection, args: argparse.Namespace) -> list[str]:
    """Whom the query would ask: of a provider table its coordinator says."""
    if selection.select is None:
        return selection.names
    import asyncio

    from backplane.client.session import open_session

    place = finding.coordinator(args).place

    async def asked() -> list[str]:
        async with open_session(place) as session:
            names, notices = await selection.chosen(session)
        for notice in notices:
            print(f"logreduce: {harmless(notice)}", file=sys.stderr)
        return names

    return asyncio.run(asked())


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


def _lines(query: Query, names: list[str], sudo: list[str]) -> Iterator[str]:
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


def _document(query: Query, names: list[str]) -> dict[str, Any]:
    return {
        "file": query.file,
        "targets": names,
        "profile": query.profile,
        "query": check.document(query),
        "scripts": {name: {"sha256": _hash(source), "source": source} for name, source in scripts(query)},
    }
