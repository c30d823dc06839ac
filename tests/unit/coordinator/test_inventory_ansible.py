"""What `ansible-inventory --list` prints becomes providers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from backplane.wire.errors import UsageError
from coordinator.inventory import ansible, read
from coordinator.table import Provider

#: As ansible-core 2.19 printed it for an INI inventory of two groups under a third.
RECORDED = """
{
    "_meta": {
        "hostvars": {
            "bastion": {"ansible_host": "192.0.2.1"},
            "c1": {"ansible_connection": "community.docker.docker", "ansible_host": "c1-blue", "ansible_user": "app"},
            "db1": {"ansible_connection": "local", "ansible_port": 22},
            "front": {
                "ansible_host": "10.0.0.7",
                "ansible_port": 2222,
                "ansible_python_interpreter": "/usr/bin/python3.9",
                "ansible_ssh_common_args": "-o ProxyJump=deploy@bastion:22 -o StrictHostKeyChecking=no",
                "ansible_ssh_private_key_file": "/keys/deploy",
                "ansible_become_password": {"__ansible_vault": "$ANSIBLE_VAULT;1.1;AES256\\n3337"},
                "api_token": "s3cret"
            },
            "web01.example.com": {"ansible_user": "deploy", "ansible_python_interpreter": "auto_silent"}
        },
        "profile": "inventory_legacy"
    },
    "all": {"children": ["ungrouped", "prod"]},
    "db": {"hosts": ["db1", "c1"]},
    "prod": {"children": ["web", "db"]},
    "ungrouped": {"hosts": ["bastion"]},
    "web": {"hosts": ["web01.example.com", "web02.example.com", "front"]}
}
"""


def listing(variables: dict[str, Any], host: str = "a") -> bytes:
    return json.dumps({"_meta": {"hostvars": {host: variables}}, "all": {"hosts": [host]}}).encode()


def parsed(variables: dict[str, Any], host: str = "a") -> tuple[list[Provider], list[str]]:
    told: list[str] = []
    return ansible.parse("hosts", listing(variables, host), told.append), told


def test_a_recorded_inventory() -> None:
    """Every host with its fields; groups of groups become labels, and no other variable does: it may be a secret."""
    told: list[str] = []
    assert ansible.parse("hosts", RECORDED.encode(), told.append) == [
        Provider("bastion", address="192.0.2.1"),
        Provider("c1", via="docker exec -i -u app c1-blue", labels={"groups": "db,prod"}, reach="command"),
        Provider("db1", labels={"groups": "db,prod"}, reach="local"),
        Provider(
            "front",
            address="10.0.0.7",
            port=2222,
            key="/keys/deploy",
            jump="deploy@bastion:22",
            python="/usr/bin/python3.9",
            labels={"groups": "prod,web"},
        ),
        Provider("web01.example.com", user="deploy", labels={"groups": "prod,web"}),
        Provider("web02.example.com", labels={"groups": "prod,web"}),
    ]
    assert told == []


@pytest.mark.parametrize(
    ("variables", "expected"),
    [
        ({"ansible_ssh_host": "b", "ansible_ssh_port": "22", "ansible_ssh_user": "u"}, Provider("a", "b", 22, "u")),
        ({"ansible_host": "{{ inventory_hostname }}.example.com"}, Provider("a", "a.example.com")),
        ({"ansible_host": "2001:db8::1"}, Provider("a", "2001:db8::1")),
        ({"ansible_host": "a", "ansible_user": ""}, Provider("a")),
        ({"ansible_ssh_common_args": "-J gate"}, Provider("a", jump="gate")),
        ({"ansible_ssh_common_args": "-Jgate,inner"}, Provider("a", jump="gate,inner")),
        ({"ansible_ssh_common_args": "-oProxyJump=gate"}, Provider("a", jump="gate")),
        ({"ansible_ssh_extra_args": "-v -o 'proxyjump gate'"}, Provider("a", jump="gate")),
        ({"ansible_ssh_common_args": "-J"}, Provider("a")),
        ({"ansible_connection": "podman"}, Provider("a", via="podman exec -i a", reach="command")),
        (
            {
                "ansible_connection": "kubernetes.core.kubectl",
                "ansible_kubectl_pod": "web-0",
                "ansible_kubectl_namespace": "shop",
                "ansible_kubectl_container": "app",
            },
            Provider("a", via="kubectl exec -i web-0 -n shop -c app --", reach="command"),
        ),
    ],
)
def test_variables_become_fields(variables: dict[str, Any], expected: Provider) -> None:
    """Old names, templates of the host's own name, ways through, and connections into containers."""
    assert parsed(variables) == ([expected], [])


