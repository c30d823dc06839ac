"""What can be done to a client from within: frames that come twice, late or not at all, and an end at any of its steps.

Knows where the program's steps are, as the failpoints do. Nothing of this is in the program itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import Any, Final

from backplane.client.reducing import Reducing
from backplane.client.run import Run
from backplane.reduce.answer import Answer, Begin, Nonsense, Restart
from backplane.wire.messages import Beat, Cut, End, Gap, Message, NeedStart, Open
from tests.rigs import failpoints

#: The steps at which a client can be ended that is no command line.
POINTS: Final = tuple(point for point in failpoints.POINTS if point != "before its process is told")

_put = Reducing.put
_needed = Answer._needed
#: By reducer: what came last, cuts only.
_recent: dict[int, deque[tuple[str, Cut, int]]] = {}
#: Runs of which a cut is to lose its last part; and jobs that have lost one, of which nothing more arrives.
_tearing: dict[int, Run] = {}
_torn: set[tuple[int, int]] = set()
#: Reducers that are to lose a cut, and the cut that one of their jobs loses.
_losing: set[int] = set()
_lost: dict[tuple[int, int], int] = {}
#: How many starts are told positions of before; and those positions.
_older = 0
_positions: dict[tuple[int, str], deque[dict[str, bytes]]] = {}


def _putting(self: Reducing, provider: str, message: Message | Nonsense, size: int) -> None:
    if isinstance(message, (Open, Cut, Beat, Gap, End)) and (id(self), message.job) in _torn:
        return
    if isinstance(message, Cut):
        job = id(self), message.job
        if message.part == 0 and id(self) in _losing:
            _losing.discard(id(self))
            _lost[job] = message.seq
        if _lost.get(job) == message.seq:
            return
        if message.last and message.part and (run := _tearing.pop(id(self), None)):
            _torn.add((id(self), message.job))
            run._obey(Restart(provider, message.job, "broken within a cut"))
            return
        _recent.setdefault(id(self), deque(maxlen=60)).append((provider, message, size))
    _put(self, provider, message, size)


def _beginning(self: Answer, need: NeedStart) -> Begin:
    global _older
    begin = _needed(self, need)
    kept = _positions.setdefault((id(self), need.provider), deque(maxlen=3))
    if _older and kept and dict(begin.positions):
        _older -= 1
        return Begin(begin.need, begin.epoch, tuple(kept[0].items()), begin.resumed)
    kept.append(dict(begin.positions))
    return begin


def install() -> None:
    """From now on what is done here can be done."""
    Reducing.put = _putting  # type: ignore[method-assign]
    Answer._needed = _beginning  # type: ignore[method-assign]


def _again(runs: list[Run]) -> None:
    """What came last comes again: cuts of the jobs that run, and of those before."""
    for run in runs:
        for provider, message, size in list(_recent.get(id(run.reducing), ())):
            _put(run.reducing, provider, message, size)


def do(order: dict[str, Any], runs: list[Run]) -> None:
    """Obey an order of the world's."""
    global _older
    what = order["do"]
    if what == "die":
        failpoints.dies(order["point"], order["nth"])
    elif what == "repeat":
        _again(runs)
    elif what == "tear":
        _tearing.update({id(run.reducing): run for run in runs})
    elif what == "lose":
        _losing.update(id(run.reducing) for run in runs)
    elif what == "old start":
        _older += 1
    else:
        raise ValueError(what)


HARMS: Final[dict[str, Callable[[], dict[str, Any]]]] = {
    "cuts come again": lambda: {"do": "repeat"},
    "broken within a cut": lambda: {"do": "tear"},
    "a cut is lost": lambda: {"do": "lose"},
    "a start from before": lambda: {"do": "old start"},
}
