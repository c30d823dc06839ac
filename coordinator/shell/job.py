"""One job of level `shell`: filter, then map, then an end, as a runner's supervisor and child say it together.

Knows the order of things, credit, the rate of output, deadlines. Does not know sh.

Nothing is sent ahead of credit: while a frame waits for it, or the rate is exceeded, the script's output is not read,
its pipe fills, and it waits. So what a job holds here is what one read made, and the groups of its combiner.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, Final

from backplane.wire.errors import ReachError
from coordinator.reach.base import Place
from coordinator.shell import text, wanted
from coordinator.shell.outgoing import Outgoing
from coordinator.shell.remote import Remote, tokens
from coordinator.shell.text import Task
from coordinator.shell.values import Values
from provider.runner import frames
from provider.runner.bucket import Bucket
from provider.runner.faults import Failure, Fault
from provider.runner.notes import Notes
from provider.runner.orders import Order
from provider.runner.script import Script

#: From being asked to drain to SIGTERM.
_ASKED_S: Final = 1.0
_TICK_S: Final = 1.0
#: What a script prints is made values here, in the loop that serves everybody: it may take a quarter of a core, and
#: short lines cost what long ones do.
_PARSED_BPS: Final = 4_000_000
_LINE_COSTS: Final = 64
#: SIGTERM, as a shell says it of a script.
_TERMINATED: Final = 143


class Job:
    """See the module.

    Args:
        why: why there is no runner, for what needs one.
        up: takes bodies, in order.
    """

    def __init__(self, number: int, order: Order, place: Place, why: str, up: Callable[[bytes], None]) -> None:
        self.number = number
        self.epoch = order.epoch
        self._order = order
        self._place = place
        self._why = why
        self._loop = asyncio.get_running_loop()
        self._out = Outgoing(number, order.epoch, order.granted, up, self._flow)
        self._notes = Notes(self._loop.time())
        bps = min(order.limits.output_bps, _PARSED_BPS)
        self._rate = Bucket(bps, bps / 8.0, self._loop.time())
        self._remote: Remote | None = None
        self._values: Values | None = None
        self._tick_s = _TICK_S
        self._bytes = 0
        self._paused = False
        self._drained = False
        self._timers: list[asyncio.TimerHandle] = []
        #: An end that is not its own: nothing more is waited for.
        self._forced: asyncio.Future[tuple[str, str | None]] = self._loop.create_future()

    # --- what home says

    def credit(self, granted: int) -> None:
        """Bytes in all that may have been sent since the start."""
        self._out.grant(granted)

    def beat(self, now: float) -> dict[str, Any]:
        """Home lives: let the script's shell know; the counters so far."""
        if self._remote:
            self._remote.say("b")
        return dict(self._counters(), now=now)

    def drain(self) -> None:
        """Ask for a last cut and an end."""
        if self._drained or self._forced.done():
            return
        self._drained = True
        if self._values is None:
            self._force("done", None)
            return
        self._ask("q")
        self._later(_ASKED_S, self._ask, "t")
        self._later(frames.DRAIN_S, self._give_up)

    def abort(self) -> None:
        """End it at once; what has not gone home stays here."""
        self._force("killed", "cancelled")
        self._out.discard()

    def _ask(self, word: str) -> None:
        if self._remote:
            self._remote.say(word)

    def _give_up(self) -> None:
        self._force("killed", f"did not drain within {frames.DRAIN_S:g} s")
        self._out.discard()

    def _force(self, state: str, reason: str | None) -> None:
        if not self._forced.done():
            self._forced.set_result((state, reason))

    # --- from begin to end

    async def run(self) -> None:
        """Filter, map, end. Raises nothing but cancellation."""
        self._tick()
        state: str
        reason: str | None
        try:
            try:
                state, reason = await self._stages()
            except Failure as exc:
                state, reason = self._failed(exc.fault)
            except ReachError as exc:
                refused = exc.state == "refused"
                state, reason = self._failed(Fault("lost", str(exc), state="refused" if refused else "failed"))
            self._note(self._notes.rest(self._loop.time()), last=True)
            await self._out.emptied()
            if self._forced.done():
                state, reason = self._forced.result()
            self._end(state, reason)
        finally:
            for timer in self._timers:
                timer.cancel()

    async def _stages(self) -> tuple[str, str | None]:
        script = wanted.parse(self._order, self._why)
        keep = self._order.kept or script.filter is None or await self._filter(script)
        if self._forced.done():
            return self._forced.result()
        self._out.send(frames.VERDICT, {"keep": keep, "reason": None})
        if not keep:
            return "filtered_out", None
        if script.map is None:
            return "done", None
        await self._map(script)
        return "done", None

    async def _filter(self, script: Script) -> bool:
        name = f"{script.file}/filter"
        seconds = self._order.filter_s
        try:
            async with asyncio.timeout(seconds):
                status, last = await self._runs(wanted.task(script, "filter", self._order), name, self._printed)
        except TimeoutError:
            raise Failure(Fault("deadline", f"the filter did not answer within {seconds or 0:g} s")) from None
        if status not in (0, 1):
            raise Failure(wanted.ended(name, status, last))
        return status == 0

    async def _map(self, script: Script) -> None:
        name = f"{script.file}/map"
        task = wanted.task(script, "map", self._order)
        values = self._values = Values(script, self.epoch, self._out)
        self._tick_s = min(_TICK_S, script.every_s)
        try:
            status, last = await self._runs(task, name, self._emitted)
        finally:
            # What it printed before it failed stays.
            if not self._forced.done():
                values.end()
        if status and not (self._drained and status == _TERMINATED):
            raise Failure(wanted.ended(name, status, last))

    async def _runs(self, task: Task, name: str, out: Callable[[bytes], None]) -> tuple[int, str]:
        """Run a script; its exit status and the last line that it said. Once an end was forced, 0."""
        both = tokens()
        remote = self._remote = Remote(both, out, self._printed)
        try:
            payload = text.runs(task, both)
        except ValueError as exc:
            raise Failure(Fault("usage", f"{name}: {exc}")) from None
        try:
            await remote.start(self._place, payload)
            if self._drained:
                self._ask("q")
            over = asyncio.ensure_future(remote.over())
            await asyncio.wait((over, self._forced), return_when=asyncio.FIRST_COMPLETED)
            if self._forced.done():
                over.cancel()
                return 0, ""
            how = over.result()
        finally:
            self._remote = None
            await remote.close()
        last = remote.said.last_line()
        self._bytes += int(remote.said.told.get("bytes", "0"))
        return wanted.status(name, remote.said.told, how, last), last

    # --- what it says

    def _emitted(self, data: bytes) -> None:
        assert self._values is not None
        self._rate.spend(len(data) + _LINE_COSTS * data.count(b"\n"))
        self._values.add(data)
        self._flow()

    def _printed(self, data: bytes) -> None:
        self._note(self._notes.add(data, self._loop.time()))

    def _note(self, data: bytes, *, last: bool = False) -> None:
        lost, self._notes.dropped = self._notes.dropped, 0
        self._out.note(data, lost)
        if last and self._out.dropped:
            self._out.send(frames.NOTE, {"stream": "print", "dropped": self._out.dropped})

    def _flow(self) -> None:
        """Take no output while there is no credit for more, or too much came at once."""
        if self._remote is None:
            return
        wait_s = self._rate.wait_s(self._loop.time())
        held = self._out.held or wait_s > 0
        if held and not self._paused:
            self._remote.pause()
        elif self._paused and not held:
            self._remote.resume()
        self._paused = held
        if wait_s > 0 and not self._out.held:
            self._later(wait_s, self._flow)

    def _tick(self) -> None:
        self._timers = [timer for timer in self._timers if timer.when() > self._loop.time()]
        self._later(self._tick_s, self._tick)
        self._note(self._notes.rest(self._loop.time()))
        if self._values is not None and self._remote is not None and not self._out.held:
            try:
                self._values.tick()
            except Failure as exc:
                self._remote.fail(exc)

    def _later(self, seconds: float, call: Callable[..., None], *args: Any) -> None:
        self._timers.append(self._loop.call_later(seconds, call, *args))

    # --- the end

    def _failed(self, fault: Fault) -> tuple[str, str]:
        header = {"code": fault.code, "text": fault.text, "file": fault.file, "line": fault.line}
        self._out.send(frames.FAULT, header)
        return fault.state, fault.reason

    def _end(self, state: str, reason: str | None) -> None:
        header = {
            "seq": self._values.seq if self._values else 0,
            "state": state,
            "reason": reason,
            "drained": self._drained and state == "done",
            "counters": self._counters(),
        }
        self._out.send(frames.END, header)

    def _counters(self) -> dict[str, Any]:
        """Of lines nothing is known: they do not come past here."""
        return {
            "lines": 0,
            "bytes": self._bytes,
            "matched": 0,
            "emitted": self._values.emitted if self._values else 0,
            "dropped": {},
            "parse_errors": 0,
            "watermark": None,
            "lag_s": None,
        }
