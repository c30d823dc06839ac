"""The plan of a query whose filter stands: who is asked again, when, and what the answers do."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from coordinator.plan import Plan
from coordinator.refilter import LEAST_S, SOON_S
from coordinator.steps import (
    AskStart,
    CancelAsked,
    CancelJob,
    ClientGone,
    Connect,
    Disconnect,
    Forget,
    Instruction,
    JobEnded,
    LinkFailed,
    LinkHeard,
    LinkLost,
    LinkQuiet,
    LinkUp,
    QuerySubmitted,
    Report,
    Started,
    TableTouched,
    TargetsChanged,
    TimePassed,
    VerdictPassed,
    WakeAt,
)

NO = "its filter says no"


def running(*names: str, interval_s: float | None = 60.0, jitter: Callable[[], float] = lambda: 0.5) -> Plan:
    """Following providers that run jobs 1, 2 …, each with a filter that said yes at 1.0 and is asked next at 61.0."""
    plan = Plan(itertools.count(1), jitter)
    plan.handle(QuerySubmitted(0.0, names, None, True, False, interval_s))
    for number, name in enumerate(names, 1):
        plan.handle(LinkUp(1.0, name))
        plan.handle(Started(1.0, number, "open"))
        plan.handle(VerdictPassed(1.0, number, True))
    return plan


def told(instructions: list[Instruction]) -> list[tuple[str, str | None, bool]]:
    return [(i.state, i.reason, i.again) for i in instructions if isinstance(i, Report)]


def wake(instructions: list[Instruction]) -> float:
    (found,) = [i.at for i in instructions if isinstance(i, WakeAt)]
    return found


def answers(plan: Plan, job: int, keep: bool | None, at: float) -> list[Instruction]:
    """A filter's job from start to end; None: it fails."""
    out = plan.handle(Started(at, job, "open"))
    if keep is not None:
        out += plan.handle(VerdictPassed(at, job, keep))
    state = "failed" if keep is None else "done" if keep else "filtered_out"
    return out + plan.handle(JobEnded(at, job, state, "it raised" if keep is None else None, False))


def outside(at: float = 130.0) -> Plan:
    """One that has left since its filter said no twice; asked next at 60 s after that."""
    plan = running("a")
    plan.handle(TimePassed(61.0))
    answers(plan, 2, False, 62.0)
    plan.handle(TimePassed(122.0))
    answers(plan, 3, False, 123.0)
    assert told(plan.handle(JobEnded(at, 1, "done", None, True))) == [("left", NO, True)]
    return plan


def test_two_noes_in_a_row_make_a_provider_leave() -> None:
    """Its job is drained and ends first; nothing of the filter's own jobs is reported as a state."""
    plan = running("a")
    assert AskStart(2, "a", "refilter") in plan.handle(TimePassed(61.0))
    found = answers(plan, 2, False, 62.0)
    assert told(found) == [] and wake(found) == 122.0
    assert AskStart(3, "a", "refilter") in plan.handle(TimePassed(122.0))
    found = answers(plan, 3, False, 123.0)
    assert told(found) == [("running", NO, True)] and CancelJob(1, "drain") in found
    assert plan.states() == {"a": "running"}
    found = plan.handle(JobEnded(124.0, 1, "done", None, True))
    assert told(found) == [("left", NO, True)] and Forget() not in found and Disconnect("a") not in found


@pytest.mark.parametrize("between", [True, None])
def test_a_yes_or_an_error_between_two_noes_keeps_it(between: bool | None) -> None:
    """They are two in a row, or they are nothing; and an error is never a no."""
    plan = running("a")
    for number, keep in enumerate([False, between, False, None, None, False, True], 2):
        assert AskStart(number, "a", "refilter") in plan.handle(TimePassed(1000.0 * number))
        found = answers(plan, number, keep, 1000.0 * number + 1)
        assert told(found) == [] and not [each for each in found if isinstance(each, CancelJob)]
    assert plan.states() == {"a": "running"}


def test_there_is_one_question_a_provider_at_a_time() -> None:
    """A filter that takes longer than the interval is not asked beside itself, nor when the table changes meanwhile."""
    plan = running("a")
    plan.handle(TimePassed(61.0))
    plan.handle(Started(61.0, 2, "open"))
    for event in (TimePassed(200.0), TableTouched(201.0), TimePassed(300.0)):
        assert not [each for each in plan.handle(event) if isinstance(each, AskStart)]


