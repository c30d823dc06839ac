"""What a coordinator answers about itself: a table of questions, each answered by the room that knows.

Knows how a question is asked and answered (docs/reference/frames.md, "ask"). Knows no answer itself: rooms register
theirs.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any, Final

from backplane.wire import codec
from backplane.wire.errors import LogReduceError, RemoteProtocolError
from backplane.wire.messages import Ask, Told
from coordinator import log
from coordinator.relay import Client

#: Takes the client and what it said; gives what msgpack knows. A `LogReduceError` that it raises is told as a sentence.
Answer = Callable[[Client, Any], Awaitable[Any]]

#: An answer that takes longer is not one: whoever asks has given up.
ANSWER_S: Final = 60.0
#: Questions of one client that are being answered.
MOST_ASKED: Final = 16


class Answers:
    """Answers asks. Each runs in a task of its own, so that a slow one holds up nobody.

    Args:
        tasks: their parent.
    """

    def __init__(self, tasks: asyncio.TaskGroup) -> None:
        self._tasks = tasks
        self._answers: dict[str, Answer] = {}
        self._asked: dict[bytes, int] = {}

    def register(self, what: str, answer: Answer) -> None:
        """From now on this is answered."""
        self._answers[what] = answer

    def asked(self, client: Client, ask: Ask) -> None:
        """A client asks.

        Raises:
            RemoteProtocolError: its payload is not msgpack, or it has asked too much at a time.
        """
        said = codec.unpack(ask.payload) if ask.payload else None
        if self._asked.get(client.peer, 0) >= MOST_ASKED:
            raise RemoteProtocolError(f"more than {MOST_ASKED} questions at a time")
        self._asked[client.peer] = self._asked.get(client.peer, 0) + 1
        self._tasks.create_task(self._tell(client, ask, said))

    async def _tell(self, client: Client, ask: Ask, said: Any) -> None:
        try:
            client.tell(await self._told(client, ask, said))
        finally:
            self._asked[client.peer] -= 1
            if not self._asked[client.peer]:
                del self._asked[client.peer]

    async def _told(self, client: Client, ask: Ask, said: Any) -> Told:
        answer = self._answers.get(ask.what)
        if answer is None:
            return Told(id=ask.id, fault=f"this coordinator does not know of {ask.what[:40]!r}")
        try:
            async with asyncio.timeout(ANSWER_S):
                return Told(id=ask.id, payload=codec.pack(await answer(client, said)))
        except LogReduceError as exc:
            return Told(id=ask.id, fault=str(exc))
        except TimeoutError:
            return Told(id=ask.id, fault=f"no answer to {ask.what} within {ANSWER_S:.0f} s")
        except (ValueError, TypeError, KeyError, OSError) as exc:
            # A question that makes no sense must not end the service; the log says what happened.
            log.warning("question failed", what=ask.what, reason=f"{type(exc).__name__}: {exc}"[:300])
            return Told(id=ask.id, fault=f"{ask.what}: {exc}")
