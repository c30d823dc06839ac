"""The answer's state machine: messages in, instructions and snapshots compared."""

from __future__ import annotations

from typing import Any

import pytest

from backplane.reduce import folds
from backplane.reduce.answer import Answer, Applied, Begin, Enough, Instruction, Restart, Stop
from backplane.reduce.faults import ReduceFault
from backplane.wire import codec, limits
from backplane.wire.errors import RemoteProtocolError
from backplane.wire.messages import Beat, Cut, End, Fault, Gap, NeedStart, Note, Open, State, Targets, Verdict
from provider.runner.aggregates import Combiner
from provider.runner.columns import values_payload

JOB = 5


def asked(fold: folds.Fold | None = None, *, targets: tuple[str, ...] = ("web1",), endless: bool = False) -> Answer:
    """An answer whose targets are known and whose first provider has a job of epoch 1."""
    fold = fold or folds.FunctionFold(lambda a, b: a + b)
    answer = Answer(query="q", query_id="1", fold=fold, targets=(), endless=endless, clock=lambda: 100.0)
    answer.handle("", Targets(query="1", payload=codec.pack(list(targets))))
    need = NeedStart(job=JOB, query="1", provider="web1")
    assert answer.handle("web1", need) == [Begin(need, 1, ())]
    return answer


def opened(source: str, at: bytes, *, epoch: int = 1, reason: str = "begin") -> Open:
    return Open(job=JOB, epoch=epoch, source=source, reason=reason, payload=at)


def part(content: str, payload: Any, **fields: Any) -> Cut:
    """A part; of epoch 1, cut 1, and the only one unless told otherwise."""
    packed = payload if isinstance(payload, bytes) else codec.pack(payload)
    return Cut(**{"job": JOB, "epoch": 1, "seq": 1, "last": True, "content": content, "payload": packed, **fields})


def values(*emitted: Any, **fields: Any) -> Cut:
    return part("values", values_payload(list(emitted)), **fields)


def state(name: str, provider: str = "web1", reason: str | None = None, at: float = 0.0) -> State:
    return State(query="1", provider=provider, state=name, reason=reason, at=at)


def told(answer: Answer, *messages: Any) -> list[Instruction]:
    """All instructions that come of messages about web1."""
    return [order for message in messages for order in answer.handle("web1", message)]


def rows(answer: Answer) -> list[tuple[Any, ...]]:
    return list(answer.snapshot().rows)


def reason(answer: Answer, provider: str = "web1") -> tuple[str, str | None]:
    row = answer.snapshot().coverage.providers[provider]
    return row.state, row.reason


def over(answer: Answer) -> bool:
    return answer.finished


def test_parts_count_together_or_not_at_all() -> None:
    """Nothing of a cut shows before its last part, then values and positions move at once."""
    answer = asked()
    moves = [["/a", b"0", b"9"]]
    orders = told(answer, opened("/a", b"0"), part("moves", moves, last=False), values(("k", 2), part=1, last=False))
    assert (orders, rows(answer)) == ([], [])
    assert answer.statistics().staged_bytes > 0
    assert told(answer, values(("k", 3), part=2)) == [Applied("web1", JOB, 1)]
    assert rows(answer) == [("k", 5)]
    assert answer.statistics().staged_bytes == 0
    assert answer.begin("web1") == (2, (("/a", b"9"),))


def test_a_new_epoch_fences_the_old_one_and_drops_its_parts() -> None:
    """What an old job still says is counted as stale, whether its epoch or its job number gives it away."""
    answer = asked()
    told(answer, opened("/a", b"0"), values(("k", 1), last=False))
    need = NeedStart(job=6, query="1", provider="web1")
    assert told(answer, need) == [Begin(need, 2, (("/a", b"0"),))]
    assert told(answer, values(("k", 1), part=1), values(("k", 1), job=6)) == []
    assert told(answer, Beat(job=JOB, lines=77)) == []
    assert (rows(answer), answer.statistics().stale) == ([], 3)
    assert answer.snapshot().coverage.providers["web1"].counters.lines == 0
    assert told(answer, values(("k", 1), job=6, epoch=2)) == [Applied("web1", 6, 1)]


def test_a_cut_that_was_applied_is_ignored() -> None:
    """Said twice, it counts once."""
    answer = asked()
    told(answer, values(("k", 1)), values(("k", 1)))
    assert (rows(answer), answer.statistics().duplicates) == ([("k", 1)], 1)


