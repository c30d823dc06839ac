"""A reader of the scan child: one pass over some sources, for all jobs that are at the same place of them.

Knows sources, places and folds. Does not know frames. It travels with plans: standard library only, Python 3.6.

Theory of operation
-------------------
Every job begins with a reader of its own, which opens the sources where the job is to begin. A reader that is behind
another one of the same sources reads up to that one's place, exactly, and then its job joins it; nothing tells the two
apart from there on. A job may leave a reader at any block, with its positions, and come back with a new one.

Places are told by positions: a file and an offset in it for each source. What was opened at another size is at the same
place until the end of the smaller: there a job that came later goes on by itself. What is no file (fed by home, printed
by a command, the journal) has a reader for each job.
"""

import re
from typing import Any, Callable, Dict, List, Optional, Set, Tuple

from provider.runner import faults
from provider.runner.faults import Failure, Fault
from provider.runner.fed import Fed
from provider.runner.lines import RECORD_S, Block, Held, Source, whole
from provider.runner.positions import parse
from provider.runner.scanfold import Fold
from provider.runner.scanjob import SPECIAL, ScanJob, now
from provider.runner.sources import Scope, find

#: How long to wait for more where a change is told of, and something else may have to be done; and where it is not.
_NAP_S = 0.2
_BLIND_NAP_S = 0.05
_OVER = float("inf")
#: Blocks after a change of folds until these are read together: others may be about to come, and it takes a while.
_STEADY = 4

#: A file, and an offset in it.
Spot = Tuple[int, int, int]


def _no_items(_: bytes) -> List[Any]:
    return []


class Spread:
    """Tells of sources to all jobs of a reader (see `sources.Told`)."""

    def __init__(self, reader: "Reader") -> None:
        self._reader = reader

    def opened(self, log: Any, reason: str) -> None:
        """A source's first position."""
        if not log.told:
            log.told = log.position()
        self._reader.spots[log.source] = _spot(log.told)
        for job in self._reader.jobs:
            job.fold.known(log.source)
            job.opened(log.source, log.told, reason)

    def begun(self) -> None:
        """All sources that there are now have been opened."""
        for job in self._reader.jobs:
            job.begun()

    def gap(self, source: str, reason: str, lines: Optional[int] = None, size: Optional[int] = None) -> None:
        """Something of it cannot be read."""
        for job in self._reader.jobs:
            job.gap(source, reason, lines, size)


