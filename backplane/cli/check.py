"""`logreduce check FILE`: what is wrong with a query file, all of it, before anything ships.

Composes: the file is examined and told about. What is wrong is this verb's data, so it goes to stdout.
"""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from typing import Any

from backplane.cli import naming
from backplane.client.outputs.harmless import harmless
from backplane.query import breaks
from backplane.query.load import Examined, examine
from backplane.query.model import Query, Secret


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "Say what is wrong with a query file, before anything ships. Exit status 2 if anything is."
    parser.add_argument("query", metavar="FILE", help="a path (with / or .py), a name, or a line")
    naming.add_settings(parser)
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the output")


def run(args: argparse.Namespace) -> int:
    """Print what is wrong, a line each, or a summary of what the file asks."""
    naming.check(args, "check")
    if naming.is_one_line(args.query):
        return _line(args)
    with naming.own_prints():
        found = examine(args.query, naming.settings(args.settings), None)
    if args.output == "json":
        print(json.dumps(_document(found), indent=2, default=repr))
    else:
        print("\n".join(harmless(line) for line in _lines(found)))
    return 0 if found.query else 2


def _line(args: argparse.Namespace) -> int:
    """The same of a question of one line."""
    from backplane.cli import lining, plans
    from backplane.query.oneline import OneLineError

    try:
        asked = lining.read(args, local=False)
    except OneLineError as exc:
        problem = {"column": exc.column, "text": exc.reason}
        wrong = {"good": False, "problems": [problem], "warnings": [], "query": None}
        print(json.dumps(wrong, indent=2) if args.output == "json" else harmless(str(exc), keep="\n"))
        return 2
    if args.output == "json":
        document = {"good": True, "problems": [], "warnings": list(asked.notices), "query": plans.document(asked)}
        print(json.dumps(document, indent=2, default=repr))
        return 0
    told = [f"{name:<11} {text}" for name, text in plans.summary(asked).items()]
    for line in [*(f"warning: {text}" for text in asked.notices), "good", *told]:
        print(harmless(line))
    return 0


def _lines(found: Examined) -> list[str]:
    warnings = [f"warning: {text}" for text in found.warnings]
    if found.query is None:
        return [*map(str, found.errors), *warnings]
    told = [f"{name:<11} {text}" for name, text in summary(found.query).items()]
    return [*warnings, f"{found.file}: good", *told]


def summary(query: Query) -> dict[str, str]:
    """What a query asks, for people."""
    return {
        "title": query.title,
        "sources": ", ".join(query.sources) or "none: `map` reads what it likes",
        **({"format": _format(query.format)} if query.format else {}),
        "parameters": ", ".join(f"{name} = {shown(value)}" for name, value in query.params.items()) or "none",
        "ships": _ships(query),
        "reduce": _reduce(query),
        "replayable": f"{'yes' if query.replayable else 'no'}: {query.replayable_reason}",
        "on a break": breaks.told(query),
        "needs": ", ".join(query.needs) or "nothing is declared",
    }


def _format(data: Mapping[str, Any]) -> str:
    from provider.runner.formats.form import format_of

    types = format_of(data, []).types
    return f"{data['name']}: {', '.join(name for name in types if name != '*')}{', ...' if '*' in types else ''}"


def shown(value: object) -> str:
    """A parameter's value, a secret one hidden."""
    return "(secret)" if isinstance(value, Secret) else repr(value)


def _ships(query: Query) -> str:
    parts = [("filter", query.filter_source), ("map", query.map_source)]
    return ", ".join(f"{name}: {lines(text)} lines{runs(query, name)}" for name, text in parts if text)


def runs(query: Query, name: str) -> str:
    """What runs a script that is no Python, as the end of a phrase."""
    argv = (query.programs or {}).get(name)
    return f" for {' '.join(argv)}" if argv else ""


def _reduce(query: Query) -> str:
    where = "folded on the providers, and here" if query.combine else "here"
    return f"{query.reduction} ({where})" if query.reduction.kind == "aggregates" else str(query.reduction)


def lines(source: str) -> int:
    """How many lines of a source are not blank."""
    return sum(1 for line in source.split("\n") if line.strip())


def _document(found: Examined) -> dict[str, Any]:
    return {
        "file": found.file,
        "good": found.query is not None,
        "problems": [
            {"file": getattr(error, "file", None), "line": getattr(error, "line", None), "text": str(error)}
            for error in found.errors
        ],
        "warnings": list(found.warnings),
        "query": None if found.query is None else document(found.query),
    }


def document(query: Query) -> dict[str, Any]:
    """What a query asks, for programs. Values that JSON does not know are shown as Python writes them."""
    values = {
        name: value if isinstance(value, (bool, int, float, str, list)) else shown(value)
        for name, value in query.params.items()
    }
    return {
        "name": query.name,
        "title": query.title,
        "sources": list(query.sources),
        "format": query.format["name"] if query.format else None,
        "parameters": values,
        "secret": list(query.secret),
        "ships": {
            name: {"lines": lines(text), "runs": list((query.programs or {}).get(name, ["python3"]))}
            for name, text in (("filter", query.filter_source), ("map", query.map_source))
            if text
        },
        "reduce": {
            "kind": query.reduction.kind,
            "aggregates": list(query.reduction.aggregates),
            "combine": list(query.combine) if query.combine else None,
        },
        "replayable": query.replayable,
        "replayable_reason": query.replayable_reason,
        "after_break": {
            "finish": breaks.after_break(query, follow=False).how,
            "follow": breaks.after_break(query, follow=True).how,
        },
        "effects": query.effects,
        "needs": list(query.needs),
    }