@pytest.mark.parametrize(
    ("said", "because"),
    [
        ([values(("k", 1), seq=2)], "cut 1 is missing"),
        ([values(("k", 1), part=1)], "part 0 of cut 1 is missing"),
        ([part("moves", [["/a", b"3", b"9"]])], "a cut of /a does not start where the last one ended"),
        (
            [opened("/a", b"0"), part("moves", [["/a", b"3", b"9"]])],
            "a cut of /a does not start where the last one ended",
        ),
        ([opened("/a", b"0"), opened("/a", b"4")], "/a was opened elsewhere than where it had been read to"),
        ([values(("k", 1)), End(job=JOB, epoch=1, seq=3, state="done")], "2 cuts missing at the end"),
    ],
)
def test_what_is_missing_breaks_the_epoch(said: list[Any], because: str) -> None:
    """The provider is lost with the reason, whatever is said of it next, until a new epoch begins."""
    answer = asked()
    assert told(answer, *said)[-1] == Restart("web1", JOB, because)
    before = rows(answer)
    told(answer, values(("k", 50)), state("done"))
    assert (reason(answer), rows(answer)) == (("lost", because), before)
    answer.begin("web1")
    told(answer, state("running"))
    assert reason(answer) == ("running", None)


def test_moves_of_one_cut_may_follow_each_other() -> None:
    """A source may move twice in a cut, each time from where it came to."""
    answer = asked()
    moves = part("moves", [["/a", b"0", b"4"], ["/a", b"4", b"9"]])
    assert told(answer, opened("/a", b"0"), moves) == [Applied("web1", JOB, 1)]


def test_an_open_may_repeat_the_position_or_raise_the_generation() -> None:
    """After a resume, and after a truncation."""
    answer = asked()
    told(answer, opened("/a", b"0"), part("moves", [["/a", b"0", b"9"]]))
    assert answer.begin("web1") == (2, (("/a", b"9"),))
    again = [opened("/a", b"9", epoch=2, reason="resume"), opened("/a", b"g1", epoch=2, reason="generation")]
    assert told(answer, *again, part("moves", [["/a", b"g1", b"g2"]], epoch=2)) == [Applied("web1", JOB, 1)]
    assert answer.begin("web1") == (3, (("/a", b"g2"),))


@pytest.mark.parametrize(
    ("content", "payload"),
    [("values", b"\xc1"), ("values", {"n": 1}), ("moves", [["/a"]]), ("marks", 3), ("secrets", []), ("partials", {})],
)
def test_nonsense_stops_its_provider_and_changes_nothing(content: str, payload: Any) -> None:
    """Values before it in the same cut do not count; nothing else is spoilt; asking again would not help."""
    answer = asked(targets=("web1", "web2"))
    orders = told(answer, values(("k", 1), last=False), part(content, payload, part=1))
    assert [type(order) for order in orders] == [Stop]
    assert rows(answer) == []
    assert reason(answer)[0] == "lost"
    assert str(reason(answer)[1]).startswith("sent what cannot be read: ")
    assert reason(answer, "web2") == ("pending", None)


def test_partials_are_refused_whole_where_they_were_not_asked_for() -> None:
    """Raw folds take none, and aggregates only their own."""
    combiner = Combiner(["count"], "t")
    combiner.fold([("k", 1)])
    payload = next(combiner.payloads(1 << 22))
    for fold in (None, folds.AggregateFold(["sum"])):
        answer = asked(fold)
        assert [type(order) for order in told(answer, part("partials", payload))] == [Stop]
        assert rows(answer) == []
    answer = asked(folds.AggregateFold(["count"]))
    told(answer, part("partials", payload))
    assert rows(answer) == [("k", 1)]


def test_a_cut_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    """A provider that never ends its cut is stopped before it fills the memory."""
    monkeypatch.setattr(limits, "MAX_CUT_BYTES", 100)
    answer = asked()
    orders = told(answer, values("x" * 60, last=False), values("x" * 60, part=1, last=False))
    assert [type(order) for order in orders] == [Stop]
    assert answer.statistics().staged_bytes == 0


def test_it_finishes_when_every_target_has_ended_or_was_drained() -> None:
    """And not before the coordinator has said who the targets are."""
    early = Answer(query="q", query_id="1", fold=folds.StreamFold(), targets=())
    assert over(early) is False
    answer = asked(targets=("web1", "web2"), endless=True)
    told(answer, state("unreachable", "web2", "no route"), state("running"))
    assert over(answer) is False
    told(answer, values(("k", 1)), End(job=JOB, epoch=1, seq=1, state="done", drained=True))
    assert over(answer)
    assert (reason(answer), answer.snapshot(final=True).complete) == (("running", None), False)


