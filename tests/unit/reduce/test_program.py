"""A reduce that is a program: what it is told, what becomes of what it prints, and how it ends."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence

import pytest

from backplane.reduce import program
from backplane.reduce.answer import Answer
from backplane.reduce.faults import ReduceFault
from backplane.reduce.folds import make
from backplane.reduce.program import ProgramFold
from backplane.wire.messages import State


@pytest.fixture
def folds() -> Iterator[list[ProgramFold]]:
    """What is closed at the end of a test."""
    made: list[ProgramFold] = []
    yield made
    for fold in made:
        fold.close()


def fold(folds: list[ProgramFold], script: str, limit: int = 1000) -> ProgramFold:
    """A fold by a shell script."""
    made = ProgramFold(["/bin/sh", "-c", script], "reduce.sh", limit=limit, most_bytes=1 << 20)
    folds.append(made)
    return made


def until(fold: ProgramFold, rows: int) -> Sequence[tuple[object, ...]]:
    """Waits for so many rows."""
    deadline = time.monotonic() + 10
    while len(found := fold.rows().rows) < rows:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_it_is_told_json(folds: list[ProgramFold]) -> None:
    """A line a value: key, value and provider; no key is null, bytes that are no text stay what they are."""
    echo = fold(folds, "cat")
    echo.values("web1", ["k", ("a", 1), ()], [1, [None, 1.5], "x"])
    echo.values("web\udcff", None, [b"\xff", {"d": True}])
    echo.finish()
    assert echo.rows().columns == ("key", "value", "provider")
    assert echo.rows().rows == (
        ("k", 1, "web1"),
        (["a", 1], [None, 1.5], "web1"),
        (None, "x", "web1"),
        (None, "\udcff", "web\udcff"),
        (None, {"d": True}, "web\udcff"),
    )


def test_it_prints_when_it_likes(folds: list[ProgramFold]) -> None:
    """Rows are there while values still come; pairs, JSON and text are told apart as in a map."""
    early = fold(folds, "read -r line; printf 'k\\t1\\nfree text\\n'; read -r line; echo 7; cat >/dev/null; echo last")
    early.values("a", None, [1])
    assert until(early, 2) == (("k", 1), (None, "free text"))
    early.values("a", None, [2])
    assert len(until(early, 3)) == 3
    early.finish()
    assert [row[-1] for row in early.rows().rows] == [1, "free text", 7, "last"]
    early.finish()


def test_neither_waits_for_the_other(folds: list[ProgramFold]) -> None:
    """More than pipes hold, in both directions at a time."""
    echo = fold(folds, "cat", limit=200_000)
    for _ in range(20):
        echo.values("a", None, ["x" * 100] * 200)
    echo.finish()
    assert len(echo.rows().rows) == 4000


def give(fold: ProgramFold) -> None:
    """More values than pipes hold."""
    for _ in range(100):
        fold.values("a", None, ["x" * 1000] * 100)


def test_its_death_is_a_fault(folds: list[ProgramFold], capsys: pytest.CaptureFixture[str]) -> None:
    """With its status and the last line that it said; all that it said is printed."""
    dying = fold(folds, "read -r line; echo one >&2; echo two >&2; exit 3")
    with pytest.raises(ReduceFault, match=r"reduce\.sh ended with status 3: two"):
        give(dying)
    assert capsys.readouterr().err == "one\ntwo\n"
    killed = fold(folds, "kill -9 $$")
    with pytest.raises(ReduceFault, match=r"reduce\.sh died of signal 9"):
        killed.finish()
    with pytest.raises(ReduceFault, match="could not be started"):
        ProgramFold(["/no/such"], "reduce", limit=1, most_bytes=1).finish()


def test_who_has_enough_ends_the_query(folds: list[ProgramFold]) -> None:
    """Status 0 before the end is no fault: its rows are the answer."""
    head = fold(folds, "head -n 1")
    while not head.full:
        head.values("a", None, ["x"])
        head.rows()
    head.finish()
    assert [row[1] for row in head.rows().rows] == ["x"]


def test_its_end_is_no_limit(folds: list[ProgramFold]) -> None:
    """One that ends because its input does has had all of it; one that ended before has stopped the others."""
    for script, stopped in (("cat", None), ("exit 0", ("web1",))):
        made = fold(folds, script)
        answer = Answer(query="q", query_id="1", fold=made, targets=["web1"])
        answer.handle("web1", State(query="1", provider="web1", state="running"))
        deadline = time.monotonic() + 30
        while stopped and not made.full:
            assert time.monotonic() < deadline
            made.values("web1", None, ["x"])
            made.rows()
        assert answer.snapshot(final=True).coverage.stopped == stopped


def test_its_rows_are_bounded(folds: list[ProgramFold]) -> None:
    """Beyond the limit it is ended, and the answer says that something was left out."""
    endless = fold(folds, "yes", limit=5)
    endless.finish()
    assert len(endless.rows().rows) == 5
    assert endless.full
    assert endless.inexact() == ["only the first 5 rows are shown, the limit was reached"]


def test_who_does_not_end_is_ended(folds: list[ProgramFold], monkeypatch: pytest.MonkeyPatch) -> None:
    """After its deadline, with all that it started."""
    monkeypatch.setattr(program, "FINISH_S", 0.3)
    stuck = fold(folds, "sleep 600 & echo $!; wait")
    with pytest.raises(ReduceFault, match="did not end within"):
        stuck.finish()
    assert stuck._process is not None
    stuck._process.wait(5)
    (pid,) = stuck.rows().rows[0]  # and is no second fault
    deadline = time.monotonic() + 5
    while _alive(int(pid)):
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_one_that_reads_nothing_can_be_interrupted(folds: list[ProgramFold]) -> None:
    """Whoever waits for it to read is let go."""
    deaf = fold(folds, "sleep 600")
    raised: list[BaseException] = []

    def until_it_fails() -> None:
        try:
            give(deaf)
        except ReduceFault as exc:
            raised.append(exc)

    thread = threading.Thread(target=until_it_fails)
    thread.start()
    deadline = time.monotonic() + 10
    while deaf._process is None and time.monotonic() < deadline:
        time.sleep(0.01)
    deaf.interrupt()
    thread.join(10)
    assert not thread.is_alive()
    assert [str(exc) for exc in raised] == ["reduce.sh died of signal 9"]


def test_a_line_without_an_end_is_no_row(folds: list[ProgramFold], monkeypatch: pytest.MonkeyPatch) -> None:
    """It is bounded like all that comes from outside."""
    monkeypatch.setattr(program, "_LINE_BYTES", 1 << 20)
    with pytest.raises(ReduceFault, match="printed a line over 1 MiB"):
        fold(folds, "exec cat /dev/zero").finish()


def test_a_query_without_values_has_an_answer(folds: list[ProgramFold]) -> None:
    """It is started for the end alone, so that a total of nothing can be printed."""
    total = make("program", argv=["/bin/sh", "-c", "wc -l"])
    total.finish()
    assert total.rows().rows == ((0,),)
    total.close()


def _alive(pid: int) -> bool:
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False
