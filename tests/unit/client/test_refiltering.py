"""The standing filter at the client: what a question of it is, what is told of it, and what is not."""

from __future__ import annotations

from typing import Any

from backplane.client.refiltering import Refiltering
from backplane.client.spec import Options, Work
from backplane.query.starting import FOLLOWING
from backplane.wire import codec
from backplane.wire.messages import End, Message, NeedStart, Start, State, Verdict
from tests.unit.client.test_run_breaks import Asks

BODY = {
    "filter": "def filter(p): return True",
    "map": "def map(): pass",
    "combine": ["sum"],
    "modules": dict.fromkeys([*FOLLOWING, "needs"], ""),
}


class Filters(Asks):
    """A question with a filter."""

    def body(self, ready: object, positions: object) -> dict[str, object]:
        return dict(BODY)


class Rig:
    def __init__(self, *, standing: bool = True) -> None:
        self.sent: list[Message] = []
        self.retired: list[int] = []
        self.faults: list[tuple[str, str]] = []
        options = Options(refilter_s=20.0, on_fault=lambda name, fault: self.faults.append((name, fault.text)))
        question = Filters(Work(standing=standing))
        self.it = Refiltering("q", question, options, self.sent.append, self.retired.append)

    def asks(self, job: int, name: str = "a") -> Start:
        self.it.need(NeedStart(job=job, query="q", provider=name, reason="refilter"))
        found = self.sent[-1]
        assert isinstance(found, Start)
        return found

    def ends(self, job: int, keep: bool | None, state: str, reason: str | None = None) -> None:
        if keep is not None:
            self.it.arrived(job, Verdict(job=job, epoch=1, keep=keep))
        self.it.arrived(job, End(job=job, epoch=1, state=state, reason=reason))


def test_a_question_is_a_filter_and_nothing_else() -> None:
    """It is granted nothing, believes no verdict of before, and brings no module that only its map would need."""
    start = Rig().asks(7)
    body: dict[str, Any] = codec.unpack(start.payload)
    assert (body["map"], body["combine"], set(body["modules"])) == (None, None, {"needs"})
    assert (start.granted, start.fresh_s, start.kept) == (0, 0.0, False) and start.filter


def test_what_failed_is_told_once_and_anew_after_an_answer() -> None:
    """A filter that fails every minute is told once; a no is no failure."""
    rig = Rig()
    for job, (keep, state) in enumerate(
        [(None, "failed"), (None, "failed"), (False, "filtered_out"), (None, "failed"), (True, "done")], 1
    ):
        rig.asks(job)
        rig.ends(job, keep, state, "it raised" if keep is None else None)
    text = "its filter could not say whether it stays, so it does: it raised"
    assert rig.faults == [("a", text)] * 2 and rig.retired == [1, 2, 3, 4, 5] and 5 not in rig.it


def test_a_question_that_nobody_answers_is_forgotten_with_the_next() -> None:
    """Its link broke, of which nobody tells; of another provider there may be one beside it."""
    rig = Rig()
    for job, name in ((1, "a"), (2, "b"), (3, "a")):
        rig.asks(job, name)
    assert rig.retired == [1] and 1 not in rig.it and 2 in rig.it and 3 in rig.it
    rig.it.clear()
    assert rig.retired == [1, 2, 3]


def test_who_is_outside_and_who_is_leaving() -> None:
    """By what was said last; one that is lost for a while is neither."""
    rig = Rig()

    def say(state: str, *, again: bool) -> tuple[list[str], bool]:
        rig.it.heard(State(query="q", provider="a", state=state, again=again))
        return list(rig.it.outside), rig.it.leaves("a")

    assert say("running", again=False) == ([], False)
    assert say("running", again=True) == ([], True)
    assert say("left", again=True) == (["a"], False)
    assert say("running", again=False) == ([], False)
    assert say("lost", again=True) == ([], False)
    assert say("filtered_out", again=True) == (["a"], False)
    assert say("filtered_out", again=False) == ([], False)


def test_without_a_standing_filter_nobody_is_asked_again() -> None:
    """Nor does a start say how fresh a verdict must be."""
    assert (Rig(standing=False).it.every_s, Rig(standing=False).it.fresh_s) == (None, None)
    assert (Rig().it.every_s, Rig().it.fresh_s) == (20.0, 10.0)
