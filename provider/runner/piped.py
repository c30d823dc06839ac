"""Filters and maps that are programs of any language: lines on their stdin, values on their stdout.

Knows programs, blocks of lines and cuts. Does not know processes.

What a program prints cannot be tied to a line that it was given, so there are no positions: values are cut as they
come, and a job that breaks does not go on where it was.
"""

import os
import time
from typing import Any, Dict, Iterator, List, Optional

from provider.runner.cuts import Cuts
from provider.runner.emitted import emitted
from provider.runner.faults import Failure, Fault
from provider.runner.files import LINE_BYTES
from provider.runner.lines import Block, Handout, Source
from provider.runner.program import Program
from provider.runner.script import Script
from provider.runner.sources import Told

#: Naps while a source has nothing: short at first, since a feed is only ever empty for a moment.
_LEAST_MS, _MOST_MS = 4, 200
#: After this long without input a program that is to end is asked to, which leaves it two seconds of a drain.
_ASKED_S = 1.0


def start(wanted: Script, what: str) -> Program:
    """Starts the filter or map of a folder.

    Raises:
        Failure: see `Program`.
    """
    text = wanted.filter if what == "filter" else wanted.map
    return Program("%s/%s" % (wanted.file, what), wanted.programs[what], text or "", _environ(wanted))


def _environ(wanted: Script) -> Dict[str, str]:
    known = {"provider": wanted.name, "logs": "\n".join(wanted.sources)}
    known.update(("label_" + name, value) for name, value in wanted.labels.items() if name.isidentifier())
    return dict(known, **wanted.environ)


def keeps(program: Program) -> bool:
    """What a filter's exit status says: 0 keeps the provider, 1 does not.

    Raises:
        Failure: another status.
    """
    program.starve()
    while not program.ended:
        printed = program.step(_MOST_MS)
        while printed:
            printed = printed[os.write(1, printed) :]
    if program.status not in (0, 1):
        raise Failure(program.fault())
    return program.status == 0


class Untold(Told):
    """Home is told of no position."""

    __slots__ = ()

    def opened(self, log: Any, reason: str) -> None:
        """Nothing: nobody could go on from there."""


class Piped(Handout):
    """Hands a program its lines, and out the values that it prints. ``stop`` ends its input.

    Args:
        source: None: it has none, and reads the end of file at once.
    """

    __slots__ = ("_asked", "_blocks", "_encoding", "_nap_ms", "_now", "_program")

    def __init__(self, source: Optional[Source], cuts: Cuts, program: Program, encoding: Optional[str]) -> None:
        super().__init__(source or Source(), cuts)
        self._program = program
        self._encoding = encoding or "utf-8"
        self._blocks = source.blocks() if source is not None else iter(())
        self._now: Optional[Block] = None
        self._nap_ms = _LEAST_MS
        #: Since when it has known that nothing more will come.
        self._asked: Optional[float] = None

    def values(self) -> "Iterator[Any]":
        """What it prints, until it exits.

        Raises:
            Failure: it failed, or printed a line without an end.
        """
        program = self._program
        rest: List[bytes] = []
        while not program.ended:
            if self._cuts.late():
                self._cuts.cut()
            wait_ms = self._supply()
            for line in self._whole(rest, program.step(wait_ms)):
                yield emitted(line)
        last = b"".join(rest)
        if last:
            yield emitted(self._text(last))
        ours = self.stop and program.status in (-15, 143)
        if program.status and not ours:
            raise Failure(program.fault())

    def _supply(self) -> int:
        """Gives the program what it can take; for how long nothing will be there to give."""
        if self.stop:
            self._ask_to_end()
        if self._asked is not None or not self._program.hungry:
            return _MOST_MS
        if self._now is not None:
            if self._now.taken is not None:
                self._now.taken(self._now.skipped + len(self._now.data))
            self._now = None
        try:
            self._now = next(self._blocks)
        except StopIteration:
            self._end_input()
            return _MOST_MS
        if self._now is None:
            self._nap_ms = min(_MOST_MS, 2 * self._nap_ms)
            return self._nap_ms
        self._nap_ms = _LEAST_MS
        data = self._now.data or "".join("%s\n" % item for item in self._now.items).encode()
        self._lines += len(self._now.items)
        self._bytes += len(data)
        # The last line of a file may lack its end, and the next file's first must not become a part of it.
        self._program.feed(data if data.endswith(b"\n") else data + b"\n")
        return _MOST_MS

    def _end_input(self) -> None:
        self._asked = time.monotonic()
        back = self._program.starve()
        self._lines -= back.count(b"\n")
        self._bytes -= len(back)

    def _ask_to_end(self) -> None:
        """Ends the input; who does not end by that is asked in the way of processes."""
        if self._asked is None:
            self._end_input()
        elif time.monotonic() - self._asked > _ASKED_S:
            self._program.terminate()

    def _whole(self, rest: List[bytes], data: bytes) -> "List[str]":
        """The lines that this completes; what is no whole line yet stays in `rest`."""
        end = data.rfind(b"\n") + 1
        if not end:
            if data:
                rest.append(data)
            if sum(map(len, rest)) > LINE_BYTES:
                raise Failure(Fault("limit", "%s printed a line over 16 MiB" % self._program.name))
            return []
        whole = self._text(b"".join(rest) + data[: end - 1])
        rest[:] = [data[end:]] if end < len(data) else []
        return whole.split("\n")

    def _text(self, data: bytes) -> str:
        return data.decode(self._encoding, "surrogateescape")
