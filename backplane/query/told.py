"""A plan in words: expressions as a line of text writes them, and what is done with them.

Knows plans as data. Does not know how they were asked. What `written` gives of an expression can be read again by
`backplane.query.oneline`, and is the same expression then.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Final

from backplane.query.hosts import OWN
from backplane.query.oneline.reading import RESERVED
from provider.runner.expressions import ARITHMETIC, COMPARISONS, Expression

#: How tightly an operator binds what stands beside it; more binds first.
_BINDS: Final = {"or": 1, "and": 2, "not": 3, "+": 5, "-": 5, "*": 6, "/": 6, "%": 6}
_COMPARED: Final = 4
_WHOLE: Final = 7
_WORDS: Final = {"contains": "contains", "starts": "starts with", "ends": "ends with", "matches": "~"}
_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*")


def written(expression: Expression) -> str:
    """An expression as one would type it.

    >>> written(["and", [">=", ["field", "status"], ["value", 500]], ["not", ["null", ["field", "user"]]]])
    'status >= 500 and user is not null'
    """
    return _written(expression)[0]


def _written(part: Expression) -> tuple[str, int]:
    """The text, and how tightly it binds."""
    kind = part[0]
    if kind == "value":
        return _value(part[1]), _WHOLE
    if kind == "field":
        return _field(part[1]), _WHOLE
    if kind == "if":
        return f"if({', '.join(map(written, part[1:]))})", _WHOLE
    if kind == "call":
        return f"{part[1]}({', '.join(map(written, part[2:]))})", _WHOLE
    if kind in ("and", "or"):
        return f" {kind} ".join(_beside(each, _BINDS[kind] + 1) for each in part[1:]), _BINDS[kind]
    if kind == "not":
        return _negated(part[1])
    if kind == "null":
        return f"{_beside(part[1], _BINDS['+'])} is null", _COMPARED
    if kind in ARITHMETIC:
        binds = _BINDS[kind]
        return f"{_beside(part[1], binds)} {kind} {_beside(part[2], binds + 1)}", binds
    left = _beside(part[1], _BINDS["+"])
    if kind == "in":
        return f"{left} in ({', '.join(map(_value, part[2]))})", _COMPARED
    if kind in COMPARISONS:
        return f"{left} {kind} {_beside(part[2], _BINDS['+'])}", _COMPARED
    return f"{left} {_WORDS[kind]} {_value(part[2])}", _COMPARED


def _negated(part: Expression) -> tuple[str, int]:
    if part[0] == "null":
        return f"{_beside(part[1], _BINDS['+'])} is not null", _COMPARED
    if part[0] == "in":
        return f"{_beside(part[1], _BINDS['+'])} not in ({', '.join(map(_value, part[2]))})", _COMPARED
    if part[0] == "matches":
        return f"{_beside(part[1], _BINDS['+'])} !~ {_value(part[2])}", _COMPARED
    return f"not {_beside(part, _BINDS['not'])}", _BINDS["not"]


def _beside(part: Expression, binds: int) -> str:
    text, own = _written(part)
    return text if own >= binds else f"({text})"


def _field(name: str) -> str:
    plain = name.removeprefix(OWN)
    reserved = plain.lower() in RESERVED
    return f"`{plain}`" if plain != name or reserved or not _NAME.fullmatch(plain) else plain


def _value(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if not isinstance(value, str):
        return repr(value)
    text = value.replace("\\", "\\\\").replace("'", "\\'").replace("\n", "\\n").replace("\t", "\\t")
    return f"'{text}'"


def words(plan: Mapping[str, Any]) -> dict[str, str]:
    """What a plan does, a phrase each."""
    said = {
        "reads": f"{plan['format'].get('name', plan['format']['kind'])}: {', '.join(plan['paths']) or 'nothing yet'}"
    }
    if plan["where"] is not None:
        said["keeps"] = written(plan["where"])
    if plan["window"]:
        field, size, every, _ = plan["window"]
        said["windows"] = f"of {size:g} s by {field}" + (f", one each {every:g} s" if every != size else "")
    if plan["aggregates"]:
        said["folds"] = ", ".join(_folded(name, value) for name, value in plan["aggregates"])
        if plan["keys"]:
            said["by"] = _named(plan["keys"])
    else:
        said["gives"] = _named(plan["columns"]) if plan["columns"] else "lines, as they are"
    return said


def _folded(name: str, value: Expression | None) -> str:
    if value is None:
        return name
    head, _, arguments = name.partition("(")
    return f"{head}({written(value)}{', ' + arguments[:-1] if arguments else ''})"


def _named(columns: Iterable[Sequence[Any]]) -> str:
    texts = ((name, written(value)) for name, value in columns)
    return ", ".join(text if text.strip("`") == name else f"{text} as {name}" for name, text in texts)


def home(steps: Iterable[Sequence[Any]]) -> str:
    """The steps that are left for home (`backplane.reduce.finishing`), in order."""
    return ", then ".join(_step(*step) for step in steps)


def _step(kind: str, *what: Any) -> str:
    if kind == "where":
        return f"keeps {written(what[0])}"
    if kind == "let":
        return f"adds {what[0]} = {written(what[1])}"
    if kind == "sort":
        return f"sorts by {', '.join(_sorted(what[0]))}"
    if kind == "columns":
        return f"shows {_named(what[0])}"
    if kind == "default":
        return "gives one row where there is none"
    return f"takes the {'first' if kind == 'limit' else 'last'} {what[0]}"


def _sorted(by: Iterable[tuple[Expression, bool]]) -> Iterator[str]:
    for expression, down in by:
        yield f"{written(expression)}{', largest first' if down else ''}"
