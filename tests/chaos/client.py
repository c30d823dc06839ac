"""The client of a world: asks what it is told to, through the program's own session, and says what it is answered.

Its first argument is JSON: ``place`` (an address, or null for a coordinator of its own), ``entries`` and ``reach`` as a
submit has them, and ``queries`` (maps ``name path line window_s store``). On stdout there comes a line of JSON for each
snapshot, and on stdin orders: ``{"do": NAME, ...}`` for what `tests.chaos.harms` can do to it.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
from typing import Any, Final

from backplane.client.planned import plan_question
from backplane.client.question import QueryQuestion
from backplane.client.run import Run
from backplane.client.session import open_session
from backplane.client.spec import Options, Question
from backplane.client.store.database import Store
from backplane.client.store.directory import directory
from backplane.query.load import load
from backplane.query.oneline import one_line
from backplane.reduce.snapshot import Snapshot
from tests.chaos import harms

EVERY_S: Final = 0.15

_writing = threading.Lock()


def say(said: dict[str, Any]) -> None:
    """One line."""
    with _writing:
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


async def _listen(runs: list[Run]) -> None:
    """Obey orders, until there are no more."""
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    async for line in orders:
        harms.do(json.loads(line), runs)
    os._exit(0)  # whoever gave orders is gone


async def _tell(name: str, run: Run) -> None:
    async for snapshot in run.snapshots():
        say({"query": name, "begun": _begun(run), **_said(snapshot)})


def _question(asked: dict[str, Any]) -> Question:
    if not asked["line"]:
        return QueryQuestion(load(asked["path"], {}, None), follow=True, every_s=0.2)
    line = one_line(asked["line"])
    window = asked["window_s"] and ["time", asked["window_s"], asked["window_s"], 0.0]
    plan = {**line.plan, "window": window}
    return plan_question(line.text, plan, name=asked["name"], follow=True, every_s=0.2, names=line.values)


def _begun(run: Run) -> list[str]:
    """The providers whose sources are open, with all that was known of them stored if anything is.

    Asked of the reducer's own state, though it belongs to another thread: what it says too early is said again.
    """
    answer = run.reducing._answer
    if answer.unsaved:
        return []
    return [name for name, each in list(answer._providers.items()) if each.cursor.settled]


def _said(snapshot: Snapshot) -> dict[str, Any]:
    coverage = snapshot.coverage
    return {
        "rows": [list(row) for row in snapshot.rows],
        "states": {name: row.state for name, row in coverage.providers.items()},
        "reasons": {name: row.reason for name, row in coverage.providers.items() if row.reason},
        "lines": {name: row.counters.lines for name, row in coverage.providers.items()},
        "inexact": list(snapshot.inexact),
        "complete": snapshot.complete,
        "final": snapshot.final,
    }


async def main(asked: dict[str, Any]) -> None:
    """Until all has been answered."""
    how = Options(every_s=EVERY_S, wait_s=None)
    stores: list[Store] = []
    async with open_session(asked["place"], lambda text: say({"notice": text})) as session:
        runs: list[Run] = []
        async with asyncio.TaskGroup() as tasks:
            for each in asked["queries"]:
                store = None
                if each["store"]:
                    where = directory(each["name"], os.environ)
                    where.make()
                    store = Store(where)
                    stores.append(store)
                question = await asyncio.to_thread(_question, each)
                runs.append(session.ask(question, asked["entries"], asked["reach"], how, store=store))
            listening = tasks.create_task(_listen(runs))
            telling = [
                tasks.create_task(_tell(each["name"], run)) for each, run in zip(asked["queries"], runs, strict=True)
            ]
            say({"notice": "asked"})
            await asyncio.gather(*telling)
            listening.cancel()
    for store in stores:
        store.close()
