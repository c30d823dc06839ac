"""The plan after a break: who comes back, when, and what ends that."""

from __future__ import annotations

import itertools

import pytest

from backplane.wire import limits
from coordinator.plan import Plan
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
    LinkLost,
    LinkTrying,
    LinkUp,
    QuerySubmitted,
    Report,
    Started,
    TargetsChanged,
    TimePassed,
    VerdictPassed,
    WakeAt,
)
from coordinator.waiting import LASTING_S, LEASE_OVER_S, MOST_DEATHS

LOST = LinkLost(20.0, "a", "its runner ended by signal KILL")


def running(wait_s: float | None = 10.0, *, effects: bool = False, jitter: float = 0.5) -> Plan:
    """A plan that resumes, whose one provider has been running job 1 for some time at 20.0."""
    plan = Plan(itertools.count(1), lambda: jitter)
    plan.handle(QuerySubmitted(0.0, ("a",), wait_s, True, effects))
    for event in (LinkUp(1.0, "a"), Started(1.0, 1, "open"), VerdictPassed(1.0, 1, True), TimePassed(10.0)):
        plan.handle(event)
    assert plan.states() == {"a": "running"}
    return plan


def told(instructions: list[Instruction]) -> list[tuple[str, str | None, bool]]:
    return [(i.state, i.reason, i.again) for i in instructions if isinstance(i, Report)]


def wake(instructions: list[Instruction]) -> float:
    (found,) = [i.at for i in instructions if isinstance(i, WakeAt)]
    return found


def comes_up(plan: Plan, job: int, at: float) -> None:
    assert AskStart(job, "a", "resumed") in plan.handle(LinkUp(at, "a"))
    assert told(plan.handle(Started(at, job, "open"))) == [("filtering", None, False)]


def test_a_job_whose_link_broke_comes_back_under_another_number() -> None:
    """Lost for the time being, connected to after a pause, asked for as resumed; and then it is as if new."""
    plan = running()
    found = plan.handle(LOST)
    assert told(found) == [("lost", LOST.reason, True)]
    assert wake(found) == 20.5
    assert plan.handle(TimePassed(20.5))[0] == Connect("a")
    assert told(plan.handle(LinkTrying(20.6, "a", "connecting"))) == []
    comes_up(plan, 2, 21.0)
    plan.handle(VerdictPassed(21.0, 2, True))
    assert told(plan.handle(TimePassed(60.0))) == []
    found = plan.handle(JobEnded(61.0, 2, "done", None, False))
    assert told(found) == [("done", None, False)] and found[-1] == Forget()


def test_what_the_old_job_still_says_means_nothing() -> None:
    """Its end, its verdict and its start cross the break, and change nothing."""
    plan = running()
    plan.handle(LOST)
    for event in (JobEnded(20.1, 1, "done", None, False), VerdictPassed(20.1, 1, True), Started(20.1, 1, "open")):
        assert plan.handle(event) == []
    assert plan.states() == {"a": "lost"}


def test_a_query_that_does_not_resume_has_lost_it() -> None:
    """Without the client's word nothing is run twice."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, ("a",), 10.0))
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(Started(1.0, 1, "open"))
    found = plan.handle(LinkLost(2.0, "a", "gone"))
    assert told(found) == [("lost", "gone", False)] and found[-1] == Forget()


def test_the_wait_begins_with_the_break() -> None:
    """Not with the query, which has had its wait long before; and when it is over the provider is lost for good."""
    plan = running(wait_s=10.0)
    plan.handle(LOST)
    assert plan.handle(TimePassed(20.5))[0] == Connect("a")
    assert told(plan.handle(LinkFailed(21.0, "a", "its SSH port refuses connections"))) == []
    assert told(plan.handle(TimePassed(29.9))) == []
    found = plan.handle(TimePassed(30.0))
    reason = f"{LOST.reason}; it has not come back within the wait: its SSH port refuses connections"
    assert told(found) == [("lost", reason, False)] and found[-1] == Forget()


def test_a_following_query_waits_for_ever() -> None:
    """A host that is away for days comes back, tried with pauses that do not grow beyond their most."""
    plan = running(wait_s=None)
    at = wake(plan.handle(LOST))
    for _ in range(50):
        assert Connect("a") in plan.handle(TimePassed(at))
        before, at = at, wake(plan.handle(LinkFailed(at, "a", "no route")))
        assert at - before <= 15.0
    comes_up(plan, 2, at)


def test_whoever_is_ready_when_the_wait_ends_goes_on() -> None:
    """It waits for its client's start, not for us."""
    plan = running()
    plan.handle(LOST)
    plan.handle(TimePassed(20.5))
    assert AskStart(2, "a", "resumed") in plan.handle(LinkUp(29.9, "a"))
    assert told(plan.handle(TimePassed(30.0))) == []
    assert told(plan.handle(Started(30.1, 2, "open"))) == [("filtering", None, False)]


