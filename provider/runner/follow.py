"""Files that are followed: what is appended, what appears, what is rotated away or truncated.

Knows files and their generations. Does not know maps or cuts.

Theory of operation
-------------------
Each source is a chain: the generation that is read, those that wait behind it, and the one before it, which may still
get late lines. A name is looked at when its folder changes, and with each sweep; if another file has it, the
generations in between are found by their names and order, opened, and held until their turn comes.

A generation is left when one behind it has content, and it has been quiet for a second, since its writer may not have
noticed; or longer, while its last line has not ended. Its descriptor stays, and what is written to it afterwards is
read too: a position says how far the generation before was read.

A file that shrinks, or holds something else where we are, was truncated. If it was copied before, the copy holds our
position, and reading goes on there. That there may be a loss is always said, since nobody knows what was written
between the copy and the truncation; how much is said as far as it was seen.
"""

import os
import time
from typing import Dict, Iterator, List, Optional, Set, Tuple

from provider.runner import chains, files
from provider.runner.chains import Chain
from provider.runner.cuts import Moves
from provider.runner.faults import Failure, Fault
from provider.runner.files import COMPRESSED, Log, expand, is_glob
from provider.runner.followed import Followed
from provider.runner.lines import Block, Source
from provider.runner.positions import parse
from provider.runner.siblings import Ident, base_of, generation
from provider.runner.sources import ALL, Found, Scope, Split, Told, chosen, dropped, find, open_or_fail, resume
from provider.runner.watch import Watch

#: Naps when there is nothing to read, where changes are told of, and where they are not: short when there just were.
_NAP_LEAST_S = 0.05
_NAP_MOST_S = 0.2
#: The same where changes and signals end it.
_NAP_WOKEN_S = 1.0
#: How often names and sizes are looked at, told of or not; and how soon after something was told of names.
_SWEEP_S = 1.0
_WATCHED_SWEEP_S = 5.0
_SOON_S = 0.02
#: How long a generation must be quiet before it is left, and how long if its last line has not ended.
_QUIET_S = 1.0
_TORN_S = 3.0
#: For how long a generation that was left is looked at for late lines, and of how many.
_LATE_S = 60.0
_MOST_LATE = 64
#: Files that were closed and may be found again under another name.
_REMEMBERED = 1024


