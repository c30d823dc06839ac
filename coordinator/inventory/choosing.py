"""Choosing: several inventories as one table, and what ``-a -w -g -x -l`` select of it.

Knows the rules, and no option parser. ``-a``, ``-w`` and ``-g`` unite; ``-l`` keeps of those what it admits; ``-x``
leaves out. The first definition of a name wins, and a later one only adds labels that it lacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, fields, replace
from fnmatch import fnmatchcase
from typing import Final

from backplane.wire.errors import UsageError
from coordinator.inventory import labels, nodes
from coordinator.table import Provider

Tell = Callable[[str], None]

#: The name of this machine as a provider.
LOCAL: Final = "local"
#: How many names a sentence holds.
_FEW: Final = 5


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the options ask for, as they were written.

    Attributes:
        everything: ``-a``.
        names: each ``-w``.
        groups: each ``-g``.
        without: each ``-x``.
        labels: each ``-l``.
    """

    everything: bool = False
    names: tuple[str, ...] = ()
    groups: tuple[str, ...] = ()
    without: tuple[str, ...] = ()
    labels: tuple[str, ...] = ()


def unite(inventories: Iterable[tuple[str, Iterable[Provider]]], tell: Tell) -> dict[str, Provider]:
    """One table of several inventories.

    Args:
        inventories: each with what to call it.
        tell: takes a sentence on definitions that differ.
    """
    table: dict[str, Provider] = {}
    origin: dict[str, str] = {}
    differing: dict[tuple[str, str], list[str]] = {}
    for source, providers in inventories:
        for provider in providers:
            known = table.setdefault(provider.name, provider)
            first = origin.setdefault(provider.name, source)
            if known is provider:
                continue
            if _differ(known, provider):
                differing.setdefault((first, source), []).append(provider.name)
            table[provider.name] = replace(known, labels={**provider.labels, **known.labels})
    for (first, source), names in differing.items():
        tell(f"{_few(names)}: {source} says otherwise than {first}, which comes first and counts")
    return table


def choose(
    known: Mapping[str, Provider],
    wanted: Wanted,
    tell: Tell,
    *,
    strict: bool = True,
    strangers: list[str] | None = None,
) -> dict[str, Provider]:
    """The providers asked for, by name. Names that are not known become ssh destinations.

    Args:
        known: the table; it is what is asked for if neither names nor groups are.
        tell: takes a sentence on names that are not known, if any are.
        strict: what names nobody is a slip of the pen; if not, it is nobody.
        strangers: takes the names that are not known.

    Raises:
        UsageError: a set, a group, a pattern or a label makes no sense or does not exist, or nobody is left.
    """
    conditions = [term for text in wanted.labels for term in labels.terms(text)]
    unknown = strangers if strangers is not None else []
    picked = _picked(known, wanted, strict, unknown)
    if known and unknown:
        tell(f"in no inventory, so taken as ssh destinations: {_few(unknown)}{meant(unknown, known)}")
    if strict:
        labels.check_keys(conditions, known.values())
    for text in wanted.without:
        for name in nodes.expand(text, globs=True):
            for each in _matching(name, picked) if nodes.is_glob(name) else (name,):
                picked.pop(each, None)
    chosen = {name: p for name, p in picked.items() if all(term.admits(p.labels) for term in conditions)}
    if strict and not chosen:
        why = labels.missed(conditions, picked.values()) or "see -w, -x, -l, -g and the inventory"
        raise UsageError(f"these options select no provider: {why}")
    return chosen


def meant(unknown: Iterable[str], known: Iterable[str]) -> str:
    """The end of a sentence that suggests what was meant by the first of these names, or nothing.

    One that differs in a number alone is no slip of the pen, but another host.

    >>> meant(["wev1"], ["web1", "web2"]), meant(["web3"], ["web1", "web2"]), meant(["web1"], ["web01", "web02"])
    ('; did you mean web1?', '', '; did you mean web01?')
    """
    import difflib

    names = list(known)
    for name in list(unknown)[:_FEW]:
        letters, numbers = _taken_apart(name)
        likely = [each for each in names if _taken_apart(each)[0] != letters or _taken_apart(each)[1] == numbers]
        if near := difflib.get_close_matches(name, likely, n=1, cutoff=0.7):
            return f"; did you mean {near[0]}?"
    return ""


def groups_of(provider: Provider) -> set[str]:
    """The groups that a provider says it is in: its label ``group``, and those of ``groups`` between commas."""
    texts = (provider.labels.get("group", ""), *provider.labels.get("groups", "").split(","))
    return {text.strip() for text in texts} - {""}


def _picked(known: Mapping[str, Provider], wanted: Wanted, strict: bool, unknown: list[str]) -> dict[str, Provider]:
    everybody = wanted.everything or not (wanted.names or wanted.groups)
    picked = dict(known) if everybody else {}
    for text in wanted.names:
        for name in nodes.expand(text, globs=bool(known) or not strict):
            picked.update(_named(name, known, strict, unknown))
    for text in wanted.groups:
        try:
            members = _members(text, known)
        except UsageError:
            if strict:
                raise
            continue
        for name in members:
            picked.update(_named(name, known, strict, unknown))
    return picked


def _named(name: str, known: Mapping[str, Provider], strict: bool, unknown: list[str]) -> dict[str, Provider]:
    if nodes.is_glob(name):
        found = _matching(name, known)
        if strict and not found:
            raise UsageError(f"{name!r} matches none of the {len(known)} names of the inventories")
        return {each: known[each] for each in found}
    if name not in known:
        unknown.append(name)
    # ssh_config and DNS decide what a name means that no inventory knows.
    return {name: known.get(name) or Provider(name, reach="local" if name == LOCAL else "ssh")}


def _matching(pattern: str, names: Iterable[str]) -> list[str]:
    return [name for name in names if fnmatchcase(name, pattern)]


def _members(text: str, known: Mapping[str, Provider]) -> list[str]:
    """The names in a group: an inventory's own group first, then ClusterShell's."""
    groups: dict[str, list[str]] = {}
    for provider in known.values():
        for group in groups_of(provider):
            groups.setdefault(group, []).append(provider.name)
    if text in groups:
        return groups[text]
    if re.search(r"[@:\[]", text):
        return nodes.expand(text if text.startswith("@") else f"@{text}")
    return [name for part in text.split(",") for name in groups.get(part) or _of_clustershell(part, groups)]


def _of_clustershell(group: str, groups: Iterable[str]) -> list[str]:
    if not group:
        raise UsageError("-g takes GROUP, or several between commas")
    try:
        return nodes.expand(f"@{group}")
    except UsageError as exc:
        raise UsageError(f"no inventory has a group {group!r}{labels.hint(group, groups)}; and {exc}") from exc


def _differ(first: Provider, later: Provider) -> bool:
    """True if the later definition says otherwise; what it adds to the labels, or does not say, is no difference."""
    if any(first.labels.get(key, value) != value for key, value in later.labels.items()):
        return True
    blank = Provider(later.name)
    said = (spec.name for spec in fields(later) if spec.name not in ("name", "labels"))
    return any(
        getattr(later, field) != getattr(blank, field) and getattr(later, field) != getattr(first, field)
        for field in said
    )


def _taken_apart(name: str) -> tuple[str, list[int]]:
    """Its letters, and its numbers, of which 1 and 01 are the same."""
    return re.sub(r"\d+", "#", name), [int(number) for number in re.findall(r"\d+", name)]


def _few(names: list[str]) -> str:
    more = len(names) - _FEW
    return ", ".join(names[:_FEW]) + (f" and {more} more" if more > 0 else "")