def test_what_we_cannot_reach_is_left_out_and_told() -> None:
    """A Windows host among others spoils nothing, and is not passed over in silence."""
    found, told = parsed({"ansible_connection": "winrm"})
    assert found == []
    assert told == ["hosts: a is left out: connection 'winrm' is none of ssh, local, docker, podman, kubectl"]
    found, told = parsed({"ansible_ssh_common_args": "-o ProxyCommand='nc gate %h'"})
    assert found == [Provider("a")]
    assert "the ProxyCommand in ansible_ssh_common_args is not followed" in told[0]


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"ansible_host": "{{ secret }}"}, "hosts: a: ansible_host is '{{ secret }}', a template that only Ansible"),
        ({"ansible_host": ["b"]}, "hosts: a: ansible_host is ['b'], which is no text"),
        ({"ansible_host": "-oProxyCommand=x"}, "hosts: a: '-oProxyCommand=x' is no host"),
        ({"ansible_host": "b;id"}, "is no host: it must not hold ';'"),
        ({"ansible_port": "ssh"}, "hosts: a: ansible_port 'ssh' is no port"),
        ({"ansible_port": 70000}, "port 70000 is no port"),
        ({"ansible_port": True}, "ansible_port is True, which is no text"),
        ({"ansible_user": "-l root"}, "'-l root' is no user"),
        ({"ansible_ssh_common_args": "-J '-oX'"}, "hosts: a: jump '-oX' is no way through"),
        ({"ansible_ssh_common_args": "-o 'x"}, 'ansible_ssh_common_args "-o \'x" cannot be split into words'),
        ({"ansible_python_interpreter": "python\n3"}, "python 'python\\n3' must not hold '\\n'"),
    ],
)
def test_variables_that_make_no_sense_get_a_sentence(variables: dict[str, Any], says: str) -> None:
    """With inventory, host and variable."""
    with pytest.raises(UsageError) as caught:
        parsed(variables)
    assert says in str(caught.value)


def test_a_name_that_would_be_an_option_is_refused() -> None:
    """Also of a container."""
    with pytest.raises(UsageError, match="'-v' is no name"):
        parsed({"ansible_connection": "docker"}, host="-v")


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"_meta": 7}', b'{"a": {"hosts": 7}}', b'{"a": []}', b'{"a": {"children": {}}}x']
)
def test_other_output_is_refused(data: bytes) -> None:
    """A command of that name may be anything."""
    with pytest.raises(UsageError, match="what ansible-inventory printed is no inventory"):
        ansible.parse("hosts", data, print)


def test_groups_in_a_circle_end() -> None:
    """Ansible refuses them; whoever prints them all the same does not hang us."""
    data = {"a": {"children": ["b"], "hosts": ["x"]}, "b": {"children": ["a"]}}
    assert ansible.parse("hosts", json.dumps(data).encode(), print) == [Provider("x", labels={"groups": "a,b"})]


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (
            "echo \"[WARNING]: Failed to parse inventory with 'ini' plugin: Invalid host pattern 'x:'.\" >&2; exit 1",
            "cannot be read by ansible-inventory: Invalid host pattern 'x:'.",
        ),
        ("echo ' [WARNING]:  * Failed to parse /x with yaml plugin: bad' >&2; exit 1", "ansible-inventory: bad"),
        ("echo 'ERROR! no vault secrets found' >&2; exit 4", "failed with exit status 4: ERROR! no vault secrets"),
        ("echo odd >&2", "printed nothing: odd"),
    ],
)
def test_ansibles_own_words_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, says: str) -> None:
    """Whatever it says when it cannot read a file, of every version."""
    command = tmp_path / "ansible-inventory"
    command.write_text(f"#!/bin/sh\n{script}\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/bin:/usr/bin")
    with pytest.raises(UsageError) as caught:
        read(f"ansible:{tmp_path / 'hosts'}")
    assert says in str(caught.value)
