"""Selecting by labels, as ``-l`` writes it and as kubectl and PromQL have taught.

    role=web  role==web   the label has this value
    role!=web             it has another, or there is none
    role=~web|db          all of its value matches the expression
    role!~web|db          it does not
    role   !role          it is there, it is not

A label that is missing is empty, as in PromQL. Commas join (``role=web,site=a`` asks both), except in an expression,
which goes to the end. Knows no inventory.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from backplane.wire.errors import UsageError
from coordinator.table import Provider

_TERM: Final = re.compile(r"\s*(?P<key>[^=!~,\s]+)\s*(?:(?P<operator>=~|!~|==|!=|=)(?P<value>.*))?", re.DOTALL)
_ABSENT: Final = re.compile(r"\s*!\s*(?P<key>[^=!~,\s]+)\s*")


@dataclass(frozen=True, slots=True)
class Term:
    """One condition.

    Attributes:
        key: the label that it asks.
        admits: says of a provider's labels whether they are meant.
        positive: it asks for something that must be there, so a key that nobody has is a slip of the pen.
        text: as it was written.
    """

    key: str
    admits: Callable[[Mapping[str, str]], bool]
    positive: bool
    text: str


def terms(text: str) -> list[Term]:
    """The conditions of one ``-l``.

    >>> [term.key for term in terms("role=web,site!=b,canary")]
    ['role', 'site', 'canary']

    Raises:
        UsageError: it is none.
    """
    return [_term(text, part) for part in _parts(text)]


def check_keys(asked: Iterable[Term], providers: Iterable[Provider]) -> None:
    """Refuse a label that nobody has.

    Raises:
        UsageError: with the labels that are there, near ones if there are.
    """
    there = {key for provider in providers for key in provider.labels}
    for term in asked:
        if term.positive and term.key not in there:
            raise UsageError(f"no provider has a label {term.key!r}{hint(term.key, there)}")


def missed(asked: Iterable[Term], providers: Iterable[Provider]) -> str:
    """Which condition is true of none of them, and what they have instead; nothing if each is true of some."""
    some = [provider.labels for provider in providers]
    for term in asked:
        if some and term.positive and not any(map(term.admits, some)):
            values = {labels[term.key] for labels in some if term.key in labels}
            return f"none of them has {term.text}{hint(term.text.rpartition('=')[2].strip(), values)}"
    return ""


def hint(name: str, there: Iterable[str]) -> str:
    """The end of a sentence on a name that is not there.

    >>> hint("rol", ["role", "site"]), hint("x", ["role", "site"]), hint("x", [])
    (': did you mean role?', ': there are role, site', ': there is none')
    """
    import difflib

    known = sorted(there)
    near = difflib.get_close_matches(name, known, n=3)
    if near:
        return f": did you mean {' or '.join(near)}?"
    shown = ", ".join(known[:10]) + (", ..." if len(known) > 10 else "")
    return f": there are {shown}" if len(known) > 1 else f": there is {shown or 'none'}"


def _parts(text: str) -> Iterator[str]:
    rest = text
    while True:
        part, comma, after = rest.partition(",")
        if re.search(r"=~|!~", part):
            yield rest
            return
        yield part
        if not comma:
            return
        rest = after


def _term(text: str, part: str) -> Term:
    absent = _ABSENT.fullmatch(part)
    if absent:
        key = absent["key"]
        return Term(key, lambda labels: key not in labels, positive=False, text=part.strip())
    found = _TERM.fullmatch(part)
    if not found:
        raise UsageError(f"-l takes KEY=VALUE, KEY!=VALUE, KEY=~REGEX, KEY!~REGEX, KEY or !KEY, not {text!r}")
    key, operator, value = found["key"], found["operator"], found["value"]
    if operator is None:
        return Term(key, lambda labels: key in labels, positive=True, text=part.strip())
    matches = _matcher(text, operator, value)
    positive = operator in ("=", "==", "=~")
    return Term(key, lambda labels: matches(labels.get(key, "")) is positive, positive, part.strip())


def _matcher(text: str, operator: str, value: str) -> Callable[[str], bool]:
    if not operator.endswith("~"):
        return lambda actual: actual == value
    try:
        expression = re.compile(value)
    except re.error as exc:
        raise UsageError(f"-l {text!r}: no regular expression: {exc}") from exc
    return lambda actual: expression.fullmatch(actual) is not None
