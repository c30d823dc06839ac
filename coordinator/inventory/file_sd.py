"""Inventories in Prometheus' file_sd form: ``[{"targets": ["host:9100"], "labels": {...}}, …]``, in JSON or YAML.

Knows that form and which labels are ours. A target's port is where an exporter listens and says nothing about sshd,
so it is ignored; these labels become fields and all others stay labels:

    ssh_port ssh_user ssh_key ssh_jump python sudo via level name

Several targets of one host (an exporter each) are one provider.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from backplane.wire.errors import UsageError
from coordinator.inventory import checks, files
from coordinator.table import Provider

#: Label to field, for those that are taken as they are.
_TEXTS: Final = {"ssh_user": "user", "ssh_jump": "jump", "python": "python", "via": "via", "level": "level"}
_OURS: Final = frozenset((*_TEXTS, "ssh_port", "ssh_key", "sudo", "name"))
_TRUE: Final = frozenset(("true", "yes", "1"))
_FALSE: Final = frozenset(("false", "no", "0", ""))
#: YAML's aliases can repeat a list a million times in a page of text.
MOST_TARGETS: Final = 1_000_000
#: A list of maps of lists.
_MOST_DEPTH: Final = 20


def read(path: str) -> list[Provider]:
    """The providers of a file, in its order; JSON unless it is named .yml or .yaml.

    Raises:
        UsageError: it cannot be read, is neither JSON nor YAML or of another shape, or contradicts itself; the message
        names the place.
    """
    return parse(path, files.content(path), yaml=Path(path).suffix in (".yml", ".yaml"), directory=Path(path).parent)


def parse(name: str, data: bytes, *, yaml: bool, directory: Path) -> list[Provider]:
    """The providers of an inventory's text, in its order.

    Args:
        name: what to call it in a sentence.
        directory: where a relative key lies.

    Raises:
        UsageError: as `read`.
    """
    found: dict[str, Provider] = {}
    count = 0
    for index, group in enumerate(_groups(name, data, yaml), 1):
        where = f"{name}: entry {index}"
        if not isinstance(group, dict) or not isinstance(group.get("targets"), list):
            raise UsageError(f'{where} must be a map with a list "targets": {{"targets": ["web01:9100"]}}')
        labels = group.get("labels", {})
        if not isinstance(labels, dict) or not all(type(text) is str for pair in labels.items() for text in pair):
            raise UsageError(f'{where}: "labels" must be a map of texts; put numbers in quotes ("ssh_port": "2222")')
        count += len(group["targets"])
        if count > MOST_TARGETS:
            raise UsageError(f"{where}: over {MOST_TARGETS} targets")
        for number, target in enumerate(group["targets"], 1):
            place = f"{where}, target {number}"
            _join(place, found, checks.checked(place, _provider(place, target, labels, directory)))
    return list(found.values())


def _groups(name: str, data: bytes, yaml: bool) -> list[Any]:
    try:
        groups = _of_yaml(name, data) if yaml else json.loads(data)
    except json.JSONDecodeError as exc:
        raise UsageError(f"{name}:{exc.lineno}: no JSON: {exc.msg} at column {exc.colno}") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"{name}: no UTF-8 text: byte {exc.start}") from exc
    except RecursionError as exc:
        raise UsageError(f"{name}: nested too deep to be an inventory") from exc
    if isinstance(groups, dict) and "_meta" in groups:
        raise UsageError(f"{name} is in Ansible's form: name it ansible:FILE")
    if not isinstance(groups, list):
        raise UsageError(f'{name}: must be a list of entries: [{{"targets": ["web01:9100"], "labels": {{}}}}]')
    return groups


def _of_yaml(name: str, data: bytes) -> Any:
    import yaml  # type: ignore[import-untyped]

    # The one in C reads ten times as fast, and is not everywhere.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    try:
        depth = 0
        # The one in C also falls over the end of the stack, and the process with it, so the depth is looked at first.
        for event in yaml.parse(data, Loader=loader):
            depth += isinstance(event, yaml.CollectionStartEvent) - isinstance(event, yaml.CollectionEndEvent)
            if depth > _MOST_DEPTH:
                raise UsageError(f"{name}:{event.start_mark.line + 1}: nested too deep to be an inventory")
        return yaml.load(data, Loader=loader)
    except yaml.MarkedYAMLError as exc:
        line = f":{exc.problem_mark.line + 1}" if exc.problem_mark else ""
        raise UsageError(f"{name}{line}: no YAML: {exc.problem}") from exc
    except (yaml.YAMLError, ValueError) as exc:
        raise UsageError(f"{name}: no YAML: {' '.join(str(exc).split())}") from exc


def _provider(where: str, target: object, labels: Mapping[str, str], directory: Path) -> Provider:
    host = _host(target) if isinstance(target, str) else ""
    if not host:
        raise UsageError(f'{where}: {target!r:.80} is no host: write "web01", "web01:9100" or "[2001:db8::1]:9100"')
    name = labels.get("name") or host
    via = labels.get("via") or None
    return Provider(
        name=name,
        address=host if host != name else None,
        port=_port(where, labels.get("ssh_port")),
        key=_key(where, labels.get("ssh_key"), directory),
        sudo=_flag(where, labels.get("sudo", "")),
        labels={key: value for key, value in labels.items() if key not in _OURS},
        reach="command" if via else "local" if name == "local" else "ssh",
        **{field: labels[label] for label, field in _TEXTS.items() if labels.get(label)},
    )


def _host(target: str) -> str:
    """A target without its port.

    >>> _host("web01:9100"), _host("web01"), _host("[2001:db8::1]:9100"), _host("2001:db8::1")
    ('web01', 'web01', '2001:db8::1', '2001:db8::1')
    """
    target = target.strip()
    if target.startswith("["):
        return target[1:].partition("]")[0]
    return target if target.count(":") != 1 else target.partition(":")[0]


def _port(where: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not (text.isascii() and text.isdecimal() and len(text) <= 5 and 0 < int(text) < 65536):
        raise UsageError(f"{where}: ssh_port {text!r:.80} is no port: 1 to 65535")
    return int(text)


def _key(where: str, text: str | None, directory: Path) -> str | None:
    """A key's path; one that is relative lies beside the inventory."""
    if not text:
        return None
    try:
        return str((directory / Path(text).expanduser()).absolute())
    except RuntimeError as exc:
        raise UsageError(f"{where}: ssh_key {text!r:.80}: there is no such user's home") from exc


def _flag(where: str, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise UsageError(f'{where}: sudo {text!r:.80} is neither "true" nor "false"')
    return text.lower() in _TRUE


def _join(where: str, found: dict[str, Provider], provider: Provider) -> None:
    known = found.setdefault(provider.name, provider)
    if replace(known, labels={}) != replace(provider, labels={}):
        raise UsageError(
            f"{where}: {provider.name} is there already, and reached in another way: give one a name of its own"
        )
    found[provider.name] = replace(known, labels={**provider.labels, **known.labels})
