"""Verdicts: who runs a filter, who waits, who need not; and that nobody waits for ever."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from coordinator.verdicts import (
    Asked,
    Decided,
    GiveUp,
    Instruction,
    Over,
    Proceed,
    Refuse,
    TimePassed,
    Verdicts,
    WakeAt,
)

FAR = 1e9


def of_jobs(instructions: list[Instruction]) -> list[Instruction]:
    return [each for each in instructions if not isinstance(each, WakeAt)]


def asking(*jobs: int, **options: int) -> Verdicts:
    """Jobs that asked for one filter at time 0, one after another."""
    made = Verdicts(30.0, **options)
    for job in jobs:
        made.handle(Asked(0.0, job, "k", 10.0))
    return made


def test_the_first_runs_the_filter_and_the_others_get_its_verdict() -> None:
    """Yes and no alike, in the order in which they came."""
    for keep in (True, False):
        made = Verdicts(30.0)
        assert of_jobs(made.handle(Asked(0.0, 1, "k", FAR))) == [Proceed(1, kept=False)]
        assert of_jobs(made.handle(Asked(0.0, 2, "k", FAR))) == []
        assert of_jobs(made.handle(Asked(0.0, 3, "k", FAR))) == []
        wanted = [Proceed(2, kept=True), Proceed(3, kept=True)] if keep else [Refuse(2), Refuse(3)]
        assert of_jobs(made.handle(Decided(1.0, 1, keep))) == wanted
        assert made.statistics() == {"verdicts": 1, "waiting": 0}


def test_a_fresh_verdict_is_believed_and_an_old_one_is_not() -> None:
    """It is as old as the moment when it was said, however often it was used since."""
    made = asking(1)
    made.handle(Decided(1.0, 1, True))
    assert made.handle(Asked(30.5, 2, "k", FAR)) == [Proceed(2, kept=True)]
    assert made.handle(Decided(30.5, 2, True)) == []
    assert made.handle(Asked(31.0, 3, "k", FAR)) == [Proceed(3, kept=False)]


def test_a_job_may_want_a_fresher_verdict_than_the_cache_believes() -> None:
    """Of two questions of a standing filter the second is not answered by the first; who runs it now is waited for."""
    made = asking(1)
    made.handle(Decided(1.0, 1, False))
    assert made.handle(Asked(10.9, 2, "k", FAR, fresh_s=10.0)) == [Refuse(2)]
    assert of_jobs(made.handle(Asked(11.0, 3, "k", FAR, fresh_s=10.0))) == [Proceed(3, kept=False)]
    made.handle(Decided(11.0, 3, False))
    assert of_jobs(made.handle(Asked(11.0, 4, "k", FAR, fresh_s=0.0))) == [Proceed(4, kept=False)]
    assert of_jobs(made.handle(Asked(11.0, 5, "k", FAR, fresh_s=100.0))) == [Refuse(5)]


def test_other_keys_are_other_filters() -> None:
    """Nobody waits for a filter that is not his."""
    made = asking(1)
    assert made.handle(Asked(0.0, 2, "other", FAR)) == [Proceed(2, kept=False)]


def test_an_end_without_a_verdict_lets_the_next_one_try() -> None:
    """An error is never kept: each of those who waited tries, one at a time, the longest waiting first."""
    made = asking(1, 2, 3)
    assert of_jobs(made.handle(Over(1.0, 1))) == [Proceed(2, kept=False)]
    assert of_jobs(made.handle(Over(1.0, 2))) == [Proceed(3, kept=False)]
    assert of_jobs(made.handle(Decided(2.0, 3, True))) == []
    assert made.handle(Asked(3.0, 4, "k", FAR)) == [Proceed(4, kept=True)]


def test_one_that_ends_while_it_waits_is_forgotten() -> None:
    """Neither started nor counted."""
    made = asking(1, 2, 3)
    assert of_jobs(made.handle(Over(1.0, 2))) == []
    assert made.statistics()["waiting"] == 1
    assert of_jobs(made.handle(Over(1.0, 1))) == [Proceed(3, kept=False)]


def test_who_has_waited_enough_runs_the_filter_too() -> None:
    """At its own time; and whichever verdict comes first is everybody's."""
    made = Verdicts(30.0)
    made.handle(Asked(0.0, 1, "k", FAR))
    assert made.handle(Asked(1.0, 2, "k", 11.0)) == [WakeAt(11.0)]
    assert made.handle(Asked(2.0, 3, "k", 12.0)) == []
    assert made.handle(TimePassed(11.0)) == [Proceed(2, kept=False), WakeAt(12.0)]
    assert of_jobs(made.handle(Decided(11.5, 2, False))) == [Refuse(3)]
    assert made.handle(Decided(11.6, 1, True)) == []
    assert made.handle(Asked(12.0, 4, "k", FAR)) == [Refuse(4)]
    # Nor does one speak for a filter that it waits for.
    assert of_jobs(asking(1, 2).handle(Decided(0.0, 2, True))) == []
    assert of_jobs(asking(1, 2).handle(GiveUp(0.0, 2))) == [Proceed(2, kept=False)]


