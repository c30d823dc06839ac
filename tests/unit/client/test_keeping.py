"""A named query's answer through a crash: state and positions are those of one moment, and epochs never repeat."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backplane.client import keeping
from backplane.client import reducing as reducing_module
from backplane.client.keeping import Keeper
from backplane.client.reducing import Outcome, Reducing
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory, directory
from backplane.client.store.faults import Unwritable
from backplane.reduce.answer import Answer, Begin
from backplane.reduce.folds import FunctionFold
from backplane.reduce.journal import Changes
from backplane.wire import codec
from backplane.wire.messages import Beat, Cut, NeedStart, Open, State, Targets
from provider.runner.columns import values_payload

NEED = NeedStart(job=5, query="1", provider="web1")


@pytest.fixture
def store(home: Path) -> Iterator[Store]:
    kept = directory("errors", os.environ)
    kept.make()
    with Store(kept) as found:
        yield found


class Clock:
    """Seconds that pass when they are told to."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def answer(store: Store | None = None, resume: str = "exact") -> Answer:
    """A sum by key, as it was stored."""
    made = Answer(
        query="q",
        query_id="1",
        fold=FunctionFold(lambda a, b: a + b),
        targets=["web1"],
        durable=True,
        resume=resume,
        resume_why="it is a command",
    )
    if store is not None:
        made.place(store.places, store.facts.get("seq", 0), 50.0)
        made.refill(store.pieces())
    return made


def move(seq: int, begin: bytes, end: bytes, epoch: int = 1) -> Cut:
    payload = codec.pack([["/a", begin, end]])
    return Cut(job=5, epoch=epoch, seq=seq, content="moves", payload=payload)


def value(seq: int, number: int, epoch: int = 1) -> Cut:
    payload = values_payload([("k", number)])
    return Cut(job=5, epoch=epoch, seq=seq, part=1, last=True, content="values", payload=payload)


def hear(asked: Answer, *messages: object) -> None:
    for message in messages:
        asked.handle("web1", message)  # type: ignore[arg-type]


def reopened(store: Store) -> Store:
    """What a process that comes after a crash finds."""
    store.close()
    name = store._name
    return Store(Directory(name, directory(name, os.environ).path))


def test_what_is_committed_is_what_comes_back(store: Store) -> None:
    """Values with the positions after them; what was applied later is not there, with its positions."""
    asked = answer()
    keeper = Keeper(asked, store)
    hear(asked, NEED, Open(job=5, epoch=1, source="/a", payload=b"0"), move(1, b"0", b"3"), value(1, 7))
    assert keeper.commit()
    hear(asked, move(2, b"3", b"9"), value(2, 100))
    with reopened(store) as found:
        again = answer(found)
    assert again.snapshot().rows == (("k", 7),)
    assert again.handle("web1", NEED) == [Begin(NEED, 2, (("/a", b"3"),), resumed=True)]
    assert again.handle("web1", move(1, b"3", b"9", epoch=2)) == []
    hear(again, value(1, 100, epoch=2))
    assert again.snapshot().rows == (("k", 107),)


def test_an_open_is_kept_before_any_cut(store: Store) -> None:
    """A job that follows from the end and crashes early resumes where it began."""
    asked = answer()
    hear(asked, NEED, Open(job=5, epoch=1, source="/a", payload=b"0", last=True))
    assert Keeper(asked, store).commit()
    with reopened(store) as found:
        assert answer(found).handle("web1", NEED) == [Begin(NEED, 2, (("/a", b"0"),), resumed=True)]


def test_a_provider_is_pending_again_and_keeps_what_it_counted(store: Store) -> None:
    """Who had come to an end stays so; a snapshot's number goes on."""
    asked = answer()
    hear(asked, Targets(query="1", payload=codec.pack(["web1", "web2"])), NEED, Beat(job=5, lines=70))
    hear(asked, State(query="1", provider="web1", state="running"))
    hear(asked, State(query="1", provider="web2", state="refused", reason="no python"))
    asked.snapshot()
    assert Keeper(asked, store).commit()
    with reopened(store) as found:
        again = answer(found)
    assert again.ended() == {"web2": "refused"}
    snapshot = again.snapshot()
    assert snapshot.seq == 2
    rows = snapshot.coverage.providers
    assert (rows["web1"].state, rows["web1"].counters.lines) == ("pending", 70)
    assert (rows["web2"].state, rows["web2"].reason) == ("refused", "no python")


def test_what_cannot_run_twice_is_lost(store: Store) -> None:
    """If it had begun; who had not is asked as if nothing had been."""
    asked = answer()
    hear(asked, NEED, State(query="1", provider="web1", state="running"))
    hear(asked, State(query="1", provider="web2", state="connecting"))
    assert Keeper(asked, store).commit()
    with reopened(store) as found:
        again = answer(found, resume="never")
    assert again.ended() == {"web1": "lost"}
    reason = again.snapshot().coverage.providers["web1"].reason or ""
    assert "it is not run twice: it is a command" in reason


