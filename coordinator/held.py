"""STARTs that wait for the verdict of another query's filter: the bodies, the clock, and what a runner would have said.

Knows jobs and the header fields of START that a verdict depends on. Decides nothing: which job waits, proceeds or is
refused comes from `coordinator.verdicts`. Opens no payload; a runner is told that a filter need not run by ``kept`` in
the header.

A verdict is asked for by (the client's key, provider and login, the client's hash of the filter and all that the filter
may see). The hash is the client's word and so is worth something to that client alone.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from backplane.wire import codec, limits
from backplane.wire.messages import End, Verdict
from coordinator import verdicts
from coordinator.links import Key as LinkKey
from provider.runner import frames

if TYPE_CHECKING:
    from coordinator.relay import Job

#: Bytes of STARTs, credits and feeds that may wait in all. Over it a job runs its filter itself.
HELD_BYTES: Final = 64 << 20
#: Longer than any hash; a filter of that name is not kept.
_HASH_CHARS: Final = 128


class Key(NamedTuple):
    """All that a verdict depends on. ``user`` is a client's public key, None the coordinator's own user."""

    user: str | None
    link: LinkKey
    filter: str


class Held:
    """The driver of `verdicts.Verdicts` for the relay.

    Args:
        refused: called for a job that is not to be started; what its runner would have said is on its way by then.
    """

    def __init__(self, refused: Callable[[Job, str, str | None, bool], None]) -> None:
        self.verdicts = verdicts.Verdicts()
        self._refused = refused
        self._jobs: dict[int, Job] = {}
        self._bytes = 0
        self._timer: asyncio.TimerHandle | None = None

    def ask(self, job: Job, header: dict[str, Any]) -> None:
        """The first body of a START has come: from now on the job is held, or passes, or is refused."""
        hashed, filter_s, epoch = header.get("filter"), header.get("filter_s"), header.get("epoch")
        # Without `kept` in its header a full body would have no room for it.
        if type(hashed) is not str or not 0 < len(hashed) <= _HASH_CHARS or header.get("kept") is not False:
            return
        wait_s = filter_s if isinstance(filter_s, (int, float)) else limits.FILTER_S
        key = Key(job.client.key, job.link.key, hashed)
        job.waiting, job.epoch = [], epoch if isinstance(epoch, int) else 0
        self._jobs[job.number] = job
        fresh_s = header.get("fresh_s")
        most_s = float(fresh_s) if isinstance(fresh_s, (int, float)) else math.inf
        self._tell(verdicts.Asked(_now(), job.number, key, _now() + wait_s, most_s))
        if job.waiting is not None:
            job.owner.job_noted(job, "waits for the filter of another query")

    def write(self, job: Job, kind: int, body: bytes) -> None:
        """Send a body down to a job, now or when it is held no more."""
        if job.waiting is None:
            job.link.write(_marked(body) if job.kept and kind == frames.START else body)
            return
        job.waiting.append(body)
        self._bytes += len(body)
        if self._bytes > HELD_BYTES:
            self._tell(verdicts.GiveUp(_now(), job.number))

    def decided(self, job: Job, keep: bool) -> None:
        """A filter that ran has answered."""
        if job.number in self._jobs:
            self._tell(verdicts.Decided(_now(), job.number, keep))

    def over(self, job: Job) -> None:
        """A job is over, whatever it was doing."""
        if self._jobs.pop(job.number, None):
            self._release(job)
            self._tell(verdicts.Over(_now(), job.number))

    def cancel(self, job: Job, mode: str) -> bool:
        """End a job that its runner has not heard of yet. False if it has."""
        if job.waiting is None:
            return False
        if mode == "drain":
            self._end(job, "done", None, drained=True)
        else:
            self._end(job, "killed", "cancelled")
        return True

    def statistics(self) -> dict[str, int]:
        """Counts, for `statistics` of the coordinator."""
        return self.verdicts.statistics() | {"held_bytes": self._bytes}

    def _tell(self, event: verdicts.Event) -> None:
        for instruction in self.verdicts.handle(event):
            match instruction:
                case verdicts.Proceed(number, kept):
                    self._proceed(number, kept)
                case verdicts.Refuse(number):
                    self._refuse(number)
                case verdicts.WakeAt(at):
                    if self._timer:
                        self._timer.cancel()
                    self._timer = asyncio.get_running_loop().call_at(at, self._woken)

    def _woken(self) -> None:
        self._tell(verdicts.TimePassed(_now()))

    def _proceed(self, number: int, kept: bool) -> None:
        if job := self._jobs.get(number):
            job.kept = kept
            if kept:
                del self._jobs[number]
                job.owner.job_noted(job, "filter said yes before")
            for body in self._release(job):
                self.write(job, body[0], body)

    def _refuse(self, number: int) -> None:
        if job := self._jobs.get(number):
            job.owner.job_noted(job, "filter said no before")
            job.client.put(codec.encode_one(Verdict(job=number, epoch=job.epoch, keep=False)))
            job.owner.job_decided(job, False)
            self._end(job, "filtered_out", None)

    def _end(self, job: Job, state: str, reason: str | None, *, drained: bool = False) -> None:
        """As a runner ends a job that has read nothing."""
        end = End(
            job=job.number,
            epoch=job.epoch,
            seq=0,
            state=state,
            reason=reason,
            drained=drained,
            counters=dict.fromkeys(("lines", "bytes", "matched", "emitted", "parse_errors"), 0)
            | {"dropped": {}, "watermark": None, "lag_s": None},
        )
        job.client.put(codec.encode_one(end))
        self._refused(job, state, reason, drained)

    def _release(self, job: Job) -> list[bytes]:
        bodies, job.waiting = job.waiting or [], None
        self._bytes -= sum(map(len, bodies))
        return bodies


def _now() -> float:
    return asyncio.get_running_loop().time()


def _marked(body: bytes) -> bytes:
    """A START whose filter is not run. No longer than it was: it said that its filter is."""
    kind, job, header, payload = frames.decode(body)
    return frames.encode(kind, job, header | {"kept": True}, payload)
