"""The sources of a job: which there are, where each begins, and what home is told of them.

Knows names of sources, files and positions. Does not know maps or cuts.

A source that is missing or unreadable fails the job before anything is read, and so does a glob that matches nothing:
what was asked for is not there, and an answer without it would look like one with it. Where a filter has kept the
provider it has looked at the sources, so there one of several is enough; those passed over are counted as dropped.
A source that was being read before a break is not missing: its log is between two names, or gone, which is a gap.

A log and its older generations (`siblings`) are one source with one chain of positions. Those that a glob matches
beside their log belong to it.
"""

import errno
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from provider.runner import chains, frames, positions
from provider.runner.chains import Chain
from provider.runner.faults import Failure, Fault
from provider.runner.files import Log, absolute, expand, is_glob
from provider.runner.siblings import Generation, base_of, generations
from provider.runner.writer import Writer

Split = Callable[[bytes], List[Any]]


class Scope(NamedTuple):
    """Which part of the sources is asked for (docs/reference/frames.md, "start")."""

    #: Seconds since the epoch.
    since: Optional[float] = None
    until: Optional[float] = None
    #: All older generations.
    rotated: bool = False
    #: Home knew the sources of before: one without a position began to exist meanwhile.
    resumed: bool = False


#: Whatever there is, in the way of the job.
ALL = Scope()


class Found(NamedTuple):
    """A log to read."""

    #: As home knows it: the path as the query has it, or the one that its glob found.
    source: str
    path: str
    #: Older generations that were asked for by a glob.
    older: Tuple[str, ...] = ()


class Told:
    """What home is told of sources, beside the cuts.

    The last OPEN before the first line says that it is the last, so each of them waits for the next.
    """

    __slots__ = ("_begun", "_held", "_writer")

    def __init__(self, writer: Writer) -> None:
        self._writer = writer
        self._held: "Optional[Tuple[Dict[str, Any], bytes]]" = None
        self._begun = False

    def opened(self, log: Any, reason: str) -> None:
        """A source's first position: what home knows, where it is known."""
        if not log.told:
            log.told = log.position()
        self._send(False)
        self._held = {"source": log.source, "reason": reason}, log.told
        if self._begun:
            self._send(False)

    def begun(self) -> None:
        """All sources that there are now have been opened."""
        self._begun = True
        self._send(True)

    def _send(self, last: bool) -> None:
        if self._held is not None:
            header, payload = self._held
            self._held = None
            self._writer.send(frames.OPEN, dict(header, last=last), payload)

    def gap(self, source: str, reason: str, lines: Optional[int] = None, size: Optional[int] = None) -> None:
        """Something of it was not read, and cannot be: so many lines and bytes, None where that is not known."""
        self._writer.send(frames.GAP, {"source": source, "reason": reason, "lines": lines, "bytes": size})


class Files(NamedTuple):
    """The files of a job's sources."""

    files: List[Found]
    #: Sources passed over because nothing was there to read.
    passed: int


def find(sources: List[str], one_is_enough: bool = False, known: "Optional[Dict[str, bytes]]" = None) -> Files:
    """The logs of some paths and globs, each once, in the order of the sources and sorted within a glob.

    Args:
        one_is_enough: pass over a source that is missing or unreadable if another is not.
        known: the sources that were read before, which need not be there.

    Raises:
        Failure: ``missing`` or ``unreadable``, naming the first one that is.
    """
    known = known or {}
    found: "Dict[str, Found]" = {}
    failures = []
    for source in sources:
        try:
            for file in _files(source, known):
                found.setdefault(file.path, file)
        except Failure as exc:
            failures.append(exc)
    names = {file.source for file in found.values()}
    for source in known:
        if source not in names and not source.startswith("journald:"):
            found.setdefault(absolute(source), Found(source, absolute(source)))
    if failures and not found:
        raise failures[0]
    if failures and not one_is_enough and not known:
        raise failures[0]
    return Files(list(found.values()), len(failures))


