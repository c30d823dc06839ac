"""The sources of a job: which there are, and files that are read to their end.

Knows names of sources, files and what home must be told of them. Does not know maps or cuts.

A source that is missing or unreadable fails the job before anything is read, and so does a glob that matches nothing:
what was asked for is not there, and an answer without it would look like one with it. Where a filter has kept the
provider it has looked at the sources, so there one of several is enough; those passed over are counted as dropped.
"""

import errno
from typing import Any, Callable, Dict, Iterator, List, NamedTuple, Optional

from provider.runner import frames
from provider.runner.cuts import Moves
from provider.runner.faults import Failure, Fault
from provider.runner.files import Log, expand, is_glob
from provider.runner.lines import Block, Source
from provider.runner.writer import Writer

Split = Callable[[bytes], List[Any]]


class Found(NamedTuple):
    """A file to read."""

    #: As home knows it: the path as the query has it, or the one that its glob found.
    source: str
    path: str
    #: Its size when the job began, which is how far a job that finishes reads.
    size: int


class Told:
    """What home is told of sources, beside the cuts."""

    __slots__ = ("_writer",)

    def __init__(self, writer: Writer) -> None:
        self._writer = writer

    def opened(self, log: Log, reason: str) -> None:
        """A source's first position."""
        log.told = log.position()
        self._writer.send(frames.OPEN, {"source": log.source, "reason": reason}, log.told)

    def gap(self, source: str, reason: str) -> None:
        """Something of it was not read, and cannot be; how much is not known."""
        self._writer.send(frames.GAP, {"source": source, "reason": reason, "lines": None, "bytes": None})


class Files(NamedTuple):
    """The files of a job's sources."""

    files: List[Found]
    #: Sources passed over because nothing was there to read.
    passed: int


def find(sources: List[str], one_is_enough: bool = False) -> Files:
    """The files of some paths and globs, each once, in the order of the sources and sorted within a glob.

    Args:
        one_is_enough: pass over a source that is missing or unreadable if another is not.

    Raises:
        Failure: ``missing`` or ``unreadable``, naming the first one that is.
    """
    found: Dict[str, Found] = {}
    failures = []
    for source in sources:
        try:
            for file in _files(source):
                found.setdefault(file.path, file)
        except Failure as exc:
            failures.append(exc)
    if failures and not (one_is_enough and found):
        raise failures[0]
    return Files(list(found.values()), len(failures))


def _files(source: str) -> List[Found]:
    try:
        pattern = is_glob(source)
        paths = expand(source)
    except ValueError:  # a NUL in it
        paths = []
    if not paths:
        raise Failure(Fault("missing", "no file matches %s" % source))
    names = paths if pattern else [source]
    return [Found(name, path, _size(name, path)) for name, path in zip(names, paths)]


def dropped(too_long: int, passed: int) -> Dict[str, int]:
    """What was dropped, by reason, where there was any."""
    counts = {"line_too_long": too_long, "source_missing": passed}
    return {reason: count for reason, count in counts.items() if count}


def _size(name: str, path: str) -> int:
    log = open_or_fail(name, path)
    log.close()
    return log.size


def open_or_fail(source: str, path: str) -> Log:
    """An open log.

    Raises:
        Failure: ``missing`` or ``unreadable``.
    """
    try:
        return Log(source, path)
    except OSError as exc:
        raise Failure(_unreadable(source, exc))
    except ValueError:
        raise Failure(Fault("missing", "there is no %r" % source))


def _unreadable(source: str, exc: OSError) -> Fault:
    if exc.errno in (errno.ENOENT, errno.ENOTDIR):
        return Fault("missing", "there is no %s" % source)
    if exc.errno in (errno.EMFILE, errno.ENFILE):
        return Fault("limit", "too many open files at %s" % source)
    return Fault("unreadable", "cannot read %s: %s" % (source, exc.strerror))


def resume(log: Log, positions: Dict[str, bytes], told: Told) -> bool:
    """Opens a log where home left it; False where home does not know it, and nothing was told.

    An empty position is the beginning, which a source has before anyone has read it.
    """
    position = positions.get(log.source)
    if position is None:
        return False
    if not position:
        told.opened(log, "begin")
    elif log.resume(position):
        told.opened(log, "resume")
    else:
        told.gap(log.source, "generation")
        told.opened(log, "generation")
    return True


class Finish(Source):
    """Files read one after the other, each to the size that it had when the job began."""

    positioned = True

    def __init__(self, files: Files, positions: Dict[str, bytes], split: Split, told: Told) -> None:
        self._files, self._passed = files
        self._positions = positions
        self._split = split
        self._told = told
        self._log: Optional[Log] = None
        self._moved: Moves = []
        self._too_long = 0

    def blocks(self) -> "Iterator[Optional[Block]]":
        """All lines; a last one without a newline counts."""
        for file in self._files:
            log = self._log = open_or_fail(file.source, file.path)
            if not resume(log, self._positions, self._told):
                self._told.opened(log, "begin")
            # Files of /proc have no size, and end by themselves.
            limit = file.size or None
            while True:
                raw = log.read(limit) or log.rest()
                if raw is None:
                    break
                if raw.data or raw.skipped:
                    yield Block(log.path, self._split(raw.data), raw.data, log.taken, raw.skipped)
            self._too_long += log.dropped
            log.dropped = 0
            self._log = None
            move = log.move()
            if move is not None:
                self._moved.append(move)
            log.close()

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