def test_a_link_that_breaks_again_before_the_start_is_one_more_attempt() -> None:
    """The wait goes on from the first break; the number that was asked for is void."""
    plan = running()
    plan.handle(LOST)
    plan.handle(TimePassed(20.5))
    plan.handle(LinkUp(20.6, "a"))
    found = plan.handle(LinkLost(20.7, "a", "reset"))
    assert told(found) == [] and wake(found) == 21.7
    assert plan.handle(Started(20.8, 2, "open")) == []
    assert plan.handle(TimePassed(21.7))[0] == Connect("a")
    assert AskStart(3, "a", "resumed") in plan.handle(LinkUp(21.8, "a"))
    assert told(plan.handle(LinkLost(31.0, "a", "reset")))[0][::2] == ("lost", False)


def test_a_failure_that_is_final_ends_the_wait() -> None:
    """A key that is not taken any more; it had contributed, so it is lost and not unreachable."""
    plan = running(wait_s=None)
    plan.handle(LOST)
    plan.handle(TimePassed(20.5))
    found = plan.handle(LinkFailed(21.0, "a", "no key", retry=False))
    assert told(found) == [("lost", f"{LOST.reason}; no key", False)] and found[-1] == Forget()


def test_effects_wait_until_the_old_job_is_surely_gone() -> None:
    """A job that must not run twice at a time: a lease and two seconds, and its wait begins then."""
    plan = running(effects=True, jitter=0.0)
    found = plan.handle(LOST)
    assert wake(found) == 20.0 + LEASE_OVER_S + 0.25 and LEASE_OVER_S == limits.LEASE_S + 2
    assert not [i for i in plan.handle(TimePassed(20.0 + LEASE_OVER_S)) if isinstance(i, Connect)]
    assert Connect("a") in plan.handle(TimePassed(wake(found)))
    assert told(plan.handle(TimePassed(41.9))) == []
    assert told(plan.handle(TimePassed(42.0)))[0][2] is False


def test_effects_do_not_wait_for_what_is_known_to_be_gone() -> None:
    """A runner that says that the process has ended has seen the end of all that it left behind."""
    plan = running(effects=True)
    found = plan.handle(JobEnded(20.0, 1, "killed", "its process died of signal 9", False, broken=True))
    assert told(found) == [("lost", "its process died of signal 9", True)]
    assert Disconnect("a") in found and wake(found) == 20.5


def test_a_process_that_was_ended_from_outside_is_a_break_and_a_limit_is_not() -> None:
    """What our limits or the script itself end would end so again."""
    plan = running()
    assert told(plan.handle(JobEnded(20.0, 1, "killed", "signal 9", False, broken=True)))[0][2] is True
    comes_up(plan, 2, 20.5)
    assert told(plan.handle(JobEnded(21.0, 2, "killed", "more than 64 processes", False)))[0][2] is False


def test_a_process_that_dies_again_and_again_is_not_brought_back_for_ever() -> None:
    """The pauses between grow, but only so far; and then the state is what its runner said."""
    plan = running(wait_s=None)
    at, job = 20.0, 1
    for n in range(MOST_DEATHS):
        found = plan.handle(JobEnded(at, job, "killed", "signal 9", False, broken=True))
        assert told(found) == [("lost", "signal 9", True)]
        pause = wake(found) - at
        assert pause == [0.5, 1.0, 2.0][min(n, 2)]
        at, job = wake(found), job + 1
        plan.handle(TimePassed(at))
        comes_up(plan, job, at)
        at += 0.5
    found = plan.handle(JobEnded(at, job, "killed", "signal 9", False, broken=True))
    assert told(found) == [("killed", "signal 9", False)]


