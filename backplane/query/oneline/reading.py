"""Expressions of a question of one line, from text to tree.

Knows the grammar of expressions and nothing of stages. `Reader` is also the cursor that the stages' parser moves.

    or: and | not | comparison | + - | * / % | - | value, name, call(...), (...)
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from backplane.query.oneline import lexer
from backplane.query.oneline.lexer import Token
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.tree import Node

#: Of parentheses and `not`s. A plan may nest `expressions.MOST_DEEP` deep, and some are needed for what is lowered.
MOST_DEEP: Final = 25
_COMPARISONS: Final = {"=": "=", "==": "=", "!=": "!=", "<>": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_TEXTUAL: Final = {
    "contains": "contains",
    "starts": "starts",
    "startswith": "starts",
    "ends": "ends",
    "endswith": "ends",
    "matches": "matches",
}
_CONSTANTS: Final[dict[str, object]] = {"true": True, "false": False, "null": None}
#: Words that are never names; a field that is called so stands in backticks.
RESERVED: Final = frozenset({"and", "or", "not", "in", "is", "by", "as", "between", "like", "ilike"}) | set(_CONSTANTS)


class Reader:
    """A text and a place in it."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self._deep = 0

    # --- the cursor

    def peek(self) -> Token:
        """The next token, which stays."""
        return lexer.token(self.text, self.at)

    def next(self) -> Token:
        """The next token."""
        found = self.peek()
        self.at = found.end
        return found

    def taken(self, *texts: str) -> bool:
        """The next one is one of these, and is taken."""
        if self.peek().says(*texts):
            self.next()
            return True
        return False

    def need(self, sign: str, what: str) -> Token:
        """The next token, which has to be this sign.

        Raises:
            Mistake: it is another one.
        """
        found = self.peek()
        if not found.says(sign):
            raise Mistake(f"{what}, and {shown(found)} stands here", found.start, found.end)
        return self.next()

    def name(self, what: str) -> Token:
        """The next token, which has to be a name.

        Raises:
            Mistake: it is something else.
        """
        found = self.peek()
        if found.kind not in ("name", "quoted") or (found.kind == "name" and found.text.lower() in RESERVED):
            raise Mistake(f"{what}, and {shown(found)} stands here", found.start, found.end)
        return self.next()

    # --- expressions

    def expression(self) -> Node:
        """The expression from here on, as far as it goes.

        Raises:
            Mistake: there is none, or it is wrong.
        """
        return self._deeper(self._either)

    def _deeper(self, read: Callable[[], Node]) -> Node:
        self._deep += 1
        if self._deep > MOST_DEEP:
            raise Mistake(f"this nests deeper than {MOST_DEEP}: put parts of it into stages of their own", self.at, 0)
        found = read()
        self._deep -= 1
        return found

    def _either(self) -> Node:
        return self._joined("or", self._all)

    def _all(self) -> Node:
        return self._joined("and", self._negated)

    def _joined(self, word: str, read: Callable[[], Node]) -> Node:
        parts = [read()]
        while self.taken(word):
            parts.append(read())
        return parts[0] if len(parts) == 1 else Node(word, parts[0].start, parts[-1].end, parts=tuple(parts))

    def _negated(self) -> Node:
        found = self.peek()
        if not found.says("not"):
            return self._comparison()
        self.next()
        inner = self._deeper(self._negated)
        return Node("not", found.start, inner.end, parts=(inner,))

    def _comparison(self) -> Node:
        left = self._sum()
        found = self.peek()
        if found.kind == "op" and found.text in _COMPARISONS:
            self.next()
            right = self._sum()
            again = self.peek()
            if again.kind == "op" and again.text in _COMPARISONS:
                raise Mistake("comparisons do not chain: join two of them by `and`", left.start, again.end)
            return Node(_COMPARISONS[found.text], left.start, right.end, parts=(left, right))
        if found.says("~", "=~", "!~"):
            self.next()
            matched = self._textual("matches", left)
            return _not(matched) if found.text == "!~" else matched
        return self._worded(left, found)

    def _worded(self, left: Node, found: Token) -> Node:
        """Comparisons that are words."""
        negated = found.says("not")
        if negated:
            self.next()
            found = self.peek()
        if found.says("in"):
            made = self._member(left)
        elif found.says("between"):
            made = self._between(left)
        elif found.says(*_TEXTUAL):
            self.next()
            self.taken("with")
            made = self._textual(_TEXTUAL[found.text.lower()], left)
        elif found.says("is") and not negated:
            made = self._null(left)
        elif found.says("like", "ilike"):
            raise Mistake(
                f"there is no `{found.text}` in one line: write contains, starts with, ends with, or ~ /pattern/",
                found.start,
                found.end,
            )
        elif negated:
            raise Mistake(f"after `not` comes in, contains or the like, not {shown(found)}", found.start, found.end)
        else:
            return left
        return _not(made) if negated else made

    def _member(self, left: Node) -> Node:
        self.next()
        self.need("(", "`in` takes values in parentheses, as in (200, 304)")
        parts = [self._sum()]
        while self.taken(","):
            parts.append(self._sum())
        end = self.need(")", "`in (` ends with a parenthesis").end
        for part in parts:
            if part.kind != "value":
                raise Mistake("`in` takes numbers and texts; a text is written in quotes", part.start, part.end)
        return Node("in", left.start, end, parts=(left, *parts))

    def _between(self, left: Node) -> Node:
        self.next()
        low = self._sum()
        self.need("and", "`between` takes two values, as in between 200 and 299")
        high = self._sum()
        parts = (
            Node(">=", left.start, low.end, parts=(left, low)),
            Node("<=", left.start, high.end, parts=(left, high)),
        )
        return Node("and", left.start, high.end, parts=parts)

    def _null(self, left: Node) -> Node:
        self.next()
        negated = self.taken("not")
        found = self.next()
        if not found.says("null"):
            raise Mistake(f"after `is` comes null or not null, and {shown(found)} stands here", found.start, found.end)
        made = Node("null", left.start, found.end, parts=(left,))
        return _not(made) if negated else made

    def _textual(self, kind: str, left: Node) -> Node:
        found = (lexer.regex(self.text, self.at) if kind == "matches" else None) or self.peek()
        if found.kind not in ("text", "regex"):
            example = "~ /^GET/ or ~ '^GET'" if kind == "matches" else f"{kind} 'x'"
            raise Mistake(
                f"here comes a text in quotes, as in {example}, and {shown(found)} stands here", found.start, found.end
            )
        self.at = found.end
        text = Node("value", found.start, found.end, value=found.text)
        return Node(kind, left.start, found.end, parts=(left, text))

    def _sum(self) -> Node:
        return self._chain(("+", "-"), self._product)

    def _product(self) -> Node:
        return self._chain(("*", "/", "%"), self._signed)

    def _chain(self, signs: tuple[str, ...], read: Callable[[], Node]) -> Node:
        left = read()
        count = 0
        while (found := self.peek()).kind == "op" and found.text in signs:
            count += 1
            if count > MOST_DEEP:
                raise Mistake(f"more than {MOST_DEEP} steps: name parts of it by `let`", found.start, found.end)
            self.next()
            right = read()
            left = Node(found.text, left.start, right.end, parts=(left, right))
        return left

    def _signed(self) -> Node:
        found = self.peek()
        if not found.says("-"):
            return self._one()
        self.next()
        inner = self._deeper(self._signed)
        if inner.kind == "value" and isinstance(inner.value, (int, float)) and not isinstance(inner.value, bool):
            return Node("value", found.start, inner.end, value=-inner.value, unit=inner.unit)
        zero = Node("value", found.start, found.end, value=0)
        return Node("-", found.start, inner.end, parts=(zero, inner))

    def _one(self) -> Node:
        found = self.next()
        if found.kind == "number":
            return Node("value", found.start, found.end, value=found.value, unit=found.unit)
        if found.kind == "text":
            return Node("value", found.start, found.end, value=found.text)
        if found.kind == "quoted":
            return Node("name", found.start, found.end, value=found.text, quoted=True)
        if found.kind == "name" and found.text.lower() in _CONSTANTS:
            return Node("value", found.start, found.end, value=_CONSTANTS[found.text.lower()])
        if found.kind == "name" and found.text.lower() not in RESERVED:
            return self._call(found) if self.peek().says("(") else Node("name", found.start, found.end, found.text)
        if found.says("("):
            inner = self.expression()
            self.need(")", "a parenthesis is not closed")
            return inner
        raise Mistake(f"a field or a value is missing: {shown(found)} stands here", found.start, found.end)

    def _call(self, name: Token) -> Node:
        self.next()
        parts: list[Node] = []
        if not self.peek().says(")"):
            parts.append(self._argument())
            while self.taken(","):
                parts.append(self._argument())
        end = self.need(")", f"{name.text}( ends with a parenthesis").end
        return Node("call", name.start, end, name.text, tuple(parts))

    def _argument(self) -> Node:
        found = self.peek()
        if found.says("*"):
            self.next()
            return Node("star", found.start, found.end)
        return self.expression()


def _not(node: Node) -> Node:
    return Node("not", node.start, node.end, parts=(node,))


def shown(found: Token) -> str:
    """A token in a sentence."""
    return "the end" if found.kind == "end" else repr(found.text[:30])
