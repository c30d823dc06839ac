"""What a question says of providers: ``host`` is a provider's name, ``host.LABEL`` one of its labels.

Knows expressions of plans as data. Does not know who asks, or how providers are selected. At home an expression may
hold these two as fields. What of the condition speaks of providers alone prunes them before anything ships; what is
left is told to each provider with its own name and labels in their place, so no provider has to know of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from provider.runner.expressions import Expression, evaluate, fields

HOST: Final = "host"
LABEL: Final = "host."
#: A format's own field that is called ``host`` or begins so; as in a plan it travels without this.
OWN: Final = "\0"

_COLUMNS: Final = ("keys", "aggregates", "columns")


def is_host(name: str) -> bool:
    """It is of the provider.

    >>> is_host("host"), is_host("host.role"), is_host("hostname")
    (True, True, False)
    """
    return name == HOST or name.startswith(LABEL)


def split(where: Expression | None) -> tuple[Expression | None, Expression | None]:
    """A condition in two: what speaks of providers alone, and the rest. Both have to hold; None always does.

    >>> split(["and", ["=", ["field", "host"], ["value", "a"]], ["=", ["field", "x"], ["value", 1]]])
    (['=', ['field', 'host'], ['value', 'a']], ['=', ['field', 'x'], ['value', 1]])
    """
    if where is None:
        return None, None
    parts = conjuncts(where)
    hosts = [part for part in parts if fields(part) and all(map(is_host, fields(part)))]
    rest = [part for part in parts if part not in hosts]
    return conjunction(hosts), conjunction(rest)


def conjuncts(where: Expression) -> list[Expression]:
    """The conditions that all have to hold."""
    return [each for part in where[1:] for each in conjuncts(part)] if where[0] == "and" else [where]


def conjunction(parts: list[Expression]) -> Expression | None:
    """All of them; None of none."""
    flat = [each for part in parts for each in conjuncts(part)]
    return None if not flat else flat[0] if len(flat) == 1 else ["and", *flat]


def keeps(hosts: Expression | None, name: str, labels: Mapping[str, str]) -> bool:
    """Whether a provider is asked at all.

    Args:
        hosts: what `split` gave first.

    >>> keeps(["=", ["field", "host.role"], ["value", "db"]], "web1", {"role": "web"})
    False
    """
    return hosts is None or evaluate(hosts, _record(name, labels)) is True


def names(hosts: Expression | None) -> list[str] | None:
    """The only providers that a condition can keep, where it names them; None: it may be any.

    >>> names(["in", ["field", "host"], ["a", "b"]])
    ['a', 'b']
    """
    for part in conjuncts(hosts) if hosts is not None else []:
        if part[0] == "=" and part[1] == ["field", HOST] and part[2][0] == "value":
            return [str(part[2][1])]
        if part[0] == "in" and part[1] == ["field", HOST]:
            return list(map(str, part[2]))
    return None


def for_host(plan: Mapping[str, Any], name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    """A plan's data as one provider gets it."""
    record = _record(name, labels)
    told = dict(plan)
    if plan.get("where") is not None:
        parts = [_told(part, record) for part in conjuncts(plan["where"])]
        # What is true of this provider is asked of none of its records.
        told["where"] = conjunction([part for part in parts if part != ["value", True]])
    for part in _COLUMNS:
        told[part] = [[title, None if value is None else _told(value, record)] for title, value in plan.get(part) or []]
    return told


def _record(name: str, labels: Mapping[str, str]) -> dict[str, Any]:
    return {HOST: name, **{LABEL + label: value for label, value in labels.items()}}


def _told(part: Expression, record: Mapping[str, Any]) -> Expression:
    kind = part[0]
    if kind == "field":
        if part[1].startswith(OWN):
            return ["field", part[1][len(OWN) :]]
        return ["value", record.get(part[1])] if is_host(part[1]) else part
    if kind == "value":
        return part
    read = fields(part)
    if read and all(map(is_host, read)):
        return ["value", evaluate(part, dict(record))]
    if kind == "in":
        return [kind, _told(part[1], record), part[2]]
    told = [_told(each, record) if type(each) is list else each for each in part[1:]]
    return _decided(kind, told) if kind in ("and", "or") else [kind, *told]


def _decided(kind: str, parts: list[Expression]) -> Expression:
    """Without the parts that are settled: records are not asked what their provider has answered."""
    decides = ["value", kind == "or"]
    if decides in parts:
        return decides
    open_ = [part for part in parts if part != ["value", kind == "and"]]
    return [kind, *open_] if len(open_) > 1 else open_[0] if open_ else ["value", kind == "and"]


def speaks(plan: Mapping[str, Any]) -> bool:
    """A plan says something of providers, so that each gets one of its own."""
    values = [plan.get("where"), *(value for part in _COLUMNS for _, value in plan.get(part) or [])]
    return any(is_host(name) for value in values if value is not None for name in fields(value))