def test_a_drained_follow_is_complete_and_a_drained_read_is_not() -> None:
    """`running` is well at the end of what has no end; who did not hand over its last values makes it inexact."""
    drained = End(job=JOB, epoch=1, seq=0, state="done", drained=True)
    for endless in (True, False):
        answer = asked(endless=endless)
        told(answer, state("running"), drained)
        final = answer.snapshot(final=True)
        assert (final.complete, final.exit_status) == ((True, 0) if endless else (False, 3))
        assert final.inexact == ()
    answer = asked(endless=True)
    told(answer, state("running"))
    assert answer.snapshot(final=True).inexact == ("web1: did not hand over what it had last",)


def test_exit_status_speaks_of_coverage() -> None:
    """0 for all that ended well, 4 if none could be reached, 3 between."""
    for first, second, status in [
        ("done", "filtered_out", 0), ("done", "left", 0), ("done", "lost", 3), ("unreachable", "unreachable", 4),
        ("unreachable", "refused", 3), ("done", "running", 3),
    ]:  # fmt: skip
        answer = asked(targets=("web1", "web2"))
        told(answer, state(first), state(second, "web2"))
        assert answer.snapshot(final=True).exit_status == status, (first, second)


def test_what_was_contributed_before_a_loss_makes_the_answer_inexact() -> None:
    """Only where something was; gaps always."""
    answer = asked(targets=("web1", "web2"))
    told(answer, values(("k", 1)), state("killed", reason="memory"), state("failed", "web2"))
    assert answer.snapshot().inexact == ("web1: killed after having contributed",)
    answer = asked()
    told(answer, *[Gap(job=JOB, epoch=1, source="/a", reason="truncated", lines=7) for _ in range(5)], state("done"))
    assert answer.snapshot().inexact == (*["web1: /a: truncated (7 lines)"] * 3, "web1: 2 more gaps")


def test_reasons_are_bounded() -> None:
    """A hundred providers with a gap of its own each do not make a hundred sentences, and with the same gap one."""
    answer = asked(targets=tuple(f"web{number}" for number in range(100)))
    for number in range(100):
        answer.begin(f"web{number}")
        answer.handle(f"web{number}", Gap(epoch=1 + (number == 1), source=f"/a{number}", reason="r"))
    inexact = answer.snapshot().inexact
    assert (len(inexact), inexact[-1]) == (20, "and 81 more reasons")
    answer = asked(targets=tuple(f"web{number}" for number in range(100)))
    for number in range(100):
        answer.begin(f"web{number}")
        answer.handle(f"web{number}", Gap(epoch=1 + (number == 1), source="/a", reason="r"))
    assert answer.snapshot().inexact == ("web[0-99]: /a: r",)


def test_counters_add_up_over_epochs() -> None:
    """A beat replaces the last one of its job and adds to those of earlier jobs; what is no count is none."""
    answer = asked()
    told(
        answer,
        Beat(job=JOB, lines=5, bytes=50, dropped={"late": 1}),
        Beat(job=JOB, lines=7, dropped={"late": 2}, lag_s=1.5),
    )
    answer.begin("web1")
    told(answer, End(epoch=2, state="done", counters={"lines": 3, "bytes": "many", "dropped": {"late": 1, "odd": -1}}))
    row = answer.snapshot().coverage.providers["web1"]
    assert (row.counters.lines, row.counters.bytes, dict(row.counters.dropped)) == (10, 0, {"late": 3})


def test_times_of_joining_leaving_and_being_away() -> None:
    """Joined at first running; away from leaving to running again."""
    answer = asked()
    told(answer, state("running", at=10.0), state("left", at=20.0))
    left = answer.snapshot().coverage.providers["web1"]
    assert (left.joined_at, left.left_at, left.away_s) == (10.0, 20.0, 0.0)
    told(answer, state("running", at=50.0))
    back = answer.snapshot().coverage.providers["web1"]
    assert (back.joined_at, back.left_at, back.away_s) == (10.0, None, 30.0)


def test_watermarks_are_the_least_of_the_sources() -> None:
    """Once each has one."""
    answer = asked()
    told(answer, part("marks", [["/a", 50.0], ["/b", None]]), part("marks", [["/b", 40], ["/a", 60.0]], seq=2))
    assert answer.snapshot().coverage.providers["web1"].watermark == 40.0


def test_targets_may_change() -> None:
    """New ones join; one that was never heard of goes; one that was stays covered."""
    answer = asked(targets=("web1", "web2"))
    told(answer, state("done"))
    answer.handle("", Targets(query="1", payload=codec.pack(["web3"])))
    assert answer.snapshot().coverage.states == {"pending": 1, "done": 1}
    assert set(answer.snapshot().coverage.providers) == {"web1", "web3"}


def test_the_coordinators_nonsense_is_an_error_of_the_link() -> None:
    """And changes nothing."""
    answer = asked()
    for message in (state("happy"), Targets(query="1", payload=b"\xc1"), Targets(query="1", payload=codec.pack([1]))):
        with pytest.raises(RemoteProtocolError):
            answer.handle("web1", message)
    assert reason(answer) == ("pending", None)


