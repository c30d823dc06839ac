"""One query's reducer in a thread of its own, behind bounded staging.

A reduce is user code: it may be slow, and a slow one must not hold up the session's other queries or its beats. So what
arrives is put here by the event loop, and this thread alone touches the answer; what comes of it goes back to the loop
as outcomes. The bound is kept by credit: no new credit is granted while ``room`` is False, so staging never holds more
than its limit and what was granted before.

A named query's answer is stored by this thread too, between two messages. An epoch is on the disk before anybody hears
of it: one that was lost in a crash would be given out twice, and the fence between two jobs would be none. While
nothing can be stored there is no ``room``.

Knows the answer's interface. Knows nothing of links, jobs or credit windows.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, NamedTuple

from backplane.client.memory import resident_bytes
from backplane.reduce.answer import Answer, Begin, Instruction, Nonsense
from backplane.reduce.faults import TooMuch
from backplane.reduce.snapshot import Snapshot
from backplane.wire import limits
from backplane.wire.errors import LocalProtocolError
from backplane.wire.messages import Message

if TYPE_CHECKING:
    from backplane.client.keeping import Keeper

#: What a reduce may take for the message that it is at, when its query is over.
JOIN_S: Final = 5.0
#: How long epochs, and first places, may gather for one commit while there is other work. Each costs an fsync, and
#: hundreds of providers are ready within the same second.
GATHER_S: Final = 0.05
#: Memory does not fill much faster than a provider's link.
LOOK_S: Final = 0.5


class Outcome(NamedTuple):
    """What came of staged messages, for the event loop."""

    instructions: tuple[Instruction, ...]
    #: Staging has fallen under its limit again.
    room: bool
    #: Every provider has ended.
    finished: bool
    #: A sentence for the user.
    notice: str | None = None


class _Staged(NamedTuple):
    provider: str
    message: Message | Nonsense
    size: int


class Reducing:
    """Applies messages to an answer in order, and takes snapshots between two of them.

    Args:
        answer: touched by this object's thread only, from now on, which closes it.
        outcome: called in the event loop; a failure of the user's reduce arrives as ``failed``.
        failed: called in the event loop with what the answer raised, after which nothing more is applied.
        keeper: keeps a named query's answer; None for one that ends with this process.
        most_bytes: how much this process may grow while it is asked; None for any size.
    """

    def __init__(
        self,
        answer: Answer,
        outcome: Callable[[Outcome], None],
        failed: Callable[[BaseException], None],
        keeper: Keeper | None = None,
        most_bytes: int | None = None,
    ) -> None:
        self._answer = answer
        self._keeper = keeper
        #: Nobody waits for the final snapshot while the store is tidied, nor for the thread after it.
        self._tidies = True
        self._most_bytes = most_bytes
        self._begun_bytes = 0
        self._looked_at = time.monotonic()
        #: Starts whose epochs were minted and are not stored.
        self._minted: list[Instruction] = []
        #: Since when such a start waits, or a source's first place: neither waits for the time of the next commit.
        self._urgent_at: float | None = None
        self._outcome = outcome
        self._failed = failed
        self._loop = asyncio.get_running_loop()
        self._wake = threading.Condition()
        self._staged: deque[_Staged] = deque()
        self._bytes = 0
        self._peak = 0
        #: Whether the final one is asked for, whether aside, and who waits for it.
        self._asked: deque[tuple[bool, bool, asyncio.Future[Snapshot]]] = deque()
        self._closing = False
        self._failure: BaseException | None = None
        # A daemon: a reduce that never returns must not keep the process from ending after a second Ctrl-C.
        self._thread = threading.Thread(target=self._work, name="reducer", daemon=True)
        self._thread.start()

    @property
    def room(self) -> bool:
        """True while staging is under its limit, so that more credit may be granted."""
        stuck = self._keeper is not None and self._keeper.stuck
        return self._bytes < limits.STAGING_BYTES and not stuck

    @property
    def unkept(self) -> str | None:
        """Once it is closed: why a named query's answer is not stored as it was last shown; None if it is."""
        if self._keeper is None or self._keeper.clean:
            return None
        return self._keeper.stuck or "its reduce has not come to an end"

    def statistics(self) -> dict[str, int]:
        """Bytes staged now and at most so far, and messages waiting."""
        return {"staged_bytes": self._bytes, "peak_bytes": self._peak, "messages": len(self._staged)}

    def put(self, provider: str, message: Message | Nonsense, size: int) -> None:
        """Stage a message of so many bytes. Never blocks."""
        with self._wake:
            self._staged.append(_Staged(provider, message, size))
            self._bytes += size
            self._peak = max(self._peak, self._bytes)
            self._wake.notify()

    async def snapshot(self, *, final: bool, aside: bool = False) -> Snapshot:
        """The answer as it stands between two messages; a final one, after all that are staged.

        Raises:
            LocalProtocolError: closed, now or before.
            LogReduceError: the user's reduce failed.
        """
        if self._failure:
            raise self._failure
        if self._closing:
            raise _closed()
        future: asyncio.Future[Snapshot] = self._loop.create_future()
        with self._wake:
            self._asked.append((final, aside, future))
            self._wake.notify()
        return await future

    async def close(self, join_s: float) -> None:
        """End the thread, without applying what is still staged; it may take so long to finish what it applies."""
        with self._wake:
            self._closing = True
            self._staged.clear()
            asked = list(self._asked)
            self._asked.clear()
            self._wake.notify()
        for _, _, future in asked:
            if not future.done():
                future.set_exception(_closed())
        self._answer.interrupt()
        await asyncio.to_thread(self._thread.join, join_s)

    def _work(self) -> None:
        try:
            self._begun_bytes = resident_bytes()
            if self._keeper:
                self._keeper.fill()
            while self._step():
                pass
            if self._keeper:
                self._keeper.commit()
        except BaseException as exc:  # a user's reduce may raise anything, and the loop must hear of it
            self._post(self._fail, exc)
        finally:
            self._answer.close()

    def _fail(self, exc: BaseException) -> None:
        """In the loop: nobody waits for a thread that has ended."""
        self._failure = exc
        while self._asked:
            _, _, future = self._asked.popleft()
            if not future.done():
                future.set_exception(exc)
        self._failed(exc)

    def _step(self) -> bool:
        with self._wake:
            idle = not self._await()
            if self._closing:
                return False
            asked = self._asked.popleft() if self._asked and self._may_answer() else None
            staged = self._staged.popleft() if self._staged and not asked else None
        if asked:
            self._answer_snapshot(*asked)
        elif staged:
            self._apply(staged)
        if self._keeper:
            self._keep(self._keeper, idle=idle)
        return True

    def _await(self) -> bool:
        """Wait for something to do; False if the keeper's time has come before there was any."""
        while not (self._staged or self._asked or self._closing):
            wait_s = self._keeper.wait_s() if self._keeper else None
            if self._keeper and self._urgent_at is not None and not self._keeper.stuck:
                wait_s = 0.0  # no others gather
            if not self._wake.wait(wait_s):
                return False
        return True

    def _keep(self, keeper: Keeper, *, idle: bool) -> None:
        """Store what has to be stored by now, and then let go what had to wait for it."""
        waits = self._urgent_at is not None and not keeper.stuck
        if keeper.due or (waits and (idle or time.monotonic() - (self._urgent_at or 0.0) >= GATHER_S)):
            self._store(keeper)
        elif self._tidies and self._urgent_at is None:
            keeper.tidy(idle=idle)

    def _store(self, keeper: Keeper) -> None:
        was = keeper.stuck
        if keeper.commit():
            minted, self._minted, self._urgent_at = self._minted, [], None
            if minted or was:
                notice = "what has been read can be stored again: going on" if was else None
                self._post(self._outcome, Outcome(tuple(minted), was is not None, self._answer.finished, notice))
        elif not was:
            notice = f"{keeper.stuck}; nothing is lost, and nothing more is taken until then"
            self._post(self._outcome, Outcome((), False, False, notice))

    def _may_answer(self) -> bool:
        final, _, _ = self._asked[0]
        return not final or not self._staged

    def _answer_snapshot(self, final: bool, aside: bool, future: asyncio.Future[Snapshot]) -> None:
        try:
            if self._keeper and self._urgent_at is not None and not self._keeper.stuck:
                # Who sees that a log is read may write to it: from then on it must not begin elsewhere.
                self._store(self._keeper)
            snapshot = self._answer.snapshot(final=final, aside=aside)
            if final and self._keeper:
                self._tidies = False
                self._store(self._keeper)
        except BaseException as exc:
            # Whoever asked must hear of it too: this question is no longer among those that `_fail` answers.
            error = exc
            self._post(lambda: None if future.done() else future.set_exception(error))
            raise
        self._post(lambda: None if future.done() else future.set_result(snapshot))

    def _apply(self, staged: _Staged) -> None:
        instructions = self._answer.handle(staged.provider, staged.message, staged.size)
        self._look()
        with self._wake:
            full = not self.room
            self._bytes -= staged.size
            room = full and self.room
        finished = self._answer.finished
        now = self._told(instructions)
        if now or room or finished:
            self._post(self._outcome, Outcome(tuple(now), room, finished))

    def _look(self) -> None:
        """Now and then, whether it is too much for this machine.

        Raises:
            TooMuch: it is.
        """
        now = time.monotonic()
        if self._most_bytes is None or now < self._looked_at + LOOK_S:
            return
        self._looked_at = now
        if resident_bytes() > self._begun_bytes + self._most_bytes:
            raise TooMuch(f"taken over {self._most_bytes / 1e9:.1f} GB of this machine's memory")

    def _told(self, instructions: list[Instruction]) -> list[Instruction]:
        """Those that may be obeyed at once: not a start whose epoch is not stored yet."""
        if self._keeper is None:
            return instructions
        begins = [each for each in instructions if isinstance(each, Begin)]
        self._minted += begins
        if self._urgent_at is None and (begins or self._answer.fresh):
            self._urgent_at = time.monotonic()
        return [each for each in instructions if not isinstance(each, Begin)]

    def _post(self, call: Callable[..., object], *args: object) -> None:
        try:
            self._loop.call_soon_threadsafe(call, *args)
        except RuntimeError:  # the loop has ended before us: nobody listens any more
            self._closing = True


def _closed() -> LocalProtocolError:
    return LocalProtocolError("the query has been released")
