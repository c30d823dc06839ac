"""The provider table on disk."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from coordinator.store import Change, Facts, Store
from coordinator.table import Provider

ROOT = Path(__file__).parents[3]
WEB = Provider(
    "web1", address="10.0.0.1", port=2222, user="reader", sudo=True, labels={"role": "w\u00e9b", "groups": "a,b"}
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "state" / "providers.sqlite"


def test_a_provider_comes_back_as_it_was(path: Path) -> None:
    """Every field and label, from a file that nobody else may read; before the first write there is none."""
    store = Store(str(path))
    assert (store.rows(), path.exists()) == ([], False)
    assert store.add([WEB, Provider("db1")], replacing=False) == Change(added=("db1", "web1"))
    assert Store(str(path)).providers() == {"db1": Provider("db1"), "web1": WEB}
    assert {file.stat().st_mode & 0o777 for file in path.parent.iterdir()} == {0o600}
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_what_is_there_is_replaced_only_when_that_is_said(path: Path) -> None:
    """Nothing of a refused call is kept; what has not changed is neither."""
    store = Store(str(path))
    store.add([WEB], replacing=False)
    with pytest.raises(UsageError, match="web1: in the table already"):
        store.add([Provider("new"), Provider("web1")], replacing=False)
    assert list(store.providers()) == ["web1"]
    assert store.add([WEB], replacing=False) == Change(same=1)
    assert store.add([Provider("web1")], replacing=True) == Change(updated=("web1",))


def test_an_import_prunes_its_own_only(path: Path) -> None:
    """What was added by hand, or came from elsewhere, is another's."""
    store = Store(str(path))
    store.add([Provider("hand")], replacing=False)
    store.take([Provider("a"), Provider("b")], "one", prune=True)
    store.take([Provider("c")], "two", prune=True)
    assert store.take([Provider("b")], "one", prune=True) == Change(removed=("a",), same=1)
    assert list(store.providers()) == ["b", "c", "hand"]


def test_facts_go_with_their_provider(path: Path) -> None:
    """They are kept for providers of the table, and removed with them."""
    store = Store(str(path))
    store.add([WEB], replacing=False)
    facts = Facts(1.5, "exec", "3.6.8", 0.25, -3.5, "known", {"/var/log/a": True, "/b": False})
    store.note({"web1": facts, "stranger": Facts(2.0, problem="unreachable")})
    assert [(row.provider.name, row.facts) for row in store.rows()] == [("web1", facts)]
    store.remove(["web1", "stranger"])
    store.add([WEB], replacing=False)
    assert store.rows()[0].facts is None


def test_the_stamp_tells_of_changes_by_whomever(path: Path) -> None:
    """By this one, by another process's, by a file that took the place of this one; and of nothing else."""
    one, other = Store(str(path)), Store(str(path))
    seen = [one.stamp()]
    one.add([WEB], replacing=False)
    seen.append(one.stamp())
    other.remove(["web1"])
    seen.append(one.stamp())
    one.rows()
    assert one.stamp() == seen[-1]
    for store in (one, other):
        store.close()
    path.rename(path.with_name("old"))
    Store(str(path)).add([Provider("db1")], replacing=False)
    seen.append(one.stamp())
    assert len(set(seen)) == 4
    assert list(one.providers()) == ["db1"]


def test_a_newer_file_is_left_alone(path: Path) -> None:
    """Its schema is said, and it is not written to."""
    Store(str(path)).add([WEB], replacing=False)
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 7")
    connection.close()
    for call in (Store(str(path)).rows, lambda: Store(str(path)).add([WEB], replacing=True)):
        with pytest.raises(UsageError, match="newer version of LogReduce \\(schema 7, this one knows 1\\)"):
            call()


def test_a_damaged_file_is_a_sentence_with_a_way_out(path: Path) -> None:
    """Whether no SQLite wrote it, or somebody wrote over it."""
    path.parent.mkdir()
    path.write_bytes(b"no database" * 100)
    with pytest.raises(UsageError, match=r"is damaged .* move it away, then add the providers anew"):
        Store(str(path)).rows()
    path.unlink()
    store = Store(str(path))
    store.add([Provider(f"host{number}") for number in range(500)], replacing=False)
    store.close()
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"\xff" * 4096)
    with pytest.raises(UsageError, match="is damaged"):
        Store(str(path)).rows()


def test_another_programs_database_is_not_touched(path: Path) -> None:
    """One that has tables of its own."""
    path.parent.mkdir()
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE theirs (x)")
    connection.close()
    with pytest.raises(UsageError, match="another program's database"):
        Store(str(path)).add([WEB], replacing=False)


def test_processes_share_a_file_from_its_first_moment(path: Path) -> None:
    """Four that begin together with no file yet: every write of each is kept, and nobody is turned away."""
    code = (
        "import sys\nfrom coordinator.store import Store\nfrom coordinator.table import Provider\n"
        "for number in range(10):\n"
        "    Store(sys.argv[1]).add([Provider(f'{sys.argv[2]}-{number}')], replacing=False)\n"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(path), f"p{index}"], stderr=subprocess.PIPE, cwd=ROOT)
        for index in range(4)
    ]
    said = [process.communicate(timeout=60)[1] for process in processes]
    assert said == [b""] * 4
    assert len(Store(str(path)).rows()) == 40
