"""Ansible's inventories through the real `ansible-inventory`, where it is installed."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import read
from coordinator.table import Provider

pytestmark = pytest.mark.skipif(
    shutil.which("ansible-inventory") is None, reason="needs the command ansible-inventory (package ansible-core)"
)

INI = """
bastion ansible_host=192.0.2.1

[web]
web[01:02].example.com ansible_user=deploy
front ansible_host=10.0.0.7 ansible_port=2222

[db]
db1 ansible_connection=local

[prod:children]
web
db

[web:vars]
ansible_python_interpreter=/usr/bin/python3.9
ansible_ssh_common_args='-o ProxyJump=deploy@bastion:22 -o ForwardAgent=no'
"""


@pytest.fixture(autouse=True)
def _quiet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No configuration of this machine's owner, and nothing written to its home."""
    home = tmp_path.with_name(tmp_path.name + "-ansible")
    home.mkdir()
    (home / "ansible.cfg").touch()
    monkeypatch.setenv("ANSIBLE_CONFIG", str(home / "ansible.cfg"))
    monkeypatch.setenv("ANSIBLE_HOME", str(home))


def test_an_ini_file(tmp_path: Path) -> None:
    """Ranges, groups of groups, and variables of groups; the file is known by its looks."""
    (tmp_path / "hosts").write_text(INI)
    web = {"labels": {"groups": "prod,web"}, "jump": "deploy@bastion:22", "python": "/usr/bin/python3.9"}
    assert [provider.to_wire() for provider in read(str(tmp_path / "hosts"))] == [
        {"name": "bastion", "address": "192.0.2.1"},
        {"name": "db1", "labels": {"groups": "db,prod"}, "reach": "local"},
        {"name": "front", "address": "10.0.0.7", "port": 2222, **web},
        {"name": "web01.example.com", "user": "deploy", **web},
        {"name": "web02.example.com", "user": "deploy", **web},
    ]


def test_a_folder_with_group_vars(tmp_path: Path) -> None:
    """Ansible finds the variables beside it; vault values that we do not need stay closed."""
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars" / "web.yml").write_text("ansible_port: 2022\nother: '{{ nobody }}'\n")
    (tmp_path / "hosts.yml").write_text(
        "all:\n  children:\n    web:\n      hosts:\n        web1:\n"
        "          ansible_host: '{{ inventory_hostname }}.example.com'\n"
    )
    expected = [Provider("web1", address="web1.example.com", port=2022, labels={"groups": "web"})]
    assert read(str(tmp_path)) == read(str(tmp_path / "hosts.yml")) == expected


def test_a_broken_file_is_told_in_ansibles_words(tmp_path: Path) -> None:
    """And not taken for an empty one, as Ansible does by itself."""
    (tmp_path / "hosts.yml").write_text("web:\n  hosts: [a\n")
    with pytest.raises(UsageError, match=r"cannot be read by ansible-inventory: .*; or "):
        read(f"ansible:{tmp_path / 'hosts.yml'}")
    with pytest.raises(UsageError, match="failed with exit status"):
        read(f"ansible:{tmp_path / 'none'}")
