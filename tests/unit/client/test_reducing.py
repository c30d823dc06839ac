"""The reducer's thread: how it ends, whatever its reduce is doing."""

from __future__ import annotations

import asyncio
import threading

import pytest

from backplane.client.reducing import Reducing
from backplane.reduce.answer import Answer
from backplane.reduce.folds import FunctionFold
from backplane.wire.errors import LocalProtocolError
from backplane.wire.messages import Cut, NeedStart
from provider.runner.columns import values_payload


def _cut(*values: object) -> Cut:
    return Cut(job=1, epoch=1, seq=1, part=0, last=True, content="values", payload=values_payload(list(values)))


async def test_whoever_waits_for_a_snapshot_hears_that_it_was_closed() -> None:
    """Also while a reduce never returns; and nobody is answered after that."""
    entered, leave = threading.Event(), threading.Event()

    def reduce(a: int, b: int) -> int:
        entered.set()
        leave.wait(30)
        return a + b

    answer = Answer(query="q", query_id="1", fold=FunctionFold(reduce), targets=["a"])
    reducing = Reducing(answer, lambda outcome: None, lambda exc: None)
    try:
        reducing.put("a", NeedStart(job=1, query="1", provider="a"), 0)
        reducing.put("a", _cut(1, 2), 0)
        await asyncio.to_thread(entered.wait, 30)
        waiting = asyncio.create_task(reducing.snapshot(final=True))
        await asyncio.sleep(0)
        await reducing.close(0)
        async with asyncio.timeout(10):
            with pytest.raises(LocalProtocolError):
                await waiting
            with pytest.raises(LocalProtocolError):
                await reducing.snapshot(final=False)
    finally:
        leave.set()
        await reducing.close(10)