class Reader:
    """See the module.

    Raises:
        Failure: a source is missing or unreadable.
    """

    def __init__(self, job: ScanJob) -> None:
        self.jobs = [job]
        #: Those that joined: a file may have been larger when they began.
        self.late: "List[ScanJob]" = []
        self.spots: "Dict[str, Spot]" = {}
        #: There was nothing to read the last time.
        self.idle = False
        self.over = False
        wanted = job.wanted
        #: What has to be equal so that two readers may become one.
        self.what: Tuple[Any, ...] = (
            id(self) if _special(wanted.sources) else 0,
            tuple(wanted.sources),
            wanted.follow,
            wanted.scope._replace(resumed=False),
            _start_of(job),
            wanted.header,
            job.number if wanted.parallel > 1 else 0,
        )
        self._header = wanted.header
        #: Files whose first line has been seen to.
        self._headed: "Set[str]" = set()
        self._start = re.compile(b"(?m:^)(?:" + _start_of(job) + b")") if _start_of(job) else None
        #: The last record of each file, which may go on; by the file's name and who is told that it was taken.
        self._held: "Dict[Tuple[str, Any], Held]" = {}
        #: Folds that have failed in this step, and why.
        self._failing: "List[Tuple[Fold, Exception]]" = []
        #: A block that was read up to the place of a reader ahead.
        self._rest: Optional[Block] = None
        told: Any = Spread(self)
        #: Of its jobs, each once.
        self.folds: "List[Fold]" = []
        #: For how many blocks these have been its folds, up to `_STEADY`; then, who reads for several at a time.
        self._steady = 0
        self._shared: "List[Any]" = []
        self.source: Source = _source(job, told)
        if self._start is not None:
            self.source.leaving = self._leaving  # type: ignore[method-assign]  # as it says there
        self._blocks = self.source.blocks()
        self.count_folds()

    def count_folds(self) -> None:
        """After jobs or their folds have changed."""
        self.folds = []
        self._steady, self._shared = 0, []
        for job in self.jobs:
            if job.fold not in self.folds:
                self.folds.append(job.fold)

    # --- reading

    def step(self, ahead: "Optional[Reader]", failed: "Callable[[ScanJob, Exception], None]") -> None:
        """Reads a block, up to the place of the one ahead."""
        self._step(ahead, failed)
        # Not before, since a source must not be closed while it is at work.
        failing, self._failing = self._failing, []
        for fold, exc in failing:
            for job in [job for job in self.jobs if job.fold is fold]:
                self.leave(job)
                failed(job, exc)

    def _step(self, ahead: "Optional[Reader]", failed: "Callable[[ScanJob, Exception], None]") -> None:
        block, self._rest = self._rest, None
        if block is None:
            try:
                block = next(self._blocks)
            except StopIteration:
                self._let_go(_OVER)
                self.over = True
                return
            except Failure as exc:
                self._let_go(_OVER)
                self._fail(exc, failed)
                return
        self.idle = block is None
        if block is None:
            self._let_go(now() - RECORD_S)
            for fold in self.folds:
                fold.rest()
        elif block.data[-1:] != b"\n" and self.late and block.data:
            self._part(block)
        else:
            self._read(block, ahead, failed)

    def _fail(self, exc: Failure, failed: "Callable[[ScanJob, Exception], None]") -> None:
        """The source ends badly; what it gave before that counts."""
        for job in list(self.jobs):
            job.cut()
            self.leave(job)
            failed(job, exc)

    @property
    def stuck(self) -> bool:
        """It cannot go on now, nor be left: what is not taken here is gone."""
        return not self.source.positioned and any(job.blocked for job in self.jobs)

    def _part(self, block: Block) -> None:
        """What a line without an end really is those know who began when it was longer: they go on by themselves."""
        self._rest = block
        for job in list(self.late):
            self.leave(job)

    def _read(self, block: Block, ahead: "Optional[Reader]", failed: "Callable[[ScanJob, Exception], None]") -> None:
        if self._header and block.path not in self._headed:
            block = self._beheaded(block, failed)
        data = block.data
        if ahead is not None:
            data = data[: self._room(block, ahead)]
            if len(data) < len(block.data):
                self._rest = Block(block.path, [], block.data[len(data) :], block.taken, 0, block.source, block.last)
        if self._start is None:
            self._take(data, block.skipped, block)
            return
        # A record ends where the next one begins, so the last one waits. Not for another file of the same name.
        held = self._held.pop((block.path, block.taken), None)
        if held is not None:
            if block.skipped:
                self._take(held.data, 0, held.block)
            else:
                data = held.data + data
        at = whole(data, block, self._start)
        if data[at:]:
            self._held[block.path, block.taken] = Held(data[at:], block, now())
        self._take(data[:at], block.skipped, block)

    def _beheaded(self, block: Block, failed: "Callable[[ScanJob, Exception], None]") -> Block:
        """The first block of a file without the line that names its columns, which have to be the plan's."""
        from provider.runner.headers import first_line

        self._headed.add(block.path)
        size = len(self._header)
        if block.data[:size] == self._header:
            return Block(block.path, [], block.data[size:], block.taken, block.skipped + size, block.source, block.last)
        line = first_line(block.path)
        if line is not None and line != self._header:
            for job in list(self.jobs):
                self.leave(job)
                failed(job, ValueError("the first line of %s names other columns" % block.path))
        return block

    def _let_go(self, since: float, source: Optional[str] = None) -> None:
        """Takes the records that have waited since then for what follows them; None: of any source."""
        for key, held in list(self._held.items()):
            if held.at <= since and source in (None, held.block.source):
                del self._held[key]
                self._take(held.data, 0, held.block)

    def _leaving(self, source: str) -> None:
        self._let_go(_OVER, source)

    def _take(self, data: bytes, skipped: int, block: Block) -> None:
        size = len(data) + skipped
        self._fold(data if data[-1:] in (b"\n", b"") else data + b"\n", block.source or block.path)
        for job in self.jobs:
            job.bytes += size
        if block.taken is not None and size:
            block.taken(size)

    def _fold(self, data: bytes, source: str) -> None:
        if not data:
            return
        given = self._read_together(data) if len(self.folds) > 1 else {}
        for number, fold in enumerate(self.folds):
            if fold.broken:
                continue
            try:
                fold.feed(data, source, given.get(number))
            except (MemoryError, ValueError, TypeError, RecursionError) as exc:
                fold.broken = faults.sentence(exc)
                self._failing.append((fold, exc))

    def _read_together(self, data: bytes) -> "Dict[int, Callable[[], None]]":
        """For folds that gain by it, by their numbers: what feeds them."""
        if self._steady <= _STEADY:
            self._steady += 1
            self._shared = []
            if self._steady > _STEADY:
                from provider.runner.shared import together

                self._shared = together({number: fold.scan for number, fold in enumerate(self.folds)})
        given: "Dict[int, Callable[[], None]]" = {}
        for shared in self._shared:
            given.update(shared.read(data))
        return given

    def _room(self, block: Block, ahead: "Reader") -> int:
        """How much of a block there is up to the place of a reader ahead."""
        whole = len(block.data)
        others = [source for source, spot in self.spots.items() if ahead.spots.get(source) != spot]
        if others != [block.source] or block.source not in ahead.spots or self._start is not None:
            return whole
        mine, there = self.spots[others[0]], ahead.spots[others[0]]
        room = there[2] - mine[2] - block.skipped
        if mine[:2] != there[:2] or not 0 < room <= whole or block.data[room - 1 : room] != b"\n":
            return whole
        return room

    def nap_s(self) -> float:
        """How long it need not look, if nothing is told of."""
        if self.source.fileno() < 0:
            return _BLIND_NAP_S
        rest = getattr(self.source, "rest_s", None)
        return _NAP_S if rest is None or self._held else float(rest())

    def collect(self) -> None:
        """Tells its jobs where they are."""
        for source, _, to in self.source.moves():
            self.spots[source] = _spot(to)
            for job in self.jobs:
                job.moved[source] = to

    def progress(self) -> int:
        """A measure of how far it is."""
        return sum(spot[2] for spot in self.spots.values())

    # --- who reads with whom

    def joins(self, other: "Reader") -> bool:
        """Hands all jobs over to another one, if that is at the same place."""
        if self.spots != other.spots:
            return False
        for job in self.jobs:
            twin = next((fold for fold in other.folds if fold.equals(job.fold)), None)
            if twin is not None and not job.outlet.pending and not (twin.broken or job.fold.broken):
                job.cut()
                twin.jobs[0].cut()
                job.share(twin)
            job.dropped = added(job.dropped, self.source.dropped())
            job.dropped = added(job.dropped, other.source.dropped(), -1)
            job.reader = other
            other.jobs.append(job)
            if not job.wanted.follow:
                other.late.append(job)
        self.jobs, self.late = [], []
        other.count_folds()
        self.close()
        return True

    def leave(self, job: ScanJob) -> None:
        """Takes a job out, with where it is."""
        self.collect()
        job.unshare()
        job.dropped = added(job.dropped, self.source.dropped())
        job.reader = None
        self.jobs.remove(job)
        if job in self.late:
            self.late.remove(job)
        self.count_folds()
        if not self.jobs:
            self.close()

    def close(self) -> None:
        """Gives its descriptors back."""
        self.over = True
        close = getattr(self.source, "close", None)
        if close is not None:
            close()