def test_questions_are_spread_over_the_interval() -> None:
    """Hosts that began in one moment are asked one by one, between half of the interval and one and a half."""
    jitter = itertools.cycle(n / 100 for n in range(100))
    plan = running(*(f"p{n:02}" for n in range(100)), jitter=lambda: next(jitter))
    asked: dict[str, float] = {}
    for tenth in range(310, 920):
        found = plan.handle(TimePassed(tenth / 10))
        for each in found:
            if isinstance(each, AskStart):
                assert each.reason == "refilter" and each.provider not in asked
                asked[each.provider] = tenth / 10
        assert len([each for each in found if isinstance(each, AskStart)]) <= 2
    assert len(asked) == 100 and max(asked.values()) - min(asked.values()) > 55


def test_a_silent_or_lost_provider_is_not_asked() -> None:
    """It is asked again when it has been back for a while; a question under way goes with its link."""
    plan = running("a")
    plan.handle(LinkQuiet(60.0, "a"))
    found = plan.handle(TimePassed(61.0))
    assert not [each for each in found if isinstance(each, AskStart)] and wake(found) == 121.0
    plan.handle(LinkHeard(62.0, "a"))
    assert AskStart(2, "a", "refilter") in plan.handle(TimePassed(121.0))
    plan.handle(Started(121.0, 2, "open"))
    assert told(plan.handle(LinkLost(122.0, "a", "gone"))) == [("lost", "gone", True)]
    assert plan.handle(VerdictPassed(123.0, 2, False)) == []
    assert not [each for each in plan.handle(TimePassed(400.0)) if isinstance(each, AskStart)]
    assert AskStart(3, "a", "resumed") in plan.handle(LinkUp(401.0, "a"))
    plan.handle(Started(401.0, 3, "open"))
    assert wake(plan.handle(VerdictPassed(401.0, 3, True))) == 461.0


def test_all_are_asked_at_once_when_the_table_changes() -> None:
    """Within two seconds, whatever the interval; those who wait for their answer already are not."""
    plan = running("a", "b")
    assert wake(plan.handle(TableTouched(10.0))) == 10.0 + SOON_S / 2
    found = plan.handle(TimePassed(11.0))
    assert {each.provider for each in found if isinstance(each, AskStart)} == {"a", "b"}


def test_an_interval_has_a_least() -> None:
    """A client cannot have a host asked a thousand times a second."""
    plan = Plan(itertools.count(1), lambda: 0.0)
    plan.handle(QuerySubmitted(0.0, ("a",), None, True, False, 1e-9))
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(Started(1.0, 1, "open"))
    assert wake(plan.handle(VerdictPassed(1.0, 1, True))) == 1.0 + LEAST_S / 2


def test_who_is_outside_comes_back_with_a_yes() -> None:
    """Asked by a whole start; nothing is said of it until the answer is yes, and then it runs."""
    plan = outside()
    assert plan.handle(TimePassed(190.0))[0] == Connect("a")
    assert AskStart(4, "a", "rejoined") in plan.handle(LinkUp(190.0, "a"))
    assert told(answers(plan, 4, False, 191.0)) == []
    assert plan.handle(TimePassed(251.0))[0] == Connect("a")
    assert AskStart(5, "a", "rejoined") in plan.handle(LinkUp(251.0, "a"))
    assert told(plan.handle(Started(251.0, 5, "open"))) == []
    assert told(plan.handle(VerdictPassed(252.0, 5, True))) == [("running", None, False)]
    assert AskStart(6, "a", "refilter") in plan.handle(TimePassed(312.0))