def test_what_is_kept_and_who_waits_are_bounded() -> None:
    """The least recently used verdict goes first; one too many to wait does not."""
    made = Verdicts(30.0, most_kept=2)
    for job, key in enumerate("abac"):
        made.handle(Asked(0.0, job, key, FAR))
        made.handle(Decided(0.0, job, True))
    assert made.statistics()["verdicts"] == 2
    assert made.handle(Asked(1.0, 10, "a", FAR)) == [Proceed(10, kept=True)]
    assert made.handle(Asked(1.0, 11, "b", FAR)) == [Proceed(11, kept=False)]
    assert of_jobs(asking(1, 2, 3, most_waiting=1).handle(Decided(1.0, 1, True))) == [Proceed(2, kept=True)]


def test_without_a_time_to_live_nobody_waits() -> None:
    """0 turns it off, also for what was kept before."""
    made = asking(1)
    made.handle(Decided(0.0, 1, True))
    made.live_s = 0.0
    assert made.handle(Asked(0.0, 2, "k", FAR)) == [Proceed(2, kept=False)]
    assert made.handle(Asked(0.0, 3, "k", FAR)) == [Proceed(3, kept=False)]
    assert made.handle(Decided(0.0, 3, False)) == []


class AnyOrder(RuleBasedStateMachine):
    """Held against a model that knows, of each job, only whether it may still be waiting and on what."""

    def __init__(self) -> None:
        super().__init__()
        self.made = Verdicts(5.0, most_kept=3, most_waiting=4)
        self.now = 0.0
        self.number = 0
        self.running: dict[int, str] = {}
        self.waiting: dict[int, tuple[str, float]] = {}
        self.said: dict[str, tuple[bool, float]] = {}
        self.wake: float | None = None

    def feed(self, event: object) -> None:
        for instruction in self.made.handle(event):  # type: ignore[arg-type]
            match instruction:
                case WakeAt(at):
                    self.wake = at
                case Proceed(job, True):
                    self._believed(job, True)
                case Refuse(job):
                    self._believed(job, False)
                case Proceed(job, False):
                    self.running[job] = self.waiting.pop(job)[0]

    def _believed(self, job: int, keep: bool) -> None:
        key, _ = self.waiting.pop(job)
        said, at = self.said[key]
        assert said is keep and self.now < at + 5.0

    @rule(key=st.sampled_from("abcde"), patience=st.sampled_from([1.0, 4.0]))
    def ask(self, key: str, patience: float) -> None:
        self.number += 1
        self.waiting[self.number] = (key, self.now + patience)
        self.feed(Asked(self.now, self.number, key, self.now + patience))

    @rule(data=st.data(), keep=st.booleans())
    def decide(self, data: st.DataObject, keep: bool) -> None:
        if self.running:
            job = data.draw(st.sampled_from(sorted(self.running)))
            key = self.running.pop(job)
            if job in self.made._keys:  # and not one that was overtaken
                self.said[key] = (keep, self.now)
            self.feed(Decided(self.now, job, keep))

    @rule(data=st.data())
    def end(self, data: st.DataObject) -> None:
        jobs = sorted({*self.running, *self.waiting})
        if jobs:
            job = data.draw(st.sampled_from(jobs))
            self.running.pop(job, None)
            self.waiting.pop(job, None)
            self.feed(Over(self.now, job))

    @rule(seconds=st.sampled_from([0.0, 1.0, 3.0]))
    def pass_time(self, seconds: float) -> None:
        self.now += seconds
        if self.wake is not None and self.wake <= self.now:
            self.wake = None
            self.feed(TimePassed(self.now))

    @invariant()
    def nobody_waits_in_vain(self) -> None:
        """Somebody runs what each waits for, it will be woken in time, and its count is right."""
        assert {key for key, _ in self.waiting.values()} <= set(self.running.values())
        assert self.made.statistics()["waiting"] == len(self.waiting) <= 4
        if self.waiting:
            assert self.wake is not None and self.wake <= min(until for _, until in self.waiting.values())
        assert self.made.statistics()["verdicts"] <= 3
        assert set(self.made._keys) <= {*self.running, *self.waiting}


TestAnyOrder = AnyOrder.TestCase
