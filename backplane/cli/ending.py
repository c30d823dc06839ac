"""Ending a named query, whether a process runs it or it had stopped.

Knows the two ways. Does not know the command line.
"""

from __future__ import annotations

import asyncio
import time

from backplane.cli import named
from backplane.client.named import caller
from backplane.client.named.ended import last
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory
from backplane.client.store.lock import held, locked
from backplane.wire.errors import LogReduceError

#: A drain, the last snapshot, and a slow reduce.
_END_S = 60.0


def cancelled(where: Directory, mode: str) -> bool:
    """End it, keeping its last snapshot; False if it had ended.

    Args:
        mode: ``drain`` takes what its providers have read so far, ``abort`` does not.

    Raises:
        LogReduceError: it does not end.
    """
    deadline = time.monotonic() + _END_S
    told = False
    while True:
        if not held(where):
            with locked(where), Store(where) as store:
                return _stopped(where, store) or told
        try:
            asyncio.run(_told(where, mode))
            told = True
        except caller.Gone:
            if time.monotonic() > deadline:
                raise
        if time.monotonic() > deadline:
            raise LogReduceError(f"{where.name} does not end: kill its process, and cancel it again")
        time.sleep(0.02)


async def _told(where: Directory, mode: str) -> None:
    async with caller.call(where) as line, asyncio.timeout(_END_S):
        await line.say(op="cancel", mode=mode)
        async for _ in line.snapshots():
            pass


def _stopped(where: Directory, store: Store) -> bool:
    """Nobody runs it: what is there is its last answer."""
    if store.facts.get("ended") is not None:
        return False
    question, args = named.kept(store)
    snapshot = last(named.stored_question(where, question, args), store)
    store.note({"ended": time.time(), "seq": snapshot.seq})
    return True
