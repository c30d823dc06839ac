"""When a named query's answer is stored: often enough to lose little after a crash, seldom enough to cost little.

Knows an answer, its store and a clock. Called by the reducer's thread only. Does not know what arrives or who waits.

What is applied is committed together, at most once in `COMMIT_S` or when much has gathered. If it cannot be written (a
full disk, a file system that has become read-only), nothing is lost: the changes wait here, in the order in which they
were made, and are tried again until they fit. Whoever hands out credit stops meanwhile (`stuck`), so that what waits is
bounded by what had been granted.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from backplane.client.store.database import Store
from backplane.client.store.faults import Unwritable
from backplane.reduce.answer import Answer
from backplane.reduce.faults import ReduceFault
from backplane.reduce.journal import Changes

#: A crash costs at most so much reading again; a shorter one would cost an fsync for each cut of a busy query.
COMMIT_S: Final = 1.0
#: Values that make a commit due at once: they are in memory twice until then.
COMMIT_BYTES: Final = 8 << 20
#: A disk does not become empty within milliseconds.
RETRY_S: Final = 2.0
#: Nothing has arrived for so long, and the thread has time to tidy up: a pause between two cuts is shorter.
IDLE_S: Final = 2.0
#: What may be appended before it is worth while to say it anew: as much as there is, and in any case so much.
_WORTH_BYTES: Final = 16 << 20
#: Here tidying up waits for no quiet moment: the file must not grow without end, nor take minutes to be read back. A
#: lower bound would say a million groups anew in the midst of taking them, at the cost of a tenth of the throughput.
_MOST_BYTES: Final = 256 << 20


class Keeper:
    """Keeps one answer in one store."""

    def __init__(self, answer: Answer, store: Store, clock: Callable[[], float] = time.monotonic) -> None:
        self._answer = answer
        self._store = store
        self._clock = clock
        #: Changes that were tried and have to be tried again before any others.
        self._failed = Changes()
        self._since: float | None = None
        self._retry_at = 0.0
        self._compacts = True
        #: Why nothing can be stored now, as a sentence; None if it can.
        self.stuck: str | None = None

    def fill(self) -> None:
        """Bring back the values of before.

        Raises:
            StoreError: they cannot be read.
            ReduceFault: the user's ``load`` failed.
            RemoteProtocolError: the reducer does not know them.
        """
        self._answer.refill(self._store.pieces())

    def wait_s(self) -> float | None:
        """Seconds until it wants to be called again though nothing has arrived; None for never."""
        self._look()
        if self.stuck:
            return max(0.0, self._retry_at - self._clock())
        if self._since is not None:
            return max(0.0, self._since + COMMIT_S - self._clock())
        return IDLE_S if self._worth() else None

    @property
    def due(self) -> bool:
        """A commit is due."""
        self._look()
        if self.stuck:
            return self._clock() >= self._retry_at
        if self._since is None:
            return False
        return self._clock() >= self._since + COMMIT_S or self._answer.unsaved_bytes >= COMMIT_BYTES

    @property
    def clean(self) -> bool:
        """All that was applied is stored."""
        return not self._failed and not self._answer.unsaved

    def commit(self) -> bool:
        """Store what has been applied so far; False if it cannot be written now (`stuck` says why).

        Raises:
            StoreError: it never will be.
        """
        try:
            # One after the other: what failed may be on the disk all the same, and only as it was can that be seen.
            if self._failed:
                self._store.commit(self._failed)
                self._failed = Changes()
            if self._answer.unsaved:
                self._failed = self._answer.changes()
                self._store.commit(self._failed, {"seq": self._answer.seq})
                self._failed = Changes()
        except Unwritable as exc:
            self.stuck = str(exc)
            self._retry_at = self._clock() + RETRY_S
            return False
        self.stuck = None
        self._since = None
        return True

    def tidy(self, *, idle: bool) -> None:
        """Say anew what the store holds, if that is worth while now.

        Raises:
            StoreError: it never will be possible.
        """
        if self.stuck or not (self._worth() if idle else self._needed()) or not self.commit():
            return
        try:
            self._store.compact(self._answer.whole())
        except (Unwritable, ReduceFault):
            # Two of everything did not fit, or a value of the user's cannot be said: what is there is whole, only long.
            self._compacts = False

    def _look(self) -> None:
        if self._since is None and self._answer.unsaved:
            self._since = self._clock()

    def _worth(self) -> bool:
        return self._compacts and self._store.log_bytes > self._store.base_bytes + _WORTH_BYTES

    def _needed(self) -> bool:
        return self._compacts and self._store.log_bytes > 3 * self._store.base_bytes + _MOST_BYTES
