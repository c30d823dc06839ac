"""The frames, cut at every one of them: a link breaks, the job resumes from what was applied, and the totals are equal.

Everything goes through the shipped codec and the shipped reducer; only the runner is a script
(tests/rigs/transcripts.py). Then the reducer is given planted faults, each of which the same check must find.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, zip_longest
from typing import NamedTuple

import pytest

from backplane.reduce import answer as answering
from backplane.reduce import folds
from backplane.reduce.answer import Answer, Restart, Stop
from backplane.reduce.cursors import Cursor, Part
from backplane.reduce.fold import Keys
from backplane.reduce.rows import Rows
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Cut, Message, Open, State, Targets
from provider.runner import frames as frames_of
from tests.rigs import transcripts
from tests.rigs.transcripts import AGGREGATES, Script


class Case(NamedTuple):
    """One kind of transcript."""

    raw: bool
    #: A source is read from its end: a job that began to has to be resumed there, even before its first cut.
    follows: bool


_CASES = [Case(raw, follows) for raw in (False, True) for follows in (False, True)]
_STEADY, _BREAKING = 1, 2
_NAMES = {_STEADY: "web1", _BREAKING: "web2"}


def _scripts(case: Case) -> dict[int, Script]:
    return {job: Script(_NAMES[job], transcripts.three_sources(job, case.follows), raw=case.raw) for job in _NAMES}


def _answer(case: Case) -> Answer:
    fold = _Every() if case.raw else folds.AggregateFold(AGGREGATES)
    answer = Answer(query="q", query_id="1", fold=fold, targets=_NAMES.values())
    answer.handle("", Targets(query="1", payload=codec.pack(sorted(_NAMES.values()))))
    return answer


class _Every(folds.FunctionFold):
    """A fold of raw values that shows each of them, sorted."""

    def __init__(self) -> None:
        super().__init__(max)
        self._values: list[str] = []

    def values(self, provider: str, keys: Keys, values: Sequence[float]) -> None:
        self._values += [f"{provider} {key!r:.40} {value!r}" for key, value in zip(keys or (), values, strict=True)]

    def rows(self) -> Rows:
        return Rows(("value",), tuple((value,) for value in sorted(self._values)))


class _Line:
    """A link between jobs and an answer. Breaking it loses the incomplete fragments of its jobs."""

    def __init__(self, answer: Answer) -> None:
        self.answer = answer
        self.orders: list[object] = []
        self._inbox = codec.Inbox()

    def deliver(self, bodies: Iterable[bytes]) -> None:
        for body in bodies:
            message = self._inbox.add(body)
            if message is not None:
                self.orders += self.answer.handle(_NAMES[message.job], message, len(body))

    def lose(self, job: int) -> None:
        self._inbox.forget(job)


def _bodies(messages: Iterable[Message]) -> list[bytes]:
    return [body for message in messages for body in transcripts.bodies(message)]


def _interleaved(*lists: list[bytes]) -> list[bytes]:
    return [body for body in chain.from_iterable(zip_longest(*lists)) if body is not None]


def _totals(answer: Answer) -> Rows:
    """The table, once the coordinator has said of each provider that it is done."""
    for name in _NAMES.values():
        answer.handle(name, State(query="1", provider=name, state="done"))
    assert answer.finished
    snapshot = answer.snapshot(final=True)
    return snapshot.table


def _unbroken(case: Case) -> tuple[Rows, int]:
    """The totals without a break, and how many frames there were."""
    line = _Line(_answer(case))
    bodies = []
    for job, script in _scripts(case).items():
        bodies.append(_bodies(script.messages(job, *line.answer.begin(_NAMES[job]))))
    frames = _interleaved(*bodies)
    line.deliver(frames)
    totals = _totals(line.answer)
    assert line.answer.snapshot(final=True).complete
    return totals, len(frames)


def _broken_at(number: int, case: Case) -> tuple[list[object], Rows]:
    """Orders to stop or restart a job, and the totals, when one job's link breaks before this frame.

    What it had under way arrives late, after its successor's epoch was minted; and the successor says each thing twice.
    """
    line = _Line(_answer(case))
    scripts = _scripts(case)
    first = {job: _bodies(scripts[job].messages(job, *line.answer.begin(_NAMES[job]))) for job in _NAMES}
    frames = _interleaved(first[_STEADY], first[_BREAKING])
    line.deliver(frames[:number])
    line.lose(_BREAKING)

    epoch, positions = line.answer.begin(_NAMES[_BREAKING])
    assert epoch == 2
    late = _Line(line.answer)  # the old link: what follows a lost fragment's frame is no whole message
    late.deliver(_whole(frames[number:], _BREAKING))
    rest = [body for body in frames[number:] if frames_of.peek(body)[1] == _STEADY]
    again = [twice for message in scripts[_BREAKING].messages(_BREAKING, epoch, positions) for twice in (message,) * 2]
    line.deliver(_interleaved(rest, _bodies(again)))
    orders: list[object] = [order for order in line.orders + late.orders if isinstance(order, Restart | Stop)]
    return orders, _totals(line.answer)


def _whole(bodies: list[bytes], job: int) -> list[bytes]:
    """A job's bodies without the tail of fragments that an earlier loss left behind."""
    own = [body for body in bodies if frames_of.peek(body)[1] == job]
    for start in range(len(own)):
        inbox = codec.Inbox()
        try:
            if all(_known(inbox.add(body)) for body in own[start:]):
                return own[start:]
        except RemoteProtocolError:
            continue
    return []


