"""The journal of systemd as a source: ``journald:`` is all of it, ``journald:nginx.service`` one unit.

Knows what journalctl prints: one JSON object a line, each with its cursor. Does not know files.

A position is the cursor of the last entry taken. Reading begins at that entry, so that it shows whether it is there
still: a journal that was vacuumed meanwhile is a gap.
"""

import re
import time
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from provider.runner.command import Command
from provider.runner.cuts import Moves
from provider.runner.faults import Failure, Fault
from provider.runner.host import which
from provider.runner.lines import Block, Source
from provider.runner.pack import packb, unpackb
from provider.runner.program import Program
from provider.runner.sources import Scope, Told

_CURSOR = re.compile(rb'"__CURSOR"\s*:\s*"([^"]*)"')
#: What is asked before anything is read, and for how long.
_ASK_S = 10.0
_NAP_MS = 200


class _Place(NamedTuple):
    """What a position is kept of."""

    source: str
    told: bytes


def _packed(cursor: str) -> bytes:
    return packb(["journald", cursor])


def _cursor(position: bytes) -> Optional[str]:
    try:
        kind, cursor = unpackb(position)
    except (TypeError, ValueError):
        return None
    return cursor if kind == "journald" and type(cursor) is str else None


class Journal(Source):
    """See the module.

    Raises:
        Failure: there is no journalctl, or it fails.
    """

    positioned = True

    def __init__(
        self,
        source: str,
        positions: Dict[str, bytes],
        split: "Callable[[bytes], List[Any]]",
        told: Told,
        follow: bool,
        scope: Scope,
    ) -> None:
        if which("journalctl") is None:
            raise Failure(Fault("missing", "there is no journalctl for %s" % source))
        self._source = source
        self._told_of = told
        unit = source[len("journald:") :]
        self._base = ["journalctl", "-o", "json", "--all", "--no-pager"] + (["-u", unit] if unit else [])
        self._data = b""
        self._used = 0
        self._cursor = self._where(positions.get(source), follow, scope)
        #: The entry that comes first if it is still there.
        self._expected = self._cursor
        self._told = _packed(self._cursor)
        reason = "resume" if positions.get(source) else "begin" if not self._cursor else "end"
        told.opened(_Place(source, self._told), reason)
        told.begun()
        self._printed = Command("journalctl", split, source, self._argv(follow, scope))

    def _where(self, position: Optional[bytes], follow: bool, scope: Scope) -> str:
        """The cursor behind which reading begins; empty for the beginning."""
        if position:
            cursor = _cursor(position)
            if cursor is None:
                self._told_of.gap(self._source, "generation")
            return cursor or ""
        if not follow or scope.since is not None or scope.rotated or scope.resumed or position is not None:
            return ""
        found = _CURSOR.search(self._ask(["-n", "1"]))
        return found.group(1).decode("ascii", "replace") if found is not None else ""

    def _ask(self, more: List[str]) -> bytes:
        program = Program(self._source, self._base + more)
        program.starve()
        printed = b""
        deadline = time.monotonic() + _ASK_S
        while not program.ended:
            printed += program.step(_NAP_MS)
            if time.monotonic() > deadline:
                raise Failure(Fault("deadline", "journalctl did not answer within %g s" % _ASK_S))
        if program.status:
            raise Failure(program.fault())
        return printed

    def _argv(self, follow: bool, scope: Scope) -> List[str]:
        argv = list(self._base)
        if follow:
            argv += ["-f", "--no-tail"]
        if self._cursor:
            argv.append("--cursor=" + self._cursor)
        elif scope.since is not None:
            argv.append("--since=@%.6f" % scope.since)
        if scope.until is not None:
            argv.append("--until=@%.6f" % scope.until)
        return argv

    def blocks(self) -> "Iterator[Optional[Block]]":
        """All entries, each a line of JSON."""
        for block in self._printed.blocks():
            if block is None:
                yield None
                continue
            first = self._first(block)
            if first is not None:
                self._data, self._used = first.data, 0
                yield Block(self._source, first.items, first.data, self._taken)

    def _first(self, block: Block) -> Optional[Block]:
        """Without the entry that was taken before the break."""
        if block.data.startswith(b"-- No entries"):
            return None
        if not self._expected:
            return block
        expected, self._expected = self._expected, ""
        end = block.data.find(b"\n") + 1 or len(block.data)
        found = _CURSOR.search(block.data, 0, end)
        if found is None or found.group(1) != expected.encode("ascii", "replace"):
            self._told_of.gap(self._source, "vanished")
            return block
        return Block(block.path, block.items[1:], block.data[end:]) if end < len(block.data) else None

    def _taken(self, size: int) -> None:
        self._used += size
        begin = self._data.rfind(b"\n", 0, max(0, self._used - 1)) + 1
        found = _CURSOR.search(self._data, begin, self._used)
        if found is not None:
            self._cursor = found.group(1).decode("ascii", "replace")

    def close(self) -> None:
        """Ends what prints it."""
        self._printed.close()

    def wait(self) -> None:
        """Until something is printed, or a nap."""
        self._printed.wait()

    def moves(self) -> Moves:
        """To the last entry that was taken."""
        now = _packed(self._cursor)
        if now == self._told:
            return []
        before, self._told = self._told, now
        return [(self._source, before, now)]

    def dropped(self) -> "dict[str, int]":
        """Entries that are too long for a line."""
        return self._printed.dropped()
