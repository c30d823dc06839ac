"""Jobs in memory: what a runner would say about three rotating sources, as bodies made by the shipped codec.

A `Script` reads records from wherever it is told to resume, like a job does, and cuts often: several sources, two
windows and several parts to a cut, one part long enough for fragments.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from backplane.wire import codec
from backplane.wire.messages import Cut, End, Message, Open
from provider.runner.aggregates import Combiner, tag
from provider.runner.columns import values_payload

AGGREGATES = ["count", "sum", "mean", "max"]
WINDOWS = ((0.0, 60.0), (60.0, 120.0))

#: (window, key, value)
Record = tuple[int, str, float]


@dataclass(frozen=True)
class Source:
    """A log and its rotated siblings, oldest first."""

    path: str
    files: tuple[tuple[Record, ...], ...]
    #: It is read from its end, which has moved on by the time of a second job.
    follows: bool = False

    def first(self, epoch: int) -> bytes:
        """Where a job begins that is not told where to resume."""
        return b"0:1" if self.follows and epoch > 1 else b"0:0"

    def read(self, position: bytes, most: int) -> tuple[list[Record], bytes]:
        """Up to so many records, and where they end; from the end of a file on to the next one."""
        number, offset = map(int, position.split(b":"))
        taken: list[Record] = []
        while len(taken) < most:
            rest = self.files[number][offset : offset + most - len(taken)]
            taken += rest
            offset += len(rest)
            if offset < len(self.files[number]) or number + 1 == len(self.files):
                break
            number, offset = number + 1, 0
        return taken, b"%d:%d" % (number, offset)


@dataclass(frozen=True)
class Script:
    """A job's script on one provider.

    Args:
        raw: emit values, keyed by (window, key), and combine nothing.
        sizes: records taken of each source for a cut, in turn.
    """

    provider: str
    sources: tuple[Source, ...]
    raw: bool = False
    sizes: tuple[int, ...] = (3, 1, 2)

    def messages(self, job: int, epoch: int, positions: Sequence[tuple[str, bytes]]) -> Iterator[Message]:
        """All that the job says from these positions to its end."""
        here = dict(positions)
        for source in self.sources:
            reason = "resume" if source.path in here else "begin"
            here.setdefault(source.path, source.first(epoch))
            yield Open(job=job, epoch=epoch, source=source.path, reason=reason, payload=here[source.path])
        seq = 0
        while True:
            moves, records = [], []
            for number, source in enumerate(self.sources):
                most = self.sizes[(seq + number) % len(self.sizes)]
                taken, end = source.read(here[source.path], most)
                if end != here[source.path]:
                    moves.append([source.path, here[source.path], end])
                    here[source.path] = end
                records += taken
            if not moves:
                break
            seq += 1
            yield from self._cut(job, epoch, seq, moves, records)
        yield End(job=job, epoch=epoch, seq=seq, state="done", counters={"lines": 1})

    def _cut(self, job: int, epoch: int, seq: int, moves: list[Any], records: list[Record]) -> Iterator[Message]:
        parts = [("moves", codec.pack(moves)), *self._emissions(epoch, records)]
        parts.append(("marks", codec.pack([[move[0], float(seq)] for move in moves])))
        for number, (content, payload) in enumerate(parts):
            last = number == len(parts) - 1
            yield Cut(job=job, epoch=epoch, seq=seq, part=number, last=last, content=content, payload=payload)

    def _emissions(self, epoch: int, records: list[Record]) -> Iterator[tuple[str, bytes]]:
        if self.raw:
            yield "values", values_payload([((window, key), value) for window, key, value in records])
            return
        for number, window in enumerate(WINDOWS):
            combiner = Combiner(AGGREGATES, tag(self.provider, epoch))
            combiner.fold([(key, value) for where, key, value in records if where == number])
            if combiner.groups:
                packed = codec.unpack(next(combiner.payloads(1 << 22)))
                packed["window"] = list(window)
                yield "partials", codec.pack(packed)


def bodies(message: Message) -> list[bytes]:
    """A message as it travels: one body, or several fragments."""
    return list(codec.encode(message))


def three_sources(seed: int, follows: bool = False) -> tuple[Source, ...]:
    """Sources whose floats do not add up exactly in any order but the exact one; one key needs fragments."""
    long_key = "k" * 130_000
    records = [
        (number % 2, long_key if number == 7 else f"key{number % 3}", (number + seed) * 0.1 + 10.0 ** (number % 17))
        for number in range(40)
    ]
    return (
        Source("/log/a", (tuple(records[0:4]), tuple(records[4:5]), tuple(records[5:9]))),
        Source("/log/b", (tuple(records[9:10]), tuple(records[10:14])), follows),
        Source("/log/c", ((), tuple(records[14:20]), tuple(records[20:40]))),
    )