def test_who_was_filtered_out_joins_late() -> None:
    """A query of whom nobody is kept goes on as long as somebody may be; without a standing filter it is over."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, ("a",), None, True, False, 60.0))
    plan.handle(LinkUp(1.0, "a"))
    found = answers(plan, 1, False, 1.0)
    assert told(found)[-1] == ("filtered_out", None, True) and Forget() not in found and wake(found) == 61.0
    assert plan.handle(TimePassed(61.0))[0] == Connect("a")
    plan.handle(LinkUp(61.0, "a"))
    assert told(answers(plan, 2, True, 61.0)) == [("running", None, False), ("done", None, False)]
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, ("a",), None, True, False))
    plan.handle(LinkUp(1.0, "a"))
    found = answers(plan, 1, False, 1.0)
    assert told(found)[-1] == ("filtered_out", None, False) and found[-1] == Forget()


@pytest.mark.parametrize("what", ["error", "link", "unreachable", "key"])
def test_whatever_becomes_of_that_question_it_stays_outside(what: str) -> None:
    """A filter that fails, a link that breaks, a host that is down, a key that is refused: asked again later."""
    plan = outside()
    plan.handle(TimePassed(190.0))
    if what in ("unreachable", "key"):
        found = plan.handle(LinkFailed(191.0, "a", "no route", retry=what == "unreachable"))
    else:
        plan.handle(LinkUp(190.0, "a"))
        found = plan.handle(Started(190.0, 4, "open"))
        found += answers(plan, 4, None, 191.0) if what == "error" else plan.handle(LinkLost(191.0, "a", "gone"))
    assert told(found) == [] and wake(found) == 251.0
    assert plan.handle(TimePassed(251.0))[0] == Connect("a")


@pytest.mark.parametrize("asked", [False, True])
def test_a_drain_ends_those_outside_too(asked: bool) -> None:
    """As what they are, for good, whether they are being asked or not."""
    plan = outside()
    if asked:
        plan.handle(TimePassed(190.0))
        plan.handle(LinkUp(190.0, "a"))
        plan.handle(Started(190.0, 4, "open"))
    found = plan.handle(CancelAsked(191.0, "drain"))
    if asked:
        assert CancelJob(4, "drain") in found and told(found) == []
        found = plan.handle(JobEnded(192.0, 4, "done", None, True))
    assert told(found) == [("left", NO, False)] and found[-1] == Forget()


def test_a_drain_while_it_is_leaving_is_the_end_of_it() -> None:
    """It has left then, and is asked no more."""
    plan = running("a")
    for job, at in ((2, 61.0), (3, 200.0)):
        plan.handle(TimePassed(at))
        answers(plan, job, False, at)
    plan.handle(CancelAsked(201.0, "drain"))
    found = plan.handle(JobEnded(202.0, 1, "done", None, True))
    assert told(found) == [("left", NO, False)] and found[-1] == Forget()


def test_a_break_while_it_is_leaving_brings_it_back() -> None:
    """It resumes, so that nothing of before is missing; its filter decides anew."""
    plan = running("a")
    for job, at in ((2, 61.0), (3, 200.0)):
        plan.handle(TimePassed(at))
        answers(plan, job, False, at)
    assert told(plan.handle(LinkLost(201.0, "a", "gone"))) == [("lost", "gone", True)]
    plan.handle(TimePassed(202.0))
    assert AskStart(4, "a", "resumed") in plan.handle(LinkUp(202.0, "a"))
    plan.handle(Started(202.0, 4, "open"))
    assert told(plan.handle(VerdictPassed(202.0, 4, True))) == [("running", None, False)]
    plan.handle(TimePassed(262.0))
    assert told(answers(plan, 5, False, 262.0)) == []
    plan.handle(TimePassed(322.0))
    assert told(answers(plan, 6, False, 322.0)) == [("running", NO, True)]
    assert told(plan.handle(JobEnded(323.0, 4, "done", None, True))) == [("left", NO, True)]


def test_the_wait_is_not_for_those_outside() -> None:
    """When it ends they are what they were; nobody has failed to reach them."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, ("a", "b"), 10.0, True, False, 60.0))
    plan.handle(LinkUp(1.0, "a"))
    answers(plan, 1, False, 1.0)
    assert [state for state, _, _ in told(plan.handle(TimePassed(10.0)))] == ["unreachable"]
    assert plan.states() == {"a": "filtered_out", "b": "unreachable"}
    assert Connect("a") in plan.handle(TimePassed(61.0))


def test_a_question_ends_with_the_job_beside_it() -> None:
    """A filter that still thinks when its provider's job is over is aborted, and what it says is not heard."""
    plan = running("a")
    plan.handle(TimePassed(61.0))
    plan.handle(Started(61.0, 2, "open"))
    found = plan.handle(JobEnded(62.0, 1, "failed", "it raised", False))
    assert told(found) == [("failed", "it raised", False)] and CancelJob(2, "abort") in found
    plan = running("a")
    plan.handle(TimePassed(61.0))
    plan.handle(Started(61.0, 2, "open"))
    found = plan.handle(ClientGone(62.0))
    assert {each.job for each in found if isinstance(each, CancelJob)} == {1, 2} and found[-1] == Forget()


def test_the_table_takes_out_whom_the_filter_has_left_out() -> None:
    """For good, as what it was; when the table has it again it begins anew."""
    plan = outside()
    found = plan.handle(TargetsChanged(140.0, joined=("b",), left=("a",)))
    assert ("left", NO, False) in told(found)
    assert not [each for each in plan.handle(TimePassed(1000.0)) if each == Connect("a")]
    assert Connect("a") in plan.handle(TargetsChanged(1001.0, joined=("a",)))
    assert AskStart(4, "a", "rejoined") in plan.handle(LinkUp(1002.0, "a"))


def test_the_table_takes_out_who_is_leaving_because_of_its_filter() -> None:
    """It is not asked again when its job has ended."""
    plan = running("a", "b")
    plan.handle(TimePassed(61.0))
    answers(plan, 3, False, 62.0)
    answers(plan, 4, True, 62.0)
    plan.handle(TimePassed(122.0))
    answers(plan, 5, False, 123.0)
    plan.handle(TargetsChanged(124.0, left=("a",)))
    ((state, _, again),) = told(plan.handle(JobEnded(125.0, 1, "done", None, True)))
    assert (state, again) == ("left", False)