def _files(source: str, known: Dict[str, bytes]) -> List[Found]:
    try:
        pattern = is_glob(source)
        paths = expand(source)
    except ValueError:  # a NUL in it
        paths = []
    if not paths:
        raise Failure(Fault("missing", "no file matches %s" % source))
    if not pattern:
        if source not in known:
            open_or_fail(source, paths[0]).close()
        return [Found(source, paths[0])]
    there = frozenset(paths)
    bases = {path: base_of(path, there) for path in paths}
    older: "Dict[str, List[str]]" = {}
    for path, base in bases.items():
        if base is not None:
            older.setdefault(base, []).append(path)
    for path in paths:
        if path not in known:
            open_or_fail(path, path).close()
    return [Found(path, path, tuple(older.get(path, ()))) for path in paths if bases[path] is None]


def dropped(too_long: int, passed: int) -> Dict[str, int]:
    """What was dropped, by reason, where there was any."""
    counts = {"line_too_long": too_long, "source_missing": passed}
    return {reason: count for reason, count in counts.items() if count}


def open_or_fail(source: str, path: str) -> Log:
    """An open log.

    Raises:
        Failure: ``missing`` or ``unreadable``.
    """
    try:
        return Log(source, path)
    except OSError as exc:
        raise Failure(unreadable(source, exc))
    except ValueError:
        raise Failure(Fault("missing", "there is no %r" % source))


def unreadable(source: str, exc: OSError) -> Fault:
    """Why a source cannot be read."""
    if exc.errno in (errno.ENOENT, errno.ENOTDIR):
        return Fault("missing", "there is no %s" % source)
    if exc.errno in (errno.EMFILE, errno.ENFILE):
        return Fault("limit", "too many open files at %s" % source)
    return Fault("unreadable", "cannot read %s: %s" % (source, exc.strerror))


# --- where a source begins


def chosen(found: Found, scope: Scope) -> List[Generation]:
    """The generations of a log that a job reads from the beginning, the oldest first."""
    among = generations(found.path)
    if scope.since is not None or scope.until is not None:
        from provider.runner.spans import within

        return within(among, scope.since, scope.until)
    if scope.rotated:
        return among
    return [one for one in among if one.path == found.path or one.path in found.older]


def resume(found: Found, data: bytes, told: Told) -> Optional[Chain]:
    """The log where home left it, and what was written since; after a gap where that cannot be found.

    None if there is nothing at all any more.
    """
    at = positions.parse(data)
    chain = chains.resumed(found.source, found.path, at) if at is not None else None
    if at is not None and chain is not None:
        log = chain.logs[0]
        if not chain.sure:
            told.gap(found.source, "generation")
        elif not log.packed and log.ident != (at.device, at.inode):
            # No rename does that: it was copied and truncated, and nobody knows what was written in between.
            told.gap(found.source, "truncated", None, max(0, at.seen - log.size))
        chain.logs[0].told = data
        told.opened(chain.logs[0], "resume")
        return chain
    chain = _remaining(found, at, told)
    if chain is not None:
        told.opened(chain.logs[0], "generation")
    return chain


def _remaining(found: Found, at: "Optional[positions.Position]", told: Told) -> Optional[Chain]:
    """All that is there of a log whose position is not, and what is known of the loss."""
    among = generations(found.path)
    if at is None:
        told.gap(found.source, "generation")
        begin = max(0, len(among) - 1)
    else:
        told.gap(found.source, _why(at, among), None, at.seen - at.offset or None)
        begin = chains.behind(among, at.before)
    while among[begin:]:
        logs = chains.open_all(found.source, among[begin:])
        if logs is not None:
            logs[0].before = chains.before_of(among[:begin])
            return Chain(logs, len(logs) < len(among) - begin)
        among = generations(found.path)
    return None


def _why(at: "positions.Position", among: List[Generation]) -> str:
    for one in among:
        if one.ident == (at.device, at.inode) and not one.packed:
            return "truncated" if one.size < at.offset else "generation"
    return "vanished"