def test_who_is_no_target_any_more_has_left(store: Store) -> None:
    """What it had contributed stays."""
    asked = answer()
    hear(asked, NEED, Open(job=5, epoch=1, source="/a", payload=b"0"), move(1, b"0", b"3"), value(1, 7))
    assert Keeper(asked, store).commit()
    with reopened(store) as found:
        again = answer(found)
    again.again(())
    again.handle("", Targets(query="1", payload=codec.pack(["web9"])))
    snapshot = again.snapshot()
    assert {name: row.state for name, row in snapshot.coverage.providers.items()} == {"web1": "left", "web9": "pending"}
    assert snapshot.rows == (("k", 7),)


def test_commits_are_grouped(store: Store) -> None:
    """One a second while things change, none while nothing does; beats alone are no change."""
    clock = Clock()
    asked = answer()
    keeper = Keeper(asked, store, clock)
    assert (keeper.due, keeper.wait_s()) == (False, None)
    hear(asked, NEED)
    assert (keeper.due, keeper.wait_s()) == (False, keeping.COMMIT_S)
    clock.now += 0.4
    hear(asked, Open(job=5, epoch=1, source="/a", payload=b"0"))
    assert keeper.wait_s() == pytest.approx(0.6)
    clock.now += 0.6
    assert keeper.due
    assert keeper.commit()
    hear(asked, Beat(job=5, lines=1))
    assert (keeper.due, keeper.wait_s()) == (False, None)


def test_much_is_committed_before_its_time(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """What gathers is in memory twice."""
    monkeypatch.setattr(keeping, "COMMIT_BYTES", 10)
    asked = answer()
    keeper = Keeper(asked, store, Clock())
    hear(asked, NEED, value_alone(1, "x" * 20))
    assert keeper.due


def value_alone(seq: int, emitted: object) -> Cut:
    return Cut(job=5, epoch=1, seq=seq, last=True, content="values", payload=values_payload([emitted]))


def test_what_grew_is_said_anew(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a quiet moment, or when there is none for too long; the answer is the same, and shorter."""
    monkeypatch.setattr(keeping, "_WORTH_BYTES", 1000)
    monkeypatch.setattr(keeping, "_MOST_BYTES", 3000)
    asked = answer()
    keeper = Keeper(asked, store)
    hear(asked, NEED)
    total = 0
    for seq in range(1, 200):
        hear(asked, Cut(job=5, epoch=1, seq=seq, last=True, content="values", payload=values_payload([("k", seq)])))
        total += seq
        keeper.commit()
        keeper.tidy(idle=seq % 50 == 0)
        assert store.log_bytes <= 3200 + 2 * store.base_bytes
    with reopened(store) as found:
        assert answer(found).snapshot().rows == (("k", total),)


def rows_after_a_crash(store: Store) -> tuple[tuple[object, ...], ...]:
    with reopened(store) as found:
        return answer(found).snapshot().rows


class Outcomes:
    """What a reducer's thread has said to its loop."""

    def __init__(self) -> None:
        self.all: list[Outcome] = []
        self.failures: list[BaseException] = []

    async def until(self, there: Callable[[], bool]) -> None:
        async with asyncio.timeout(30):
            while not there():  # noqa: ASYNC110 - what is waited for is said by callbacks of several kinds
                await asyncio.sleep(0.005)

    @property
    def begins(self) -> list[int]:
        return [each.epoch for one in self.all for each in one.instructions if isinstance(each, Begin)]

    @property
    def notices(self) -> list[str]:
        return [one.notice for one in self.all if one.notice]


async def test_an_epoch_is_stored_before_it_is_told(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """While its commit is under way nobody hears of it."""
    at_disk, goes_on = threading.Event(), threading.Event()
    commit = Store.commit

    def slow(self: Store, changes: Changes, facts: object = None) -> None:
        at_disk.set()
        assert goes_on.wait(30)
        commit(self, changes, facts)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "commit", slow)
    said = Outcomes()
    asked = answer()
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store))
    try:
        reducing.put("web1", NEED, 0)
        await asyncio.to_thread(at_disk.wait, 30)
        await asyncio.sleep(0)
        assert said.begins == []
        goes_on.set()
        await said.until(lambda: said.begins == [1])
    finally:
        goes_on.set()
        await reducing.close(10)
    assert said.failures == []


