"""The generations of one log as one source: where a position is found again, and what was written after it.

Knows files of a log, their order, and positions. Does not know when to read, or what home is told.

Files are renamed, compressed and deleted while we look at them. So a list of them is believed if it is still the same
after they were opened; and a position is believed where the content says so, not where a name or an inode does.
"""

import os
from typing import FrozenSet, List, NamedTuple, Optional, Set

from provider.runner.files import Log
from provider.runner.positions import NONE_BEFORE, Before, Position
from provider.runner.siblings import Generation, Ident, generations

#: Descriptors held of generations that wait for their turn; later ones are found again when it comes.
HELD = 8
#: How often a list is made anew that changed meanwhile.
_TRIES = 5
#: As the offset of a generation before: nothing of it is our business.
_ALL = 1 << 62


class Place(NamedTuple):
    """Where a position was found: the log stands there."""

    at: int
    log: Log
    #: Nothing else that is there could be meant.
    sure: bool


class Chain(NamedTuple):
    """A log and the generations after it, opened; ``more``: there are others after those."""

    logs: List[Log]
    more: bool
    sure: bool = True


def opened(source: str, one: Generation) -> Optional[Log]:
    """The log of a generation; None if it cannot be opened, or another file has its name by now."""
    try:
        log = Log(source, one.path)
    except OSError as exc:
        if exc.errno in (23, 24):  # ENFILE, EMFILE
            raise
        return None
    if log.ident == one.ident:
        return log
    log.close()
    return None


def locate(source: str, among: List[Generation], position: Position) -> Optional[Place]:
    """The generation that holds a position."""
    fits = []
    for index, one in enumerate(among):
        if not one.packed and one.size < max(position.offset, position.head.size):
            continue
        log = opened(source, one)
        if log is None:
            continue
        if log.begins(position.head):
            fits.append(Place(index, log, True))
        else:
            log.close()
    holders = [place for place in fits if place.log.holds(position)]
    chosen = _chosen(holders, among, position) if holders else None
    for place in fits:
        if chosen is None or place.log is not chosen.log:
            place.log.close()
    if chosen is None:
        return None
    chosen.log.rewind(position.offset)
    chosen.log.before = position.before
    return chosen


def _chosen(holders: List[Place], among: List[Generation], position: Position) -> Place:
    """Of several that hold it, the oldest that was not finished before, and stands behind the right predecessor."""
    if len(holders) == 1:
        return holders[0]
    pool = [place for place in holders if not _earlier(among[place.at], position)] or holders
    before = [_behind(among[: place.at], position.before) for place in pool]
    best = max(known or 0 for known in before)
    right = [place for place, known in zip(pool, before) if best and known == best]
    ident = (position.device, position.inode)
    same = [place for place, known in zip(pool, before) if known and place.log.ident == ident]
    if same and not any(place.log.packed for place in right):
        # An inode is given to another file only when its own is deleted, as a file is that was compressed.
        right = same
    sure = bool(right)
    if not right:
        right = [place for place, known in zip(pool, before) if known is None] or pool
        sure = len(right) == 1 and bool(position.head.size)
    return right[0]._replace(sure=sure)


def _earlier(one: Generation, position: Position) -> bool:
    """It was last written before the position was taken. Programs that compress may keep only the second."""
    if one.packed:
        return one.written // 10**9 < position.written // 10**9
    return one.written < position.written


def _behind(older: List[Generation], before: Before) -> Optional[int]:
    """How well the last of these is that predecessor: 2 as it was, 1 with more in it; None if there is none."""
    for one in reversed(older):
        log = opened("", one)
        if log is None:
            continue
        head = log.head()
        same = int(bool(before.size) and _begins(log, before))
        log.close()
        if head.size:
            return 2 * same if head.size == before.size else same
    return None if before.size else 2


def _begins(log: Log, before: Before) -> bool:
    return log.begins(log.head()._replace(size=before.size, digest=before.digest))


def before_of(older: List[Generation]) -> Before:
    """What a generation after these knows of its predecessor; all that it holds by now counts as read."""
    for one in reversed(older):
        log = opened("", one)
        if log is None:
            continue
        head = log.head()
        offset = _ALL if log.packed else log.size
        log.close()
        if head.size:
            return Before(head.size, head.digest, offset)
    return NONE_BEFORE


def before_log(log: Log, path: str, gone: Before = NONE_BEFORE) -> Before:
    """What a log that is opened now knows of its predecessor; ``gone`` if it has no name any more."""
    among = generations(path)
    idents = [one.ident for one in among]
    return before_of(among[: idents.index(log.ident)]) if log.ident in idents else gone


def steady(path: str, among: List[Generation]) -> bool:
    """These are still the generations of a log."""
    return [(one.path, one.ident) for one in generations(path)] == [(one.path, one.ident) for one in among]


def resumed(source: str, path: str, position: Position) -> Optional[Chain]:
    """The log at a position, wherever it is now, and the generations after it."""
    for last in range(_TRIES):
        among = generations(path)
        place = locate(source, among, position)
        newer = open_all(source, among[place.at + 1 :]) if place is not None else []
        if last == _TRIES - 1 or (newer is not None and steady(path, among)):
            return _chain(place, newer or [], len(among))
        for log in (newer or []) + ([place.log] if place is not None else []):
            log.close()
    return None


