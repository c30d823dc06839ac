"""A named query in one process, without sockets: it crashes at any step that it is told to, and an oracle counts along.

A provider's log is a list of numbers. Its jobs read on from where they were started and send cuts, those of before a
crash too, because nobody has told them. The client is the real answer, keeper and store. A crash is an exception that
nothing catches but this: whatever was not on the disk by then is gone.
"""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field

from backplane.client.keeping import Keeper
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory
from backplane.client.store.faults import StoreError
from backplane.reduce import folds
from backplane.reduce.answer import Answer, Begin
from backplane.wire import codec
from backplane.wire.messages import Cut, Message, NeedStart, Open
from provider.runner.columns import values_payload

#: The same for all: what keeps two jobs apart is their epoch.
JOB = 5


class Crash(BaseException):
    """The client's process is gone. Not an Exception: nothing handles it."""


@dataclass(eq=False)
class Job:
    """One on the provider: where it has read to, and what of it is on its way, a part at a time."""

    epoch: int
    at: int
    seq: int = 0
    out: deque[Message] = field(default_factory=deque)


@dataclass
class World:
    """One query over one growing log, and the client that may crash.

    Attributes:
        told_first: a mutant's order: a start is sent before its epoch is stored.
        steps: called with the name of each step of the client's, and may raise `Crash`.
    """

    kept: Directory
    dice: random.Random
    steps: Callable[[str], None] = lambda step: None
    told_first: bool = False
    log: list[int] = field(default_factory=list)
    jobs: list[Job] = field(default_factory=list)
    begun_at: int | None = None
    crashes: int = 0

    def __post_init__(self) -> None:
        self.store: Store | None = None
        self.come_up()

    # -- the client's life

    def come_up(self) -> None:
        """A client starts on what is on the disk."""
        if self.store is not None:
            self.store.close()
        self.store = Store(self.kept)
        self.answer = Answer(
            query="q",
            query_id="1",
            fold=folds.make("aggregates", aggregates=["sum"]),
            targets=["web1"],
            durable=True,
            resume="exact",
        )
        self.answer.place(self.store.places, self.store.facts.get("seq", 0), 0.0)
        self.keeper = Keeper(self.answer, self.store)
        self.keeper.fill()
        self.job: Job | None = None

    def turn(self) -> None:
        """One thing happens; if it is a crash, the next client comes up."""
        try:
            self.dice.choice((self.grow, self.start, self.cut, self.cut, self.cut, self.late, self.commit, self.tidy))()
        except Crash:
            self.crashes += 1
            self.come_up()
        except StoreError:
            pass  # the keeper is stuck, and tries again

    def settle(self) -> int:
        """Everything is read, and the answer is taken: the sum of all numbers since the query began."""
        self.steps = lambda step: None
        for _ in range(10):
            if not self.keeper.commit():
                continue
            self.start(always=True)
            while self.job is not None and (self.job.out or self.job.at < len(self.log)):
                self.cut()
        assert self.keeper.commit()
        self.come_up()  # what a later client finds is what counts
        rows = self.answer.snapshot().rows
        return int(rows[0][1]) if rows else 0

    @property
    def expected(self) -> int:
        """What an independent count of the log says."""
        return sum(self.log[self.begun_at or 0 :])

    # -- what may happen

    def grow(self) -> None:
        self.log += [self.dice.randrange(1, 1 << 40) for _ in range(self.dice.randrange(1, 5))]

    def start(self, *, always: bool = False) -> None:
        """The coordinator asks for a start, because there is no job or the one there is broke."""
        if self.job is not None and not always and self.dice.random() < 0.8:
            return
        (begin,) = self.answer.handle("web1", NeedStart(job=JOB, query="1", provider="web1"))
        assert isinstance(begin, Begin)
        if not self.told_first:
            self._stored()
        at = int(dict(begin.positions).get("/a", b"-1"))
        self.job = Job(begin.epoch, len(self.log) if at < 0 else at)
        self.jobs = [*self.jobs[-3:], self.job]
        self.steps("a start was sent")
        if self.told_first:
            self._stored()
        if at < 0:
            self._hear(Open(job=JOB, epoch=begin.epoch, source="/a", payload=b"%d" % self.job.at, reason="end"))
            self._stored()
            self.begun_at = self.job.at if self.begun_at is None else self.begun_at

    def _stored(self) -> None:
        for _ in range(5):
            if self.keeper.commit():
                return
        raise Crash  # it would wait for ever

    def cut(self) -> None:
        """A part of the newest job's arrives."""
        if self.job is not None:
            self._send(self.job)

    def late(self) -> None:
        """A part of a job of before arrives, because nobody has told that one that it is over."""
        if len(self.jobs) > 1:
            self._send(self.dice.choice(self.jobs[:-1]))

    def _send(self, job: Job) -> None:
        if not job.out:
            self._read(job)
        if job.out:
            self._hear(job.out.popleft())
            self.steps("a part arrived" if job.out else "a cut arrived")

    def _read(self, job: Job) -> None:
        taken = self.log[job.at : job.at + self.dice.randrange(1, 4)]
        if not taken:
            return
        begin, end = job.at, job.at + len(taken)
        job.at, job.seq = end, job.seq + 1

        def part(number: int, content: str, payload: bytes) -> Cut:
            last = number == 2
            return Cut(job=JOB, epoch=job.epoch, seq=job.seq, part=number, last=last, content=content, payload=payload)

        job.out += [
            part(0, "moves", codec.pack([["/a", b"%d" % begin, b"%d" % end]])),
            part(1, "values", values_payload([("k", taken[0])])),
            part(2, "values", values_payload([("k", number) for number in taken[1:]])),
        ]

    def _hear(self, message: Message) -> None:
        self.answer.handle("web1", message)

    def commit(self) -> None:
        self.keeper.commit()
        self.steps("a commit was made")

    def tidy(self) -> None:
        self.keeper.tidy(idle=True)
        self.steps("it was tidied")