class Follow(Source):
    """See the module.

    Raises:
        Failure: a source is missing or unreadable when the job begins.
    """

    positioned = True

    def __init__(
        self,
        sources: List[str],
        positions: Dict[str, bytes],
        split: Split,
        told: Told,
        one_is_enough: bool = False,
        scope: Scope = ALL,
    ) -> None:
        self._globs = [source for source in sources if is_glob(source)]
        self._split = split
        self._told = told
        self._scope = scope
        self._watch = Watch()
        #: By path.
        self._followed: "Dict[str, Followed]" = {}
        self._watched: "Dict[int, Set[Followed]]" = {}
        #: To be read; the others are known to have been at their end.
        self._ready: "Set[Followed]" = set()
        self._closed: "Dict[Ident, bytes]" = {}
        #: Where sources ended that are followed no more.
        self._ended: "Dict[str, bytes]" = {}
        self._moved: "Moves" = []
        self._too_long = 0
        self._nap_s = _NAP_LEAST_S
        self._caught_up = time.monotonic()
        self._behind = False
        self._sweep_at = self._caught_up
        found, self._passed = find(sources, one_is_enough, positions)
        for file in found:
            followed = Followed(file, file.source not in sources)
            self._followed[file.path] = followed
            self._begin(followed, positions.get(file.source))
            self._watch_names(file.path)
        told.begun()

    # --- where it begins

    def _begin(self, followed: Followed, position: Optional[bytes]) -> None:
        found = followed.found
        if position:
            chain = resume(found, position, self._told)
            if chain is None:
                followed.told_of = position
                return
            self._take(followed, chain)
            followed.late = chains.late(chain.logs[0], found.path)
            followed.late_until = time.monotonic() + _LATE_S
            return
        log, newer, more = self._first(found, position is not None)
        log.before = chains.before_log(log, found.path)
        scope = self._scope
        if scope.since is not None:
            from provider.runner import spans

            stamp = spans.stamp_of(log)
            if stamp is not None:
                spans.seek(log, stamp, scope.since)
            reason = "since"
        elif position is not None or scope.rotated or scope.resumed:
            reason = "begin"
        else:
            log.to_end()
            reason = "end"
        self._told.opened(log, reason)
        self._take(followed, Chain([log] + newer, more))

    def _first(self, found: Found, begin: bool) -> "Tuple[Log, List[Log], bool]":
        """The generation to begin with, and those behind it."""
        scope = self._scope
        past = scope.since is not None or scope.rotated or (scope.resumed and not begin)
        for one in chosen(found, scope._replace(rotated=past, until=None)) if past else ():
            log = chains.opened(found.source, one)
            if log is not None:
                chain = chains.after(log, found.path) if one.path != found.path else Chain([], False)
                return log, chain.logs, chain.more
        return open_or_fail(found.source, found.path), [], False

    def _take(self, followed: Followed, chain: Chain) -> None:
        """Goes on with these generations."""
        followed.log = chain.logs[0]
        followed.waiting = chain.logs[1:]
        followed.more = chain.more
        for log in chain.logs:
            self._watch_file(followed, log)
        self._ready.add(followed)

    # --- what is told of changes

    def _watch_names(self, path: str) -> None:
        self._watch.folder(files.raw(os.path.dirname(path)))

    def _watch_file(self, followed: Followed, log: Log) -> None:
        watch = self._watch.file(log.fd)
        followed.watches[log.fd] = watch
        if watch is not None:
            self._watched.setdefault(watch, set()).add(followed)

    def _close(self, followed: Followed, log: Log) -> None:
        watch = followed.watches.pop(log.fd, None)
        if watch is not None and watch not in followed.watches.values():
            users = self._watched.get(watch, set())
            users.discard(followed)
            if not users:
                self._watched.pop(watch, None)
                self._watch.forget(watch)
        self._too_long += log.dropped
        log.dropped = 0
        log.close()

    def _told_changes(self, now: float) -> None:
        for watch in self._watch.changed():
            self._ready |= self._watched.get(watch, set())
        if self._watch.names:
            self._watch.names = False
            self._sweep_at = min(self._sweep_at, now + _SOON_S)

    # --- reading

    def blocks(self) -> "Iterator[Optional[Block]]":
        """What is appended, file by file, never ending."""
        while True:
            now = time.monotonic()
            self._told_changes(now)
            if now >= self._sweep_at:
                self._sweep(now)
            read = False
            for followed in list(self._ready):
                for block in self._step(followed, now):
                    read = True
                    yield block
            if read:
                self._behind = True
                self._nap_s = _NAP_LEAST_S
            else:
                self._behind = False
                self._caught_up = now
                yield None

    def wait(self) -> None:
        """A nap, which a change or a signal ends; longer while nothing happens."""
        nap_s = self._nap_s if self._ready else _NAP_WOKEN_S if self._watch.wakes() else _NAP_MOST_S
        self._watch.wait(min(nap_s, self.rest_s()))
        self._nap_s = min(_NAP_MOST_S, self._nap_s * 1.5)

    def rest_s(self) -> float:
        """How long nobody need look, if no change is told of."""
        sweep_s = max(0.0, self._sweep_at - time.monotonic())
        return min(_NAP_MOST_S, sweep_s) if self._ready else sweep_s

    def _step(self, followed: Followed, now: float) -> "Iterator[Block]":
        """Up to a block of one source, so that a busy one does not starve the others."""
        yield from self._late(followed)
        log = followed.log
        if log is None:
            self._ready.discard(followed)
            return
        copied = not log.read_to and self._copied(followed, log)
        raw = log.read() if not copied else None
        if raw is not None:
            followed.quiet_since = now
            if raw.data or raw.skipped:
                yield self._block(followed, log, raw)
            return
        if copied or log.rewritten or log.look() < log.read_to or not log.intact():
            self._truncated(followed, log)
        elif followed.waiting:
            if self._ripe(followed, log, now):
                rest = log.rest()
                if rest is not None:
                    yield self._block(followed, log, rest)
                self._advance(followed, log, now)
        elif followed.watches.get(log.fd) is not None:
            self._ready.discard(followed)

    def _late(self, followed: Followed) -> "Iterator[Block]":
        """Lines that were written to a generation after it was left."""
        late, log = followed.late, followed.log
        if late is None or log is None or late.look() <= late.read_to:
            return
        raw = late.read()
        if raw is not None and (raw.data or raw.skipped):
            yield Block(late.path, self._split(raw.data), raw.data, followed.late_taken, raw.skipped, log.source)

    def _block(self, followed: Followed, log: Log, raw: files.Raw) -> Block:
        last = bool(followed.waiting) and log.at_end and not log.torn
        return Block(log.path, self._split(raw.data), raw.data, log.taken, raw.skipped, log.source, last)

    def fileno(self) -> int:
        """Tells of changes."""
        return self._watch.fileno()

    def _ripe(self, followed: Followed, log: Log, now: float) -> bool:
        """The generation is over."""
        following, late = followed.waiting[0], followed.late
        several = len(followed.waiting) > 1 or followed.more
        behind = late is not None and late.look() > late.read_to
        if behind or not (several or following.packed or following.look()):
            return False
        if log.torn:
            return now - followed.quiet_since >= _TORN_S
        return several or log.packed or now - followed.quiet_since >= _QUIET_S

    def _advance(self, followed: Followed, old: Log, now: float) -> None:
        self.leaving(old.source)
        if old.damaged:
            self._told.gap(old.source, "vanished")
        log = followed.waiting.pop(0)
        log.told, log.before = old.told, old.as_before()
        log.touched = True
        followed.log = log
        followed.quiet_since = now
        if followed.more and not followed.waiting:
            self._newer(followed)
        if followed.late is not None:
            self._forget(followed, followed.late)
        followed.late = None
        if old.packed or sum(each.late is not None for each in self._followed.values()) >= _MOST_LATE:
            self._forget(followed, old)
        else:
            followed.late, followed.late_until = old, now + _LATE_S

    def _forget(self, followed: Followed, log: Log) -> None:
        """Closes a log, and remembers how far it was read, should it be found under another name."""
        self.leaving(log.source)
        while len(self._closed) >= _REMEMBERED:
            del self._closed[next(iter(self._closed))]
        self._closed[log.ident] = log.position()
        self._close(followed, log)

    def _copied(self, followed: Followed, log: Log) -> bool:
        """Somebody copied and truncated a file of which we had read nothing, so that it shows no sign of that."""
        found = log.emptied() and chains.has_copy(log, followed.found.path, {each.ident for each in followed.logs()})
        if found:
            log.seen = 0  # what was seen of it was written afterwards
        return found

    def _truncated(self, followed: Followed, log: Log) -> None:
        self.leaving(log.source)
        path = followed.found.path
        size = os.fstat(log.fd).st_size
        if not size and os.pread(log.fd, 1, 0) and not os.fstat(log.fd).st_size:
            raise Failure(Fault("unreadable", "cannot follow %s: it is no log, it has no size" % log.source))
        if size >= log.seen:
            # It has grown again, and who knows which of both was seen.
            log.seen = log.read_to
        lost = max(0, log.seen - log.offset)
        chain = chains.copy_of(log, path)
        if chain is None:
            lines = 1 if log.torn and log.seen == log.read_to else None
            self._told.gap(log.source, "truncated", lines if lost else 0, lost)
            chains.restart(log, path)
            return
        copy = chain.logs[0]
        self._told.gap(log.source, "truncated", None, None if copy.packed else max(0, log.seen - copy.size))
        for waiting in followed.waiting:
            self._close(followed, waiting)
        # What of the log was taken since home was told counts with the next cut, and so must the way past it.
        copy.touched = log.touched
        copy.dropped, log.dropped = log.dropped, 0
        self._close(followed, log)
        self._take(followed, chain)

    # --- names

    def _sweep(self, now: float) -> None:
        told = True
        for path, followed in list(self._followed.items()):
            if not followed.still():
                self._look(path, followed, now)
            told = told and None not in followed.watches.values()
        known = {log.ident for followed in self._followed.values() for log in followed.logs()}
        paths = frozenset(self._followed)
        for pattern in self._globs:
            for path in expand(pattern):
                if path not in paths and not path.endswith(COMPRESSED) and base_of(path, paths) is None:
                    one = generation(path)
                    if one is not None and one.ident not in known:
                        self._appeared(path)
        self._sweep_at = now + (_WATCHED_SWEEP_S if told else _SWEEP_S)

    def _look(self, path: str, followed: Followed, now: float) -> None:
        """At a name and the files behind it."""
        late = followed.late
        if late is not None and now > followed.late_until and late.look() <= late.read_to:
            self._forget(followed, late)
            followed.late = None
        for log in followed.logs():
            if not log.packed and log.look() != log.read_to and (log is followed.log or log is followed.late):
                if followed not in self._ready:
                    # Nobody told of it: it is looked at by ourselves from now on.
                    self._unwatched(followed, log)
                self._ready.add(followed)
        one = generation(path)
        if one is not None:
            self._watch_names(path)
        newest = followed.newest
        if one is None:
            if followed.globbed and newest is not None and not followed.waiting:
                self._vanished(path, followed, newest, now)
        elif newest is None:
            self._came_back(followed)
        elif one.ident != newest.ident:
            if followed.waiting:
                self._waits(followed, newest)  # first, since it is looked for by what it holds
            else:
                followed.quiet_since = max(followed.quiet_since, now)
                if newest.shrunk() or self._copied(followed, newest):
                    self._truncated(followed, newest)
            self._newer(followed)
        elif newest is not followed.log:
            self._waits(followed, newest)

    def _unwatched(self, followed: Followed, log: Log) -> None:
        """What was not told of may have been so only in this moment; but not if it had time to be."""
        if time.time() - log.written > _SOON_S and followed.watches.get(log.fd) is not None:
            watch = followed.watches[log.fd]
            followed.watches[log.fd] = None
            if watch is not None and watch in self._watched:
                self._watched[watch].discard(followed)

    def _newer(self, followed: Followed) -> None:
        """Opens what stands behind the newest generation that we hold."""
        newest = followed.newest
        room = chains.HELD - len(followed.waiting)
        if newest is None or room <= 0:
            followed.more = True
            return
        chain = chains.after(newest, followed.found.path, frozenset(log.ident for log in followed.logs()))
        if chain.logs and not chain.sure:
            self._told.gap(newest.source, "vanished")
        for log in chain.logs:
            self._watch_file(followed, log)
        followed.waiting += chain.logs
        followed.more = chain.more
        self._ready.add(followed)

    def _waits(self, followed: Followed, newest: Log) -> None:
        """A file that waits for its turn; if it was truncated, what it held is in a copy, or lost."""
        if newest.look() >= newest.seen and not self._copied(followed, newest):
            return
        chain = chains.copy_of(newest, followed.found.path)
        lost = newest.seen if chain is None else max(0, newest.seen - chain.logs[0].size)
        self._told.gap(newest.source, "truncated", None, lost)
        if chain is None:
            newest.restart()
            return
        followed.waiting.pop()
        self._close(followed, newest)
        for log in chain.logs:
            self._watch_file(followed, log)
        followed.waiting += chain.logs
        followed.more = chain.more

    def _vanished(self, path: str, followed: Followed, log: Log, now: float) -> None:
        """A file that a glob had found has no name any more, or another one."""
        if now - followed.quiet_since < _QUIET_S or log.look() > log.read_to:
            self._sweep_at = min(self._sweep_at, now + _QUIET_S)
            return
        self.leaving(log.source)
        move = log.move()
        if move is not None:
            self._moved.append(move)
        self._ended[log.source] = log.told
        for each in followed.logs():
            self._forget(followed, each)
        self._ready.discard(followed)
        del self._followed[path]

    def _came_back(self, followed: Followed) -> None:
        """There is a file again where all were gone."""
        chain = self._opened(followed.found, followed.told_of)
        if chain is not None:
            self._take(followed, chain)

    def _opened(self, found: Found, told: bytes) -> Optional[Chain]:
        """A log that appeared; what cannot be read is tried again with the next sweep."""
        try:
            log = open_or_fail(found.source, found.path)
        except Failure as exc:
            if exc.fault.code == "limit":
                raise
            return None
        log.before = chains.before_log(log, found.path)
        known = parse(self._closed.get(log.ident, b""))
        if known is not None and log.holds(known):
            log.rewind(known.offset)
        if told:
            log.told = told
            log.touched = True
        else:
            self._told.opened(log, "found")
        return Chain([log], False)

    def _appeared(self, path: str) -> None:
        """A new name that a glob matches."""
        found = Found(path, path)
        chain = self._opened(found, self._ended.get(path, b""))
        if chain is not None:
            followed = self._followed[path] = Followed(found, True)
            self._watch_names(path)
            self._take(followed, chain)

    # --- what home is told

    def moves(self) -> Moves:
        """Of all files."""
        moves, self._moved = self._moved, []
        for followed in self._followed.values():
            if followed.log is not None and followed.log.touched:
                move = followed.log.move()
                if move is not None:
                    moves.append(move)
        return moves

    def dropped(self) -> "dict[str, int]":
        """Lines over the limit of `files.LINE_BYTES`, and sources passed over."""
        now = sum(log.dropped for each in self._followed.values() for log in each.logs())
        return dropped(self._too_long + now, self._passed)

    def lag_s(self) -> float:
        """Seconds since everything there was had been read; 0 when it is."""
        return time.monotonic() - self._caught_up if self._behind else 0.0

    def close(self) -> None:
        """Gives all descriptors back."""
        for followed in self._followed.values():
            for log in followed.logs():
                self._close(followed, log)
        self._followed = {}
        self._watch.close()
