"""`logreduce ps`: this user's named queries and a coordinator's, or one query's story on one provider."""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import sys
import time
from collections import Counter
from datetime import UTC, datetime
from typing import Any

from backplane.cli import finding
from backplane.client.outputs.harmless import harmless
from backplane.client.place import Place
from backplane.client.store.directory import Directory, known
from backplane.client.store.lock import held
from backplane.wire.errors import LogReduceError, NoCoordinator


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of this verb."""
    parser.description = (
        "List this user's named queries, those that stopped or ended too, and the queries of a running coordinator; or "
        "tell what became of one on one provider."
    )
    parser.add_argument("-o", "--output", choices=("table", "json"), default="table", help="form of the output")
    parser.add_argument(
        "--story", nargs=2, metavar=("QUERY", "PROVIDER"), help="what happened to this query there, from start to end"
    )
    finding.add_arguments(parser, private=False)


def run(args: argparse.Namespace) -> int:
    """Print it. Always 0: that nothing runs is an answer, said on stderr."""
    if args.story:
        query, provider = args.story
        told = asyncio.run(asked(finding.running(args), "story", {"query": query, "provider": provider}))
        lines = [_event(line) for line in told]
    else:
        told, nobody = _queries(args)
        lines = [*_named([each for each in told if "name" in each]), *_table([each for each in told if "id" in each])]
        if not told:
            said = f"no queries run: there is no named one{nobody and f', and {nobody}'}"
            print(f"logreduce: {harmless(said)}", file=sys.stderr)
    if lines or args.output == "json":
        print(json.dumps(told, indent=2) if args.output == "json" else "\n".join(lines))
    return 0


def _queries(args: argparse.Namespace) -> tuple[list[dict[str, Any]], str]:
    """The coordinator's queries, each with its name if it has one, and the named ones that it does not know.

    Returns:
        them, and why no coordinator was asked, if none was.

    Raises:
        NoCoordinator: one that is named does not answer, and no query is named.
    """
    named = [_look(each) for each in known(os.environ)]
    running: list[dict[str, Any]] = []
    nobody = ""
    try:
        place = finding.running(args)
    except NoCoordinator as exc:
        nobody = str(exc)
    else:
        try:
            running = asyncio.run(asked(place, "queries", None))
        except NoCoordinator:
            if not named:
                raise
    by_id = {each["id"]: each for each in running}
    for each in named:
        each.update(by_id.pop(each.pop("query_id"), {}))
    return [*named, *by_id.values()], nobody


def _look(where: Directory) -> dict[str, Any]:
    """What is known of a named query, by its process if one runs it, otherwise by what it left."""
    from backplane.client.named import caller

    try:
        if held(where):
            said = asyncio.run(caller.status(where))
            age_s = round(time.time() - said["began"], 1)
            picked = {name: said[name] for name in ("title", "states", "query_id", "pid")}
            return {"name": where.name, "status": "running", "age_s": age_s, **picked}
    except LogReduceError as exc:
        return {"name": where.name, "status": f"running: {exc}", "title": "", "states": {}, "query_id": ""}
    try:
        return {"name": where.name, **_left(where)}
    except LogReduceError as exc:
        return {"name": where.name, "status": f"broken: {exc}", "title": "", "states": {}, "query_id": ""}


def _left(where: Directory) -> dict[str, Any]:
    from backplane.client.store.database import Store

    with Store(where, own=False) as store:
        facts = store.facts
        places = store.places
    ended = facts.get("ended")
    last = ended if ended is not None else facts.get("at", facts.get("began", 0.0))
    return {
        "title": facts.get("asked", {}).get("title", ""),
        "status": "ended" if ended is not None else "stopped",
        "since_s": round(max(0.0, time.time() - last), 1),
        "states": dict(Counter(place.standing["state"] for place in places)),
        "query_id": "",
    }


async def asked(place: Place, what: str, said: Any) -> Any:
    """One question to a coordinator, and its answer."""
    from backplane.client.session import open_session

    async with open_session(place) as session:
        return await session.request(what, said)


def _named(queries: list[dict[str, Any]]) -> list[str]:
    if not queries:
        return []
    rows = [["NAME", "STATUS", "STATES", "TITLE"]]
    for query in queries:
        status = query["status"]
        if "pid" in query:
            status += f" {lasting(query['age_s'])}, process {query['pid']}"
        elif "since_s" in query:
            status += f", {lasting(query['since_s'])} ago"
        rows.append([harmless(str(cell)) for cell in (query["name"], status, _states(query), query["title"])])
    return _aligned(rows)


def _table(queries: list[dict[str, Any]]) -> list[str]:
    if not queries:
        return []
    rows = [["ID", "USER", "AGE", "TARGETS", "BYTES", "STATES", "TITLE"]]
    for query in queries:
        states = _states(query)
        age = lasting(query["age_s"])
        row = (query["id"], query["user"], age, query["targets"], query["bytes"], states, query["title"])
        rows.append([harmless(str(cell)) for cell in row])
    return _aligned(rows)


def lasting(seconds: float) -> str:
    """A time that has passed, in its two largest units.

    >>> lasting(7.4), lasting(627), lasting(3600), lasting(90000)
    ('7s', '10m27s', '1h00m', '1d01h')
    """
    minutes, whole = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    days, hours = divmod(hours, 24)
    if days:
        return f"{days}d{hours:02}h"
    if hours:
        return f"{hours}h{minutes:02}m"
    return f"{minutes}m{whole:02}s" if minutes else f"{whole}s"


def _states(query: dict[str, Any]) -> str:
    return " ".join(f"{state}:{count}" for state, count in sorted(query["states"].items()))


def _aligned(rows: list[list[str]]) -> list[str]:
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def _event(line: dict[str, Any]) -> str:
    at = datetime.fromtimestamp(line["at"], UTC).strftime("%H:%M:%S.%f")[:-3]
    fields = " ".join(f"{name}={harmless(repr(value))}" for name, value in line.items() if name not in ("at", "event"))
    return f"{at}  {harmless(str(line['event']))}  {fields}".rstrip()
