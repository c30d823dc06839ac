"""ClusterShell's groups, as it is configured on this machine."""

from __future__ import annotations

from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import Wanted, choose, nodes, read
from coordinator.table import Provider

CONF = """
[Main]
default: mine
confdir: $CFGDIR/groups.conf.d
autodir: $CFGDIR/groups.d
[slurm]
map: echo job-$GROUP
list: echo batch
[hung]
map: sleep 600
[broken]
map: echo the queue is away >&2; exit 1
"""
GROUPS = 'mine:\n  web: "web[1-3]"\n  db: "db1,web2"\n  empty: ""\nother:\n  web: "x1"\n'


@pytest.fixture(autouse=True)
def clustershell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A configuration of our own."""
    (tmp_path / "groups.conf").write_text(CONF)
    (tmp_path / "groups.d").mkdir()
    (tmp_path / "groups.d" / "mine.yaml").write_text(GROUPS)
    monkeypatch.setenv("CLUSTERSHELL_CFGDIR", str(tmp_path))


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("@web", ["web1", "web2", "web3"]),
        ("@other:web", ["x1"]),
        ("@slurm:batch", ["job-batch"]),
        ("@web&@db", ["web2"]),
        ("@web!web1,mail", ["mail", "web2", "web3"]),
    ],
)
def test_groups_are_sets_like_others(text: str, found: list[str]) -> None:
    """Of the default source and of named ones, with ClusterShell's operators."""
    assert sorted(nodes.expand(text)) == found


def test_a_group_is_one_of_the_inventory_first() -> None:
    """-g looks there, then at ClusterShell's; with a source it means ClusterShell's."""
    known = {"n1": Provider("n1", labels={"group": "web"})}

    def of(*groups: str) -> list[str]:
        return sorted(choose(known, Wanted(groups=groups), lambda _: None))

    assert of("web") == ["n1"]
    assert of("@web") == ["web1", "web2", "web3"]
    assert of("other:web") == ["x1"]
    assert of("db,web") == ["db1", "n1", "web2"]


def test_groups_stand_in_lists(tmp_path: Path) -> None:
    """As clush reads them."""
    (tmp_path / "hosts").write_text("@db\nweb9\n")
    assert [provider.name for provider in read(str(tmp_path / "hosts"))] == ["db1", "web2", "web9"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("@nobody", "'@nobody' names nobody: ClusterShell knows no such group, or it is empty"),
        ("@empty", "names nobody"),
        ("@nosuch:web", 'cannot be resolved by ClusterShell: Unknown group source: "nosuch"'),
        ("@web[", "cannot be resolved by ClusterShell"),
        ("@broken:x", "cannot be resolved by ClusterShell"),
        ("jane@web1", "--user names the login"),
    ],
)
def test_groups_that_are_none_get_a_sentence(text: str, says: str) -> None:
    """What ClusterShell says of it, or what is meant."""
    with pytest.raises(UsageError) as caught:
        nodes.expand(text)
    assert says in str(caught.value)


@pytest.mark.parametrize("text", ["@slurm:$(touch {})", "@slurm:`touch {}`", "@slurm:x;touch {}", "@slurm:x|touch\t{}"])
def test_a_group_is_no_command(tmp_path: Path, text: str) -> None:
    """ClusterShell would hand the name to a shell as it is."""
    with pytest.raises(UsageError):
        nodes.expand(text.format(tmp_path / "planted").replace(" ", "${IFS}"))
    assert not (tmp_path / "planted").exists()


def test_a_source_that_hangs_has_a_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    """A batch system may not answer."""
    monkeypatch.setattr(nodes, "GROUPS_S", 1.0)
    with pytest.raises(UsageError, match="had not ended after 1 s and was stopped"):
        nodes.expand("@hung:x")
