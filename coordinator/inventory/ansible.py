"""Ansible's inventories, as ``ansible-inventory --list`` tells them.

Knows that command's JSON and which of Ansible's variables say how a host is reached. Ansible itself reads the files:
ranges, plugins, group_vars and vaults are its business. Its other variables may be secrets, so none of them becomes a
label, which scripts could see; a host's groups do (``groups=db,prod``).
"""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Callable, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from backplane.wire.errors import UsageError
from coordinator.inventory import checks, process
from coordinator.table import Provider

_ENVIRONMENT: Final = {
    # Without it Ansible warns of a file that it cannot read, and answers with what is left.
    "ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED": "1",
    "ANSIBLE_NOCOLOR": "1",
    "ANSIBLE_DEPRECATION_WARNINGS": "0",
}
_SSH: Final = frozenset(("ssh", "smart", "paramiko", "paramiko_ssh", "libssh"))
_EVERYBODY: Final = frozenset(("all", "ungrouped", "_meta"))
_NAME_TEMPLATE: Final = re.compile(r"\{\{\s*inventory_hostname\s*\}\}")
#: What Ansible fills in when it runs, and only then.
_TEMPLATE: Final = re.compile(r"\{\{|\{%")
#: One for each plugin that tried: "Failed to parse inventory with 'yaml' plugin: …" (before 2.19 "/path with yaml …").
_REASON: Final = re.compile(r"Failed to parse \S+ with '?\w+'? plugin: *(\S.*)")
_JUMP: Final = re.compile(r"(?:-o ?(?i:ProxyJump) ?[= ] ?|-J ?)(\S+)")


def read(path: str, tell: Callable[[str], None]) -> list[Provider]:
    """The providers of an inventory file or folder, by name.

    Args:
        tell: takes a sentence on each host that is left out, since Ansible reaches it in a way that we have not.

    Raises:
        UsageError: Ansible is not installed, cannot read it, or a variable makes no sense.
    """
    full = str(Path(path).expanduser().absolute())
    try:
        printed, errors = process.output(
            ["ansible-inventory", "--list", "-i", full], f"ansible-inventory -i {path}", env=_ENVIRONMENT
        )
    except FileNotFoundError as exc:
        raise UsageError(
            f"{path} is read by ansible-inventory, which is not installed: install ansible-core, or write the "
            "inventory as a list of names or as file_sd JSON"
        ) from exc
    except process.CommandFailed as exc:
        reasons = dict.fromkeys(found[1].strip() for found in _REASON.finditer(exc.errors))
        if not reasons:
            raise
        raise UsageError(f"{path} cannot be read by ansible-inventory: {'; or '.join(reasons)}") from exc
    if not printed.strip():
        raise process.CommandFailed(f"ansible-inventory -i {path} printed nothing", errors)
    return parse(path, printed, tell)


def parse(name: str, data: bytes, tell: Callable[[str], None]) -> list[Provider]:
    """The providers of what ``ansible-inventory --list`` printed, by name.

    Raises:
        UsageError: it is of another shape, or a variable makes no sense; the message names host and variable.
    """
    try:
        inventory = json.loads(data)
        variables = inventory.get("_meta", {}).get("hostvars", {})
        groups = {group: body for group, body in inventory.items() if group != "_meta"}
        members = {group: _hosts(groups, group, set()) for group in groups}
        known = {host: dict(variables.get(host, {})) for host in sorted({*variables, *set().union(*members.values())})}
    except (ValueError, TypeError, AttributeError, RecursionError) as exc:
        raise UsageError(f"{name}: what ansible-inventory printed is no inventory: {exc}") from exc
    found = []
    for host, its in known.items():
        labels = sorted(group for group, hosts in members.items() if host in hosts and group not in _EVERYBODY)
        provider = _provider(f"{name}: {host}", host, its, tell)
        if provider:
            labelled = replace(provider, labels={"groups": ",".join(labels)} if labels else {})
            found.append(checks.checked(f"{name}: {host}", labelled))
    return found