def _known(message: Message | None) -> bool:
    """A fragment's tail would decode as a payload that is cut short."""
    if isinstance(message, Cut):
        codec.unpack(message.payload)
    return True


def _check(case: Case) -> None:
    """Equal totals, wherever the link breaks."""
    totals, frames = _unbroken(case)
    opens = sum(len(script.sources) for script in _scripts(case).values())
    for number in range(opens if case.follows else 0, frames + 1):
        place = f"broken before frame {number}"
        orders, broken = _broken_at(number, case)
        assert not orders, place
        assert broken == totals, place


@pytest.mark.parametrize("case", _CASES, ids=str)
def test_totals_are_equal_wherever_the_link_breaks(case: Case) -> None:
    """Three rotating sources, two windows, cuts of many parts, two jobs: broken at every frame, resumed, equal."""
    _check(case)


def test_the_transcript_holds_what_it_should() -> None:
    """Cuts of several parts and sources, fragments, both windows, and sources that rotate within a cut."""
    messages = list(_scripts(_CASES[0])[_BREAKING].messages(_BREAKING, 1, ()))
    cuts = [message for message in messages if isinstance(message, Cut)]
    assert max(cut.part for cut in cuts) >= 3
    assert any(len(transcripts.bodies(cut)) > 1 for cut in cuts)
    moves = [codec.unpack(cut.payload) for cut in cuts if cut.content == "moves"]
    assert any(len(move) == 3 for move in moves)
    assert any(begin.split(b":")[0] != end.split(b":")[0] for move in moves for _, begin, end in move)
    rows = _unbroken(_CASES[0])[0]
    assert rows.columns == ("window", "key", *AGGREGATES)
    assert len({tuple(row[0]) for row in rows.rows}) == 2
    assert min(_unbroken(case)[1] for case in _CASES) > 60


class _NoFence(Cursor):
    """Takes every epoch's frames."""

    def current(self, epoch: int) -> bool:
        return True


class _PartByPart(Cursor):
    """Applies each part as it comes."""

    def stage(self, cut: Cut) -> list[Part] | None:
        refused = self.duplicates
        staged = super().stage(cut)
        self._last = staged is not None
        return None if self.duplicates > refused else [Part(cut.content, cut.payload)]

    def commit(self, positions: Mapping[str, bytes]) -> None:
        self.seq += self._last
        self._positions.update(positions)


class _KeepsParts(Cursor):
    """A new epoch finds the parts of the old one."""

    def begin(self, *, anew: bool = False) -> tuple[int, tuple[tuple[str, bytes], ...]]:
        parts = self._parts
        begun = super().begin(anew=anew)
        self._parts = parts
        return begun


class _FromUnchecked(_NoFence):
    """Neither a fence nor a look at where moves start, nor at which cut it is."""

    def stage(self, cut: Cut) -> list[Part] | None:
        if cut.part == 0:
            self._drop()
        self.seq = cut.seq - 1
        return super().stage(cut)

    def moved(self, moves: Iterable[tuple[str, bytes, bytes]]) -> dict[str, bytes]:
        return {source: end for source, _, end in moves}


class _OpenIgnored(Cursor):
    """An open gives no position: a source's first move may start anywhere."""

    def open(self, message: Open) -> None:
        pass

    def moved(self, moves: Iterable[tuple[str, bytes, bytes]]) -> dict[str, bytes]:
        every = list(moves)
        self._positions = {**{source: begin for source, begin, _ in every}, **self._positions}
        return super().moved(every)


class _NoDedupe(Cursor):
    """A cut that was applied is applied again."""

    def stage(self, cut: Cut) -> list[Part] | None:
        if cut.seq == self.seq:
            self.seq -= 1
        return super().stage(cut)

    def moved(self, moves: Iterable[tuple[str, bytes, bytes]]) -> dict[str, bytes]:
        return {source: end for source, _, end in moves}


class _ForgetsPositions(Cursor):
    """Values count, positions do not move."""

    def commit(self, positions: Mapping[str, bytes]) -> None:
        self.seq += 1

    def moved(self, moves: Iterable[tuple[str, bytes, bytes]]) -> dict[str, bytes]:
        return {}


_PLANTED = [_NoFence, _PartByPart, _KeepsParts, _FromUnchecked, _OpenIgnored, _NoDedupe, _ForgetsPositions]


@pytest.fixture
def planted(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Callable[[], Cursor]:
    monkeypatch.setattr(answering, "Cursor", request.param)
    return request.param  # type: ignore[no-any-return]


@pytest.mark.parametrize("planted", _PLANTED, indirect=True, ids=lambda each: each.__name__.strip("_"))
def test_the_check_finds_a_planted_fault(planted: Callable[[], Cursor]) -> None:
    """The check above fails for each of these reducers, so it can fail for ours."""
    with pytest.raises(AssertionError, match="broken before frame"):
        _check(Case(raw=False, follows=True))
