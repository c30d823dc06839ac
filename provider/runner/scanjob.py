"""A plan job in the scan child: what it was asked for, where it is, its cuts and its end.

Knows the payload of a START of body ``plan``, and frames. Does not know files or who else reads them. It travels with
plans: standard library only, Python 3.6.

A cut of a job holds what its fold has taken since the one before, and the positions up to which that is all. So it is
made between two blocks, after the reader has said where it is.
"""

import os
import time
import zlib
from typing import Any, Dict, Iterator, List, NamedTuple, Optional

from provider.runner import faults, frames
from provider.runner.aggregates import AggregateError
from provider.runner.cuts import BadValue, Cuts, Moves
from provider.runner.faults import Failure, Fault
from provider.runner.outlet import Outlet
from provider.runner.pack import PackError, packb, unpackb
from provider.runner.plan import Plan, PlanError
from provider.runner.scanfold import Fold
from provider.runner.scanjobs import learn
from provider.runner.sources import Scope, Told

#: Bytes of cuts that may wait for a job's pipe; then it stops reading. What is folded meanwhile is bounded by its fold.
MOST_PENDING = 32 << 20
#: More processes than that are of no use to anybody.
MOST_PARALLEL = 64
_BEAT_S = 1.0
_LONG_S = 60.0
#: Sources that are no files.
SPECIAL = ("tick:", "cmd:", "journald:")


class Wanted(NamedTuple):
    """What home asks for (docs/reference/frames.md, "start")."""

    plan: Plan
    #: The plan as it came.
    data: bytes
    #: The first line of each file, where that names the columns.
    header: bytes
    sources: List[str]
    follow: bool
    every_s: float
    name: str
    positions: Dict[str, bytes]
    scope: Scope
    #: Processes that may read a file at a time.
    parallel: int


def parse(payload: bytes) -> Wanted:
    """What a START's payload asks for.

    Raises:
        Failure: it is no plan, or not one that can be done here.
    """
    try:
        fields = unpackb(payload)
        learn(fields)
        plan = Plan.of(fields["plan"])
        sources = [str(source) for source in fields.get("sources") or plan.paths]
        header = b""
        _readable(sources, plan.format.header)
        if plan.format.header:
            from provider.runner.headers import header_of

            header, names = header_of(sources, plan.format.data)
            plan = Plan.of(fields["plan"], names)
        since, until = fields.get("since"), fields.get("until")
        wanted = Wanted(
            plan=plan,
            data=packb([plan.data(), header]),
            header=header,
            sources=sources,
            follow=bool(fields.get("follow")),
            every_s=max(0.05, float(fields.get("every_s", 1.0))),
            name=str((fields.get("provider") or {}).get("name", "")),
            positions={str(source): bytes(at) for source, at in fields.get("positions") or []},
            scope=Scope(
                None if since is None else float(since),
                None if until is None else float(until),
                bool(fields.get("rotated")),
                bool(fields.get("resumed")),
            ),
            parallel=min(MOST_PARALLEL, int(fields.get("parallel") or 1)),
        )
    except PlanError as exc:
        raise Failure(Fault("usage", str(exc)))
    except (KeyError, TypeError, ValueError, AttributeError, zlib.error) as exc:
        raise Failure(Fault("protocol", "the plan did not arrive as one: %s" % faults.sentence(exc)))
    if fields.get("filter") is not None:
        raise Failure(Fault("usage", "a plan has no filter script", state="refused"))
    return wanted


def _readable(sources: List[str], header: bool) -> None:
    if not sources:
        raise Failure(Fault("usage", "a plan reads logs, and there is no source"))
    special = [source for source in sources if source == "-" or source.startswith(SPECIAL)]
    if not special:
        return
    source = special[0]
    if len(sources) > 1:
        raise Failure(Fault("usage", "%s stands alone as a source" % source))
    if source.startswith("tick:"):
        raise Failure(Fault("usage", "%s has no records that a plan could read" % source, state="refused"))
    if header:
        text = "the columns are named by the first line of a file, and %s is none: use a format with `columns`" % source
        raise Failure(Fault("usage", text, state="refused"))


class _Prepared:
    """Payloads of groups, in the place of a `Combiner`."""

    def __init__(self) -> None:
        self.held: "List[bytes]" = []

    @property
    def groups(self) -> int:
        return len(self.held)

    def payloads(self, _most_bytes: int) -> "Iterator[bytes]":
        held, self.held = self.held, []
        return iter(held)


