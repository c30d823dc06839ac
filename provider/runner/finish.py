"""Files that are read to their end: each to the size that it had when the job began.

Knows files, their generations and positions. Does not know maps or cuts.

Descriptors are held, so that a file that is renamed or deleted before its turn is read all the same; of many files only
some are, and the others are found again by their positions, whatever they are called by then.
"""

from typing import Dict, Iterator, List, NamedTuple, Optional, Union

from provider.runner import chains
from provider.runner.chains import Chain, locate, opened
from provider.runner.cuts import Moves
from provider.runner.files import Log, Raw
from provider.runner.lines import Block, Source
from provider.runner.positions import Position
from provider.runner.siblings import generation, generations
from provider.runner.sources import ALL, Files, Found, Scope, Split, Told, chosen, dropped, open_or_fail, resume

#: Of the 256 descriptors that a job has.
_HELD = 96


class _Later(NamedTuple):
    """A generation whose turn comes later, closed meanwhile."""

    name: str
    at: Position
    told: bytes


class _Turn(NamedTuple):
    """One generation to read."""

    log: "Union[Log, _Later]"
    #: How far.
    limit: Optional[int]


class Finish(Source):
    """See the module."""

    positioned = True

    def __init__(self, files: Files, positions: Dict[str, bytes], split: Split, told: Told, scope: Scope = ALL) -> None:
        self._files, self._passed = files
        self._split = split
        self._told = told
        self._scope = scope
        self._log: "Optional[Log]" = None
        self._moved: "Moves" = []
        self._too_long = 0
        self._held = 0
        self._turns = [self._begin(found, positions.get(found.source)) for found in self._files]
        told.begun()

    # --- where it begins

    def _begin(self, found: Found, position: Optional[bytes]) -> "List[_Turn]":
        if position:
            chain = resume(found, position, self._told)
            return [self._turn(log) for log in self._all(found, chain)] if chain is not None else []
        among = chosen(found, self._scope)
        turns: "List[_Turn]" = []
        for one in among:
            log = opened(found.source, one)
            if log is None:
                if generation(one.path) == one:
                    self._told.gap(found.source, "vanished", None, None if one.packed else one.size)
                continue  # or else another has its name by now
            if not turns:
                self._first(log, found.path)
            turns.append(self._turn(log))
        if not turns:
            log = open_or_fail(found.source, found.path)
            self._first(log, found.path)
            turns.append(self._turn(log))
        return turns

    def _first(self, log: Log, path: str) -> None:
        log.before = chains.before_log(log, path)
        since = self._scope.since
        if since is not None:
            from provider.runner import spans

            stamp = spans.stamp_of(log)
            if stamp is not None:
                spans.seek(log, stamp, since)
        self._told.opened(log, "begin" if since is None else "since")

    def _all(self, found: Found, chain: Chain) -> List[Log]:
        logs = list(chain.logs)
        while chain.more:
            chain = chains.after(logs[-1], found.path)
            if not chain.logs:
                break
            logs += chain.logs
        return logs

    def _turn(self, log: Log) -> _Turn:
        if log.packed:
            limit: "Optional[int]" = None
        else:
            # Files of /proc have no size, and end by themselves; and they are another each time that one looks.
            limit = log.size or None
            log.checked = bool(log.size)
        self._held += 1
        if self._held <= _HELD or not log.checked:
            return _Turn(log, limit)
        later = _Later(log.path, log.memory(), log.told)
        log.close()
        return _Turn(later, limit)

    # --- reading

    def blocks(self) -> "Iterator[Optional[Block]]":
        """All lines; a last one without a newline counts."""
        for found, turns in zip(self._files, self._turns):
            last: "Optional[Log]" = None
            for turn in turns:
                log = self._open(found, turn.log)
                if log is None:
                    continue
                if last is not None:
                    log.told, log.before = last.told, last.as_before()
                    self._close(last)
                last = self._log = log
                for block in self._read(found, log, turn.limit):
                    yield block
                last = self._log or last  # which may be a copy of it by now
            if last is not None:
                self._log = None
                move = last.move()
                if move is not None:
                    self._moved.append(move)
                self._close(last)

    def _close(self, log: Log) -> None:
        self._too_long += log.dropped
        log.dropped = 0
        log.close()

    def _open(self, found: Found, log: "Union[Log, _Later]") -> Optional[Log]:
        if isinstance(log, Log):
            return log
        one = generation(log.name)
        place = locate(found.source, [one], log.at) if one is not None else None
        place = place or locate(found.source, generations(found.path), log.at)
        if place is None:
            self._told.gap(found.source, "vanished", None, log.at.seen - log.at.offset)
            return None
        place.log.told = log.told
        return place.log

    def _read(self, found: Found, log: Log, limit: Optional[int]) -> "Iterator[Block]":
        until = _Until(log, self._scope.until)
        while True:
            raw = log.read(limit)
            if raw is None and (log.rewritten or (limit is not None and log.read_to < limit)):
                self.leaving(log.source)
                copy = self._truncated(found, log, limit)
                if copy is None:
                    return
                log = self._log = copy
                continue
            raw = until.cut(raw or log.rest())
            if raw is None:
                break
            if raw.data or raw.skipped:
                last = not log.torn and (log.at_end or (limit is not None and log.read_to >= limit))
                yield Block(log.path, self._split(raw.data), raw.data, log.taken, raw.skipped, log.source, last)
        self.leaving(log.source)
        if log.damaged:
            self._told.gap(log.source, "vanished")

    def _truncated(self, found: Found, log: Log, limit: Optional[int]) -> Optional[Log]:
        """What was to be read is gone, unless somebody copied it before."""
        chain = chains.copy_of(log, found.path)
        lost = (limit or log.seen) - log.offset
        if chain is None:
            self._told.gap(log.source, "truncated", None, lost)
            return None
        copy = chain.logs[0]
        for each in chain.logs[1:]:
            each.close()
        missing = max(0, lost - (copy.size - copy.offset)) if not copy.packed else None
        if missing is None or missing:
            self._told.gap(log.source, "truncated", None, missing)
        copy.dropped = log.dropped
        log.close()
        return copy

    def close(self) -> None:
        """Gives all descriptors back."""
        for turn in [turn for turns in self._turns for turn in turns]:
            if isinstance(turn.log, Log):
                turn.log.close()
        if self._log is not None:
            self._log.close()

    def wait(self) -> None:
        """Never asked: there is always more, or the end."""

    def moves(self) -> Moves:
        """Of files that were finished, and of the one being read."""
        moves, self._moved = self._moved, []
        move = self._log.move() if self._log is not None else None
        return moves + [move] if move is not None else moves

    def dropped(self) -> "dict[str, int]":
        """Lines over the limit of `files.LINE_BYTES`, and sources passed over."""
        return dropped(self._too_long + (self._log.dropped if self._log is not None else 0), self._passed)


class _Until:
    """Ends a log at a time."""

    def __init__(self, log: Log, until: Optional[float]) -> None:
        self._until = until
        self._stamp = None
        self._over = False
        if until is not None:
            from provider.runner import spans

            self._first_at = spans.first_at
            self._stamp = spans.stamp_of(log)

    def cut(self, raw: Optional[Raw]) -> Optional[Raw]:
        """As many of these lines as are before it; None at the end."""
        if self._over or raw is None or self._until is None or self._stamp is None:
            return None if self._over else raw
        at = self._first_at(raw, self._stamp, self._until)
        if at is None:
            return raw
        self._over = True
        return Raw(raw.data[:at], raw.skipped) if at or raw.skipped else None
