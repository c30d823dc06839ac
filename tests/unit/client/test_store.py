"""A named query's file: what is read back is what was committed, and what is wrong with it is one sentence."""

from __future__ import annotations

import os
import sqlite3
import stat
from pathlib import Path

import pytest

from backplane.client.store.database import Store
from backplane.client.store.directory import Directory, directory, known
from backplane.client.store.faults import Damaged, Newer, StoreError, Unwritable
from backplane.client.store.lock import InUse, held, locked, owner
from backplane.reduce.cursors import Kept
from backplane.reduce.journal import Changes, Place
from backplane.reduce.saving import Saved
from backplane.wire.errors import UsageError


@pytest.fixture
def kept(home: Path) -> Directory:
    """An empty directory of a named query."""
    found = directory("errors", os.environ)
    found.make()
    return found


def place(name: str, epoch: int, **positions: bytes) -> Place:
    return Place(name, Kept(epoch, positions, True), {"state": "running", "gaps": ["/a: truncated"]})


def piece(text: str, provider: str = "web1") -> Saved:
    return Saved(provider, "values", text.encode())


def stored(kept: Directory) -> tuple[list[Saved], tuple[Place, ...]]:
    with Store(kept) as store:
        return list(store.pieces()), store.places


def test_what_was_committed_is_read_back(kept: Directory) -> None:
    """Values in order, places as they were last, facts; names that are no UTF-8 too."""
    with Store(kept) as store:
        store.commit(Changes((piece("a"), piece("b", "b\udcff")), (place("web1", 1, a=b"1"), place("b\udcff", 2))))
        store.commit(Changes((piece("c"),), (place("web1", 3, a=b"2", b=b""),)), {"seq": 7})
        store.note({"question": {"name": "q"}})
    assert stored(kept) == (
        [piece("a"), piece("b", "b\udcff"), piece("c")],
        (place("b\udcff", 2), place("web1", 3, a=b"2", b=b"")),
    )
    with Store(kept) as store:
        assert (store.facts["seq"], store.facts["question"], store.facts["commit"]) == (7, {"name": "q"}, 2)


def test_compaction_replaces_all_values_and_no_place(kept: Directory) -> None:
    """What is appended after it comes after it; sizes count on over an open."""
    with Store(kept) as store:
        store.commit(Changes((piece("aa"), piece("b")), (place("web1", 1),)))
        assert (store.base_bytes, store.log_bytes) == (0, 3)
        store.compact([piece("whole")])
        assert (store.base_bytes, store.log_bytes) == (5, 0)
        store.commit(Changes((piece("c"),)))
    with Store(kept) as store:
        assert (store.base_bytes, store.log_bytes) == (5, 1)
    assert stored(kept) == ([piece("whole"), piece("c")], (place("web1", 1),))