def _start_of(job: ScanJob) -> bytes:
    start = job.wanted.plan.format.start
    return start.pattern if start is not None else b""


def _spot(position: bytes) -> Spot:
    at = parse(position)
    return (at.device, at.inode, at.offset) if at is not None else (0, 0, 0)


def added(counts: Dict[str, int], more: Dict[str, int], sign: int = 1) -> Dict[str, int]:
    """The sums of counts by name."""
    names = list(counts) + [name for name in more if name not in counts]
    return {name: counts.get(name, 0) + sign * more.get(name, 0) for name in names}


def _source(job: ScanJob, told: Any) -> Source:
    wanted = job.wanted
    scope = wanted.scope._replace(resumed=wanted.scope.resumed or job.begun_before)
    if _special(wanted.sources):
        return _special_source(wanted.sources[0], job, scope, told)
    if wanted.follow:
        from provider.runner.follow import Follow

        return Follow(wanted.sources, dict(job.at), _no_items, told, False, scope)
    if wanted.parallel > 1:
        from provider.runner.ranges import Ranges, possible

        if possible(wanted.plan):
            files = find(wanted.sources, False, job.at)
            return Ranges(files, dict(job.at), _no_items, told, scope, job, wanted.parallel)
    from provider.runner.finish import Finish

    return Finish(find(wanted.sources, False, job.at), dict(job.at), _no_items, told, scope)


def _special(sources: List[str]) -> bool:
    """They are no files."""
    return sources[0] == "-" or sources[0].startswith(SPECIAL)


def _special_source(name: str, job: ScanJob, scope: Scope, told: Any) -> Source:
    if name == "-":
        if job.fed < 0:
            raise Failure(Fault("usage", "the plan reads -, and nothing is fed"))
        return Fed(job.fed, _no_items)
    if name.startswith("journald:"):
        from provider.runner.journal import Journal

        return Journal(name, dict(job.at), _no_items, told, job.wanted.follow, scope)
    from provider.runner.command import Command

    return Command(name[4:], _no_items)
