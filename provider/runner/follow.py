"""Files that are followed: what is appended, what appears, what is replaced or truncated.

Knows files and their names. Does not know maps or cuts.

A file that is renamed away while another takes its name goes on being read until it has been quiet for a second, since
its writer may not have noticed; then its successor is read from the beginning, as the same source: one chain of
positions. With a glob the renamed file may be found again under its new name; it is known by its inode and its
position, and goes on from there instead of being read twice.
"""

import os
import time
from typing import Dict, Iterator, List, Optional, Tuple

from provider.runner import files
from provider.runner.cuts import Moves
from provider.runner.faults import Failure, Fault
from provider.runner.files import Log, expand, is_glob
from provider.runner.lines import Block, Source
from provider.runner.sources import Split, Told, dropped, find, open_or_fail, resume

#: Naps when there is nothing to read: short when there just was, so that a quiet file costs little.
_NAP_LEAST_S = 0.05
_NAP_MOST_S = 0.2
#: How often names are looked at (globs, renames); sizes are looked at after each nap.
_SWEEP_S = 1.0
#: How long a replaced file must be quiet.
_QUIET_S = 1.0
#: Files that were closed and may be found again under another name.
_REMEMBERED = 1024
#: What is compressed while we follow was read before it was.
_COMPRESSED = (".gz", ".bz2", ".xz", ".zst", ".lz4")

Ident = Tuple[int, int]


class _Followed:
    """One name and the file that is read under it."""

    __slots__ = ("globbed", "log", "quiet_since", "replaced")

    def __init__(self, log: Log, globbed: bool) -> None:
        self.log = log
        self.globbed = globbed
        #: Another file has its name now, or none.
        self.replaced = False
        self.quiet_since = 0.0


class Follow(Source):
    """See the module.

    Raises:
        Failure: a source is missing or unreadable when the job begins.
    """

    positioned = True

    def __init__(
        self, sources: List[str], positions: Dict[str, bytes], split: Split, told: Told, one_is_enough: bool = False
    ) -> None:
        self._globs = [source for source in sources if is_glob(source)]
        self._split = split
        self._told = told
        self._followed: Dict[str, _Followed] = {}
        self._closed: Dict[Ident, bytes] = {}
        self._moved: Moves = []
        self._too_long = 0
        self._nap_s = _NAP_LEAST_S
        self._caught_up = time.monotonic()
        self._behind = False
        self._sweep_at = self._caught_up + _SWEEP_S
        found, self._passed = find(sources, one_is_enough)
        for file in found:
            log = open_or_fail(file.source, file.path)
            self._followed[file.path] = _Followed(log, file.source not in sources)
            if not resume(log, positions, told):
                log.to_end()
                told.opened(log, "end")

    def blocks(self) -> "Iterator[Optional[Block]]":
        """What is appended, file by file, never ending."""
        while True:
            now = time.monotonic()
            if now >= self._sweep_at:
                self._sweep(now)
            read = False
            for path, followed in list(self._followed.items()):
                for block in self._read(followed, now):
                    read = True
                    yield block
                if followed.replaced and now - followed.quiet_since >= _QUIET_S:
                    for block in self._last(followed):
                        yield block
                    self._succeed(path, followed)
            if read:
                self._behind = True
                self._nap_s = _NAP_LEAST_S
            else:
                self._behind = False
                self._caught_up = now
                yield None

    def wait(self) -> None:
        """A nap, longer while nothing happens."""
        time.sleep(self._nap_s)
        self._nap_s = min(_NAP_MOST_S, self._nap_s * 1.5)

    def _read(self, followed: _Followed, now: float) -> "Iterator[Block]":
        """Up to one block of one file, so that a busy file does not starve the others."""
        log = followed.log
        raw = log.read()
        if raw is None:
            size = os.fstat(log.fd).st_size
            if size < log.read_to:
                if not size and os.pread(log.fd, 1, 0) and not os.fstat(log.fd).st_size:
                    raise Failure(Fault("unreadable", "cannot follow %s: it is no log, it has no size" % log.source))
                self._told.gap(log.source, "truncated")
                log.restart()
            return
        followed.quiet_since = now
        if raw.data or raw.skipped:
            yield self._block(log, raw)

    def _block(self, log: Log, raw: files.Raw) -> Block:
        return Block(log.path, self._split(raw.data), raw.data, log.taken, raw.skipped)

    def _last(self, followed: _Followed) -> "Iterator[Block]":
        raw = followed.log.rest()
        if raw is not None:
            yield self._block(followed.log, raw)

    # --- names

    def _sweep(self, now: float) -> None:
        self._sweep_at = now + _SWEEP_S
        for path, followed in self._followed.items():
            replaced = _ident(path) != followed.log.ident
            if replaced and not followed.replaced:
                followed.quiet_since = now
            followed.replaced = replaced
        open_now = {followed.log.ident for followed in self._followed.values()}
        for pattern in self._globs:
            for path in expand(pattern):
                if path not in self._followed and _ident(path) not in open_now and not path.endswith(_COMPRESSED):
                    self._appeared(path)

    def _appeared(self, path: str) -> None:
        """A new name that a glob matches. What cannot be read is tried again with the next sweep."""
        try:
            log = open_or_fail(path, path)
        except Failure as exc:
            if exc.fault.code == "limit":
                raise
            return
        known = self._closed.get(log.ident)
        if known is not None:
            log.resume(known)
        self._told.opened(log, "found")
        self._followed[path] = _Followed(log, True)

    def _succeed(self, path: str, followed: _Followed) -> None:
        """The old file is read; the one that has its name now is next."""
        old = followed.log
        try:
            log: Optional[Log] = Log(old.source, path)
        except OSError:
            log = None
            if not followed.globbed:
                return  # a name that was asked for is waited for
        if log is not None and log.ident == old.ident:  # it came back under its name meanwhile
            log.close()
            followed.replaced = False
            return
        self._too_long += old.dropped
        while len(self._closed) >= _REMEMBERED:
            del self._closed[next(iter(self._closed))]
        self._closed[old.ident] = old.position()
        if log is None:
            move = old.move()
            if move is not None:
                self._moved.append(move)
            del self._followed[path]
        else:
            log.told = old.told
            self._followed[path] = _Followed(log, followed.globbed)
        old.close()

    # --- what home is told

    def moves(self) -> Moves:
        """Of all files."""
        moves, self._moved = self._moved, []
        for followed in self._followed.values():
            if followed.log.touched:
                move = followed.log.move()
                if move is not None:
                    moves.append(move)
        return moves

    def dropped(self) -> "dict[str, int]":
        """Lines over the limit of `files.LINE_BYTES`, and sources passed over."""
        return dropped(self._too_long + sum(each.log.dropped for each in self._followed.values()), self._passed)

    def lag_s(self) -> float:
        """Seconds since everything there was had been read; 0 when it is."""
        return time.monotonic() - self._caught_up if self._behind else 0.0


def _ident(path: str) -> Optional[Ident]:
    try:
        status = os.stat(files.raw(path))
    except OSError:
        return None
    return status.st_dev, status.st_ino