def _hosts(groups: Mapping[str, Any], group: str, seen: set[str]) -> set[str]:
    """A group's hosts, those of its children included."""
    if group in seen:
        return set()
    seen.add(group)
    body = groups.get(group, {})
    hosts = body.get("hosts", [])
    if type(hosts) is not list or not all(type(host) is str for host in hosts):
        raise TypeError(f"the hosts of {group} are no list of names")
    return set(hosts).union(*(_hosts(groups, child, seen) for child in body.get("children", ())))


def _provider(where: str, host: str, its: Mapping[str, Any], tell: Callable[[str], None]) -> Provider | None:
    address = _text(where, host, its, "ansible_host", "ansible_ssh_host")
    user = _text(where, host, its, "ansible_user", "ansible_ssh_user")
    key = _text(where, host, its, "ansible_ssh_private_key_file", "ansible_private_key_file")
    provider = Provider(
        host,
        address=address if address != host else None,
        port=_port(where, _text(where, host, its, "ansible_port", "ansible_ssh_port")),
        user=user,
        key=str(Path(key).expanduser().absolute()) if key else None,
        python=_python(_text(where, host, its, "ansible_python_interpreter")),
    )
    connection = (_text(where, host, its, "ansible_connection") or "ssh").rpartition(".")[2]
    if connection in _SSH:
        return replace(provider, jump=_jump(where, host, its, tell))
    if connection == "local":
        return Provider(host, python=provider.python, reach="local")
    via = _via(where, host, its, connection, provider)
    if via is None:
        tell(f"{where} is left out: connection {connection!r} is none of ssh, local, docker, podman, kubectl")
        return None
    return Provider(host, python=provider.python, via=via, reach="command")


def _via(where: str, host: str, its: Mapping[str, Any], connection: str, provider: Provider) -> str | None:
    """The command that stands for a connection into a container."""
    if connection in ("docker", "podman"):
        user = ["-u", provider.user] if provider.user else []
        return shlex.join([connection, "exec", "-i", *user, provider.address or host])
    if connection == "kubectl":
        pod = _text(where, host, its, "ansible_kubectl_pod") or provider.address or host
        space = _text(where, host, its, "ansible_kubectl_namespace")
        container = _text(where, host, its, "ansible_kubectl_container")
        options = [*(["-n", space] if space else []), *(["-c", container] if container else [])]
        return shlex.join(["kubectl", "exec", "-i", pod, *options, "--"])
    return None


def _jump(where: str, host: str, its: Mapping[str, Any], tell: Callable[[str], None]) -> str | None:
    """The way through, out of the arguments that Ansible gives to ssh."""
    for name in ("ansible_ssh_common_args", "ansible_ssh_extra_args"):
        text = _text(where, host, its, name) or ""
        try:
            words = shlex.split(text)
        except ValueError as exc:
            raise UsageError(f"{where}: {name} {text!r:.80} cannot be split into words: {exc}") from exc
        found = next(filter(None, map(_JUMP.fullmatch, [*words, *map(" ".join, pairwise(words))])), None)
        if found:
            return found[1]
        if "proxycommand" in text.lower():
            tell(f"{where}: the ProxyCommand in {name} is not followed: write it into ssh_config, or as -J HOST")
    return None


def _python(text: str | None) -> str | None:
    """``auto`` and its kin are how Ansible looks for one."""
    return None if text is None or text.startswith("auto") else text


def _port(where: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 5):
        raise UsageError(f"{where}: ansible_port {text!r:.80} is no port: 1 to 65535")
    return int(text)


def _text(where: str, host: str, its: Mapping[str, Any], *names: str) -> str | None:
    """The first variable that is set, as text."""
    name = next((name for name in names if its.get(name) not in (None, "")), None)
    if name is None:
        return None
    value = its[name]
    if isinstance(value, bool) or not isinstance(value, str | int):
        raise UsageError(f"{where}: {name} is {value!r:.80}, which is no text")
    text = _NAME_TEMPLATE.sub(lambda _: host, str(value))
    if _TEMPLATE.search(text):
        raise UsageError(
            f"{where}: {name} is {text!r:.80}, a template that only Ansible can fill: write the value there"
        )
    return text
