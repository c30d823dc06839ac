"""A run's grants: what staging has room for now."""

from __future__ import annotations

import asyncio
import threading

from backplane.client.reducing import Outcome
from backplane.client.run import Run
from backplane.client.spec import Options, Ready, Work
from backplane.reduce.folds import FunctionFold
from backplane.wire import limits
from backplane.wire.messages import Credit, Cut, Message, NeedStart
from provider.runner import frames
from provider.runner.columns import values_payload


class _Stuck:
    """A question whose reduce does not come back before it is let."""

    name = title = "q"
    endless = streams = feed = False

    def __init__(self) -> None:
        self.entered, self.leave = threading.Event(), threading.Event()

    work = Work()

    def fold(self) -> FunctionFold:
        def reduce(a: int, b: int) -> int:
            self.entered.set()
            self.leave.wait(30)
            return a + b

        return FunctionFold(reduce)

    def body(self, ready: Ready, positions: object) -> dict[str, object]:
        return {}


async def test_old_news_of_room_grants_nothing() -> None:
    """Staging that was full, had room, and is full again: the news of the room comes last, and is not acted upon."""
    sent: list[Message] = []
    question = _Stuck()
    async with asyncio.TaskGroup() as tasks:
        run = Run("1", question, Options(), sent.append, lambda job: None, tasks)
        run.submit([{"name": "a"}], {})
        try:
            run.arrived(1, frames.NEED_START, NeedStart(job=1, query="1", provider="a"), 0)
            payload = values_payload([1, 2])
            cut = Cut(job=1, epoch=1, seq=1, part=0, last=True, content="values", payload=payload)
            run.arrived(1, frames.CUT, cut, limits.STAGING_BYTES // 2)
            await asyncio.to_thread(question.entered.wait, 30)
            assert len([message for message in sent if isinstance(message, Credit)]) == 1
            run.arrived(1, frames.CUT, cut, limits.STAGING_BYTES)
            assert not run.reducing.room
            run._outcome(Outcome((), room=True, finished=False))
            assert len([message for message in sent if isinstance(message, Credit)]) == 1
        finally:
            question.leave.set()
            await run.close(10)
