"""Inventories that are a plain list: one set of names a line, ``#`` begins a comment, as clush's ``--hostfile``.

Knows lines. A set of names is `nodes`' business; ssh_config and DNS say where a name leads.
"""

from __future__ import annotations

from backplane.wire.errors import UsageError
from coordinator.inventory import nodes
from coordinator.table import Provider


def parse(path: str, data: bytes) -> list[Provider]:
    """The providers that a list names, in its order, each once.

    Raises:
        UsageError: a line is no set of names, or there is none; the message names the line.
    """
    names: dict[str, None] = {}
    for number, raw in enumerate(data.split(b"\n"), 1):
        try:
            line = raw.decode("utf-8-sig").partition("#")[0].strip()
        except UnicodeDecodeError as exc:
            raise UsageError(f"{path}:{number}: no UTF-8 text: is it an inventory?") from exc
        if not line:
            continue
        try:
            names.update(dict.fromkeys(nodes.expand(line)))
        except UsageError as exc:
            raise UsageError(f"{path}:{number}: {exc}") from exc
        if len(names) > nodes.MOST_NAMES:
            raise UsageError(f"{path}:{number}: over {nodes.MOST_NAMES} names")
    if not names:
        raise UsageError(f"{path} names nobody: a list has one set of names a line, like web[01-20]")
    return [Provider(name, reach="local" if name == "local" else "ssh") for name in names]
