"""Inventories in Prometheus' file_sd form: ``[{"targets": ["host:9100"], "labels": {...}}, …]``.

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
from coordinator.table import Provider

#: Label to field, for those that are taken as they are.
_TEXTS: Final = {"ssh_user": "user", "ssh_jump": "jump", "python": "python", "via": "via", "level": "level"}
_OURS: Final = frozenset((*_TEXTS, "ssh_port", "ssh_key", "sudo", "name"))
_TRUE: Final = frozenset(("true", "yes", "1"))
_FALSE: Final = frozenset(("false", "no", "0", ""))
#: An inventory of a million hosts is 100 MB; what is larger is something else.
MOST_BYTES: Final = 256 << 20


def read(path: str) -> list[Provider]:
    """The providers of an inventory, in its order.

    Raises:
        UsageError: it cannot be read, is no JSON or of another shape, or contradicts itself; the message names the
        place.
    """
    found: dict[str, Provider] = {}
    for index, group in enumerate(_groups(path), 1):
        where = f"{path}: entry {index}"
        if not isinstance(group, dict) or not isinstance(group.get("targets"), list):
            raise UsageError(f'{where} must be a map with a list "targets": {{"targets": ["web01:9100"]}}')
        labels = group.get("labels", {})
        if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
            raise UsageError(f'{where}: "labels" must be a map of texts; put numbers in quotes ("ssh_port": "2222")')
        for number, target in enumerate(group["targets"], 1):
            provider = _provider(f"{where}, target {number}", target, labels, Path(path).parent)
            _join(f"{where}, target {number}", found, provider)
    return list(found.values())


def _groups(path: str) -> list[Any]:
    try:
        if Path(path).stat().st_size > MOST_BYTES:
            raise UsageError(f"{path}: over {MOST_BYTES >> 20} MB is no inventory")
        data = json.loads(Path(path).read_bytes())
    except OSError as exc:
        raise UsageError(f"the inventory {path} cannot be read: {exc.strerror}") from exc
    except json.JSONDecodeError as exc:
        raise UsageError(f"{path}:{exc.lineno}: no JSON: {exc.msg} at column {exc.colno}") from exc
    except UnicodeDecodeError as exc:
        raise UsageError(f"{path}: no UTF-8 text: byte {exc.start}") from exc
    if not isinstance(data, list):
        raise UsageError(f'{path}: must be a list of entries: [{{"targets": ["web01:9100"], "labels": {{}}}}]')
    return data


def _provider(where: str, target: object, labels: Mapping[str, str], directory: Path) -> Provider:
    host = _host(target) if isinstance(target, str) else ""
    if not host:
        raise UsageError(f'{where}: {target!r} is no host: write "web01", "web01:9100" or "[2001:db8::1]:9100"')
    name = labels.get("name") or host
    via = labels.get("via") or None
    return Provider(
        name=name,
        address=host if host != name else None,
        port=_port(where, labels.get("ssh_port")),
        key=_key(labels.get("ssh_key"), directory),
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
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise UsageError(f"{where}: ssh_port {text!r} is no port: 1 to 65535")
    return int(text)


def _key(text: str | None, directory: Path) -> str | None:
    """A key's path; one that is relative lies beside the inventory."""
    return str((directory / Path(text).expanduser()).absolute()) if text else None


def _flag(where: str, text: str) -> bool:
    if text.lower() not in _TRUE | _FALSE:
        raise UsageError(f'{where}: sudo {text!r} is neither "true" nor "false"')
    return text.lower() in _TRUE


def _join(where: str, found: dict[str, Provider], provider: Provider) -> None:
    known = found.setdefault(provider.name, provider)
    if replace(known, labels={}) != replace(provider, labels={}):
        raise UsageError(
            f"{where}: {provider.name} is there already, and reached in another way: give one a name of its own"
        )
    found[provider.name] = replace(known, labels={**provider.labels, **known.labels})
