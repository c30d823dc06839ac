"""A named query that crashes at every step there is: exact, and each way to spoil that is caught by the same runs."""

from __future__ import annotations

import os
import random
import sqlite3
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from backplane.client import keeping
from backplane.client.keeping import Keeper
from backplane.client.store import database
from backplane.client.store.database import Store
from backplane.client.store.directory import Directory, directory
from backplane.reduce.answer import Answer
from backplane.reduce.cursors import Cursor, Kept
from backplane.reduce.journal import Changes, Journal
from backplane.reduce.saving import Saved
from tests.rigs.crashes import Crash, World

SEEDS = range(16)
TURNS = 400
#: A step of every so many is the last one of a client.
OFTEN = 25


@pytest.fixture
def kept(home: Path, monkeypatch: pytest.MonkeyPatch) -> Directory:
    """An empty directory; what is in it is tidied often, and not waited for by any disk."""
    monkeypatch.setattr(keeping, "_WORTH_BYTES", 200)
    connected = Store._connect

    def fast(self: Store) -> sqlite3.Connection:
        connection = connected(self)
        # A crash of the process is meant here, not of the machine.
        connection.execute("PRAGMA synchronous = OFF")
        return connection

    monkeypatch.setattr(Store, "_connect", fast)
    found = directory("errors", os.environ)
    found.make()
    return found


class Points:
    """Raises at steps by chance; the steps inside of a commit and a compaction are patched in."""

    def __init__(self, dice: random.Random, monkeypatch: pytest.MonkeyPatch) -> None:
        self._dice = dice
        self.hit: set[str] = set()
        self.armed = True
        append, note = database._append, database._note

        def appended(connection: sqlite3.Connection, pieces: Iterable[Saved]) -> None:
            append(connection, pieces)
            self("values were written")

        def noted(connection: sqlite3.Connection, facts: Any) -> None:
            note(connection, facts)
            self("facts were written")

        monkeypatch.setattr(database, "_append", appended)
        monkeypatch.setattr(database, "_note", noted)

    def __call__(self, step: str) -> None:
        if self.armed and self._dice.random() < 1 / OFTEN:
            self.hit.add(step)
            raise Crash


def outcomes(kept: Directory, monkeypatch: pytest.MonkeyPatch, **options: Any) -> Iterator[tuple[World, Points, int]]:
    """One run for each seed: the world after it, and the sum that its answer came to."""
    for seed in SEEDS:
        kept.remove()
        kept.make()
        with monkeypatch.context() as patch:
            dice = random.Random(seed)
            points = Points(dice, patch)
            points.armed = False
            world = World(kept, dice, points, **options)
            world.start()
            points.armed = True
            for _ in range(TURNS):
                world.turn()
            points.armed = False
            total = world.settle()
            if world.store:
                world.store.close()
        yield world, points, total


def test_it_is_exact_wherever_it_crashes(kept: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every number counts once, over hundreds of crashes at each of the steps."""
    crashes, hit = 0, set[str]()
    for world, points, total in outcomes(kept, monkeypatch):
        assert total == world.expected
        crashes += world.crashes
        hit |= points.hit
    assert crashes > 100
    assert hit == {
        "a part arrived",
        "a cut arrived",
        "a start was sent",
        "a commit was made",
        "it was tidied",
        "values were written",
        "facts were written",
    }


def _split(first: Callable[[Changes], Changes], second: Callable[[Changes], Changes]) -> Callable[..., None]:
    commit = Store.commit

    def split(self: Store, changes: Changes, facts: Any = None) -> None:
        commit(self, first(changes), facts)
        commit(self, second(changes), facts)

    return split


def _places(changes: Changes) -> Changes:
    return Changes((), changes.places)


def _pieces(changes: Changes) -> Changes:
    return Changes(changes.pieces, ())


def positions_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "commit", _split(_places, _pieces))


def values_first(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Store, "commit", _split(_pieces, _places))


def epoch_not_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cursor, "kept", lambda self: Kept(0, dict(self._positions), self.settled))


def no_fence(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cursor, "current", lambda self, epoch: True)
    patch.setattr(Cursor, "moved", lambda self, moves: {source: end for source, _, end in moves})


def open_not_stored(patch: pytest.MonkeyPatch) -> None:
    patch.setattr(Cursor, "kept", lambda self: Kept(self.epoch, dict(self._positions) if self.seq else {}, True))


def positions_run_ahead(patch: pytest.MonkeyPatch) -> None:
    take = Journal.take
    held: list[Saved] = []

    def late(self: Journal, *args: Any) -> Changes:
        changes = take(self, *args)
        pieces = (*held, *changes.pieces)
        held[:] = pieces[-1:]
        return Changes(pieces[:-1], changes.places)

    patch.setattr(Journal, "take", late)


def part_applied_early(patch: pytest.MonkeyPatch) -> None:
    stage = Cursor.stage

    def early(self: Cursor, cut: Any) -> Any:
        parts = stage(self, cut)
        if parts is None and cut.content == "values" and self._parts:
            parts, self._parts = self._parts, []
        return parts

    patch.setattr(Cursor, "stage", early)


def compaction_in_two_steps(patch: pytest.MonkeyPatch) -> None:
    compact = Store.compact

    def stepwise(self: Store, pieces: Iterable[Saved]) -> None:
        found = list(pieces)
        with self._transaction() as connection:
            connection.execute("DELETE FROM piece")
        compact(self, found)

    patch.setattr(Store, "compact", stepwise)


def compaction_without_commit(patch: pytest.MonkeyPatch) -> None:
    def ahead(self: Keeper, *, idle: bool) -> None:
        if self._worth():
            self._store.compact(self._answer.whole())

    patch.setattr(Keeper, "tidy", ahead)


def compaction_keeps_the_old(patch: pytest.MonkeyPatch) -> None:
    def added(self: Store, pieces: Iterable[Saved]) -> None:
        with self._transaction() as connection:
            database._append(connection, pieces)
        self._base_bytes, self._log_bytes = self._log_bytes, 0

    patch.setattr(Store, "compact", added)


def changes_taken_twice(patch: pytest.MonkeyPatch) -> None:
    changes = Answer.changes
    before: list[Saved] = []

    def again(self: Answer) -> Changes:
        found = changes(self)
        pieces = (*before, *found.pieces)
        before[:] = found.pieces[-1:] if len(found.pieces) > 2 else []
        return Changes(pieces, found.places)

    patch.setattr(Answer, "changes", again)


@pytest.mark.parametrize(
    "mutant",
    [
        positions_first,
        values_first,
        epoch_not_stored,
        no_fence,
        open_not_stored,
        positions_run_ahead,
        part_applied_early,
        compaction_in_two_steps,
        compaction_without_commit,
        compaction_keeps_the_old,
        changes_taken_twice,
    ],
)
def test_a_planted_mutant_is_caught(
    kept: Directory, monkeypatch: pytest.MonkeyPatch, mutant: Callable[[pytest.MonkeyPatch], None]
) -> None:
    """The same runs come to another sum, or break."""
    with monkeypatch.context() as patch:
        mutant(patch)
        assert _wrong(kept, patch)


def test_a_start_before_its_epoch_is_stored_is_caught(kept: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two jobs get one epoch then, and nothing keeps them apart."""
    assert _wrong(kept, monkeypatch, told_first=True)


def _wrong(kept: Directory, patch: pytest.MonkeyPatch, **options: Any) -> bool:
    try:
        return any(total != world.expected for world, _, total in outcomes(kept, patch, **options))
    except Exception:  # a mutant may also trip over itself
        return True
