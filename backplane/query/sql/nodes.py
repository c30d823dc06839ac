"""Expressions of a SELECT as the trees of questions of one line, so that both mean the same.

Knows sqlglot's expressions. Does not know fields, types or aggregates: names are looked up, and types checked, where
those of one line are.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable
from typing import Any, Final

from sqlglot import exp

from backplane.query.near import did_you_mean
from backplane.query.oneline import patterns
from backplane.query.oneline.lexer import DURATIONS
from backplane.query.oneline.meaning import instant
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.tree import Node
from backplane.query.sql.places import head, mistake, place

#: What stands in the place of a part: a column's or an alias' own node; None: nothing does.
Resolve = Callable[[exp.Expr], Node | None]

SIGNS: Final[dict[type[exp.Expr], str]] = {
    exp.EQ: "=",
    exp.NEQ: "!=",
    exp.LT: "<",
    exp.LTE: "<=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.And: "and",
    exp.Or: "or",
    exp.Add: "+",
    exp.Sub: "-",
    exp.Mul: "*",
    exp.Div: "/",
    exp.Mod: "%",
}
#: Functions that are called as ours are, and which arguments they take, in order.
_CALLS: Final[dict[type[exp.Expr], tuple[str, tuple[str, ...]]]] = {
    exp.Lower: ("lower", ("this",)),
    exp.Upper: ("upper", ("this",)),
    exp.Length: ("length", ("this",)),
    exp.Substring: ("substr", ("this", "start", "length")),
    exp.SplitPart: ("part", ("this", "delimiter", "part_index")),
    exp.Abs: ("abs", ("this",)),
    exp.Hour: ("hour", ("this",)),
    exp.Date: ("date", ("this",)),
    exp.TsOrDsToDate: ("date", ("this",)),
    exp.TimeToUnix: ("float", ("this",)),
}
_TEXTUAL: Final[dict[type[exp.Expr], str]] = {
    exp.Contains: "contains",
    exp.StartsWith: "starts",
    exp.EndsWith: "ends",
}
_TEXTUAL_NAMES: Final = {"suffix": "ends", "prefix": "starts"}
_SECONDS: Final = {"MICROSECOND": 1e-6, "MILLISECOND": 1e-3, "SECOND": 1, "MINUTE": 60, "HOUR": 3600, "DAY": 86400}
_TYPES: Final = {
    "int": {"INT", "BIGINT", "SMALLINT", "TINYINT", "UINT", "UBIGINT", "USMALLINT", "UTINYINT", "INT128", "UINT128"},
    "float": {"FLOAT", "DOUBLE", "DECIMAL"},
    "string": {"TEXT", "VARCHAR", "CHAR", "NVARCHAR", "NCHAR"},
    "time": {"TIMESTAMP", "TIMESTAMPTZ", "TIMESTAMPLTZ", "TIMESTAMPNTZ", "DATETIME"},
    "date": {"DATE"},
}
_MOST_INT: Final = (1 << 63) - 1
_CALENDAR: Final = "MINUTE, HOUR and DAY are of one length everywhere: take one of them"


class Nodes:
    """Makes trees of one text.

    Args:
        resolve: asked of every part first.
    """

    def __init__(self, text: str, resolve: Resolve) -> None:
        self._text = text
        self._resolve = resolve

    def of(self, part: exp.Expr) -> Node:
        """The tree.

        Raises:
            Mistake: a part of it that there is not.
        """
        known = self._resolve(part)
        if known is not None:
            return known
        made = _MADE.get(type(part))
        if made is not None:
            node: Node = made(self, part)
            return node
        if type(part) in SIGNS:
            return self._node(part, SIGNS[type(part)], self.of(part.this), self.of(part.expression))
        if type(part) in _CALLS:
            name, arguments = _CALLS[type(part)]
            return self._call(part, name, *(part.args[each] for each in arguments if part.args.get(each) is not None))
        if type(part) in _TEXTUAL:
            return self._textual(part, _TEXTUAL[type(part)], part.this, part.expression)
        if isinstance(part, exp.Func):
            return self._other(part)
        raise mistake(f"{part.key.upper()} is not known here: {self._shown(part)!r} cannot be asked", part, self._text)

    # --- helpers

    def _node(self, part: exp.Expr, kind: str, *parts: Node, value: object = None) -> Node:
        start, end = place(part, self._text)
        return Node(kind, start, end, value, parts)

    def _value(self, part: exp.Expr, value: object) -> Node:
        return self._node(part, "value", value=value)

    def _call(self, part: exp.Expr, name: str, *parts: exp.Expr | Node) -> Node:
        nodes = [each if isinstance(each, Node) else self.of(each) for each in parts]
        return self._node(part, "call", *nodes, value=name)

    def _shown(self, part: exp.Expr) -> str:
        start, end = place(part, self._text)
        return " ".join(self._text[start:end].split())[:40]

    def wrong(self, reason: str, part: exp.Expr) -> Mistake:
        """Something wrong with a part of this text."""
        return mistake(reason, part, self._text)

    def called(self, part: exp.Expr) -> str:
        """What a function is called in the text."""
        return head(part, self._text)

    def quoted(self, part: exp.Expr | None, who: str, whole: exp.Expr) -> str:
        """A text that has to stand there in quotes.

        Raises:
            Mistake: it does not.
        """
        if isinstance(part, exp.Literal) and part.is_string:
            return str(part.this)
        raise self.wrong(f"{who} takes a text in quotes here, and no field", part or whole)

    # --- plain values and names

    def _column(self, part: exp.Expr) -> Node:
        names = [each.this for each in part.parts] if isinstance(part, exp.Column) else [str(part.this)]
        quoted = isinstance(part.this, exp.Identifier) and bool(part.this.quoted)
        if isinstance(part.this, exp.Star):
            raise self.wrong("* stands alone behind SELECT, or in count(*)", part)
        start, end = place(part, self._text)
        return Node("name", start, end, ".".join(map(str, names)), quoted=quoted and len(names) == 1)

    def _literal(self, part: exp.Expr) -> Node:
        if part.is_string:
            return self._value(part, str(part.this))
        said = str(part.this)
        number: int | float = int(said) if said.isdigit() and len(said) < 20 else float(said)
        if not abs(number) <= _MOST_INT:
            raise self.wrong(f"{said[:40]} is too large for a number", part)
        return self._value(part, number)

    def _null(self, part: exp.Expr) -> Node:
        return self._value(part, None)

    def _boolean(self, part: exp.Expr) -> Node:
        return self._value(part, bool(part.this))

    def _paren(self, part: exp.Expr) -> Node:
        return self.of(part.this)

    def _star(self, part: exp.Expr) -> Node:
        raise self.wrong("* stands alone behind SELECT, or in count(*)", part)

    # --- conditions

    def _not(self, part: exp.Expr) -> Node:
        return self._node(part, "not", self.of(part.this))

    def _is(self, part: exp.Expr) -> Node:
        inner = self.of(part.this)
        if isinstance(part.expression, exp.Null):
            return self._node(part, "null", inner)
        if isinstance(part.expression, exp.Boolean):
            held = inner if part.expression.this else self._node(part, "not", inner)
            return self._call(part, "if", held, self._value(part, True), self._value(part, False))
        raise self.wrong("behind IS comes NULL, TRUE or FALSE: compare by =", part.expression)

    def _between(self, part: exp.Expr) -> Node:
        inner = self.of(part.this)
        low, high = self.of(part.args["low"]), self.of(part.args["high"])
        return self._node(part, "and", self._node(part, ">=", inner, low), self._node(part, "<=", inner, high))

    def _in(self, part: exp.Expr) -> Node:
        if not part.expressions:
            raise self.wrong("behind IN come values in parentheses, as in status IN (500, 502)", part)
        inner, values = self.of(part.this), [self.of(each) for each in part.expressions]
        if all(value.kind == "value" for value in values):
            return self._node(part, "in", inner, *values)
        return self._joined("or", [self._node(part, "=", inner, value) for value in values], part)

    def _joined(self, kind: str, nodes: list[Node], part: exp.Expr) -> Node:
        return nodes[0] if len(nodes) == 1 else self._node(part, kind, *nodes)

    def _textual(self, part: exp.Expr, kind: str, value: exp.Expr, text: exp.Expr) -> Node:
        said = self.quoted(text, kind, part)
        return self._node(part, kind, self.of(value), self._value(text, said))

    def _like(self, part: exp.Expr) -> Node:
        escape = ""
        like = part
        if isinstance(part, exp.Escape):
            like, escape = part.this, self.quoted(part.expression, "ESCAPE", part)
            if len(escape) != 1 or not isinstance(like, (exp.Like, exp.ILike)):
                raise self.wrong("ESCAPE takes one character, behind LIKE", part)
        said = self.quoted(like.expression, "LIKE", like)
        kind, text = _liked(said, escape, caseless=isinstance(like, exp.ILike))
        value = self._value(like.expression, text)
        made = self._node(part, kind, self.of(like.this), value)
        return self._node(part, "not", made) if like.args.get("negate") else made

    def _regexp(self, part: exp.Expr) -> Node:
        said = self.quoted(part.expression, "REGEXP", part)
        flag = part.args.get("flag")
        flags = self.quoted(flag, "a flag", part) if flag is not None else ""
        if flags.strip("ims"):
            raise self.wrong(f"there is no flag {flags!r}: there are i, m and s", flag or part)
        return self._matched(part, f"(?{flags}){said}" if flags else said)

    def _similar(self, part: exp.Expr) -> Node:
        return self._matched(part, rf"^(?:{self.quoted(part.expression, 'SIMILAR TO', part)})\Z")

    def _matched(self, part: exp.Expr, pattern: str) -> Node:
        made = self._node(part, "matches", self.of(part.this), self._value(part.expression, pattern))
        return self._node(part, "not", made) if part.args.get("negate") else made

    # --- values

    def _negative(self, part: exp.Expr) -> Node:
        inner = self.of(part.this)
        if inner.kind == "value" and isinstance(inner.value, (int, float)):
            return self._value(part, -inner.value)
        return self._node(part, "-", self._value(part, 0), inner)

    def _case(self, part: exp.Expr) -> Node:
        default = part.args.get("default")
        made = self.of(default) if default is not None else self._value(part, None)
        for each in reversed(part.args["ifs"]):
            condition = self.of(each.this)
            if part.this is not None:
                condition = self._node(each, "=", self.of(part.this), condition)
            made = self._call(part, "if", condition, self.of(each.args["true"]), made)
        return made

    def _if(self, part: exp.Expr) -> Node:
        other = part.args.get("false")
        made = self.of(other) if other is not None else self._value(part, None)
        return self._call(part, "if", part.this, part.args["true"], made)

    def _coalesce(self, part: exp.Expr) -> Node:
        nodes = [self.of(each) for each in (part.this, *part.expressions)]
        made = nodes.pop()
        for node in reversed(nodes):
            made = self._call(part, "if", self._node(part, "null", node), made, node)
        return made

    def _nullif(self, part: exp.Expr) -> Node:
        one = self.of(part.this)
        same = self._node(part, "=", one, self.of(part.expression))
        return self._call(part, "if", same, self._value(part, None), one)

    def _cast(self, part: exp.Cast) -> Node:
        said = part.to.this.value if hasattr(part.to.this, "value") else str(part.to.this)
        to = next((name for name, types in _TYPES.items() if said in types), "")
        if to in ("time", "date") and isinstance(part.this, exp.Literal) and part.this.is_string:
            return self._moment(part, str(part.this.this))
        if to == "time":
            raise self.wrong(
                f"{self._shown(part.this)} is no time that a format knows: a format whose field is of type time reads "
                "it, see docs/reference/formats.md",
                part,
            )
        if not to:
            raise self.wrong(
                f"there is no cast to {part.to.sql('duckdb')}: there are INTEGER, DOUBLE, VARCHAR and DATE", part
            )
        return self._call(part, to, part.this)

    def _moment(self, part: exp.Expr, said: str) -> Node:
        at = instant(said)
        if at is None:
            raise self.wrong(f"{said[:40]!r} is no time: write '2026-11-20T09:00:00Z'", part)
        # `- INTERVAL` needs the number, and beside a time a number is one.
        return self._value(part, at)

    def _now(self, part: exp.Expr) -> Node:
        return self._value(part, round(time.time(), 3))

    def _interval(self, part: exp.Expr) -> Node:
        return self._value(part, self.seconds(part))

    def seconds(self, part: exp.Expr) -> float:
        """How long an interval is: ``INTERVAL 5 MINUTES`` or ``'5 minutes'``.

        Raises:
            Mistake: it is none, or its length depends on the calendar.
        """
        if isinstance(part, exp.Interval):
            unit = part.args.get("unit")
            number = part.this.this if isinstance(part.this, exp.Literal) else ""
            said = f"{number} {unit.name if unit is not None else ''}"
        else:
            said = part.this if isinstance(part, exp.Literal) and part.is_string else ""
        found = re.fullmatch(r"\s*(\d{1,9}(?:\.\d{1,6})?)\s*([a-zA-Z]+)\s*", said)
        length = _unit(found[2]) if found else None
        if found is None or length is None:
            raise self.wrong(f"here comes a length of time, as in '5 minutes'; {_CALENDAR}", part)
        whole = float(found[1]) * length
        return int(whole) if whole.is_integer() else whole

    def _truncated(self, part: exp.Expr) -> Node:
        unit = part.args.get("unit")
        length = _unit(unit.name) if unit is not None else None
        if length is None:
            raise self.wrong(f"date_trunc takes a part of a day: {_CALENDAR}", part)
        return self._call(part, "bucket", part.this, self._value(part, length))

    def _bin(self, part: exp.Expr) -> Node:
        return self._call(part, "bucket", part.expression, self._value(part, self.seconds(part.this)))

    def _extract(self, part: exp.Expr) -> Node:
        unit = part.this.name.upper()
        if unit == "EPOCH":
            return self._call(part, "float", part.expression)
        if unit == "HOUR":
            return self._call(part, "hour", part.expression)
        if unit in ("MINUTE", "SECOND"):
            return self._of_day(part, part.expression, unit)
        raise self.wrong(
            f"there is no {unit} of a time: there are EPOCH, HOUR, MINUTE and SECOND, and date(time)", part
        )

    def _minute(self, part: exp.Expr) -> Node:
        return self._of_day(part, part.this, part.key.upper())

    def _of_day(self, part: exp.Expr, of: exp.Expr, unit: str) -> Node:
        size = 60 if unit == "SECOND" else 3600
        rest = self._node(part, "%", self._call(part, "float", of), self._value(part, size))
        return self._call(part, "floor", self._node(part, "/", rest, self._value(part, size // 60)))

    def _trim(self, part: exp.Expr) -> Node:
        if part.args.get("expression") or part.args.get("position"):
            raise self.wrong("trim takes blanks off both ends, and nothing else", part)
        return self._call(part, "trim", part.this)

    def _left(self, part: exp.Expr) -> Node:
        return self._call(part, "substr", part.this, self._value(part, 1), part.expression)

    def _rounded(self, part: exp.Expr) -> Node:
        places = part.args.get("decimals")
        if places is None:
            return self._call(part, part.key, part.this)
        if not (isinstance(places, exp.Literal) and str(places.this).isdigit() and int(places.this) <= 9):
            raise self.wrong(f"{part.key} takes how many digits, from 0 to 9", places)
        power = self._value(part, 10 ** int(places.this))
        return self._node(
            part, "/", self._call(part, part.key, self._node(part, "*", self.of(part.this), power)), power
        )

    def _extracted(self, part: exp.Expr) -> Node:
        said = self.quoted(part.expression, "regexp_extract", part)
        group = part.args.get("group")
        number = int(group.this) if isinstance(group, exp.Literal) and str(group.this).isdigit() else 0
        if part.args.get("parameters") is not None or (group is not None and not isinstance(group, exp.Literal)):
            raise self.wrong("regexp_extract takes a text, a pattern and a group's number", part)
        if number == 0:
            head = re.match(r"\(\?[aimsux]+\)", said)
            flags = head[0] if head else ""
            said, number = f"{flags}({said[len(flags) :]})", 1
        start, end = place(part.expression, self._text)
        patterns.checked(said, start, end)
        return self._call(part, "extract", part.this, self._value(part.expression, said), self._value(part, number))

    def _inner(self, part: exp.Expr) -> Node:
        keys = [str(each.this) for each in part.expression.find_all(exp.JSONPathKey)]
        odd = any(
            not isinstance(each, (exp.JSONPath, exp.JSONPathRoot, exp.JSONPathKey)) for each in part.expression.walk()
        )
        if odd or not keys:
            raise self.wrong("of JSON one field is read by its name, as in line->>'user.name'", part)
        return self._call(part, "json", part.this, self._value(part, ".".join(keys)))

    def _glued(self, part: exp.Expr) -> Node:
        raise self.wrong("texts cannot be put together in a question: SELECT both columns", part)

    def _whole(self, part: exp.Expr) -> Node:
        raise self.wrong("// is not known: write floor(a / b)", part)

    def _anonymous(self, part: exp.Expr) -> Node:
        name = str(part.this)
        if name.lower() == "now" and not part.expressions:
            return self._now(part)
        if name.lower() in ("tumble", "hop"):
            raise self.wrong(f"{name} makes windows of time, and stands in GROUP BY and behind SELECT", part)
        given = part.expressions
        if any(isinstance(each, exp.Star) for each in given):
            start, _ = place(part, self._text)
            near = did_you_mean(name.lower(), ["count"]) or ": * is for count(*)"
            raise Mistake(f"there is no aggregate {name!r} of *{near}", start, start + len(name))
        if name.lower() in _TEXTUAL_NAMES and len(given) == 2 and given[1].is_string:
            return self._textual(part, _TEXTUAL_NAMES[name.lower()], *given)
        if name.lower() == "strlen":
            name = "length"
        return self._call(part, name, *given)

    def _other(self, part: exp.Expr) -> Node:
        """A function that only sqlglot knows: one of ours may be called so, too."""
        given = [each for value in part.args.values() for each in (value if isinstance(value, list) else [value])]
        values = [each for each in given if isinstance(each, exp.Expr)]
        return self._call(part, self.called(part), *values)


def _unit(said: str) -> float | None:
    word = said.upper()
    return _SECONDS.get(word.removesuffix("S") if word != "S" else word) or DURATIONS.get(said)


def _liked(pattern: str, escape: str, *, caseless: bool) -> tuple[str, str]:
    """The kind of a condition and its text, of a pattern with % and _."""
    pieces: list[tuple[str, bool]] = []
    escaped = False
    for char in pattern:
        if not escaped and char == escape:
            escaped = True
            continue
        pieces.append((char, char in "%_" and not escaped))
        escaped = False
    many = ("%", True)
    before, behind = pieces[:1] == [many], len(pieces) > 1 and pieces[-1] == many
    inner = pieces[before : len(pieces) - behind]
    if inner and (before or behind) and not caseless and not any(wild for _, wild in inner):
        kind = "contains" if before and behind else "ends" if before else "starts"
        return kind, "".join(char for char, _ in inner)
    wild = {"%": ".*", "_": "."}
    text = "".join(wild[char] if special else patterns.escaped(char) for char, special in pieces)
    return "matches", f"(?{'i' if caseless else ''}s)^{text}\\Z"


_MADE: Final[dict[type[exp.Expr], Any]] = {
    exp.Column: Nodes._column,
    exp.Identifier: Nodes._column,
    exp.Literal: Nodes._literal,
    exp.Null: Nodes._null,
    exp.Boolean: Nodes._boolean,
    exp.Paren: Nodes._paren,
    exp.Star: Nodes._star,
    exp.Not: Nodes._not,
    exp.Is: Nodes._is,
    exp.Between: Nodes._between,
    exp.In: Nodes._in,
    exp.Like: Nodes._like,
    exp.ILike: Nodes._like,
    exp.Escape: Nodes._like,
    exp.RegexpLike: Nodes._regexp,
    exp.RegexpILike: Nodes._regexp,
    exp.SimilarTo: Nodes._similar,
    exp.Neg: Nodes._negative,
    exp.Case: Nodes._case,
    exp.If: Nodes._if,
    exp.Coalesce: Nodes._coalesce,
    exp.Nullif: Nodes._nullif,
    exp.Cast: Nodes._cast,
    exp.TryCast: Nodes._cast,
    exp.Interval: Nodes._interval,
    exp.CurrentTimestamp: Nodes._now,
    exp.TimestampTrunc: Nodes._truncated,
    exp.DateTrunc: Nodes._truncated,
    exp.DateBin: Nodes._bin,
    exp.Extract: Nodes._extract,
    exp.Minute: Nodes._minute,
    exp.Second: Nodes._minute,
    exp.Trim: Nodes._trim,
    exp.Left: Nodes._left,
    exp.Round: Nodes._rounded,
    exp.Floor: Nodes._rounded,
    exp.Ceil: Nodes._rounded,
    exp.RegexpExtract: Nodes._extracted,
    exp.JSONExtractScalar: Nodes._inner,
    exp.JSONExtract: Nodes._inner,
    exp.DPipe: Nodes._glued,
    exp.Concat: Nodes._glued,
    exp.IntDiv: Nodes._whole,
    exp.Anonymous: Nodes._anonymous,
}