def test_a_compaction_that_fails_changes_nothing(kept: Directory) -> None:
    """Whatever the fold raises while it is asked what it holds."""
    with Store(kept) as store:
        store.commit(Changes((piece("a"),)))
        with pytest.raises(ZeroDivisionError):
            store.compact(piece(str(1 // number)) for number in (1, 0))
        store.commit(Changes((piece("b"),)))
    assert stored(kept)[0] == [piece("a"), piece("b")]


@pytest.mark.parametrize("reaches", [False, True], ids=["not on the disk", "on the disk all the same"])
def test_a_commit_in_doubt_counts_once(kept: Directory, monkeypatch: pytest.MonkeyPatch, reaches: bool) -> None:
    """It failed; whether it is there is found out, and then it is there once."""

    class Failing(sqlite3.Connection):
        def execute(self, sql: str, *args: object) -> sqlite3.Cursor:
            if sql == "COMMIT" and armed:
                armed.clear()
                super().execute("COMMIT" if reaches else "ROLLBACK")
                error = sqlite3.OperationalError("disk I/O error")
                error.sqlite_errorcode = sqlite3.SQLITE_IOERR_FSYNC
                raise error
            return super().execute(sql, *args)  # type: ignore[arg-type]

    armed: list[bool] = []
    connect = sqlite3.connect
    monkeypatch.setattr(sqlite3, "connect", lambda *a, **k: connect(*a, factory=Failing, **k))
    with Store(kept) as store:
        store.commit(Changes((piece("a"),)))
        armed.append(True)
        changes = Changes((piece("b"),), (place("web1", 4),))
        with pytest.raises(Unwritable):
            store.commit(changes)
        store.commit(changes)
        store.commit(Changes((piece("c"),)))
    assert stored(kept) == ([piece("a"), piece("b"), piece("c")], (place("web1", 4),))


def test_a_full_disk_is_said_and_passes(kept: Directory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the commit is there, what was is intact, and the same commit fits once there is space."""
    pages = [40]
    connected = Store._connect

    def bounded(self: Store) -> sqlite3.Connection:
        connection = connected(self)
        connection.execute(f"PRAGMA max_page_count = {pages[0]}")
        return connection

    monkeypatch.setattr(Store, "_connect", bounded)
    large = Changes((piece("x" * 500_000),), (place("web1", 2),))
    with Store(kept) as store:
        store.commit(Changes((piece("a"),), (place("web1", 1),)))
        for _ in range(2):
            with pytest.raises(Unwritable, match="the disk is full: free some space"):
                store.commit(large)
        assert stored_beside(kept) == 1
        pages[0] = 100_000
        store.close()
        store.commit(large)
    assert stored(kept)[1] == (place("web1", 2),)


def stored_beside(kept: Directory) -> int:
    """Pieces that a reader of the file's bytes finds, whoever has it open."""
    copy = Directory(kept.name, kept.path / "copy")
    copy.path.mkdir(exist_ok=True)
    for name in ("state.db", "state.db-wal"):
        if (kept.path / name).exists():
            (copy.path / name).write_bytes((kept.path / name).read_bytes())
    return len(stored(copy)[0])


def _break(path: Path, at: int) -> None:
    data = bytearray(path.read_bytes())
    data[at] ^= 0xFF
    path.write_bytes(data)


def test_a_damaged_value_is_noticed(kept: Directory) -> None:
    """One changed byte of a value, which SQLite itself does not see."""
    with Store(kept) as store:
        store.commit(Changes((piece("unmistakable"),)))
    _break(kept.database, kept.database.read_bytes().index(b"unmistakable"))
    with pytest.raises(Damaged, match=r"errors is damaged .* `logreduce rm errors` removes it"):
        stored(kept)


def test_a_damaged_place_is_noticed(kept: Directory) -> None:
    """One changed byte of a position would be lines lost or counted twice."""
    with Store(kept) as store:
        store.commit(Changes((), (place("web1", 1, a=b"unmistakable"),)))
    _break(kept.database, kept.database.read_bytes().index(b"unmistakable"))
    with pytest.raises(Damaged, match="the place of web1"):
        Store(kept)


def test_what_is_no_database_is_noticed(kept: Directory) -> None:
    """A file that was overwritten, and one that is another program's."""
    kept.database.write_bytes(b"no database at all" * 100)
    with pytest.raises(Damaged, match="`logreduce rm errors`"):
        Store(kept)
    kept.database.unlink()
    with sqlite3.connect(kept.database) as other:
        other.execute("PRAGMA user_version = 1")
    other.close()
    with pytest.raises(Damaged, match="another program's file"):
        Store(kept)


def test_a_newer_one_is_left_alone(kept: Directory) -> None:
    """Who wrote it can go on with it."""
    Store(kept).close()
    with sqlite3.connect(kept.database) as other:
        other.execute("PRAGMA user_version = 99")
    other.close()
    before = kept.database.read_bytes()
    with pytest.raises(Newer, match="newer logreduce"):
        Store(kept)
    assert kept.database.read_bytes() == before


def test_it_is_this_users_alone(kept: Directory) -> None:
    """Its directory, and every file in it: it holds what logs said."""
    with locked(kept), Store(kept) as store:
        store.commit(Changes((piece("a"),)))
        modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in kept.path.iterdir()}
    assert set(modes.values()) == {0o600}
    assert {"state.db", "state.db-wal", "lock", "process"} <= modes.keys()
    assert stat.S_IMODE(kept.path.stat().st_mode) == stat.S_IMODE(kept.path.parent.stat().st_mode) == 0o700


def test_one_process_at_a_time(kept: Directory) -> None:
    """The second is told who the first is; nobody is, after it."""
    assert not held(kept)
    with locked(kept):
        assert held(kept)
        found = owner(kept)
        assert found is not None and found.pid == os.getpid()
        with pytest.raises(InUse, match=f"process {os.getpid()}"), locked(kept):
            pytest.fail("two own it")
    assert not held(kept)
    assert owner(kept) is None


@pytest.mark.parametrize("name", ["", "..", ".hidden", "a/b", "a b", "-x", "x" * 65, "a\n", "é"])
def test_a_name_is_a_plain_word(home: Path, name: str) -> None:
    """It is a directory's name, and stands on command lines."""
    with pytest.raises(UsageError, match="is no name"):
        directory(name, os.environ)


def test_a_state_directory_that_cannot_be_made_is_said(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the way out."""
    (home / "file").write_text("")
    monkeypatch.setenv("XDG_STATE_HOME", str(home / "file"))
    with pytest.raises(UsageError, match="XDG_STATE_HOME, or ask without --name"):
        directory("errors", os.environ).make()


def test_those_that_were_asked_are_known(kept: Directory) -> None:
    """Not a directory that was made and got no further; removing one leaves nothing."""
    assert known(os.environ) == []
    Store(kept).close()
    assert known(os.environ) == [kept]
    kept.remove()
    assert (known(os.environ), list(kept.path.parent.iterdir())) == ([], [])
    kept.remove()


def test_a_look_needs_no_ownership_and_changes_nothing(kept: Directory) -> None:
    """Whoever looks sees the last commit."""
    with Store(kept) as store:
        store.commit(Changes((), (place("web1", 1),)), {"seq": 3})
    with Store(kept, own=False) as look:
        assert (look.facts["seq"], look.places) == (3, (place("web1", 1),))
    with pytest.raises(StoreError):
        Store(directory("nobody", os.environ), own=False)
