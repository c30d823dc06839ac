"""The plan of a query that asks some of its providers first, and holds the others back."""

from __future__ import annotations

import itertools

import pytest

from coordinator.plan import Plan
from coordinator.steps import (
    Admitted,
    CancelAsked,
    CancelJob,
    ClientGone,
    Connect,
    Disconnect,
    Forget,
    Instruction,
    JobEnded,
    LinkUp,
    QuerySubmitted,
    Report,
    Started,
    TargetsChanged,
    TimePassed,
    VerdictPassed,
    WakeAt,
)
from coordinator.target import HELD


def new(wait_s: float | None = 10.0, *, first: tuple[str, ...] = ("a",)) -> tuple[Plan, list[Instruction]]:
    """A plan at time 0 of three providers."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    return plan, plan.handle(QuerySubmitted(0.0, ("a", "b", "c"), wait_s, first=first))


def connects(instructions: list[Instruction]) -> list[str]:
    return [each.provider for each in instructions if isinstance(each, Connect)]


def ended(plan: Plan, name: str = "a", job: int = 1) -> list[Instruction]:
    """Its job begins and ends well."""
    for event in (LinkUp(1.0, name), Started(1.0, job, "open"), VerdictPassed(1.0, job, True)):
        plan.handle(event)
    return plan.handle(JobEnded(2.0, job, "done", None, False))


def test_only_those_who_are_first_are_connected_to() -> None:
    """The others are pending, and their reports say why."""
    _, out = new()
    assert connects(out) == ["a"]
    assert [each for each in out if isinstance(each, Report)] == [
        Report("a", "pending"),
        Report("b", "pending", HELD),
        Report("c", "pending", HELD),
    ]


def test_without_a_first_everybody_is() -> None:
    """Nobody is held back where nobody was said to be first, and admitting changes nothing."""
    plan, out = new(first=())
    assert connects(out) == ["a", "b", "c"]
    assert plan.handle(Admitted(1.0)) == []


def test_no_wait_runs_for_who_is_held_back() -> None:
    """The wait ends for who was asked; the others stay pending, and have a wait of their own once admitted."""
    plan, _ = new()
    plan.handle(TimePassed(10.0))
    assert plan.states() == {"a": "unreachable", "b": "pending", "c": "pending"}
    out = plan.handle(Admitted(60.0))
    assert connects(out) == ["b", "c"]
    assert WakeAt(70.0) in out
    plan.handle(TimePassed(70.0))
    assert plan.states() == dict.fromkeys("abc", "unreachable")


def test_the_query_goes_on_when_the_first_are_done() -> None:
    """It is not over while somebody is held back; admitted once, they begin, and a second time nobody does."""
    plan, _ = new()
    assert Forget() not in ended(plan)
    assert connects(plan.handle(Admitted(3.0))) == ["b", "c"]
    assert connects(plan.handle(Admitted(4.0))) == []
    assert Forget() not in ended(plan, "b", 2)
    assert Forget() in ended(plan, "c", 3)


def test_a_cancelled_query_never_asks_them() -> None:
    """They end with a reason, nobody has connected to them, and nobody can be admitted after that."""
    plan, _ = new()
    for event in (LinkUp(1.0, "a"), Started(1.0, 1, "open")):
        plan.handle(event)
    out = plan.handle(CancelAsked(2.0, "drain"))
    assert CancelJob(1, "drain") in out
    told = {each.provider: (each.state, each.reason) for each in out if isinstance(each, Report)}
    assert told == dict.fromkeys("bc", ("unreachable", f"cancelled before it had started; {HELD}"))
    assert connects(plan.handle(Admitted(2.5))) == []
    assert Forget() in plan.handle(JobEnded(3.0, 1, "done", None, True))


@pytest.mark.parametrize("admitted", [False, True])
def test_who_joins_meanwhile_waits_too(admitted: bool) -> None:
    """The table may grow: who joins is held back like the others, or begins at once when these have been admitted."""
    plan, _ = new()
    if admitted:
        plan.handle(Admitted(1.0))
    out = plan.handle(TargetsChanged(2.0, joined=("d",)))
    assert connects(out) == (["d"] if admitted else [])
    assert Report("d", "pending", None if admitted else HELD) in out
    assert connects(plan.handle(Admitted(3.0))) == ([] if admitted else ["b", "c", "d"])


def test_who_leaves_while_held_back_is_not_admitted() -> None:
    """It has left, and stays so."""
    plan, _ = new()
    out = plan.handle(TargetsChanged(1.0, left=("b",)))
    assert Disconnect("b") in out
    assert plan.states()["b"] == "left"
    assert connects(plan.handle(Admitted(2.0))) == ["c"]


def test_a_client_that_goes_leaves_nobody_behind() -> None:
    """Nothing is left to admit."""
    plan, _ = new()
    assert Forget() in plan.handle(ClientGone(1.0))
