"""What `explain` and `check` say of a question of one line: the plan in words, and the code that providers make of it.

Composes: a line is read, and compiled as a provider would compile it.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from backplane.client.planned import REPLAYABLE
from backplane.query import told
from backplane.query.hosts import conjunction, for_host, speaks
from backplane.query.oneline import OneLine
from provider.runner.compile import source
from provider.runner.plan import Plan

#: As `explain` shows them of scripts.
_HASH_DIGITS: Final = 12
#: Names of values that the source has from the question.
_CONSTANT: Final = re.compile(r"C\d+|LITERAL")


def summary(asked: OneLine) -> dict[str, str]:
    """What is asked, for people."""
    said = {"title": asked.text}
    if asked.hosts is not None:
        said["providers"] = f"those with {told.written(asked.hosts)}"
    said |= told.words(asked.plan)
    if asked.steps:
        said["at home"] = told.home(asked.steps)
    if asked.limit is not None:
        said["limit"] = f"{asked.limit} lines"
    return {**said, "replayable": f"yes: {REPLAYABLE}", "needs": "nothing but to read logs"}


def code(asked: OneLine, name: str, labels: Mapping[str, str]) -> str:
    """The source that a provider makes of the plan, and runs."""
    where = conjunction([part for part in (asked.hosts, asked.plan["where"]) if part is not None])
    made = source(Plan.of(for_host({**asked.plan, "where": where}, name, labels)))
    constants = [f"# {name} = {made.names[name]!r}" for name in sorted(made.names) if _CONSTANT.fullmatch(name)]
    return "\n".join([*constants, made.text])


def lines(
    asked: OneLine, names: Sequence[str], folded: str, labels: Mapping[str, str], cost: Iterator[str]
) -> Iterator[str]:
    """The explanation, line by line.

    Args:
        names: whom it asks.
        folded: the same, short.
        labels: of the first of them, as far as they are known.
        cost: lines that say what it would cost.
    """
    said = summary(asked)
    title = said.pop("title")
    head = {"title": title, "targets": f"{len(names)}: {folded}", "profile": "open", **said}
    for key, text in head.items():
        yield f"{key:<11} {text}"
    yield from cost
    text = code(asked, names[0], labels)
    own = f" ({names[0]}'s; others have their own names in it)" if _differs(asked) else ""
    yield ""
    yield f"runs there{own}: {len(text.splitlines())} lines, sha256 {digest(text)}"
    for number, line in enumerate(text.splitlines(), 1):
        yield f"{number:>4}  {line}"


def _differs(asked: OneLine) -> bool:
    return asked.hosts is not None or speaks(asked.plan)


def digest(text: str) -> str:
    """The beginning of a text's hash."""
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()[:_HASH_DIGITS]


def document(asked: OneLine) -> dict[str, Any]:
    """What is asked, for programs."""
    return {**summary(asked), "plan": {**asked.plan}, "steps": [list(step) for step in asked.steps]}
