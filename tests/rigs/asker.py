"""A client as a process of its own that asks when it is told to: orders on stdin, what it sees on stdout, in JSON.

``python -m tests.rigs.asker ADDRESS INVENTORY``; the inventory file holds ``entries`` and ``reach`` as a submit has
them. An order is ``{"name", "file", "beside"}``; at most `OVERLAP` queries run at a time, and those beside them. There
come ``{"name", "states"}`` when the states have changed, then ``{"name", "final": {...}}``, and ``{"notice"}`` of what
the session says.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
from pathlib import Path
from typing import Any, Final

from backplane.client.question import QueryQuestion
from backplane.client.session import Session, open_session
from backplane.client.spec import Options
from backplane.query.load import load

OVERLAP: Final = 3
#: A crowd that comes up at once on a busy machine takes its time.
WAIT_S: Final = 120.0


def _say(said: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(said) + "\n")
    sys.stdout.flush()


async def _ask(session: Session, turns: asyncio.Semaphore, order: dict[str, Any], asked: dict[str, Any]) -> None:
    question = QueryQuestion(load(order["file"], {}, None), every_s=1.0)
    options = Options(every_s=1.0, wait_s=WAIT_S, filter_s=WAIT_S)
    name = order["name"]
    states: dict[str, int] = {}
    async with contextlib.nullcontext() if order["beside"] else turns:
        run = session.ask(question, asked["entries"], asked["reach"], options)
        async for snapshot in run.snapshots():
            coverage = snapshot.coverage
            if snapshot.final:
                final = {
                    "complete": snapshot.complete,
                    "rows": [list(row) for row in snapshot.rows],
                    "providers": {key: [row.state, row.reason] for key, row in coverage.providers.items()},
                    "inexact": list(snapshot.inexact),
                }
                _say({"name": name, "final": final})
            elif coverage.states != states:
                states = dict(coverage.states)
                _say({"name": name, "states": states})
        await session.release(run)


async def main(address: str, inventory: str) -> None:
    """Until stdin ends and all that was asked is answered."""
    asked = json.loads(await asyncio.to_thread(Path(inventory).read_text))
    orders = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(orders), sys.stdin)
    turns = asyncio.Semaphore(OVERLAP)
    async with open_session(address, lambda text: _say({"notice": text})) as session, asyncio.TaskGroup() as tasks:
        _say({"notice": "ready"})
        async for line in orders:
            tasks.create_task(_ask(session, turns, json.loads(line), asked))


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