class _Opened:
    """A source as `Told` wants it."""

    __slots__ = ("source", "told")

    def __init__(self, source: str, told: bytes) -> None:
        self.source = source
        self.told = told


class ScanJob:
    """See the module.

    Raises:
        Failure: the plan cannot be done here.
    """

    def __init__(self, number: int, epoch: int, fd: int, wanted: Wanted, fed: int = -1) -> None:
        self.number = number
        self.wanted = wanted
        self.outlet = Outlet(fd, epoch)
        #: Where what home feeds comes out, -1 for nothing.
        self.fed = fed
        #: Who reads for it (`reading.Reader`); None while it is away.
        self.reader: Any = None
        #: Its sources have been opened once.
        self.begun_before = False
        #: Where home knows each source to be, once it has what was cut; and where it is now.
        self.at: Dict[str, bytes] = dict(wanted.positions)
        self.moved: Dict[str, bytes] = {}
        self.bytes = 0
        self.dropped: Dict[str, int] = {}
        #: What its fold had dropped before it came.
        self._dropped_before: Dict[str, int] = {}
        self.over = False
        self._opened: "set[str]" = set()
        self._epoch = epoch
        self._told = Told(self.outlet)
        self._prepared = _Prepared()
        try:
            self.fold = self._new_fold()
        except AggregateError as exc:
            raise Failure(Fault("usage", str(exc)))
        combiner: Any = self._prepared if wanted.plan.aggregates else None
        self._cuts = Cuts(self.outlet, combiner, self._moves, wanted.every_s)
        self._cuts.counters = self.counters
        #: When a beat is due, what had been read at the last one, and what was said then.
        self._beat_at, self._beat_bytes = 0.0, 0
        self._beaten: Dict[str, Any] = {}
        #: When its last cut was made, and how many bytes it had read then.
        self._cut_at, self._cut_bytes = now(), 0
        self._sampled = 0
        #: Of folds that it has had: lines, matched and odd ones; of this one, how many there were before it came.
        self._before = (0, 0, 0)
        self._mark = (0, 0, 0)

    def _new_fold(self) -> Fold:
        made = Fold  # type: Any
        if any(self.wanted.plan.context):
            from provider.runner.context import ContextFold as made
        fold: Fold = made(self.wanted.plan, self.wanted.data, self.wanted.name, self._epoch)
        fold.jobs.append(self)
        return fold

    # --- what it is told of sources

    def opened(self, source: str, position: bytes, reason: str) -> None:
        """A source's first position; of one that it knows only if that is another."""
        if source not in self._opened or reason == "generation":
            self._opened.add(source)
            self._told.opened(_Opened(source, position), reason)
            self.at[source] = position

    def begun(self) -> None:
        """All sources that there are have been opened."""
        self.begun_before = True
        self._told.begun()

    def gap(self, source: str, reason: str, lines: Optional[int], size: Optional[int]) -> None:
        """Something of a source cannot be read."""
        self._told.gap(source, reason, lines, size)

    # --- its fold

    def share(self, fold: Fold) -> None:
        """Gives up its own fold, which is empty, for another that is."""
        self._leave_fold()
        self.fold = fold
        fold.jobs.append(self)
        fold.anew()
        self._mark = _seen(fold)
        self._dropped_before = fold.dropped()

    def unshare(self) -> None:
        """Has a fold of its own from here on."""
        if len(self.fold.jobs) > 1:
            self.cut()
            self._leave_fold()
            self.fold = self._new_fold()
            self._mark = (0, 0, 0)
            self._dropped_before = {}

    def _leave_fold(self) -> None:
        self._before = self._so_far()
        self.dropped = self._dropped()
        self.fold.jobs.remove(self)
        self._sampled = 0

    def _so_far(self) -> "tuple[int, int, int]":
        counts = [before + now - mark for before, now, mark in zip(self._before, _seen(self.fold), self._mark)]
        return counts[0], counts[1], counts[2]

    def _dropped(self) -> Dict[str, int]:
        from provider.runner.reading import added

        return added(added(self.dropped, self.fold.dropped()), self._dropped_before, -1)

    # --- cuts

    def cut(self) -> None:
        """Cuts it and all that share its fold. If something cannot travel there is no cut, and the fold is broken."""
        if self.fold.broken:
            return
        if self.reader is not None:
            self.reader.collect()
        try:
            payloads, marks = self.fold.taken(), self.fold.marks()
            for job in self.fold.jobs:
                job._close(payloads, marks)
        except (PackError, AggregateError, BadValue) as exc:
            self.fold.broken = str(exc)

    def _close(self, payloads: "List[bytes]", marks: "List[List[Any]]") -> None:
        self._prepared.held = list(payloads)
        self._cuts.marks = lambda: marks
        if not self.wanted.plan.aggregates:
            self._cuts.batch.extend(self.fold.rows())
        self._cuts.cut()
        self._cut_at, self._cut_bytes = now(), self.bytes
        self._sample()

    def _moves(self) -> Moves:
        moves = [(source, self.at[source], to) for source, to in self.moved.items() if self.at[source] != to]
        self.at.update(self.moved)
        self.moved.clear()
        return moves

    def _sample(self) -> None:
        """Shows the first lines that did not parse."""
        samples = self.fold.scan.seen.samples[self._sampled :]
        if samples:
            self._sampled += len(samples)
            text = b"\n".join(samples) + b"\n"
            self.outlet.send(frames.NOTE, {"stream": "sample", "dropped": 0}, text)

    @property
    def blocked(self) -> bool:
        """It holds as much as it may, and nobody takes it: it must not read on."""
        return self.outlet.pending > MOST_PENDING or (self.outlet.pending > 0 and self.fold.full)

    def due(self) -> bool:
        """It is time for a cut. One that waits for its pipe goes on folding instead."""
        if self.outlet.pending and len(self.fold.jobs) == 1:
            return False
        return bool(self.fold.broken) or self.fold.full or self._cuts.late()

    def wait_s(self) -> float:
        """How long until it has to be looked after: a cut of what it has is due, or a beat."""
        if self.over or self.outlet.pending:
            return _LONG_S
        wait_s = self._beat_at - now() if self.bytes != self._beat_bytes else _LONG_S
        if self.bytes != self._cut_bytes or self.fold.scan.windows is not None:
            wait_s = min(wait_s, self._cut_at + self.wanted.every_s - now())
        return max(0.0, wait_s)

    def beat(self, now: float) -> None:
        """Says its counters, once in a second, if they are others: the supervisor repeats them."""
        if now >= self._beat_at:
            self._beat_at, self._beat_bytes = now + _BEAT_S * 0.9, self.bytes
            counters = self.counters()
            if counters != self._beaten and not self.outlet.pending:
                self._beaten = counters
                self.outlet.offer(frames.BEAT, counters)

    # --- the end

    def counters(self) -> Dict[str, Any]:
        """Those of a beat."""
        lines, matched, odd = self._so_far()
        windows = self.fold.scan.windows
        dropped, lag_s = self._dropped(), None
        if self.reader is not None:
            from provider.runner.reading import added

            dropped, lag_s = added(dropped, self.reader.source.dropped()), self.reader.source.lag_s()
        return {
            "lines": lines,
            "bytes": self.bytes,
            "matched": matched,
            "emitted": matched,
            "dropped": {reason: count for reason, count in dropped.items() if count},
            "parse_errors": odd,
            "watermark": windows.watermark if windows is not None else None,
            "lag_s": lag_s,
        }

    def done(self) -> None:
        """Ends it well: the last cut, and the end."""
        self.cut()
        if self.fold.broken:
            self.fail(Fault("unserialisable", self.fold.broken))
            return
        self.over = True
        header = {"seq": self._cuts.seq, "state": "done", "reason": None, "counters": self.counters()}
        self.outlet.send(frames.END, header)

    def fail(self, fault: Fault) -> None:
        """Ends it for a reason. What was not cut is lost."""
        self.over = True
        tell(self.outlet, fault, self._cuts.seq, self.counters())

    def close(self) -> None:
        """Gives its descriptors back."""
        self.outlet.close()
        if self.fed >= 0:
            os.close(self.fed)


def _seen(fold: Fold) -> "tuple[int, int, int]":
    seen = fold.scan.seen
    return seen.lines, seen.matched, seen.odd


def tell(outlet: Outlet, fault: Fault, seq: int, counters: Dict[str, Any]) -> None:
    """Says how a job failed, and that this was its end."""
    header = {"code": fault.code, "text": fault.text, "file": fault.file, "line": fault.line}
    outlet.send(frames.FAULT, header, fault.traceback.encode("utf-8", "surrogateescape"))
    outlet.send(frames.END, {"seq": seq, "state": fault.state, "reason": fault.reason, "counters": counters})


def now() -> float:
    """The clock of beats and cuts."""
    return time.monotonic()
