"""An answer by windows: whom it waits for, told by the states and cuts that arrive."""

from __future__ import annotations

from typing import Any

from backplane.reduce.answer import Answer
from backplane.reduce.folds import AggregateFold
from backplane.reduce.windowed import WindowedFold
from backplane.reduce.windows import Told, Windows
from backplane.wire import codec
from backplane.wire.messages import Cut, End, NeedStart, State, Targets
from provider.runner.aggregates.combiner import partials_payload

JOBS = {"a": 1, "b": 2}


class World:
    """Two providers, and a clock."""

    def __init__(self, **how: Any) -> None:
        self.now = 100.0
        self.fold = WindowedFold(AggregateFold(["count"]), Windows(hold_s=10, **how))
        self.answer = Answer(
            query="q", query_id="1", fold=self.fold, targets=(), endless=True, clock=lambda: self.now, resume="exact"
        )
        self.answer.handle("", Targets(query="1", payload=codec.pack(list(JOBS))))
        self.seqs = dict.fromkeys(JOBS, 0)

    def state(self, name: str, state: str, **more: Any) -> None:
        self.answer.handle(name, State(query="1", provider=name, state=state, at=self.now, **more))

    def runs(self, *names: str) -> None:
        for name in names:
            self.answer.handle(name, NeedStart(job=JOBS[name], query="1", provider=name))
            self.state(name, "running")

    def cut(self, name: str, mark: float, *windows: float) -> None:
        """A count of 1 in each of these windows, and how far the provider is."""
        self.seqs[name] += 1
        parts = [("partials", partials_payload(["count"], ["k"], [[1]], [at, at + 60], records=1)) for at in windows]
        parts.append(("marks", codec.pack([["/log", mark]])))
        for part, (content, payload) in enumerate(parts):
            last = part == len(parts) - 1
            place: dict[str, Any] = {"job": JOBS[name], "epoch": 1, "seq": self.seqs[name], "part": part, "last": last}
            self.answer.handle(name, Cut(**place, content=content, payload=payload))

    def told(self, **how: Any) -> list[tuple[float, int, bool]]:
        """Closed windows: begin, revision, and whether somebody is missing in them."""
        windows = self.answer.snapshot(**how).windows
        assert windows is not None
        assert all(isinstance(each, Told) for each in windows)
        return [(each.window[0], each.revision, bool(each.missing)) for each in windows]


def test_who_has_not_come_yet_is_waited_for() -> None:
    """A provider that is still being connected holds all windows, but no longer than the query waits."""
    world = World()
    world.runs("a")
    world.state("b", "connecting")
    world.cut("a", 500.0, 0.0)
    assert world.told() == []
    world.now += 9.9
    assert world.told() == []
    world.now += 0.2
    assert world.told() == [(0.0, 0, True)]
    world.runs("b")
    world.cut("b", 70.0, 0.0)
    assert world.told() == [(0.0, 1, True)]
    assert world.answer.snapshot().rows == (([0.0, 60.0], "k", 2),)


def test_who_is_lost_for_now_is_waited_for_from_then_on() -> None:
    """Its windows wait while it may come back; those that it had finished do not."""
    world = World()
    world.runs("a", "b")
    world.cut("a", 500.0, 0.0, 60.0)
    world.cut("b", 70.0, 0.0)
    world.state("b", "lost", again=True)
    assert world.told() == [(0.0, 0, False)]
    world.now += 10
    assert world.told() == [(0.0, 0, False), (60.0, 0, True)]


def test_who_comes_back_in_time_is_in_the_window() -> None:
    """Nothing is missing then, and the wait begins anew with another break."""
    world = World()
    world.runs("a", "b")
    world.cut("a", 500.0, 60.0)
    world.cut("b", 70.0)
    world.state("b", "lost", again=True)
    world.told()
    world.now += 9
    world.state("b", "running")
    assert world.told() == []
    world.now += 9
    world.state("b", "lost", again=True)
    assert world.told() == []
    world.now += 9
    assert world.told() == []
    world.state("b", "running")
    world.cut("b", 130.0, 60.0)
    assert world.told() == [(60.0, 0, False)]


def test_whom_the_filter_left_out_holds_nothing() -> None:
    """It has nothing to say of any window, and is missing in none."""
    world = World()
    world.runs("a")
    world.state("b", "filtered_out")
    world.cut("a", 500.0, 0.0)
    assert world.told() == [(0.0, 0, False)]


def test_what_is_cut_off_does_not_close() -> None:
    """A query that is stopped has its open windows in the last snapshot, and tells none of them as closed."""
    world = World()
    world.runs("a", "b")
    world.cut("a", 70.0, 0.0, 60.0)
    world.cut("b", 70.0)
    for name in JOBS:
        end = End(job=JOBS[name], epoch=1, seq=world.seqs[name], state="done", drained=True)
        world.answer.handle(name, end)
    assert world.answer.finished
    assert world.told(final=True) == [(0.0, 0, False)]
    assert [row[0][0] for row in world.answer.snapshot(final=True).rows] == [0.0, 60.0]


def test_late_records_are_in_the_coverage() -> None:
    """What came for a forgotten window is dropped, counted for its provider, and the answer says that it lacks it."""
    world = World(keeps=0)
    world.runs("a")
    world.state("b", "done")
    world.cut("a", 500.0, 0.0)
    assert world.told(aside=True) == [(0.0, 0, False)]
    assert world.told() == [(0.0, 0, False)]
    assert world.told() == []
    world.cut("a", 500.0, 0.0)
    snapshot = world.answer.snapshot()
    assert snapshot.coverage.providers["a"].counters.dropped == {"late": 1}
    assert snapshot.inexact == ("a: 1 record came when the window was forgotten already",)
    assert snapshot.coverage.providers["a"].watermark == 500.0