def test_messages_that_are_for_others_do_nothing() -> None:
    """Prints, verdicts and faults are shown elsewhere; the coordinator's states say what they mean."""
    answer = asked()
    assert (
        told(answer, Note(job=JOB), Verdict(job=JOB, epoch=1, keep=True), Fault(job=JOB, code="raised", text="x")) == []
    )
    assert reason(answer) == ("pending", None)


def test_a_stream_that_is_full_says_so_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """The query may end, and its snapshots say that they are not all."""
    monkeypatch.setattr(folds, "STREAM_ROWS", 2)
    answer = asked(folds.StreamFold())
    orders = told(answer, state("running"), values("a", "b"), values("c", seq=2), values("d", seq=3))
    assert orders == [
        Applied("web1", JOB, 1),
        Applied("web1", JOB, 2),
        Enough("the limit of rows was reached"),
        Applied("web1", JOB, 3),
    ]
    snapshot = answer.snapshot(final=True)
    said = "only the first 2 rows are shown: that is the limit where none is asked for (--limit takes one)"
    assert (snapshot.inexact, snapshot.complete, snapshot.exit_status) == ((said,), False, 3)
    assert snapshot.coverage.stopped == ("web1",)


def test_as_many_rows_as_were_asked_for_are_a_complete_answer() -> None:
    """No row more has to come before the query may end, and whoever was stopped or not heard is named."""
    answer = asked(folds.StreamFold(limit=2), targets=("web1", "web2", "web3", "web4"))
    told(answer, state("running"), state("running", "web2"), state("done", "web4"))
    assert told(answer, values("a")) == [Applied("web1", JOB, 1)]
    early = answer.snapshot(final=True)
    assert (early.complete, early.coverage.stopped, early.exit_status) == (False, None, 3)
    assert told(answer, values("b", seq=2))[1:] == [Enough("the limit of rows was reached")]
    told(answer, state("unreachable", "web3", "cancelled before it had started"))
    assert (answer.snapshot().complete, answer.snapshot().coverage.stopped) == (False, None)
    last = answer.snapshot(final=True)
    assert (last.complete, last.inexact, last.exit_status) == (True, (), 0)
    assert last.coverage.stopped == ("web1", "web2", "web3")
    assert last.coverage.providers["web1"].reason == "stopped: the limit was reached"
    assert last.to_dict()["coverage"]["stopped"] == ["web1", "web2", "web3"]


def test_who_fails_does_not_spoil_what_was_asked_for() -> None:
    """Any two rows were: who comes too late for them is said, and no matter for the exit status."""
    answer = asked(folds.StreamFold(limit=2), targets=("web1", "web2"))
    told(answer, state("failed", "web2", "there is no x.log"), values("a", "b"), state("done"))
    last = answer.snapshot(final=True)
    assert (last.exit_status, last.coverage.stopped) == (0, ())
    assert last.coverage.states == {"done": 1, "failed": 1}


def test_who_is_dropped_because_the_limit_was_reached_is_not_said_to_fail() -> None:
    """Before the limit a provider that could not be started is what its reason says; after it, it was not asked."""
    dropped = "cancelled before it had started; still waiting for its turn to connect"
    answer = asked(folds.StreamFold(limit=1))
    told(answer, state("unreachable", "web2", dropped), values("a", "b"), state("unreachable", "web3", dropped))
    told(answer, state("unreachable", "web4", "its name does not resolve"))
    assert reason(answer, "web2") == ("unreachable", dropped)
    assert reason(answer, "web3") == ("unreachable", "not asked: the limit was reached first")
    assert reason(answer, "web4") == ("unreachable", "its name does not resolve")


def test_a_failing_reduce_ends_the_query() -> None:
    """It is not its provider's fault, and not swallowed."""
    answer = asked(folds.FunctionFold(lambda a, b: a // 0))
    with pytest.raises(ReduceFault, match="ZeroDivisionError"):
        told(answer, values(("k", 1), ("k", 2)))


def test_a_snapshot_does_not_change_any_more() -> None:
    """What comes later, or what a reduce goes on doing to its own lists, shows in the next one."""

    def grow(a: list[int], b: list[int]) -> list[int]:
        a.extend(b)
        return a

    answer = asked(folds.FunctionFold(grow))
    told(answer, values(("k", [1])))
    first = answer.snapshot()
    before = first.to_dict()
    told(answer, values(("k", [2]), seq=2), state("done"))
    assert first.to_dict() == before
    assert (first.seq, answer.snapshot().seq) == (1, 2)
    assert rows(answer) == [("k", [1, 2])]
