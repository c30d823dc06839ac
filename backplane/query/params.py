"""Parameters: the constants of a query file, and what `--set` makes of them.

Knows literals and text. The literal in the source is replaced before anything is compiled, so that every use of the
name sees the new value, a default argument as well as another constant that is made of it; line numbers stay.
"""

from __future__ import annotations

import ast
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backplane.query.model import Scalar, Value
from backplane.query.near import did_you_mean, listed
from backplane.query.problems import Problems
from backplane.query.scope import Module, span
from backplane.wire.errors import UsageError

#: Constants with a meaning of their own, and what to do instead of setting them.
SETTINGS: Final[Mapping[str, str]] = {
    "logs": "name FILES or --from SOURCE instead",
    **dict.fromkeys(
        ("format", "encoding", "needs", "reduce", "combine", "replayable", "effects", "secret"), "change it in the file"
    ),
}
_WORDS: Final = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
_TYPES: Final = {
    bool: "yes or no",
    int: "a whole number",
    float: "a number",
    str: "text",
    bytes: "bytes",
    list: "a list: JSON, or items with commas between",
}


@dataclass(frozen=True, slots=True, eq=False)
class Parameter:
    """A constant of the file. ``start`` and ``end`` are its literal's offsets in the text."""

    name: str
    value: Value
    line: int
    start: int
    end: int


def parameters(module: Module) -> dict[str, Parameter]:
    """The parameters of a file: names bound once, by a plain assignment of a scalar or a list of scalars."""
    found = {}
    for statement in module.statements:
        node = statement.node
        target, value = assigned(node)
        if target is None or value is None or len(module.binders[target]) > 1 or target.startswith("__"):
            continue
        constant = _constant(value)
        if constant is not None and target not in SETTINGS:
            found[target] = Parameter(target, constant, node.lineno, *span(module.text, value))
    return found


def assigned(node: ast.stmt) -> tuple[str | None, ast.expr | None]:
    """The name and the value of ``name = value`` or ``name: type = value``; nothing for other statements."""
    if isinstance(node, ast.Assign) and len(node.targets) == 1:
        target: ast.expr = node.targets[0]
    elif isinstance(node, ast.AnnAssign):
        target = node.target
    else:
        return None, None
    return (target.id, node.value) if isinstance(target, ast.Name) else (None, None)


def _constant(node: ast.expr) -> Value | None:
    try:
        value = ast.literal_eval(node)
    except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
        return None
    if type(value) in (bool, int, float, str, bytes):
        return value  # type: ignore[no-any-return]  # literal_eval knows no more than we have just asked
    if type(value) is list and all(type(item) in (bool, int, float, str, bytes) for item in value):
        return value
    return None


def chosen(module: Module, settings: Mapping[str, str], problems: Problems) -> dict[Parameter, Value]:
    """The value of each parameter: what ``settings`` say, or the file's own. What is wrong goes to ``problems``."""
    known = parameters(module)
    values = {parameter: parameter.value for parameter in known.values()}
    for name, text in settings.items():
        parameter = known.get(name)
        if parameter is None:
            problems.refuse(UsageError(_unknown(name, module, known)))
            continue
        try:
            values[parameter] = typed(parameter.value, _read(text) if type(parameter.value) is str else text)
        except ValueError as exc:
            problems.refuse(UsageError(f"--set {name}: {exc}"))
    return values


def _unknown(name: str, module: Module, known: Mapping[str, Parameter]) -> str:
    if name in SETTINGS:
        return f"--set {name}: {name!r} is a setting of {module.file} and no parameter; {SETTINGS[name]}"
    if name in module.binders:
        lines = " and ".join(str(statement.node.lineno) for statement in module.binders[name])
        return (
            f"--set {name}: line {lines} of {module.file} makes {name!r}, but not once as a number, text, "
            "yes or no, or a list of these, so it is no parameter"
        )
    near = did_you_mean(name, known)
    has = f"its parameters are {listed(known)}" if known else "it has none"
    return f"--set {name}: {module.file} has no parameter {name!r}{near or f'; {has}'}"


def _read(text: str) -> str:
    """A text as given, or the content of the file that it names: ``@path``; ``@@`` begins a text with one ``@``."""
    if not text.startswith("@"):
        return text
    if text.startswith("@@"):
        return text[1:]
    path = Path(text[1:]).expanduser()
    try:
        content = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        raise ValueError(f"{path} is not text in UTF-8") from None
    except (OSError, ValueError) as exc:
        raise ValueError(f"cannot read {path}: {getattr(exc, 'strerror', None) or exc}") from None
    return content.removesuffix("\n")


def typed(default: Value, text: str) -> Value:
    """What a text means where the default is of this type.

    Raises:
        ValueError: it means nothing of that type; one sentence. A text is quoted only where it cannot be a secret.

    >>> typed(500, "400"), typed(0.5, "1e3"), typed(True, "no"), typed(["a"], "b,c"), typed([1], "[2, 3]")
    (400, 1000.0, False, ['b', 'c'], [2, 3])
    """
    if isinstance(default, list):
        return _list(default, text)
    return _scalar(default, text)


def _scalar(default: Scalar, text: str) -> Scalar:
    kind = type(default)
    word = text.strip()
    try:
        if kind is bool:
            return _WORDS[word.lower()]
        if kind is int:
            return int(word, 0) if word[:2].lower() in ("0x", "0o", "0b") else int(word)
        if kind is float:
            number = float(word)
            if math.isfinite(number):
                return number
            raise ValueError
    except (KeyError, ValueError):
        raise ValueError(f"{text!r} is not {_TYPES[kind]}, as its default {default!r} is") from None
    return text.encode("utf-8", "surrogateescape") if kind is bytes else text


def _list(default: list[Scalar], text: str) -> list[Scalar]:
    kinds = {type(item) for item in default}
    example = default[0] if len(kinds) == 1 else None
    if not text.lstrip().startswith("["):
        return [_scalar("" if example is None else example, item.strip()) for item in text.split(",") if text.strip()]
    try:
        items = json.loads(text)
    except ValueError as exc:
        raise ValueError(f"{text!r} is no list in JSON ({exc})") from None
    return [_item(example, item, text) for item in items]


def _item(example: Scalar | None, item: object, text: str) -> Scalar:
    """One item of a JSON list, which has a type of its own already."""
    if isinstance(example, float) and type(item) is int:
        return float(item)
    if isinstance(example, bytes) and isinstance(item, str):
        return item.encode("utf-8", "surrogateescape")
    if not isinstance(item, (bool, int, float, str)):
        raise ValueError(f"{text!r} holds what is neither a number, nor text, nor true or false")
    if example is not None and type(item) is not type(example):
        raise ValueError(f"{item!r} in the list is not {_TYPES[type(example)]}, as {example!r} in its default is")
    return item


def rewritten(text: str, changes: Mapping[tuple[int, int], Value]) -> str:
    """A text with literals replaced, each over as many lines as before.

    Args:
        changes: new values by the offsets of their literals.
    """
    for (start, end), value in sorted(changes.items(), reverse=True):
        newlines = "\n" * text.count("\n", start, end)
        literal = ascii(value)
        text = text[:start] + (f"({literal}{newlines})" if newlines else literal) + text[end:]
    return text
