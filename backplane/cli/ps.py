"""`logreduce ps`: the queries of a coordinator that runs, or one query's story on one provider."""

from __future__ import annotations

import argparse
import asyncio
import json
from datetime import UTC, datetime
from typing import Any

from backplane.cli import finding
from backplane.client.outputs.harmless import harmless
from backplane.client.place import Place


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = "List the queries of a running coordinator, or tell what became of one on one provider."
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the output")
    parser.add_argument(
        "--story", nargs=2, metavar=("QUERY", "PROVIDER"), help="what happened to this query there, from start to end"
    )
    finding.add_arguments(parser, private=False)


def run(args: argparse.Namespace) -> int:
    """Print it. Always 0."""
    place = finding.running(args)
    if args.story:
        query, provider = args.story
        told = asyncio.run(asked(place, "story", {"query": query, "provider": provider}))
        lines = [_event(line) for line in told]
    else:
        told = asyncio.run(asked(place, "queries", None))
        lines = _table(told)
    print(json.dumps(told, indent=2) if args.output == "json" else "\n".join(lines))
    return 0


async def asked(place: Place, what: str, said: Any) -> Any:
    """One question to a coordinator, and its answer."""
    from backplane.client.session import open_session

    async with open_session(place) as session:
        return await session.request(what, said)


def _table(queries: list[dict[str, Any]]) -> list[str]:
    if not queries:
        return ["no queries run"]
    rows = [["ID", "USER", "AGE", "TARGETS", "BYTES", "STATES", "TITLE"]]
    for query in queries:
        states = " ".join(f"{state}:{count}" for state, count in sorted(query["states"].items()))
        age = f"{query['age_s']:.0f}s"
        row = (query["id"], query["user"], age, query["targets"], query["bytes"], states, query["title"])
        rows.append([harmless(str(cell)) for cell in row])
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _event(line: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(line["at"], UTC).strftime("%H:%M:%S.%f")[:-3]
    fields = " ".join(f"{name}={harmless(repr(value))}" for name, value in line.items() if name not in ("at", "event"))
    return f"{at}  {harmless(str(line['event']))}  {fields}".rstrip()
