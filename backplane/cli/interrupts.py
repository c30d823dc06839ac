"""Ctrl-C: the first drains, the second aborts. A reader of our output who has gone is an interrupt too.

Knows signals and the pipe on stdout. What draining means is its caller's.
"""

from __future__ import annotations

import asyncio
import select
import signal
from collections.abc import Callable
from types import TracebackType
from typing import TextIO

#: How often it is looked whether anyone still reads our output while we have nothing to write.
_LOOK_S = 1.0


class Interrupts:
    """While entered: SIGINT and SIGTERM drain once, then abort the task that entered.

    Args:
        drain: called at the first one.
        say: tells the user what happens.
        out: where data goes.

    Raises:
        KeyboardInterrupt: at the second one.
        BrokenPipeError: ``out`` is a pipe that nobody reads any more.
    """

    def __init__(self, drain: Callable[[], None], say: Callable[[str], None], out: TextIO) -> None:
        self._drain = drain
        self._say = say
        self._out = out
        self._count = 0
        self._unread = False

    def __enter__(self) -> None:
        self._loop = asyncio.get_running_loop()
        task = asyncio.current_task()
        assert task is not None, "entered in a task"
        self._task = task
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.add_signal_handler(number, self._interrupted)
        self._poll = select.poll()
        self._look = None
        if not self._out.isatty():
            self._poll.register(self._out.fileno(), 0)  # errors and hang-ups are reported without being asked for
            self._look = self._loop.call_later(_LOOK_S, self._looked)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            self._loop.remove_signal_handler(number)
        if self._look:
            self._look.cancel()
        if kind is asyncio.CancelledError and (self._unread or self._count > 1):
            self._task.uncancel()
            raise BrokenPipeError if self._unread else KeyboardInterrupt

    def _interrupted(self) -> None:
        self._count += 1
        if self._count == 1:
            self._say("draining: waiting for what the hosts have read so far; Ctrl-C again aborts")
            self._drain()
        elif self._count == 2:
            self._task.cancel()

    def _looked(self) -> None:
        if any(event & (select.POLLERR | select.POLLHUP) for _, event in self._poll.poll(0)):
            self._unread = True
            self._task.cancel()
        else:
            self._look = self._loop.call_later(_LOOK_S, self._looked)
