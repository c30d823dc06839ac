"""Which providers the options select."""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import pytest

from backplane.cli import targets
from backplane.wire.errors import UsageError
from coordinator import selecting
from coordinator.table import Provider


def _select(*argv: str) -> targets.Selection:
    parser = argparse.ArgumentParser()
    targets.add_arguments(parser)
    return targets.selection(parser.parse_args(argv))


def _choose(*argv: str, table: dict[str, Provider] | None = None) -> tuple[dict[str, Provider], list[str]]:
    """What a coordinator with this table makes of the options, and what it tells."""
    selection = _select(*argv)
    assert selection.select is not None
    notices = [selection.notice] if selection.notice else []
    wired = [Provider.from_wire(provider.to_wire()) for provider in selection.providers]
    chosen = selecting.Selection.from_wire(selection.select, wired).choose(table or {}, tell=notices.append)
    return chosen, notices


@pytest.fixture
def inventory(tmp_path: Path) -> str:
    path = tmp_path / "hosts.json"
    groups = [
        {"targets": ["web1:9100", "web2:9100"], "labels": {"role": "web", "site": "a"}},
        {"targets": ["db1:9100"], "labels": {"role": "db", "site": "a"}},
    ]
    path.write_text(json.dumps(groups))
    return str(path)


def test_none_is_this_machine() -> None:
    """Without a target this machine is asked, and the user is told."""
    selection = _select()
    assert selection.names == ["local"]
    assert selection.local
    assert "local" in (selection.notice or "")


def test_node_sets_become_destinations() -> None:
    """Names that no inventory knows are ssh destinations; -x takes some out; each counts once."""
    argv = ("-w", "web[01-03],db1", "-w", "web02", "-x", "web[03-99]")
    chosen, _ = _choose(*argv)
    assert sorted(chosen) == ["db1", "web01", "web02"]
    assert {provider.reach for provider in chosen.values()} == {"ssh"}
    assert not _select(*argv).local


def test_the_table_is_asked_where_it_has_a_say(inventory: str) -> None:
    """By -a, -l, -w and -g; not for this machine, nor where an inventory is all that is asked."""
    for argv in (["-a"], ["-l", "role=web"], ["-w", "web1"], ["-g", "front"], ["-i", inventory, "-w", "db1"]):
        assert _select(*argv).select is not None, argv
    for argv in ([], ["-w", "local"], ["-i", inventory], ["-i", inventory, "-a", "-l", "role=db", "-x", "web1"]):
        assert _select(*argv).select is None, argv


def test_an_inventory_wins_over_the_table(inventory: str) -> None:
    """Of equal names the inventory's is asked, and that is told; -w finds the others in the table."""
    table = {name: Provider(name, user="reader") for name in ("web1", "web7")}
    chosen, notices = _choose("-i", inventory, "-w", "web*", table=table)
    assert {name: provider.user for name, provider in chosen.items()} == {"web1": None, "web2": None, "web7": "reader"}
    assert "web1: the provider table says otherwise than the inventory, which comes first" in notices[0]


def test_inventory_alone_is_all_of_it(inventory: str) -> None:
    """-i FILE names its providers, with or without -a."""
    assert _select("-i", inventory).names == _select("-a", "-i", inventory).names == ["db1", "web1", "web2"]


def test_names_and_labels_intersect(inventory: str) -> None:
    """-w and -l together keep what both select."""
    chosen, _ = _choose("-i", inventory, "-l", "site=a", "-w", "web[1-2],db1", "-l", "role=web")
    assert sorted(chosen) == ["web1", "web2"]


@pytest.mark.parametrize(
    ("argv", "text"),
    [
        (["-a"], "the provider table is empty"),
        (["-l", "role=web"], "the provider table is empty"),
        (["-w", "web1", "-x", "web1"], "select no provider"),
        (["-g", "nowhere-group"], "no inventory has a group"),
        (["-w", "web[1-"], "web[1-"),
    ],
)
def test_says_what_is_wrong(argv: list[str], text: str) -> None:
    """Options that select nothing are refused with what to do."""
    with pytest.raises(UsageError, match=text.replace("[", r"\[")):
        _choose(*argv)


def test_inventories_of_several_kinds_unite(inventory: str, tmp_path: Path) -> None:
    """The first to define a name wins; what is not as it seems is told in one notice."""
    (tmp_path / "more.yml").write_text("- targets: [web1, mail1]\n  labels: {role: mail}\n")
    chosen, notices = _choose("-i", inventory, "-i", str(tmp_path / "more.yml"), "-w", "web*,mail1,web9")
    assert sorted(chosen) == ["mail1", "web1", "web2", "web9"]
    assert chosen["web1"].labels["role"] == "web"
    assert "web1: " in notices[0]
    assert "taken as ssh destinations: web9" in notices[1]


def test_an_ssh_config_that_names_hosts_says_how_they_are_reached(tmp_path: Path) -> None:
    """Unless --ssh-config names another; two of them are one too many."""
    for name in ("one", "two"):
        (tmp_path / name).write_text(f"Host {name}\n")
    one, two = f"ssh_config:{tmp_path / 'one'}", f"ssh_config:{tmp_path / 'two'}"
    assert _select("-i", one).reach["ssh_config"] == str(tmp_path / "one")
    assert _select("-i", one, "--ssh-config", "/other").reach["ssh_config"] == "/other"
    assert _select("-i", one, "-i", two, "--ssh-config", "/other").names == ["one", "two"]
    with pytest.raises(UsageError, match="say with --ssh-config which one"):
        _select("-i", one, "-i", two)


def test_the_local_machine_and_one_name_need_no_library() -> None:
    """ClusterShell and YAML are loaded when there is something for them to read."""
    code = (
        "import argparse, sys\nfrom backplane.cli import targets\nparser = argparse.ArgumentParser()\n"
        "targets.add_arguments(parser)\nfor argv in ([], ['-w', 'web01']):\n"
        "    targets.selection(parser.parse_args(argv))\nprint(*sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert not {"ClusterShell", "yaml", "asyncio"} & set(done.stdout.split())


def test_via_names_each_provider() -> None:
    """--via makes a command of a name."""
    (provider,) = _choose("-w", "pod7", "--via", "kubectl exec -i {name} --")[0].values()
    assert (provider.reach, provider.via) == ("command", "kubectl exec -i pod7 --")
