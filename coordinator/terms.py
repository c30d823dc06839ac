"""What clients of this coordinator may ask for: its own user anything, those who come over TCP what does no harm to it.

Knows the fields of a submit that mean something on this machine: files, commands, and this machine itself. A shared
coordinator reads its own files and runs its own commands for nobody else.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from backplane.wire import limits

#: Fields of an entry and of the reach options whose values are files or commands of this machine.
_ENTRY_FIELDS: Final = ("key", "via")
_REACH_FIELDS: Final = ("identity", "known_hosts", "ssh_config", "via")


@dataclass(frozen=True, slots=True)
class Terms:
    """See above; of a private coordinator the defaults hold.

    Attributes:
        adhoc: a client over TCP may name hosts itself.
        client_bytes: what may be granted ahead for all queries of one client; None for no bound.
        total_bytes: likewise for all clients.
    """

    adhoc: bool = False
    client_bytes: int | None = None
    total_bytes: int | None = None


def refuse_foreign(payload: Mapping[str, Any], terms: Terms) -> None:
    """Look at the submit (or its selection) of a client that is not this coordinator's own user.

    Raises:
        ValueError: it asks for what is not its own; the message names the field.
    """
    reach = payload.get("reach") or {}
    for name in _REACH_FIELDS:
        _refuse(name, reach.get(name))
    _refuse("via", (payload.get("select") or {}).get("via"))
    if reach.get("host_key") == "accept-new":
        raise ValueError(
            "host_key accept-new would write to the coordinator's known_hosts: its operator adds host keys"
        )
    for entry in payload.get("entries") or ():
        who = str(entry.get("name"))[:80]
        if (how := entry.get("reach") or "ssh") != "ssh":
            raise ValueError(
                f"{who}: reach {str(how)[:20]!r} is the coordinator's own machine, which it does not share: "
                "ask providers of its table, with -w or -l"
            )
        for name in _ENTRY_FIELDS:
            _refuse(f"{who}: {name}", entry.get(name))
        if not terms.adhoc:
            raise ValueError(
                f"{who}: this coordinator asks the providers of its table only (its setting adhoc is false)"
            )


def _refuse(what: str, value: object) -> None:
    if value is not None:
        raise ValueError(
            f"{what} would be of the coordinator's machine: it is shared, and takes none from a client; "
            "ask providers of its table, with -w or -l"
        )


def reserved(targets: int) -> int:
    """What a query of so many targets may have granted ahead, in bytes.

    >>> reserved(1), reserved(1000) == 1000 * limits.CREDIT_JOB_LEAST_BYTES
    (1048576, True)
    """
    return targets * limits.job_credit(targets)
