"""Inventories and node sets: what they say, and one clear sentence where they say nothing."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import file_sd, nodes
from coordinator.table import Provider, ReachOptions


def inventory(tmp_path: Path, data: Any) -> str:
    path = tmp_path / "inventory.json"
    path.write_text(data if isinstance(data, str) else json.dumps(data))
    return str(path)


def test_a_target_is_a_provider_and_its_port_is_ignored(tmp_path: Path) -> None:
    """An exporter's port says nothing about sshd."""
    path = inventory(tmp_path, [{"targets": ["web01:9100", "[2001:db8::1]:9100", "2001:db8::2", "db1"]}])
    names = [provider.name for provider in file_sd.read(path)]
    assert names == ["web01", "2001:db8::1", "2001:db8::2", "db1"]


def test_our_labels_become_fields_and_the_others_stay(tmp_path: Path) -> None:
    """Every label of ours has its field, typed; a relative key lies beside the inventory."""
    labels = {
        "ssh_port": "2222", "ssh_user": "deploy", "ssh_key": "keys/id", "ssh_jump": "gate", "python": "python3.9",
        "sudo": "true", "level": "exec", "name": "front", "role": "web",
    }  # fmt: skip
    (found,) = file_sd.read(inventory(tmp_path, [{"targets": ["10.0.0.7:9100"], "labels": labels}]))
    assert found == Provider(
        "front",
        address="10.0.0.7",
        port=2222,
        user="deploy",
        key=str(tmp_path / "keys/id"),
        jump="gate",
        python="python3.9",
        sudo=True,
        level="exec",
        labels={"role": "web"},
    )


def test_via_means_a_command_and_the_name_local_this_machine(tmp_path: Path) -> None:
    """The reach follows from what is said."""
    data = [{"targets": ["c1"], "labels": {"via": "docker exec -i c1"}}, {"targets": ["local"]}]
    first, second = file_sd.read(inventory(tmp_path, data))
    assert (first.reach, first.via, second.reach) == ("command", "docker exec -i c1", "local")


def test_two_exporters_of_one_host_are_one_provider(tmp_path: Path) -> None:
    """Prometheus lists a host once for each of its exporters."""
    data = [{"targets": ["a:1"], "labels": {"x": "1"}}, {"targets": ["a:2"], "labels": {"y": "2"}}]
    assert file_sd.read(inventory(tmp_path, data)) == [Provider("a", labels={"x": "1", "y": "2"})]


@pytest.mark.parametrize(
    ("data", "says"),
    [
        ('[\n{"targets": [,]}]', "inventory.json:2: no JSON"),
        ({"targets": []}, "must be a list of entries"),
        ([[]], "entry 1 must be a map"),
        ([{"targets": "web01"}], "entry 1 must be a map"),
        ([{"targets": ["a"]}, {"targets": ["b", 7]}], "entry 2, target 2: 7 is no host"),
        ([{"targets": ["a"], "labels": {"ssh_port": 22}}], "put numbers in quotes"),
        ([{"targets": ["a"], "labels": {"ssh_port": "ssh"}}], "entry 1, target 1: ssh_port 'ssh' is no port"),
        ([{"targets": ["a"], "labels": {"sudo": "maybe"}}], "neither"),
        (
            [{"targets": ["a"]}, {"targets": ["a"], "labels": {"ssh_port": "2"}}],
            "entry 2, target 1: a is there already",
        ),
    ],
)
def test_a_broken_inventory_gets_a_sentence_with_the_place(tmp_path: Path, data: Any, says: str) -> None:
    """File, line or entry, and what to do."""
    path = inventory(tmp_path, data)
    with pytest.raises(UsageError) as caught:
        file_sd.read(path)
    assert says in str(caught.value)
    assert path in str(caught.value)


def test_an_inventory_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    """The path stands in the sentence."""
    with pytest.raises(UsageError, match=r"none\.json cannot be read: No such file"):
        file_sd.read(str(tmp_path / "none.json"))


def test_names_expand_and_fold() -> None:
    """ClusterShell's notation, both ways."""
    assert nodes.expand("web[08-11],db1") == ["db1", "web08", "web09", "web10", "web11"]
    assert nodes.fold(["web09", "db1", "web08"]) == "db1,web[08-09]"


@pytest.mark.parametrize(
    "text", ["", "web[01-", "a,,b", "@web", "u@web", "x[3-1]", "a b", "x[1-9999999]", "x[1-99999999999]"]
)
def test_what_is_no_set_of_names_is_a_usage_error(text: str) -> None:
    """Never an exception of the library, nor a memory full of names."""
    with pytest.raises(UsageError):
        nodes.expand(text)


def test_folding_takes_any_name() -> None:
    """A name that an inventory made up stands for itself."""
    assert nodes.fold(["a[b", "web1", "@g", "web2"]) == "@g,web[1-2],a[b"


def test_a_provider_survives_the_wire() -> None:
    """Only what differs travels, and comes back the same."""
    provider = Provider("a", port=22, sudo=True, labels={"x": "y"}, reach="command", via="x")
    assert Provider.from_wire(provider.to_wire()) == provider
    assert Provider("a").to_wire() == {"name": "a"}
    options = ReachOptions(fanout=3, host_key="accept-new", connect_s=1)
    assert ReachOptions.from_wire(options.to_wire() | {"user": None, "new": 1}) == options


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"name": ""},
        {"name": 7},
        {"name": "a", "port": "22"},
        {"name": "a", "reach": "x"},
        {"name": "a", "labels": {"b": 1}},
    ],
)
def test_an_entry_that_is_no_provider_is_refused(data: dict[str, Any]) -> None:
    """What a client sends is checked field by field."""
    with pytest.raises(ValueError):  # noqa: PT011 - any sentence will do here
        Provider.from_wire(data)


@pytest.mark.parametrize("data", [{"host_key": "off"}, {"fanout": 0}, {"fanout": True}, {"login_s": -1}])
def test_options_that_make_no_sense_are_refused(data: dict[str, Any]) -> None:
    """Host key checking is never off."""
    with pytest.raises(ValueError):  # noqa: PT011 - any sentence will do here
        ReachOptions.from_wire(data)
