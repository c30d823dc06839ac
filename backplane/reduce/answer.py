"""One query's answer: a state machine from messages to a table and its coverage.

Knows messages, folds, cursors and coverage; says what should be done as instructions, and does no I/O. Everything that
changes it goes through `Answer.handle` (a message) or `Answer.begin` (a new job), from one thread.

A snapshot shows what has been applied and nothing else: states arrive among the cuts, in order, so a provider is never
shown `done` before its last cut counts. A provider that says what cannot be applied is lost, with the reason, and
spoils nothing else; a reduce that fails ends the query.

A durable answer keeps a journal of what was applied since `Answer.changes` was last asked, for whoever stores it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Container, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Final

from backplane.reduce.columns import Content, Marks, Moves, Partials, Values, decode
from backplane.reduce.coverage import COMPLETE, NOT_ASKED, Counters, Standing, coverage
from backplane.reduce.cursors import Broken, Cursor, Overflow, Part
from backplane.reduce.expecting import Expecting
from backplane.reduce.faults import TooMuch
from backplane.reduce.folds import Fold
from backplane.reduce.journal import Changes, Journal, Place
from backplane.reduce.rows import Rows
from backplane.reduce.saving import Saved
from backplane.reduce.snapshot import Snapshot
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Beat, Cut, End, Gap, Message, NeedStart, Open, State, Targets

#: How a coordinator begins the reason of one that a drain met before it had started.
_DROPPED: Final = "cancelled before it had started"


@dataclass(frozen=True, slots=True)
class Nonsense:
    """Handed in instead of a message: what a job sent is none. Only its own provider is to blame."""

    job: int
    text: str


@dataclass(frozen=True, slots=True)
class Begin:
    """Answer this need with a start of this epoch, from these positions."""

    need: NeedStart
    epoch: int
    positions: tuple[tuple[str, bytes], ...]
    #: All its sources were known to an earlier job: one without a position came into being since.
    resumed: bool = False
    #: It had run before and has been away since: it begins at the end, wherever the query began.
    at_end: bool = False


@dataclass(frozen=True, slots=True)
class Applied:
    """A job's cuts count up to this one."""

    provider: str
    job: int
    seq: int


@dataclass(frozen=True, slots=True)
class Restart:
    """Abort the job: something is missing. A new one from the applied positions could go on."""

    provider: str
    job: int
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """Abort the job: what it sends is nonsense. A new one would do it again."""

    provider: str
    job: int
    reason: str


@dataclass(frozen=True, slots=True)
class Enough:
    """Drain the query: nothing more is taken."""

    reason: str


Instruction = Begin | Applied | Restart | Stop | Enough


@dataclass(frozen=True, slots=True)
class Statistics:
    """How the answer came about."""

    cuts: int
    #: Frames dropped because their epoch or job is over.
    stale: int
    #: Parts dropped because their cut had been applied.
    duplicates: int
    #: Jobs that could not go on.
    broken: int
    #: Payload bytes of cuts that are not complete.
    staged_bytes: int


class _Provider:
    __slots__ = ("cursor", "job", "standing")

    def __init__(self) -> None:
        self.cursor = Cursor()
        self.standing = Standing()
        self.job = 0


#: States of those who are about to answer: a count that grows begins with 0.
_LOOKING: Final = frozenset(("running", "stalled"))


