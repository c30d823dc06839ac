"""A named query while its process runs it: shown to those who attach, and told apart, at its end, from one that ended.

Knows a run, a store and a socket. Does not know terminals or command lines.

A query that was stopped (Ctrl-C, a signal at shutdown) has not ended: it goes on when it is asked again. It has ended
when all that it asked have, when its time is up, or when somebody cancels it.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable
from typing import Any, Final

from backplane.client.named.hub import Hub, listening, serving
from backplane.client.named.process import trim
from backplane.client.run import Run
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory
from backplane.client.store.faults import StoreError
from backplane.client.store.lock import Owner, tell
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import LogReduceError

#: A log grows slowly; a flood of prints is cut before it comes here.
_TRIM_S: Final = 30.0


class Running:
    """See the module.

    Args:
        directory: of the query, which this process has locked.
        store: opened.
        about: said of it to those who ask: `title`, `streams`, `began`, `endless`.
        ready: called when it is being asked and can be attached to.
    """

    def __init__(
        self, directory: Directory, store: Store, about: dict[str, Any], ready: Callable[[], None] = lambda: None
    ) -> None:
        self.store = store
        self._directory = directory
        self._about = about
        self._ready = ready
        self._hub: Hub | None = None
        self._stopped = False
        self._last: Snapshot | None = None

    @contextlib.asynccontextmanager
    async def shown(self, run: Run) -> AsyncIterator[None]:
        """While entered, others may attach to the run."""
        about = {**self._about, "query_id": run.query_id, "pid": os.getpid()}
        hub = self._hub = Hub(run, lambda: about)
        socket = await asyncio.to_thread(listening, self._directory.path)
        failure: LogReduceError | None = None
        try:
            who = Owner(os.getpid(), socket.path, time.time())
            await asyncio.to_thread(tell, self._directory, who)
            async with serving(hub, socket.listener), self._trimmed():
                self._ready()
                try:
                    yield
                except LogReduceError as exc:  # a task group would hand it on inside an ExceptionGroup
                    hub.failed(exc)
                    failure = exc
        finally:
            await asyncio.to_thread(socket.close)
        if failure:
            raise failure

    def stopping(self, run: Run) -> Callable[[], None]:
        """What a first interrupt does: the query is stopped, and has not ended."""

        def stop() -> None:
            self._stopped = True
            run.drain()

        return stop

    @property
    def name(self) -> str:
        """Its name."""
        return self._directory.name

    @property
    def stopped(self) -> bool:
        """It was interrupted: it can go on where it was."""
        return self._stopped

    async def saw(self, snapshot: Snapshot) -> None:
        """The run's own snapshots pass by here."""
        if snapshot.final and self._hub is not None:
            self._last = snapshot
            await self._hub.over(snapshot)

    async def over(self, run: Run) -> None:
        """The run has been released: note whether it has ended.

        Raises:
            StoreError: what was shown last is not stored. It has not ended then: asked again, it finds the rest again.
        """
        unkept = run.reducing.unkept
        if unkept is not None:
            name = self._directory.name
            raise StoreError(f"{unkept}; {name} is kept as it was before: ask it again, and it goes on from there")
        if self._last is not None and not self._stopped:
            facts = {"ended": self._last.at, "query_id": self._last.query_id, "seq": self._last.seq}
            await asyncio.to_thread(self.store.note, facts)

    @contextlib.asynccontextmanager
    async def _trimmed(self) -> AsyncIterator[None]:
        async with asyncio.TaskGroup() as tasks:
            task = tasks.create_task(self._trim())
            try:
                yield
            finally:
                task.cancel()

    async def _trim(self) -> None:
        while True:
            await asyncio.to_thread(trim, self._directory)
            await asyncio.sleep(_TRIM_S)
