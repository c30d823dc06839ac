"""The plan: events in, instructions compared. No socket, no clock, no task."""

from __future__ import annotations

import itertools
from functools import partial

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from coordinator.gate import WAITING_FOR_TURN
from coordinator.plan import ENDED, LIVE, Plan
from coordinator.steps import (
    AskStart,
    CancelAsked,
    CancelJob,
    ClientGone,
    Connect,
    Disconnect,
    Event,
    Forget,
    Instruction,
    JobEnded,
    LinkFailed,
    LinkHeard,
    LinkLost,
    LinkQuiet,
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


def new(*targets: str, wait_s: float | None = 10.0) -> Plan:
    """A plan at time 0 whose pauses are not jittered."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    plan.handle(QuerySubmitted(0.0, targets, wait_s))
    return plan


def running(name: str = "a") -> Plan:
    """A plan whose provider runs job 1."""
    plan = new(name)
    for event in (LinkUp(1.0, name), Started(1.0, 1, "open"), VerdictPassed(1.0, 1, True)):
        plan.handle(event)
    assert plan.states() == {name: "running"}
    return plan


def reports(instructions: list[Instruction]) -> list[tuple[str, str | None]]:
    return [(i.state, i.reason) for i in instructions if isinstance(i, Report)]


def test_a_query_begins_by_connecting_to_all_its_targets() -> None:
    """Every state is reported from the first one on, and the wait has its wake-up."""
    plan = Plan(itertools.count(1), lambda: 0.5)
    assert plan.handle(QuerySubmitted(5.0, ("a", "b"), 10.0)) == [
        Report("a", "pending"),
        Report("b", "pending"),
        Connect("a"),
        Connect("b"),
        WakeAt(15.0),
    ]


def test_the_way_from_pending_to_done() -> None:
    """Trying, up, started, kept, ended: each is one report, and the query is forgotten with its last provider."""
    plan = new("a")
    assert plan.handle(LinkTrying(0.1, "a", "connecting")) == [Report("a", "connecting")]
    assert plan.handle(LinkUp(0.2, "a", "exec", (3, 11, 2))) == [AskStart(1, "a")]
    told = partial(Report, "a", level="exec", profile="open", python=(3, 11, 2))
    assert plan.handle(Started(0.3, 1, "open")) == [told("filtering")]
    assert plan.handle(VerdictPassed(0.4, 1, True)) == [told("running")]
    assert plan.handle(JobEnded(0.5, 1, "done", None, False)) == [told("done"), Disconnect("a"), Forget()]
    assert plan.handle(LinkLost(0.6, "a", "late")) == []


def test_a_filter_that_says_no_ends_by_the_jobs_end() -> None:
    """The verdict alone changes nothing: `filtered_out` is what the end says."""
    plan = new("a")
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(Started(1.0, 1, "open"))
    assert plan.handle(VerdictPassed(1.0, 1, False)) == []
    assert reports(plan.handle(JobEnded(1.0, 1, "filtered_out", "no such log", False))) == [
        ("filtered_out", "no such log")
    ]


def test_what_may_mend_is_tried_again_with_longer_pauses() -> None:
    """The state stays `connecting`; the pause doubles up to its most."""
    plan = new("a", wait_s=None)
    at, pauses = 0.0, []
    for _ in range(7):
        (wake,) = [i for i in plan.handle(LinkFailed(at, "a", "refused")) if isinstance(i, WakeAt)]
        assert Connect("a") in plan.handle(TimePassed(wake.at))
        pauses.append(wake.at - at)
        at = wake.at
    assert pauses == pytest.approx([0.5, 1, 2, 4, 8, 15, 15])
    assert plan.states() == {"a": "connecting"}


@pytest.mark.parametrize("state", ["unreachable", "refused"])
def test_a_final_failure_ends_at_once(state: str) -> None:
    """A wrong key or a policy does not get better by waiting."""
    plan = new("a", wait_s=None)
    assert plan.handle(LinkFailed(1.0, "a", "no key", state, retry=False)) == [
        Report("a", state, "no key"),
        Disconnect("a"),
        Forget(),
    ]


def test_the_reason_of_a_failed_try_stands_beside_the_state_while_it_is_tried_again() -> None:
    """Reported when it changes, and not for each try; gone with the state."""
    plan = new("a", wait_s=None)
    plan.handle(LinkTrying(0.1, "a", "connecting"))
    first = reports(plan.handle(LinkFailed(1.0, "a", "its SSH port refuses connections")))
    assert first == [("connecting", "its SSH port refuses connections; trying again")]
    plan.handle(LinkTrying(2.0, "a", "connecting"))
    assert reports(plan.handle(LinkFailed(2.1, "a", "its SSH port refuses connections"))) == []
    assert reports(plan.handle(LinkFailed(4.0, "a", "no route"))) == [("connecting", "no route; trying again")]
    plan.handle(LinkUp(5.0, "a"))
    assert reports(plan.handle(Started(5.0, 1, "open"))) == [("filtering", None)]


@pytest.mark.parametrize("wait_s", [0.0, 0.1])
def test_the_wait_bounds_the_retries_and_cuts_no_first_try(wait_s: float) -> None:
    """Whoever is being logged in to has the deadlines of that; whoever fails is not tried again."""
    plan = new("fine", "fails", wait_s=wait_s)
    for name in ("fine", "fails"):
        plan.handle(LinkTrying(0.0, name, "waiting for the runner's hello"))
    assert reports(plan.handle(TimePassed(wait_s))) == []
    assert reports(plan.handle(LinkFailed(0.3, "fails", "it is down"))) == [("unreachable", "it is down")]
    assert AskStart(1, "fine") in plan.handle(LinkUp(0.5, "fine"))


def test_the_end_of_the_wait_names_the_last_failure() -> None:
    """Also of a later try that hangs: whoever has not been reached says why in plain words; the others go on."""
    plan = new("failed", "waits", "ready", wait_s=10.0)
    plan.handle(LinkFailed(1.0, "failed", "its SSH port refuses connections"))
    plan.handle(LinkTrying(8.0, "failed", "waiting for the SSH login"))
    plan.handle(LinkUp(1.0, "ready"))
    assert reports(plan.handle(TimePassed(10.0))) == [
        ("unreachable", "its SSH port refuses connections"),
        (
            "unreachable",
            "still waiting for its turn to connect; --wait gives it more time, --fanout tries more at once",
        ),
    ]
    assert plan.states()["ready"] == "connecting"
    assert reports(plan.handle(LinkFailed(11.0, "failed", "late"))) == []


def test_whoever_waits_for_its_turn_at_the_end_of_the_wait_is_tried_once() -> None:
    """Of many providers the last are not unreachable because the first took long."""
    plan = new("fails", "comes", "under way", wait_s=10.0)
    for name in ("fails", "comes", "under way"):
        plan.handle(LinkTrying(1.0, name, WAITING_FOR_TURN))
    plan.handle(LinkTrying(9.0, "under way", "waiting for the SSH login"))
    assert reports(plan.handle(TimePassed(10.0))) == []
    plan.handle(LinkTrying(11.0, "fails", "waiting for the TCP connection"))
    assert reports(plan.handle(LinkFailed(12.0, "fails", "it is down"))) == [("unreachable", "it is down")]
    for name in ("comes", "under way"):
        assert [type(step) for step in plan.handle(LinkUp(13.0, name))] == [AskStart]


def test_a_wake_up_that_comes_early_is_asked_for_again() -> None:
    """A loop's timer may fire a moment before its time."""
    plan = new("a", wait_s=10.0)
    plan.handle(LinkFailed(1.0, "a", "it is down"))
    plan.handle(TimePassed(2.0))
    assert plan.handle(TimePassed(9.999)) == [WakeAt(10.0)]
    assert reports(plan.handle(TimePassed(10.0))) == [("unreachable", "it is down")]


def test_a_failure_after_the_wait_is_not_tried_again() -> None:
    """A link that broke before its job began counts as a failed attempt; after the wait there are no more."""
    plan = new("a", wait_s=10.0)
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(TimePassed(10.0))
    plan = new("b", wait_s=10.0)
    plan.handle(LinkUp(1.0, "b"))
    assert reports(plan.handle(LinkLost(12.0, "b", "it broke"))) == [("unreachable", "it broke")]


def test_a_link_that_breaks_before_the_start_is_tried_again_under_a_new_job() -> None:
    """The old job number is dead: a start that was on its way for it does nothing."""
    plan = new("a")
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(LinkLost(1.1, "a", "reset"))
    assert Connect("a") in plan.handle(TimePassed(2.0))
    assert AskStart(2, "a") in plan.handle(LinkUp(2.1, "a"))
    assert plan.handle(Started(2.2, 1, "open")) == []
    assert reports(plan.handle(Started(2.2, 2, "open"))) == [("filtering", None)]


def test_a_link_that_breaks_after_the_start_is_lost() -> None:
    """Where the query does not say that its jobs may go on (`test_plan_resume` has those that do)."""
    plan = running()
    assert reports(plan.handle(LinkLost(5.0, "a", "its runner ended"))) == [("lost", "its runner ended")]


def test_silence_stalls_and_the_first_byte_brings_the_state_back() -> None:
    """`stalled` hides `filtering` as well as `running`."""
    plan = new("a")
    plan.handle(LinkUp(1.0, "a"))
    plan.handle(Started(1.0, 1, "open"))
    assert reports(plan.handle(LinkQuiet(4.0, "a"))) == [("stalled", "nothing heard from it lately")]
    assert plan.handle(LinkQuiet(5.0, "a")) == []
    assert reports(plan.handle(LinkHeard(6.0, "a"))) == [("filtering", None)]


def test_a_drained_job_keeps_its_state_and_ends_the_query() -> None:
    """A following query ends with its providers `running`."""
    plan = running()
    assert plan.handle(CancelAsked(2.0, "drain")) == [CancelJob(1, "drain")]
    assert plan.handle(JobEnded(2.1, 1, "left", None, True)) == [Disconnect("a"), Forget()]
    assert plan.states() == {"a": "running"}


def test_cancelling_ends_what_has_not_started() -> None:
    """Nothing is left to wait for there; the reason says what it was waiting for."""
    plan = new("a", "b")
    plan.handle(LinkTrying(0.5, "a", "connecting to a"))
    plan.handle(LinkUp(0.5, "b"))
    found = plan.handle(CancelAsked(1.0, "drain"))
    assert reports(found) == [
        ("unreachable", "cancelled before it had started; still connecting to a"),
        ("unreachable", "cancelled before it had started"),
    ]
    assert found[-1] == Forget()


def test_one_job_is_cancelled_alone() -> None:
    """A job's number names it."""
    plan = new("a", "b")
    for job, name in enumerate(("a", "b"), 1):
        plan.handle(LinkUp(1.0, name))
        plan.handle(Started(1.0, job, "open"))
    assert plan.handle(CancelAsked(2.0, "abort", job=2)) == [CancelJob(2, "abort")]


def test_a_client_that_is_gone_has_its_jobs_aborted() -> None:
    """Nothing is reported to nobody."""
    plan = running()
    assert plan.handle(ClientGone(9.0)) == [CancelJob(1, "abort"), Disconnect("a"), Forget()]


def test_a_state_that_we_do_not_know_is_failed() -> None:
    """A later runner's word must not leave a provider without a state of ours."""
    (found,) = reports(running().handle(JobEnded(2.0, 1, "vanished", None, False)))
    assert found[0] == "failed"
    assert "vanished" in (found[1] or "")


def test_who_joins_begins_like_any_other_with_a_wait_of_its_own() -> None:
    """Also after the wait of the first ones is over."""
    plan = running("a")
    plan.handle(TimePassed(10.0))
    told = plan.handle(TargetsChanged(20.0, joined=("b",)))
    assert told == [Report("b", "pending"), Connect("b"), WakeAt(30.0)]
    assert reports(plan.handle(TimePassed(30.0)))[0][0] == "unreachable"
    assert plan.states()["a"] == "running"


def test_who_leaves_hands_over_what_it_has() -> None:
    """Its job is drained, and it has left when that has ended; a query that nobody is left of is over."""
    plan = running("a")
    assert plan.handle(TargetsChanged(2.0, left=("a",)))[0] == CancelJob(1, "drain")
    assert plan.states() == {"a": "running"}
    told = plan.handle(JobEnded(3.0, 1, "done", None, drained=True))
    assert [state for state, _ in reports(told)] == ["left"]
    assert told[-2:] == [Disconnect("a"), Forget()]


def test_who_leaves_before_it_was_reached_has_left_at_once() -> None:
    """And one that is unreachable does not spoil the answer any more; what failed did contribute, and stays so."""
    plan = new("a", "b", "c", "d")
    plan.handle(LinkFailed(1.0, "b", "refused", retry=False))
    for event in (LinkUp(1.0, "c"), Started(1.0, 1, "open"), JobEnded(1.5, 1, "failed", "raised", drained=False)):
        plan.handle(event)
    told = plan.handle(TargetsChanged(2.0, left=("a", "b", "c", "nobody")))
    assert [(i.provider, i.state) for i in told if isinstance(i, Report)] == [("a", "left"), ("b", "left")]
    assert plan.states()["c"] == "failed"


def test_who_comes_back_is_asked_anew_as_rejoined() -> None:
    """Also while its job has not yet answered that it is to end."""
    plan = new("a", "b")
    for event in (LinkUp(1.0, "a"), Started(1.0, 1, "open"), TargetsChanged(2.0, left=("a",))):
        plan.handle(event)
    assert plan.handle(TargetsChanged(2.5, joined=("a",))) == []
    told = plan.handle(JobEnded(3.0, 1, "left", None, drained=True))
    assert [state for state, _ in reports(told)] == ["left", "pending"]
    assert plan.handle(LinkUp(4.0, "a"))[-1] == AskStart(2, "a", "rejoined")


def test_nobody_joins_a_query_that_is_being_ended() -> None:
    """After a cancel the table is of no interest."""
    plan = running("a")
    plan.handle(CancelAsked(2.0, "drain"))
    assert plan.handle(TargetsChanged(2.5, joined=("b",))) == []


NAMES = ("a", "b", "c")


class AnyOrder(RuleBasedStateMachine):
    """Whatever happens in whatever order: one state each, ended ones never change, every change is reported."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 0.0
        self.plan = Plan(itertools.count(1), lambda: 0.5)
        self.reported: dict[str, str] = {}
        self.ended: dict[str, str] = {}
        self.jobs: dict[int, str] = {}
        self.started: set[int] = set()
        #: Who has joined or left since the beginning, ever.
        self.joined: set[str] = set()
        self.left: set[str] = set()
        self.forgotten = False
        self.resumes = False
        #: Who is lost for the time being.
        self.away: set[str] = set()
        self.wake: float | None = None

    @initialize(wait_s=st.one_of(st.none(), st.floats(0.0, 5.0)), resumes=st.booleans(), effects=st.booleans())
    def submit(self, wait_s: float | None, resumes: bool, effects: bool) -> None:
        self.resumes = resumes
        self.happen(QuerySubmitted(self.now, NAMES, wait_s, resumes, effects))

    def happen(self, event: Event) -> None:
        for instruction in self.plan.handle(event):
            assert not self.forgotten, "nothing follows Forget"
            match instruction:
                case Report(name, state, reason, again=again):
                    assert not again or (state == "lost" and self.resumes)
                    failed = state == "connecting" and reason is not None
                    was = self.ended.pop(name, None)
                    back = state == "pending" and name in self.joined
                    gone = state == "left" and was in ("unreachable", "refused") and name in self.left
                    assert was is None or back or gone, "an ended state changed"
                    assert self.reported.get(name) != state or name in self.away or failed, "a report that is no change"
                    self.reported[name] = state
                    self.away.discard(name)
                    if again:
                        self.away.add(name)
                    elif state in ENDED:
                        self.ended[name] = state
                case AskStart(job, name, reason):
                    assert job not in self.jobs, "a job number was given twice"
                    assert (reason == "resumed") == (name in self.away)
                    assert self.reported[name] == ("lost" if name in self.away else "connecting")
                    self.jobs[job] = name
                case CancelJob(job):
                    assert job in self.started
                case WakeAt(at):
                    self.wake = at
                case Forget():
                    self.forgotten = True

    @rule(seconds=st.floats(0.01, 6.0))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        if self.wake is not None and self.wake <= self.now:
            self.wake = None
            self.happen(TimePassed(self.now))

    @rule(name=st.sampled_from(NAMES), stage=st.sampled_from(("connecting", "login")))
    def trying(self, name: str, stage: str) -> None:
        self.happen(LinkTrying(self.now, name, stage))

    @rule(name=st.sampled_from(NAMES))
    def up(self, name: str) -> None:
        self.happen(LinkUp(self.now, name))

    @rule(name=st.sampled_from(NAMES), retry=st.booleans(), state=st.sampled_from(("unreachable", "refused")))
    def failed(self, name: str, retry: bool, state: str) -> None:
        self.happen(LinkFailed(self.now, name, "why", state, retry))

    @rule(name=st.sampled_from(NAMES), event=st.sampled_from((LinkQuiet, LinkHeard)))
    def silence(self, name: str, event: type[LinkQuiet] | type[LinkHeard]) -> None:
        self.happen(event(self.now, name))

    @rule(name=st.sampled_from(NAMES))
    def lost(self, name: str) -> None:
        self.happen(LinkLost(self.now, name, "why"))

    @precondition(lambda self: self.jobs)
    @rule(data=st.data())
    def started_job(self, data: st.DataObject) -> None:
        job = data.draw(st.sampled_from(sorted(self.jobs)))
        self.started.add(job)
        self.happen(Started(self.now, job, "open"))

    @precondition(lambda self: self.started)
    @rule(data=st.data(), keep=st.booleans())
    def verdict(self, data: st.DataObject, keep: bool) -> None:
        self.happen(VerdictPassed(self.now, data.draw(st.sampled_from(sorted(self.started))), keep))

    @precondition(lambda self: self.started)
    @rule(
        data=st.data(),
        state=st.sampled_from((*sorted(ENDED), "else")),
        drained=st.booleans(),
        broken=st.booleans(),
    )
    def job_ended(self, data: st.DataObject, state: str, drained: bool, broken: bool) -> None:
        job = data.draw(st.sampled_from(sorted(self.started)))
        self.happen(JobEnded(self.now, job, state, None, drained, broken))

    @rule(mode=st.sampled_from(("drain", "abort", "restart")), job=st.integers(0, 4))
    def cancel(self, mode: str, job: int) -> None:
        self.happen(CancelAsked(self.now, mode, job))

    @rule(joined=st.sets(st.sampled_from((*NAMES, "new"))), left=st.sets(st.sampled_from(NAMES)))
    def changed(self, joined: set[str], left: set[str]) -> None:
        self.joined |= joined
        self.left |= left
        self.happen(TargetsChanged(self.now, tuple(sorted(joined)), tuple(sorted(left - joined))))

    @rule()
    def gone(self) -> None:
        self.happen(ClientGone(self.now))

    @invariant()
    def one_state_each(self) -> None:
        states = self.plan.states()
        assert not states or {*NAMES} <= set(states) <= {*NAMES, *self.joined}
        assert all((state in LIVE) != (state in ENDED) for state in states.values())
        assert states == self.reported, "a state that nobody was told"
        if states and len(self.ended) == len(states):
            assert self.forgotten


TestAnyOrder = AnyOrder.TestCase
TestAnyOrder.settings = settings(max_examples=150, stateful_step_count=30, deadline=None)
