"""Expressions of a line, from tree to a plan's expressions: names looked up, types checked, with places.

Knows expressions and scopes. Does not know stages. Types are checked here besides in the plan, because a plan does not
know where in the text a part of it stood.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from backplane.query.near import listed
from backplane.query.oneline import patterns
from backplane.query.oneline.aggregates import is_aggregate
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.scope import Lowered, NoName, Scope, near_name
from backplane.query.oneline.tree import Node
from provider.runner.aggregates.names import AGGREGATES
from provider.runner.expressions import (
    ARITHMETIC,
    COMPARISONS,
    FUNCTIONS,
    MOST_DEEP,
    NUMERIC,
    TEXTUAL,
    ExpressionError,
    Function,
    kind_of,
)
from provider.runner.formats.times import reader

#: What others call them.
_ALIASES: Final = {
    "bin": "bucket",
    "len": "length",
    "strlen": "length",
    "tolower": "lower",
    "toupper": "upper",
    "substring": "substr",
    "strip": "trim",
    "str": "string",
    "text": "string",
    "split_part": "part",
    "num": "number",
    "tonumber": "number",
}
_WHAT: Final = {
    "int": "a whole number",
    "float": "a number",
    "string": "a text",
    "time": "a time",
    "duration": "a duration",
    "size": "a size",
    "bool": "a condition",
    "number": "a number",
    "any": "any value",
}
_read_iso = reader("iso")


@dataclass(frozen=True, slots=True)
class Meaning:
    """Lowers expressions of one text in one scope."""

    text: str
    scope: Scope

    def of(self, node: Node) -> Lowered:
        """The expression.

        Raises:
            Mistake: a name or a function is not there, or types do not fit.
        """
        made = self._of(node)
        if _depth(made.expression) > MOST_DEEP - 2:
            raise Mistake("this nests too deep: put parts of it into stages of their own", node.start, node.end)
        return made

    def condition(self, node: Node) -> Lowered:
        """The same, of a condition.

        Raises:
            Mistake: also if it is none.
        """
        made = self.of(node)
        if made.kind not in ("bool", "any"):
            raise Mistake(
                f"here comes a condition, and {self.said(node)} is {_WHAT[made.kind]}{_compare(node)}",
                node.start,
                node.end,
            )
        return made

    def number(self, node: Node, who: str) -> Lowered:
        """The same, of a number, or of a text that may be one.

        What is of any type (a field of JSON) is read as one where it is one: others of its values are left out and
        counted, so that one odd record does not end the whole job.

        Raises:
            Mistake: also if it is none.
        """
        made = self._need("number", self.of(node), node, who)
        return Lowered(self._read(made.expression), made.kind, made.loose)

    def _read(self, expression: Any) -> Any:
        """The same, with what may be of any type in it read as numbers."""
        if expression[0] in ARITHMETIC:
            return [expression[0], *map(self._read, expression[1:])]
        if expression[0] == "value" or self._kind(expression) != "any":
            return expression
        return _as_number(Lowered(expression, "any")).expression

    def said(self, node: Node) -> str:
        """A part of the text in a sentence."""
        return f"{' '.join(self.text[node.start : node.end].split())[:40]}"

    def _of(self, node: Node) -> Lowered:
        if node.kind == "value":
            return self._value(node)
        if node.kind == "name":
            return self._name(node)
        if node.kind == "call":
            return self._call(node)
        if node.kind == "star":
            raise Mistake("* stands in count(*) alone", node.start, node.end)
        if node.kind in ("and", "or", "not"):
            return Lowered([node.kind, *(self._part(part, node.kind) for part in node.parts)], "bool")
        if node.kind == "null":
            return Lowered(["null", self._of(node.parts[0]).expression], "bool")
        if node.kind == "in":
            return self._member(node)
        if node.kind in TEXTUAL:
            return self._textual(node)
        if node.kind in COMPARISONS:
            return self._compared(node)
        return self._computed(node)

    def _value(self, node: Node) -> Lowered:
        value: Any = node.value
        kind = "any" if value is None else {bool: "bool", int: "int", float: "float"}.get(type(value), "string")
        return Lowered(["value", value], kind)

    def _name(self, node: Node) -> Lowered:
        name = str(node.value)
        try:
            return self.scope.find(name, quoted=node.quoted)
        except NoName as exc:
            hint = ""
            if is_aggregate(name) and not self.scope.columns:
                hint = ": what an aggregate gives is there after its stage"
                raise Mistake(f"there is no field {name!r} yet{hint}", node.start, node.end) from None
            raise Mistake(str(exc), node.start, node.end) from None

    def _part(self, node: Node, who: str) -> Any:
        """A condition that stands in another expression."""
        made = self._of(node)
        if made.kind not in ("bool", "any"):
            hint = "; of several values write `in (...)`" if who == "or" and node.kind == "value" else _compare(node)
            said = {"not": "after `not` comes a condition", "if": "`if` takes a condition first"}
            what = said.get(who, f"`{who}` joins conditions")
            raise Mistake(f"{what}, and {self.said(node)} is {_WHAT[made.kind]}{hint}", node.start, node.end)
        return made.expression

    # --- comparisons

    def _compared(self, node: Node) -> Lowered:
        left, right = (self._of(part) for part in node.parts)
        one, other = node.parts
        for part in node.parts:
            if part.kind == "value" and part.value is None:
                raise Mistake("nothing equals null: write `is null` or `is not null`", node.start, node.end)
        left, right = self._met(left, right, other), self._met(right, left, one)
        self._comparable(left, right, node, other)
        return Lowered([node.kind, left.expression, right.expression], "bool")

    def _met(self, made: Lowered, other: Lowered, theirs: Node) -> Lowered:
        """One side of a comparison as the other side needs it."""
        if made.loose and (other.kind in NUMERIC):
            return _as_number(made)
        if made.kind == "string" and other.kind == "time" and made.expression[0] == "value":
            return Lowered(["value", self._instant(made.expression[1], theirs)], "time")
        return made

    def _instant(self, text: str, theirs: Node) -> float:
        at = instant(text)
        if at is None:
            raise Mistake(
                f"{self.said(theirs)} is a time, and {text[:40]!r} is not one: write '2026-11-20T09:00:00Z'",
                theirs.start,
                theirs.end,
            )
        return at

    def _comparable(self, left: Lowered, right: Lowered, node: Node, other: Node) -> None:
        kinds = left.kind, right.kind
        if "any" in kinds or left.kind == right.kind or (left.kind in NUMERIC and right.kind in NUMERIC):
            return
        one = node.parts[0]
        hint = ""
        if other.kind == "value" and isinstance(other.value, str) and left.kind in NUMERIC:
            hint = f": write {other.value}" if _is_number(other.value) else ""
        elif other.kind == "value" and left.kind == "string" and right.kind in NUMERIC:
            hint = f": write '{self.said(other)}', or number({self.said(one)})"
        elif left.kind == "string" and right.kind in NUMERIC:
            hint = f": write number({self.said(one)})"
        raise Mistake(
            f"{self.said(one)} is {_WHAT[left.kind]}, and {self.said(other)} is {_WHAT[right.kind]}{hint}",
            node.start,
            node.end,
        )

    def _member(self, node: Node) -> Lowered:
        left = self._of(node.parts[0])
        values = []
        for part in node.parts[1:]:
            right = self._value(part)
            if part.value is None:
                raise Mistake("nothing equals null: write `is null`", part.start, part.end)
            if left.loose and right.kind in NUMERIC:
                left = _as_number(left)
            right = self._met(right, left, node.parts[0])
            self._comparable(left, right, Node("=", node.start, node.end, parts=(node.parts[0], part)), part)
            values.append(right.expression[1])
        return Lowered(["in", left.expression, values], "bool")

    def _textual(self, node: Node) -> Lowered:
        left, text = node.parts
        if node.kind == "matches":
            patterns.checked(str(text.value), text.start, text.end)
        made = self._need("string", self._of(left), left, f"`{node.kind}`")
        return Lowered([node.kind, made.expression, text.value], "bool")

    # --- values

    def _computed(self, node: Node) -> Lowered:
        left, right = (self._need("number", self._of(part), part, f"`{node.kind}`") for part in node.parts)
        return self._typed([node.kind, left.expression, right.expression], node)

    def _call(self, node: Node) -> Lowered:
        said = str(node.value)
        name = _ALIASES.get(said.lower(), said.lower())
        if name == "if":
            return self._either(node)
        if name not in FUNCTIONS:
            if is_aggregate(said):
                raise Mistake(
                    f"{said} is an aggregate, and stands in a stage of its own: | {self.said(node)} by path",
                    node.start,
                    node.end,
                )
            near = (
                near_name(said, [*FUNCTIONS, *AGGREGATES])
                or near_name(said, [*_ALIASES])
                or f"; there are {listed(FUNCTIONS)}"
            )
            raise Mistake(f"there is no function {said!r}{near}", node.start, node.start + len(said))
        function = FUNCTIONS[name]
        self._counted(said, function, node)
        parts = [
            self._need(want, self._of(part), part, f"{said}(...)").expression
            for want, part in zip(function.takes, node.parts, strict=False)
        ]
        return self._typed(["call", name, *parts], node)

    def _either(self, node: Node) -> Lowered:
        if len(node.parts) != 3:
            raise Mistake(
                f"if takes a condition, what it is then, and what else, and got {len(node.parts)} values",
                node.start,
                node.end,
            )
        condition = self._part(node.parts[0], "if")
        then, other = (self._of(part) for part in node.parts[1:])
        return self._typed(["if", condition, then.expression, other.expression], node)

    def _counted(self, said: str, function: Function, node: Node) -> None:
        most = len(function.takes)
        least = most - function.optional
        if not least <= len(node.parts) <= most:
            want = f"{most}" if least == most else f"{least} or {most}"
            takes = ", ".join(map(_short, function.takes))
            raise Mistake(
                f"{said} takes {want} value{'s' * (most != 1)} ({takes}), and got {len(node.parts)}",
                node.start,
                node.end,
            )

    def _need(self, want: str, made: Lowered, node: Node, who: str) -> Lowered:
        numbers = want == "number" or want in NUMERIC
        if want == "any" or made.kind in ("any", want) or (numbers and made.kind in NUMERIC):
            return made
        if numbers and made.loose:
            return _as_number(made)
        hint = ""
        if numbers and made.kind == "string" and node.kind != "value":
            hint = f": write number({self.said(node)})"
        elif want == "string" and made.kind in NUMERIC:
            hint = f": write string({self.said(node)})"
        raise Mistake(
            f"{who} takes {_WHAT[want]}, and {self.said(node)} is {_WHAT[made.kind]}{hint}", node.start, node.end
        )

    def _typed(self, expression: Any, node: Node) -> Lowered:
        try:
            return Lowered(expression, self._kind(expression))
        except ExpressionError as exc:
            raise Mistake(str(exc), node.start, node.end) from None

    def _kind(self, expression: Any) -> str:
        types = {"*": "any", **{each: kind for each, kind in self.scope.types.items() if each != "*"}}
        kind: str = kind_of(expression, types)
        return kind


def instant(text: str) -> float | None:
    """The time that a text says, in seconds since the epoch; None: it says none."""
    at: float | None = _read_iso(text.encode("utf-8", "surrogateescape"))
    if at is None:
        try:
            at = datetime.fromisoformat(text).timestamp()
        except (ValueError, OverflowError, OSError):
            return None
    return at


def _as_number(made: Lowered) -> Lowered:
    if made.expression[:2] == ["call", "number"]:
        return made
    return Lowered(["call", "number", made.expression], "any")


def _compare(node: Node) -> str:
    return ": compare it, as in status >= 500" if node.kind in ("name", "call") else ""


def _short(kind: str) -> str:
    return "text" if kind == "string" else kind


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _depth(expression: Any) -> int:
    if type(expression) is not list or expression[0] == "value":
        return 0
    return 1 + max((_depth(each) for each in expression[1:]), default=0)