class Answer:
    """See above.

    Args:
        query: its name, for snapshots.
        query_id: likewise.
        fold: takes what is applied; this answer's alone.
        targets: whom the client asks; the coordinator's `Targets` replaces them.
        endless: it ends only when it is told to.
        coverage_full: every snapshot's JSON has a row for each provider.
        clock: seconds since the epoch.
        resume: what becomes of a job that broke off. ``exact`` and ``inexact``: another goes on from its positions, and
            the latter is said; ``gap``: another begins anew, and what came meanwhile is said to be missing; ``never``.
        resume_why: the reason for that, one clause.
        durable: remember what is applied for `changes`, which is to be asked for it now and then.
        most_groups: more than these are a question that was not meant so; None for any number.
    """

    def __init__(
        self,
        *,
        query: str,
        query_id: str,
        fold: Fold,
        targets: Iterable[str],
        endless: bool = False,
        coverage_full: bool = False,
        clock: Callable[[], float] = time.time,
        resume: str = "never",
        resume_why: str = "",
        durable: bool = False,
        most_groups: int | None = None,
    ) -> None:
        self._query = query
        self._query_id = query_id
        self._fold = fold
        self._endless = endless
        self._coverage_full = coverage_full
        self._clock = clock
        self._resume = resume
        self._resume_why = resume_why
        self._providers = {name: _Provider() for name in targets}
        self._settled = False
        self._enough = False
        self._seq = 0
        self._cuts = 0
        self._broken = 0
        self._most_groups = most_groups
        self._journal = Journal() if durable else None
        self._expecting = Expecting()
        #: Restored, and not heard of since: whoever is no target any more has left.
        self._restored: set[str] = set()

    @property
    def finished(self) -> bool:
        """Every target has ended, or was drained. False until the coordinator has said who the targets are."""
        return self._settled and all(each.standing.over for each in self._providers.values())

    def begin(self, provider: str, job: int = 0, *, anew: bool = False) -> tuple[int, tuple[tuple[str, bytes], ...]]:
        """A new job of a provider: its epoch, and the positions to start from. What older jobs still say is dropped."""
        each = self._touched(provider)
        each.job = job
        each.standing.begun(reads_again=bool(each.cursor.positions) and not anew)
        return each.cursor.begin(anew=anew)

    def handle(self, provider: str, message: Message | Nonsense, size: int = 0) -> list[Instruction]:
        """Take one message about a provider (any name for `Targets`); what should be done about it.

        Args:
            size: bytes of its frames; what bounds staging is the payloads' own.

        Raises:
            ReduceFault: the query's reduce failed. The answer is of no use any more.
            TooMuch: it has too many groups; likewise.
            RemoteProtocolError: the coordinator said nonsense. Nothing has changed.
        """
        if isinstance(message, Targets):
            return self._targets(message)
        if isinstance(message, State):
            self._changed(message)
            return []
        if isinstance(message, NeedStart):
            return [self._needed(message)]
        each = self._known(provider) if isinstance(message, Beat) else self._touched(provider)
        if message.job and each.job and message.job != each.job:
            each.cursor.stale += 1
            return []
        try:
            return self._heard(provider, each, message)
        except Broken as exc:
            # A job that has ended cannot be restarted.
            self._lose(each, str(exc), returns=self._resume != "never" and not isinstance(message, End))
            return [Restart(provider, message.job, str(exc))]
        except (Overflow, RemoteProtocolError) as exc:
            reason = f"sent what cannot be read: {exc}"
            self._lose(each, reason)
            return [Stop(provider, message.job, reason)]

    def snapshot(self, *, final: bool = False, aside: bool = False) -> Snapshot:
        """The answer as it is now.

        Args:
            aside: others are shown to those who are to see all of what closes.

        Raises:
            ReduceFault: the query's reduce failed.
        """
        self._seq += 1
        enough = self._fold.full  # and not because it is finished
        if final:
            self._fold.finish()
        standings = {name: each.standing for name, each in self._providers.items()}
        told = self._expecting.told(self._fold, standings, self._clock())
        windows = self._fold.windows
        snapshot = Snapshot(
            query=self._query,
            query_id=self._query_id,
            seq=self._seq,
            final=final,
            at=self._clock(),
            table=self._table(),
            coverage=coverage(
                standings,
                endless=self._endless,
                final=final,
                inexact=self._fold.inexact(),
                late=windows.late if windows else {},
                enough=enough,
                reached=self._fold.reached,
            ),
            coverage_full=self._coverage_full,
            windows=told,
        )
        if windows is not None:
            self._fold.forget(windows.forgotten(shown=not aside))
        return snapshot

    def _table(self) -> Rows:
        """The rows. That there is nothing is an answer only if somebody has looked: then a count of it is 0."""
        rows = self._fold.rows()
        standings = [each.standing for each in self._providers.values()]
        if any(each.contributed or each.state in COMPLETE or each.state in _LOOKING for each in standings):
            return rows
        return rows._replace(rows=())

    # -- what outlives this process

    @property
    def unsaved_bytes(self) -> int:
        """Bytes of values that `changes` would give."""
        return self._journal.size if self._journal is not None else 0

    @property
    def fresh(self) -> bool:
        """A source has begun where only this process knows."""
        return self._journal is not None and self._journal.fresh

    @property
    def unsaved(self) -> bool:
        """Something has changed since `changes` was asked."""
        return bool(self._journal)

    def changes(self) -> Changes:
        """What has changed since this was last asked."""
        return self._journal.take(self._providers, self._place) if self._journal is not None else Changes()

    def whole(self) -> Iterator[Saved]:
        """All values that were ever applied, in as few pieces as the fold can say them."""
        return self._fold.saved()

    @property
    def seq(self) -> int:
        """The last snapshot's number."""
        return self._seq

    def place(self, places: Iterable[Place], seq: int, at: float, *, over: bool = False) -> None:
        """Put everybody where they stood when these were stored. Before anything is handled.

        Args:
            seq: the last snapshot's number then.
            at: when that was.
            over: nothing will be: this is for a last look.
        """
        self._seq = seq
        for place in places:
            each = self._known(place.name)
            each.cursor.restore(place.cursor)
            each.standing = Standing.restored(place.standing, over=over)
            if each.cursor.epoch and not over:
                each.standing.interrupted(at, None if self._resume != "never" else self._resume_why)
            self._restored.add(place.name)

    def refill(self, pieces: Iterable[Saved]) -> None:
        """Take the values that were stored with these places. Before anything is handled.

        Raises:
            RemoteProtocolError: a piece is none.
            ReduceFault: the user's ``load`` failed.
        """
        for piece in pieces:
            if piece.content != "marks" or self._fold.windows is not None:
                self._fold.restore(piece)

    def again(self, over: Container[str]) -> None:
        """A restored answer goes on: whoever is not among these is asked again."""
        for name in self._restored:
            if name not in over:
                self._touched(name).standing.again()

    def ended(self) -> dict[str, str]:
        """Who has come to an end, and in which state."""
        return {name: each.standing.state for name, each in self._providers.items() if each.standing.over}

    def settle(self) -> None:
        """Nobody is asked any more: the targets are those that are known."""
        self._settled = True
        self._restored = set()

    def _place(self, name: str) -> Place:
        each = self._providers[name]
        return Place(name, each.cursor.kept(), each.standing.saved())

    def interrupt(self) -> None:
        """Nothing more will be asked of it. May be called from another thread."""
        self._fold.interrupt()

    def close(self) -> None:
        """Nothing more is asked of it."""
        self._fold.close()

    def statistics(self) -> Statistics:
        """Figures for tests and ``-v``."""
        cursors = [each.cursor for each in self._providers.values()]
        return Statistics(
            cuts=self._cuts,
            stale=sum(cursor.stale for cursor in cursors),
            duplicates=sum(cursor.duplicates for cursor in cursors),
            broken=self._broken,
            staged_bytes=sum(cursor.staged_bytes for cursor in cursors),
        )

    def _known(self, name: str) -> _Provider:
        found = self._providers.get(name)
        if found is None:
            found = self._providers[name] = _Provider()
        return found

    def _touched(self, name: str) -> _Provider:
        """A provider about to change."""
        if self._journal is not None:
            self._journal.moved(name)
        return self._known(name)

    def _targets(self, message: Targets) -> list[Instruction]:
        names = codec.unpack(message.payload)
        if type(names) is not list or not all(type(name) is str for name in names):
            raise RemoteProtocolError("targets that are no list of names")
        for name in self._restored - set(names):
            self._touched(name).standing.gone(self._clock())
        self._restored = set()
        # Who has been heard of stays: it is covered, whatever it is now.
        kept = {name: each for name, each in self._providers.items() if each.standing.state != "pending"}
        self._providers = {**{name: self._known(name) for name in names}, **kept}
        self._settled = True
        return []

    def _heard(self, provider: str, each: _Provider, message: Message | Nonsense) -> list[Instruction]:
        if isinstance(message, Nonsense):
            raise RemoteProtocolError(message.text)
        if isinstance(message, Beat):
            each.standing.beat(message)
            if self._journal is not None:
                self._journal.beaten(provider)
            return []
        if not isinstance(message, (Open, Cut, Gap, End)) or not each.cursor.current(message.epoch):
            return []
        if isinstance(message, Cut):
            return self._cut(provider, each, message)
        if isinstance(message, Open):
            known = message.source in each.cursor.positions
            each.cursor.open(message)
            if self._journal is not None and not known:
                self._journal.opened(provider)
        elif isinstance(message, Gap):
            each.standing.gap(message)
        else:
            self._end(each, message)
        return []

    def _cut(self, provider: str, each: _Provider, message: Cut) -> list[Instruction]:
        parts = each.cursor.stage(message)
        if parts is None:
            return []
        self._apply(provider, each, parts)
        if self._most_groups is not None and self._fold.groups > self._most_groups:
            raise TooMuch(f"over {self._most_groups:,} groups")
        each.standing.applied(message.counters)
        self._cuts += 1
        applied: list[Instruction] = [Applied(provider, message.job, each.cursor.seq)]
        if self._fold.full and not self._enough:
            self._enough = True
            applied.append(Enough("the limit of rows was reached"))
        return applied

    def _apply(self, provider: str, each: _Provider, parts: list[Part]) -> None:
        """All of a cut or nothing: whatever can be wrong with it shows before the first value counts."""
        contents = [self._loaded(provider, decode(part.content, part.payload)) for part in parts]
        moves = [move for content in contents if isinstance(content, Moves) for move in content.moves]
        positions = each.cursor.moved(moves)
        for content in contents:
            if isinstance(content, Values):
                self._fold.values(provider, content.keys, content.values)
                each.standing.contributed |= bool(content.values)
            elif isinstance(content, Partials):
                self._fold.partials(provider, content)
                each.standing.contributed |= bool(content.keys)
            elif isinstance(content, Marks):
                each.standing.marked(dict(content.marks))
                if self._fold.windows is not None:
                    self._fold.windows.marked(provider, content.marks)
        each.cursor.commit(positions)
        if self._journal is not None:
            self._journal.applied(provider, parts)

    def _loaded(self, provider: str, content: Content) -> Content:
        return self._fold.load(provider, content) if isinstance(content, Partials) else content

    def _end(self, each: _Provider, message: End) -> None:
        each.standing.counters = Counters.of(message.counters) if message.counters else each.standing.counters
        missing = message.seq - each.cursor.seq
        if missing < 0:
            raise RemoteProtocolError(f"an end at cut {message.seq}, after cut {each.cursor.seq}")
        if missing:
            raise Broken(f"{missing} cut{'s' * (missing != 1)} missing at the end")
        each.standing.drained = message.drained

    def _lose(self, each: _Provider, reason: str, *, returns: bool = False) -> None:
        self._broken += 1
        each.cursor.broken()
        each.standing.lose(reason, self._clock(), returns=returns)

    def _changed(self, message: State) -> None:
        each = self._touched(message.provider)
        each.standing.changed(self._named(message), message.at or self._clock())
        if each.standing.state == "lost" and each.cursor.positions:
            each.standing.uncount()

    def _named(self, message: State) -> State:
        """The state; of one that was dropped because there was enough already, without the look of a failure."""
        if self._enough and message.state == "unreachable" and str(message.reason).startswith(_DROPPED):
            return replace(message, reason=NOT_ASKED)
        return message

    def _needed(self, need: NeedStart) -> Begin:
        """A start is asked for. If a job of it has started before and did not leave, that one broke off."""
        each = self._known(need.provider)
        anew = need.reason == "rejoined" or each.standing.outside
        if each.standing.began and not anew:
            if self._resume == "gap":
                anew = True
                each.standing.away(self._clock(), self._resume_why)
            elif self._resume == "inexact":
                each.standing.note(f"broke off and went on where it was, which may not be exact: {self._resume_why}")
        epoch, positions = self.begin(need.provider, need.job, anew=anew)
        return Begin(need, epoch, positions, each.cursor.settled, at_end=anew and each.standing.joined)