def _chain(place: Optional[Place], newer: List[Log], count: int) -> Optional[Chain]:
    if place is None:
        return None
    _line_up([place.log] + newer)
    return Chain([place.log] + newer, place.at + 1 + len(newer) < count, place.sure)


def open_all(source: str, among: List[Generation]) -> Optional[List[Log]]:
    """The first of these, opened; None if one cannot be."""
    logs: "List[Log]" = []
    for one in among[:HELD]:
        log = opened(source, one)
        if log is None:
            for each in logs:
                each.close()
            return None
        logs.append(log)
    return logs


def _line_up(logs: List[Log]) -> None:
    """Each knows its predecessor, by which it is found again if its name changes before its turn."""
    for at, log in enumerate(logs[1:]):
        log.before = logs[at].as_before()


def after(newest: Log, path: str, held: "FrozenSet[Ident]" = frozenset()) -> Chain:
    """The generations after one that we hold; ``sure`` is false where some may have come and gone between.

    Those that are `held` are before it.

    There are none where the list does not stand still: that is for the next time.
    """
    for _ in range(_TRIES):
        among = generations(path)
        begin, sure = _behind_held(newest, among, held)
        logs = open_all(newest.source, among[begin:])
        if logs is not None and steady(path, among):
            _line_up([newest] + logs)
            return Chain(logs, len(logs) < len(among) - begin, sure)
        for log in logs or []:
            log.close()
    return Chain([], True)


def _behind_held(newest: Log, among: List[Generation], held: "FrozenSet[Ident]") -> "tuple[int, bool]":
    """Where what is newer begins. While we hold it nothing else has its inode."""
    for index, one in enumerate(among):
        if one.ident == newest.ident:
            return index + 1, True
    known = [at + 1 for at, one in enumerate(among) if one.ident in held]
    first = max(known) if known else 0
    newest.head()  # it may have been empty when it was looked at last
    place = locate(newest.source, among[first:], newest.memory())
    if place is not None:
        place.log.close()
        return first + place.at + 1, place.sure or bool(known)
    # It was deleted, or moved elsewhere. What was written after it is newer, and stands behind its predecessor.
    begin = max(first, behind(among, newest.before))
    written = os.fstat(newest.fd).st_mtime_ns
    while begin < len(among) - 1 and among[begin].written < written:
        begin += 1
    return begin, begin >= len(among) - 1


def behind(among: List[Generation], before: Before) -> int:
    """Where what was written after a generation begins; 0 where that is not among these."""
    for index in range(len(among), 0, -1):
        if before.size and _behind(among[:index], before):
            return index
    return 0


def has_copy(log: Log, path: str, held: "Set[Ident]") -> bool:
    """What stands before a log is not what stood there, and none of those that we hold."""
    among = generations(path)
    idents = [one.ident for one in among]
    older = among[: idents.index(log.ident)] if log.ident in idents else []
    if not older or older[-1].ident in held:
        return False
    return before_of(older)[:2] != log.before[:2] and not _behind(older, log.before)


def copy_of(log: Log, path: str) -> Optional[Chain]:
    """The copy that somebody made of a log before truncating it, at the line where we are, and what is newer."""
    # When it was written last is known no more: truncating it was the last time.
    at, offset, told, before = log.memory()._replace(written=0), log.offset, log.told, log.before
    for _ in range(_TRIES):
        among = generations(path)
        place = locate(log.source, [one if one.ident != log.ident else one._replace(size=-1) for one in among], at)
        if place is None:
            return None
        newer = open_all(log.source, among[place.at + 1 :])
        if newer is not None and steady(path, among):
            place.log.rewind(offset)
            place.log.told, place.log.before = told, before
            _line_up([place.log] + newer)
            return Chain([place.log] + newer, place.at + 1 + len(newer) < len(among), place.sure)
        for each in (newer or []) + [place.log]:
            each.close()
    return None


def restart(log: Log, path: str) -> None:
    """A log was truncated, and nothing holds the place where we were: go on at its beginning."""
    log.restart()
    log.touched = True
    # Without a name it stands where it stood: else any empty generation could be the one that it is now.
    known = before_log(log, path, log.before)
    if known[:2] != log.before[:2]:
        # What stands before it now is a copy of it, of which we had read more than all.
        log.before = known


def late(log: Log, path: str) -> Optional[Log]:
    """The generation before this one, read up to where it had been: its writer may not be done with it."""
    among = generations(path)
    idents = [one.ident for one in among]
    if not log.before.size or log.ident not in idents:
        return None
    for one in reversed(among[: idents.index(log.ident)]):
        found = opened(log.source, one)
        if found is None:
            return None
        if not found.packed and found.size >= log.before.offset and _begins(found, log.before):
            found.rewind(log.before.offset)
            return found
        empty = not found.head().size
        found.close()
        if not empty:
            return None
    return None
