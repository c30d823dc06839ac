"""Which names there are at a stage, and what they stand for.

Knows fields of a format, names that stages gave, and the provider's names. Does not know text or stages.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from backplane.query.hosts import OWN, is_host
from backplane.query.near import did_you_mean, listed
from provider.runner.expressions import Expression
from provider.runner.formats.form import LINE

#: More names than these do not help in a sentence.
_MOST_LISTED: Final = 30


@dataclass(frozen=True, slots=True)
class Lowered:
    """An expression of a plan and its type.

    ``loose``: a text that nobody has said the type of (it was parsed out of a text, or is a value of logfmt): where a
    number is needed it is read as one.
    """

    expression: Expression
    kind: str
    loose: bool = False


class NoName(Exception):
    """There is no such name. ``str()`` is one sentence."""


@dataclass(slots=True)
class Scope:
    """See the module.

    Attributes:
        types: of a format's fields; ``*`` of those that it does not name.
        format: its name, for sentences.
        given: by `let`, `parse` and the like.
        inner: what names that nobody knows are looked for in: ``json`` or ``logfmt``, and a text.
        hosts: ``host`` and its labels are known.
        columns: a table's, not a format's.
    """

    types: Mapping[str, str]
    format: str
    given: dict[str, Lowered] = field(default_factory=dict)
    inner: tuple[str, Expression] | None = None
    hosts: bool = True
    columns: bool = False

    def find(self, name: str, *, quoted: bool = False) -> Lowered:
        """What a name stands for.

        Raises:
            NoName: nothing.
        """
        if name in self.given:
            return self.given[name]
        if self.hosts and not quoted and is_host(name):
            return Lowered(["field", name], "string")
        own = OWN + name if is_host(name) and self.hosts else name
        if name in self.types:
            return Lowered(["field", own], self.types[name])
        if self.inner is not None:
            kind, text = self.inner
            typed = "any" if kind == "json" else "string"
            return Lowered(["call", kind, text, ["value", name]], typed, loose=kind == "logfmt")
        if "*" in self.types:
            kind = self.types["*"]
            return Lowered(
                ["field", OWN + name if is_host(name) and self.hosts else name], kind, loose=kind == "string"
            )
        raise NoName(self._unknown(name))

    def _unknown(self, name: str) -> str:
        known = [*self.given, *(each for each in self.types if each != "*")]
        near = near_name(name, known)
        what = f"no column {name!r}" if self.columns else f"no field {name!r} in the format {self.format}"
        if near:
            return f"there is {what}{near} (a text is written in quotes)"
        if set(known) == {LINE}:
            return (
                f'there is {what}, which has only `line`: `parse "* ..." as {name}` takes fields out of it (a text is '
                "written in quotes)"
            )
        return f"there is {what}; there are {listed(known[:_MOST_LISTED])} (a text is written in quotes)"


def near_name(name: str, known: list[str]) -> str:
    """The end of a sentence that suggests a name, of any case.

    >>> near_name("STATUS", ["status"]), near_name("sttatus", ["status"])
    ("; did you mean 'status'?", "; did you mean 'status'?")
    """
    by_lower = {each.lower(): each for each in known}
    if name.lower() in by_lower:
        return f"; did you mean {by_lower[name.lower()]!r}?"
    return did_you_mean(name.lower(), known)