async def test_where_a_source_begins_is_stored_before_anybody_sees_its_rows(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It begins at the end of a log: after a crash, what was written since would be before that end."""
    commit, stored = Store.commit, list[Changes]()

    def noted(self: Store, changes: Changes, facts: object = None) -> None:
        commit(self, changes, facts)  # type: ignore[arg-type]
        stored.append(changes)

    monkeypatch.setattr(Store, "commit", noted)
    monkeypatch.setattr(reducing_module, "GATHER_S", 60.0)
    said = Outcomes()
    asked = answer()
    # Time stands still: no commit is due because of it.
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store, Clock()))
    try:
        reducing.put("web1", NEED, 0)
        await said.until(lambda: said.begins == [1])
        for message in (Open(job=5, epoch=1, source="/a", payload=b"7"), value_alone(1, ("k", 1))):
            reducing.put("web1", message, 10)
        async with asyncio.timeout(30):
            while not (await reducing.snapshot(final=False)).rows:
                pass
        places = [place.cursor.positions for changes in stored for place in changes.places]
        assert {"/a": b"7"} in places
        seen = len(stored)
        reducing.put("web1", value_alone(2, ("k", 1)), 10)
        async with asyncio.timeout(30):
            while (await reducing.snapshot(final=False)).rows == (("k", 1),):
                pass
        assert len(stored) == seen  # what can be read again waits for its time
    finally:
        await reducing.close(10)
    assert said.failures == []


def has_room(reducing: Reducing) -> bool:
    return reducing.room


async def test_a_full_disk_stops_credit_and_nothing_else(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is said once, and once more when there is space; no start is told meanwhile, and all is there in the end."""
    full = [True]
    commit = Store.commit

    def failing(self: Store, changes: Changes, facts: object = None) -> None:
        if full[0]:
            raise Unwritable("the disk is full")
        commit(self, changes, facts)  # type: ignore[arg-type]

    monkeypatch.setattr(Store, "commit", failing)
    monkeypatch.setattr(keeping, "RETRY_S", 0.02)
    said = Outcomes()
    asked = answer()
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store))
    try:
        for message in (NEED, value_alone(1, ("k", 1)), value_alone(2, ("k", 2))):
            reducing.put("web1", message, 10)
        await said.until(lambda: bool(said.notices))
        assert not has_room(reducing)
        assert (await reducing.snapshot(final=False)).rows == (("k", 3),)
        assert said.begins == []
        full[0] = False
        await said.until(lambda: said.begins == [1])
        assert has_room(reducing)
        assert said.all[-1].room
        assert [notice.split(";")[0] for notice in said.notices] == [
            "the disk is full",
            "what has been read can be stored again: going on",
        ]
    finally:
        await reducing.close(10)
    assert await asyncio.to_thread(rows_after_a_crash, store) == (("k", 3),)


async def test_what_never_fits_is_not_said_to_be_kept(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """The answer is shown, and whoever ends the query learns that the store is behind it."""

    def failing(self: Store, changes: Changes, facts: object = None) -> None:
        raise Unwritable("the disk is full")

    said = Outcomes()
    asked = answer()
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store))
    with monkeypatch.context() as patch:
        patch.setattr(Store, "commit", failing)
        reducing.put("web1", NEED, 0)
        reducing.put("web1", value_alone(1, ("k", 5)), 10)
        assert (await reducing.snapshot(final=True)).rows == (("k", 5),)
        await reducing.close(10)
        assert reducing.unkept == "the disk is full"
    assert await asyncio.to_thread(rows_after_a_crash, store) == ()


async def test_nothing_is_tidied_after_the_final_snapshot(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever closes it would wait for that in vain, and take the answer for one that is not stored."""
    tidied: list[bool] = []
    monkeypatch.setattr(Keeper, "tidy", lambda self, *, idle: tidied.append(idle))
    monkeypatch.setattr(keeping, "IDLE_S", 0.01)
    monkeypatch.setattr(keeping, "_WORTH_BYTES", -1)
    said = Outcomes()
    asked = answer()
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store))
    reducing.put("web1", NEED, 0)
    await said.until(lambda: True in tidied)
    await reducing.snapshot(final=True)
    before = len(tidied)
    await reducing.snapshot(final=False)
    await reducing.close(10)
    assert len(tidied) == before


async def test_a_close_stores_what_was_applied(store: Store) -> None:
    """Whoever ends the query in good order loses nothing."""
    said = Outcomes()
    asked = answer()
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store))
    reducing.put("web1", NEED, 0)
    reducing.put("web1", value_alone(1, ("k", 5)), 10)
    assert (await reducing.snapshot(final=True)).rows == (("k", 5),)
    await reducing.close(10)
    assert reducing.unkept is None
    assert await asyncio.to_thread(rows_after_a_crash, store) == (("k", 5),)


def spoil(store: Store) -> None:
    with store._transaction() as connection:
        connection.execute("INSERT INTO piece (provider, content, crc, payload) VALUES (x'00', 'values', 1, x'00')")


async def test_what_cannot_be_read_back_fails_the_query(store: Store) -> None:
    """And not the thread alone."""
    await asyncio.to_thread(spoil, store)
    said = Outcomes()
    asked = answer()
    reducing = Reducing(asked, said.all.append, said.failures.append, Keeper(asked, store))
    await said.until(lambda: bool(said.failures))
    await reducing.close(10)
    assert "damaged" in str(said.failures[0])