def test_a_job_that_lasted_is_brought_back_at_once_again() -> None:
    """Breaks that are far from each other are no series, however many they are."""
    plan = running(wait_s=None)
    at, job = 20.0, 1
    for _ in range(MOST_DEATHS * 2):
        found = plan.handle(JobEnded(at, job, "killed", "signal 9", False, broken=True))
        assert told(found)[0][2] is True and wake(found) == at + 0.5
        at, job = at + 0.5, job + 1
        plan.handle(TimePassed(at))
        comes_up(plan, job, at)
        at += LASTING_S


@pytest.mark.parametrize("mode", ["drain", "abort"])
def test_a_query_that_ends_while_a_provider_is_away_has_lost_it(mode: str) -> None:
    """It cannot hand over what it had last, and nobody waits for it."""
    plan = running()
    plan.handle(LOST)
    found = plan.handle(CancelAsked(21.0, mode))
    ((state, reason, again),) = told(found)
    assert (state, again) == ("lost", False)
    assert str(reason).startswith(f"{LOST.reason}; cancelled before it was back;")
    assert found[-1] == Forget()


def test_what_breaks_while_it_is_being_ended_does_not_come_back() -> None:
    """A query that drains, a job that the client stops, and a provider that leaves."""
    plan = running()
    plan.handle(CancelAsked(19.0, "drain"))
    assert told(plan.handle(LOST))[0][2] is False
    plan = running()
    plan.handle(CancelAsked(19.0, "abort", 1))
    assert told(plan.handle(LOST))[0][2] is False
    plan = running()
    plan.handle(TargetsChanged(19.0, left=("a",)))
    assert told(plan.handle(LOST))[0][2] is False


def test_who_leaves_while_away_is_lost_and_may_rejoin() -> None:
    """What it had last is missing; coming back it is a new beginning."""
    plan = running()
    plan.handle(LOST)
    plan.handle(TargetsChanged(20.1, joined=("b",)))
    assert told(plan.handle(TargetsChanged(20.2, left=("a",))))[0][::2] == ("lost", False)
    assert told(plan.handle(TargetsChanged(20.3, joined=("a",)))) == [("pending", None, False)]
    assert AskStart(2, "a", "rejoined") in plan.handle(LinkUp(20.4, "a"))


def test_a_client_that_misses_something_gets_another_job() -> None:
    """The old one is aborted first, whatever its end says then; asking twice aborts once."""
    for state in ("killed", "done"):
        plan = running()
        assert plan.handle(CancelAsked(20.0, "restart", 1)) == [CancelJob(1, "abort")]
        assert plan.handle(CancelAsked(20.0, "restart", 1)) == []
        found = plan.handle(JobEnded(20.1, 1, state, "cancelled", False))
        assert told(found) == [("lost", "cancelled", True)]
        assert plan.handle(TimePassed(20.6))[0] == Connect("a")
        comes_up(plan, 2, 20.7)
        assert plan.handle(CancelAsked(21.0, "restart", 1)) == []
        assert told(plan.handle(JobEnded(30.0, 2, "done", None, False))) == [("done", None, False)]


def test_a_client_that_is_gone_takes_the_absent_with_it() -> None:
    """Nobody is connected to for nobody."""
    plan = running(wait_s=None)
    plan.handle(LOST)
    assert plan.handle(ClientGone(21.0)) == [Disconnect("a"), Forget()]


def test_one_that_was_ready_when_the_wait_ended_does_not_wait_for_ever() -> None:
    """Its link breaks before its first start, after the wait: there are no more attempts."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, ("a",), 10.0, True))
    plan.handle(LinkUp(9.0, "a"))
    plan.handle(TimePassed(10.0))
    assert told(plan.handle(LinkLost(11.0, "a", "reset"))) == [("unreachable", "reset", False)]


def test_who_is_away_when_the_querys_own_wait_ends_has_its_own() -> None:
    """A break shortly after the beginning: the wait counts from the break."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, ("a",), 10.0, True))
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(Started(1.0, 1, "open"))
    plan.handle(LinkLost(9.5, "a", "gone"))
    assert told(plan.handle(TimePassed(10.0))) == []
    comes_up(plan, 2, 15.0)
