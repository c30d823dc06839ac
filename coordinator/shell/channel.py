"""A link of level `shell`: what a runner would be at the other end of one, played here over shells there.

Knows frames of a link, and which job is whose. Does not know sh, or what a job does.

Theory of operation
-------------------
It is a `Channel`: what the link writes are frames, and what it hears are a runner's preamble, hello and frames. Behind
it stand several streams of one connection: the *keeper*, a shell that says each line that it is told again, and one
shell for each script that runs. The keeper's echo is what the link's life is known by: no beat goes up that was not
answered by the host.

A start of a kind that no version knows is refused when the keeper has answered, so that the time of it is the link's
as it is with a runner (`coordinator.checking` measures it).
"""

from __future__ import annotations

import asyncio
import time
from typing import Final

from coordinator.reach.base import Exit, Place, Receiver, Stream, Tail
from coordinator.shell import text
from coordinator.shell.job import Job
from coordinator.shell.remote import tokens
from provider.runner import frames
from provider.runner.orders import Order, OrderError, parse

#: Ended jobs that are remembered, so that a START that was sent twice does not run twice.
_REMEMBERED: Final = 4096
#: A line of the keeper's: what we said, or its greeting.
_LINE_BYTES: Final = 4096


class ShellChannel:
    """See the module.

    Args:
        place: where shells are started.
        receiver: the link.
        tasks: the parent of jobs.
        why: a clause that says why there is no runner.
    """

    level = "shell"

    def __init__(self, place: Place, receiver: Receiver, tasks: asyncio.TaskGroup, why: str) -> None:
        self.stderr = Tail()
        self._place = place
        self._receiver = receiver
        self._tasks = tasks
        self._why = why
        self._tokens = tokens()
        self._splitter = frames.Splitter()
        self._joiners: dict[int, frames.Joiner] = {}
        self._epochs: dict[int, int] = {}
        self._jobs: dict[int, Job] = {}
        self._running: dict[int, asyncio.Task[None]] = {}
        self._keeper: Stream | None = None
        self._partial = b""
        #: What the keeper is to say again before it is refused: (job, epoch, reason).
        self._refused: dict[int, tuple[int, str]] = {}
        #: Its token has been read; and what stands in the line after it.
        self._about_to_greet = False
        self._greeted = False
        self._closing = False

    async def begin(self) -> None:
        """Start the keeper; its hello comes through the receiver.

        Raises:
            ReachError: there is no shell to be had.
        """
        payload = text.keeper(self._tokens)
        self._keeper = await self._place.run(text.argv(payload), _Kept(self), self.stderr)
        self._keeper.write(payload)

    # The link's channel.

    @property
    def backlog(self) -> int:
        """Bytes written and not yet taken."""
        return self._keeper.backlog if self._keeper else 0

    def write(self, data: bytes) -> None:
        """Frames for the runner that this stands for."""
        for body in self._splitter.feed(data):
            self._hear(frames.decode(body))

    def close(self) -> None:
        """End every shell."""
        if not self._closing:
            self._closing = True
            for task in self._running.values():
                task.cancel()
        if self._keeper:
            self._keeper.close()
        self._place.close()

    async def wait_closed(self) -> None:
        """Wait until nothing of it is left on this machine."""
        if self._running:
            await asyncio.wait(self._running.values())
        if self._keeper:
            await self._keeper.wait_closed()
        await self._place.wait_closed()

    # What home says.

    def _hear(self, frame: frames.Frame) -> None:
        number, header = frame.job, frame.header
        if frame.kind == frames.BEAT:
            self._keep("b")
        elif frame.kind == frames.START:
            joined = self._joiners.setdefault(number, frames.Joiner()).add(frame)
            if joined is not None:
                del self._joiners[number]
                self._start(joined)
        elif frame.kind == frames.CANCEL:
            for job in [job for job in self._jobs.values() if number in (0, job.number)]:
                job.abort() if header.get("mode") == "abort" else job.drain()
        elif frame.kind == frames.CREDIT and number in self._jobs and type(header.get("granted")) is int:
            self._jobs[number].credit(header["granted"])

    def _start(self, frame: frames.Frame) -> None:
        number, epoch = frame.job, frame.header.get("epoch")
        if type(epoch) is not int or epoch <= self._epochs.get(number, 0) or number in self._jobs or self._closing:
            return
        while len(self._epochs) >= _REMEMBERED:
            del self._epochs[next(iter(self._epochs))]
        self._epochs[number] = epoch
        try:
            order = parse(frame.header, frame.payload)
        except OrderError as exc:
            self._refused[number] = epoch, str(exc)
            self._keep(f"r{number}")
            return
        self._begin(number, order)

    def _begin(self, number: int, order: Order) -> None:
        job = self._jobs[number] = Job(number, order, self._place, self._why, self._up)
        task = self._running[number] = self._tasks.create_task(job.run())
        task.add_done_callback(lambda _: self._forget(number))

    def _forget(self, number: int) -> None:
        self._jobs.pop(number, None)
        self._running.pop(number, None)

    def _keep(self, line: str) -> None:
        if self._keeper and self._greeted:
            self._keeper.write(line.encode() + b"\n")

    # What the keeper says.

    def kept(self, data: bytes) -> None:
        """More of its stdout."""
        *lines, self._partial = (self._partial + data).split(b"\n")
        self._partial = self._partial[-_LINE_BYTES:]
        for line in lines:
            self._line(line)

    def _line(self, line: bytes) -> None:
        if not self._greeted:
            if self._tokens.token.encode() == line:
                self._about_to_greet = True
            elif self._about_to_greet:
                self._greet(line.decode("utf-8", "replace").split())
            return
        now = time.time()
        if line == b"b":
            self._up(frames.encode(frames.BEAT, 0, {"now": now}))
            for job in list(self._jobs.values()):
                self._up(frames.encode(frames.BEAT, job.number, job.beat(now)))
        elif line[:1] == b"r" and line[1:].isdigit() and (refused := self._refused.pop(int(line[1:]), None)):
            epoch, reason = refused
            header = {"epoch": epoch, "seq": 0, "state": "refused", "reason": reason, "drained": False, "counters": {}}
            self._up(frames.encode(frames.END, int(line[1:]), header))

    def _greet(self, words: list[str]) -> None:
        uid, pid, now, host = [*words, "", "", "", ""][:4]
        self._greeted = True
        header = {
            "version": frames.VERSION,
            "oldest": frames.VERSION,
            "role": "runner",
            "python": [],
            "pid": int(pid) if pid.isdecimal() else 0,
            "host": host,
            "uid": int(uid) if uid.isdecimal() else -1,
            "now": float(now) if now.isdecimal() else 0.0,
            "level": self.level,
        }
        self._receiver.data_received(frames.PREAMBLE + frames.framed(frames.encode(frames.HELLO, 0, header)))

    def _up(self, body: bytes) -> None:
        if not self._closing:
            self._receiver.data_received(frames.framed(body))

    def gone(self, how: Exit) -> None:
        """The keeper has ended, and with it the link."""
        self._receiver.channel_closed(how)


class _Kept:
    """The `Receiver` of the keeper."""

    def __init__(self, channel: ShellChannel) -> None:
        self._channel = channel

    def at_stage(self, stage: str) -> None:
        """The link's own stage is what counts."""

    def data_received(self, data: bytes) -> None:
        self._channel.kept(data)

    def channel_closed(self, how: Exit) -> None:
        self._channel.gone(how)
