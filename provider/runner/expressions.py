"""Expressions of a plan: what they may be, of which type they are, and their plain meaning.

Knows expressions as data, and records as dicts. Does not know formats or bytes. It travels: standard library only,
Python 3.6. `evaluate` is the meaning, read by people and by tests; `compile` makes the same as source text.

An expression is a list that msgpack can say:

    ["value", v]  ["field", name]
    ["and", e, ...]  ["or", e, ...]  ["not", e]  ["null", e]
    ["=", a, b]  and  !=  <  <=  >  >=            ["in", e, [v, ...]]
    ["contains", e, text]  and  starts  ends  matches (a regular expression, found anywhere)
    ["+", a, b]  and  -  *  /  %                  ["call", name, e, ...]
    ["if", condition, a, b]  (b where the condition is false or unknown)

Types are int, float, string, time (seconds since the epoch), duration (seconds), size (bytes), bool, and any (what JSON
holds). Null is unknown, as in SQL: what is computed from it is null, and a condition that is not true keeps no record.
"""

import operator
import re
from functools import lru_cache
from math import ceil, floor, isfinite
from time import gmtime
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

Expression = List[Any]
Record = Dict[str, Any]

NUMERIC = frozenset(("int", "float", "time", "duration", "size"))
COMPARISONS: Dict[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "!=": operator.ne,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
ARITHMETIC: Dict[str, Callable[[Any, Any], Any]] = {
    "+": operator.add,
    "-": operator.sub,
    "*": operator.mul,
    "/": operator.truediv,
    "%": operator.mod,
}
TEXTUAL = frozenset(("contains", "starts", "ends", "matches"))
#: An expression nested deeper was made by a machine, and no interpreter's stack is to be at risk.
MOST_DEEP = 40


class ExpressionError(ValueError):
    """An expression that there is not, or of types that do not fit. ``str()`` is one sentence."""


class Function(NamedTuple):
    """One that `call` names. Its body never sees a null, and gives null by returning None or raising ValueError."""

    takes: Tuple[str, ...]
    gives: str
    body: Callable[..., Any]
    optional: int = 0


def _int(value: Any) -> Optional[int]:
    if isinstance(value, str) and len(value) > 18:
        return None
    return int(value)


def _float(value: Any) -> Optional[float]:
    number = float(value)
    return number if isfinite(number) else None


def _text(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return value if isinstance(value, str) else str(value)


def _substr(text: str, start: int, length: Optional[int] = None) -> str:
    at = max(0, start - 1)
    return text[at:] if length is None else text[at : at + max(0, length)]


def _part(text: str, separator: str, number: int) -> Optional[str]:
    parts = text.split(separator) if separator else []
    return parts[number - 1] if 1 <= number <= len(parts) else None


def _prefix(text: str, depth: int = 1) -> Optional[str]:
    """``/api/list/7?x`` with depth 1 is ``/api``; null where nothing is left."""
    path = text.partition("?")[0]
    return "/".join(path.split("/")[: max(depth, 0) + 1]) or None


def _number(value: Any) -> Any:
    """What a text says, an int where it is one: ``7``, ``7.5``."""
    if not isinstance(value, str):
        return value
    return int(value) if len(value) <= 18 and value.isdigit() else _float(value)


@lru_cache(maxsize=8)
def _groups(text: str, expression: str) -> "Optional[Tuple[Optional[str], ...]]":
    found = pattern(expression).search(text)
    return found.groups() if found else None


def _extract(text: str, expression: str, group: int = 1) -> Optional[str]:
    """A group, from 1, of the first match; null where there is none, or it is empty."""
    try:
        groups = _groups(text, expression)
    except (re.error, RecursionError):
        return None
    return groups[group - 1] or None if groups and 1 <= group <= len(groups) else None


# The fields of a record are asked for one by one: what was read of the last few texts is kept. The readers are of
# formats, imported where one is asked for.
@lru_cache(maxsize=8)
def _inner(kind: str, text: str) -> Callable[[str], Any]:
    raw = encoded(text)
    if kind == "json":
        from provider.runner.formats.json import Json

        layout = Json([])  # type: Any
    else:
        from provider.runner.formats.keyvalue import Pairs

        layout = Pairs(" ", "=", [], "")
    parser = layout.parser

    def inner(name: str) -> Any:
        found = parser([name])(raw)
        value = found[0] if found else None
        return (value.decode("utf-8", "surrogateescape") or None) if isinstance(value, bytes) else value

    return inner


#: Functions that read a text as a format does.
_READERS = frozenset(("json", "logfmt"))


def _json(text: str, name: str) -> Any:
    return _inner("json", text)(name)


def _logfmt(text: str, name: str) -> Any:
    return _inner("logfmt", text)(name)


def _bucket(value: Any, width: Any) -> Any:
    return value // width * width if width > 0 else None


def _hour(value: Any) -> int:
    return gmtime(value).tm_hour


def _date(value: Any) -> str:
    return "%04d-%02d-%02d" % gmtime(value)[:3]


FUNCTIONS: Dict[str, Function] = {
    "int": Function(("any",), "int", _int),
    "float": Function(("any",), "float", _float),
    "string": Function(("any",), "string", _text),
    "number": Function(("any",), "any", _number),
    "extract": Function(("string", "string", "int"), "string", _extract, 1),
    "json": Function(("string", "string"), "any", _json),
    "logfmt": Function(("string", "string"), "string", _logfmt),
    "lower": Function(("string",), "string", str.lower),
    "upper": Function(("string",), "string", str.upper),
    "trim": Function(("string",), "string", str.strip),
    "length": Function(("string",), "int", len),
    "substr": Function(("string", "int", "int"), "string", _substr, 1),
    "part": Function(("string", "string", "int"), "string", _part),
    "prefix": Function(("string", "int"), "string", _prefix, 1),
    "bucket": Function(("number", "number"), "number", _bucket),
    "abs": Function(("number",), "number", abs),
    "floor": Function(("number",), "int", floor),
    "ceil": Function(("number",), "int", ceil),
    "round": Function(("number",), "int", round),
    "hour": Function(("time",), "int", _hour),
    "date": Function(("time",), "string", _date),
}
#: What a function or an operator does with a value that it has no answer for: null.
NO_ANSWER = (ValueError, TypeError, ArithmeticError, OSError)


def call(name: str, *values: Any) -> Any:
    """One function's value; null of a null, and where it has none."""
    if None in values:
        return None
    function = FUNCTIONS[name]
    try:
        # What JSON holds is of no known type; text is not a number because it looks like one.
        if not all(map(_fits, values, function.takes)):
            return None
        return function.body(*values)
    except NO_ANSWER:
        return None


def _fits(value: Any, kind: str) -> bool:
    if kind == "any":
        return isinstance(value, (str, int, float))
    if kind == "string":
        return isinstance(value, str)
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def arithmetic(name: str, one: Any, other: Any) -> Any:
    """Of two numbers; null where there is no answer, as of a division by zero."""
    if not (_fits(one, "number") and _fits(other, "number")):
        return None
    try:
        return ARITHMETIC[name](one, other)
    except NO_ANSWER:
        return None


def compared(name: str, one: Any, other: Any) -> Optional[bool]:
    """Whether it holds; null for nulls and for values of different kinds. Text is ordered by its bytes."""
    if isinstance(one, str) and isinstance(other, str):
        one, other = encoded(one), encoded(other)
    elif not (_fits(one, "number") and _fits(other, "number")) and not (type(one) is type(other) is bool):
        return None
    return COMPARISONS[name](one, other)


def encoded(text: str) -> bytes:
    """A text's bytes, those included that were no text. A lone surrogate that JSON made keeps its place."""
    try:
        return text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return text.encode("utf-8", "surrogatepass")


@lru_cache(maxsize=256)
def pattern(text: str) -> "re.Pattern[str]":
    """A regular expression of `matches`."""
    return re.compile(text)


def textual(name: str, value: Any, text: str) -> Optional[bool]:
    """Whether a text contains, starts with, ends with or matches another; null if it is no text."""
    if not isinstance(value, str):
        return None
    if name == "contains":
        return text in value
    if name == "matches":
        return pattern(text).search(value) is not None
    return value.startswith(text) if name == "starts" else value.endswith(text)


def member(value: Any, values: List[Any]) -> Optional[bool]:
    """Whether it is one of them; null is unknown."""
    if value is None:
        return None
    return any(compared("=", value, each) for each in values)


def evaluate(expression: Expression, record: Record) -> Any:
    """The plain meaning. A field that a record does not have is null."""
    kind = expression[0]
    if kind == "value":
        return expression[1]
    if kind == "field":
        return record.get(expression[1])
    if kind in ("and", "or"):
        return _joined(kind == "or", [evaluate(each, record) for each in expression[1:]])
    if kind == "not":
        held = evaluate(expression[1], record)
        return None if not isinstance(held, bool) else not held
    if kind == "null":
        return evaluate(expression[1], record) is None
    if kind == "call":
        return call(expression[1], *[evaluate(each, record) for each in expression[2:]])
    if kind == "if":
        return evaluate(expression[2 if evaluate(expression[1], record) is True else 3], record)
    value = evaluate(expression[1], record)
    if kind == "in":
        return member(value, expression[2])
    if kind in TEXTUAL:
        return textual(kind, value, expression[2])
    other = evaluate(expression[2], record)
    return compared(kind, value, other) if kind in COMPARISONS else arithmetic(kind, value, other)


def _joined(decides: bool, values: List[Any]) -> Optional[bool]:
    """Of `and` what is false decides, of `or` what is true; otherwise one unknown makes all unknown."""
    if any(value is decides for value in values):
        return decides
    return (not decides) if all(value is (not decides) for value in values) else None


def fields(expression: Expression) -> List[str]:
    """The fields that it reads, each once, in order."""
    if expression[0] == "field":
        return [expression[1]]
    nested = [each for each in expression[1:] if type(each) is list and expression[0] != "value"]
    if expression[0] == "in":
        nested = nested[:1]
    return list(dict.fromkeys(name for each in nested for name in fields(each)))


def kind_of(expression: Any, types: Dict[str, str], deep: int = 0) -> str:
    """Its type, once every part of it has been looked at.

    Args:
        types: of the fields that there are; a name that is missing is refused, unless ``*`` says what others are.

    Raises:
        ExpressionError: it is none, or its types do not fit.
    """
    if type(expression) is not list or not expression or type(expression[0]) is not str or deep > MOST_DEEP:
        raise ExpressionError("%.60r is no expression" % (expression,))
    kind, parts = expression[0], expression[1:]
    if kind == "value" and len(parts) == 1:
        return _kind_of_value(parts[0])
    if kind == "field" and len(parts) == 1 and type(parts[0]) is str:
        if parts[0] in types or "*" in types:
            return types.get(parts[0]) or types["*"]
        raise ExpressionError("there is no field %.40r; there are %s" % (parts[0], ", ".join(sorted(types))))
    if kind in ("and", "or") and parts:
        for each in parts:
            _need("bool", kind_of(each, types, deep + 1), kind, each)
        return "bool"
    if kind in ("not", "null") and len(parts) == 1:
        found = kind_of(parts[0], types, deep + 1)
        if kind == "not":
            _need("bool", found, kind, parts[0])
        return "bool"
    if kind == "call" and parts and parts[0] in FUNCTIONS:
        return _kind_of_call(parts[0], parts[1:], types, deep)
    if kind == "if" and len(parts) == 3:
        _need("bool", kind_of(parts[0], types, deep + 1), kind, parts[0])
        return _either([kind_of(each, types, deep + 1) for each in parts[1:]], parts[2])
    if len(parts) == 2:
        return _kind_of_two(kind, parts[0], parts[1], types, deep)
    raise ExpressionError("%.60r is no expression" % (expression,))


def _either(kinds: List[str], shown: Any) -> str:
    one, other = kinds
    if "any" in kinds or one == other:
        return one if one == other else "any"
    if one in NUMERIC and other in NUMERIC:
        return "float"
    raise ExpressionError("if gives values of one type, and %s is of type %s, not %s" % (said(shown), other, one))


def _kind_of_value(value: Any) -> str:
    kinds = {type(None): "any", bool: "bool", int: "int", float: "float", str: "string"}
    if type(value) not in kinds:
        raise ExpressionError("%.40r cannot stand in an expression" % (value,))
    return kinds[type(value)]


def _kind_of_call(name: str, given: List[Any], types: Dict[str, str], deep: int) -> str:
    function = FUNCTIONS[name]
    if name in _READERS:
        _inner(name, "")  # while modules can be imported: a job that reads cannot open files any more
    if not len(function.takes) - function.optional <= len(given) <= len(function.takes):
        raise ExpressionError("%s takes %d values, and got %d" % (name, len(function.takes), len(given)))
    kinds = [kind_of(each, types, deep + 1) for each in given]
    for need, found, each in zip(function.takes, kinds, given):
        _need(need, found, name, each)
    return function.gives if function.gives != "number" else (kinds[0] if kinds[0] in NUMERIC else "any")


def _kind_of_two(kind: str, one: Any, other: Any, types: Dict[str, str], deep: int) -> str:
    first = kind_of(one, types, deep + 1)
    if kind == "in":
        if type(other) is not list or not other:
            raise ExpressionError("in needs a list of values")
        for value in other:
            _comparable(first, _kind_of_value(value), one)
        return "bool"
    if kind in TEXTUAL:
        _need("string", first, kind, one)
        if type(other) is not str:
            raise ExpressionError("%s needs a text, not %.40r" % (kind, other))
        if kind == "matches":
            try:
                pattern(other)
            except (re.error, OverflowError, RecursionError) as exc:
                raise ExpressionError("%.60r is no regular expression: %s" % (other, exc))
        return "bool"
    second = kind_of(other, types, deep + 1)
    if kind in COMPARISONS:
        _comparable(first, second, one)
        return "bool"
    if kind in ARITHMETIC:
        _need("number", first, kind, one)
        _need("number", second, kind, other)
        return of_arithmetic(kind, first, second)
    raise ExpressionError("%.40r is no operator" % kind)


def of_arithmetic(operator: str, one: str, other: str) -> str:
    """The type of what is computed of two numbers of these types.

    >>> of_arithmetic("-", "time", "int"), of_arithmetic("-", "time", "time"), of_arithmetic("*", "int", "int")
    ('time', 'float', 'int')
    """
    if "any" in (one, other):
        return "any"
    # So much later or earlier is a time; what is between two of them is none.
    if (operator in "+-" and one == "time" != other) or (operator == "+" and other == "time" != one):
        return "time"
    return "int" if operator != "/" and one == other == "int" else "float"


def _comparable(one: str, other: str, shown: Any) -> None:
    if "any" in (one, other) or one == other or (one in NUMERIC and other in NUMERIC):
        return
    hint = ": write int(...)" if one == "string" and other in NUMERIC else ""
    raise ExpressionError("%s is of type %s and cannot be compared with %s%s" % (said(shown), one, other, hint))


def _need(need: str, found: str, who: str, shown: Any) -> None:
    if need != "any" and found not in ("any", need) and not (need in NUMERIC | {"number"} and found in NUMERIC):
        raise ExpressionError("%s needs a %s, and %s is of type %s" % (who, need, said(shown), found))


def said(expression: Any) -> str:
    """How a sentence shows a part of an expression."""
    if type(expression) is list and len(expression) == 2 and expression[0] in ("field", "value"):
        return "%.40s" % expression[1] if expression[0] == "field" else "%.40r" % (expression[1],)
    return "%.60r" % (expression,)
