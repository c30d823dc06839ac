"""A user's reduce went wrong: where, in the user's own words.

Knows tracebacks. Does not know folds.
"""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Iterator
from types import TracebackType

from backplane.wire.errors import LogReduceError


class ReduceFault(LogReduceError):
    """The query's reduce raised, or cannot take what the map emitted: the query is over, with exit status 1.

    Args:
        text: one sentence, with the user's file and line where there is one.
        traceback: the user's part of the traceback, for ``-v``; empty where no user code ran.
        file: the user's file.
        line: from 1.
    """

    def __init__(self, text: str, traceback: str = "", file: str | None = None, line: int | None = None) -> None:
        super().__init__(text)
        self.traceback = traceback
        self.file = file
        self.line = line


class TooMuch(LogReduceError):
    """The answer is larger than it may be: the query is over, with exit status 1.

    Args:
        what: what there is too much of.
    """

    def __init__(self, what: str) -> None:
        super().__init__(f"the answer has {what}: group by less, filter more, or allow it more with --groups")


@contextlib.contextmanager
def user_code(what: str) -> Iterator[None]:
    """Run user code, given as ``what`` in messages (``reduce``, ``Reduce.add``).

    Raises:
        ReduceFault: it raised; SystemExit counts, since no reduce may end the program that hosts it.
    """
    try:
        yield
    except (Exception, SystemExit) as exc:
        raise _fault(what, exc) from exc


def _fault(what: str, exc: BaseException) -> ReduceFault:
    said = f"{type(exc).__name__}: {exc}" if str(exc) else type(exc).__name__
    tb = _beyond_our_own(exc.__traceback__)
    if tb is None:
        return ReduceFault(f"{what} failed: {said}")
    # The deepest frame in the user's file says more than one in a library that it calls.
    file = tb.tb_frame.f_code.co_filename
    lines = [line for frame, line in traceback.walk_tb(tb) if frame.f_code.co_filename == file]
    text = "".join(traceback.format_exception(type(exc), exc, tb))
    return ReduceFault(f"{file}:{lines[-1]}: {what} failed: {said}", text, file, lines[-1])


def _beyond_our_own(tb: TracebackType | None) -> TracebackType | None:
    """From the first frame that is not this package's, if there is one."""
    while tb is not None and str(tb.tb_frame.f_globals.get("__name__")).startswith(__package__ or "?"):
        tb = tb.tb_next
    return tb
