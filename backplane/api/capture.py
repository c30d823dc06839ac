"""A map and a filter that are functions of a running program, as the text of a query file.

Knows which values travel: functions and classes as source, modules and what the standard library defines as imports,
plain values as constants, which are parameters then; anything else is refused with its place. Values are those at the
time of asking, as Python's own closures have them. Nothing is pickled: a pickle of a function is byte code of one
version of Python, and providers have their own.

Theory of operation. Which names a definition reads is asked of the compiler, by `backplane.query.scope`; what they
mean, of the function's own closure and module. The rest is a query file's business: its slicer, rules and messages.
"""

from __future__ import annotations

import builtins
import inspect
import itertools
import math
import re
import sys
import sysconfig
import types
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from backplane.api.source import Piece, piece
from backplane.query.library import MAX_FILE_BYTES
from backplane.query.params import SETTINGS
from backplane.query.scope import Reference, module
from backplane.wire.errors import QueryError

_SCALARS: Final = (bool, int, str, bytes, type(None))
_PACKAGES: Final = tuple({sysconfig.get_path(name) for name in ("purelib", "platlib")})
#: How deep a value may nest.
_MOST_DEEP: Final = 20
_NOWHERE: Final = object()


@dataclass(frozen=True, slots=True)
class Text:
    """A query file's text and the name of the file that its lines are of."""

    file: str
    text: str


def captured(
    map: Callable[..., Any], filter: Callable[..., Any] | None, settings: Mapping[str, Any], title: str
) -> Text:
    """The query file of two functions.

    Args:
        map: what runs on the providers.
        filter: what keeps or prunes them.
        settings: the constants with a meaning of their own, such as ``logs``.
        title: one line for people.

    Raises:
        QueryError: something that they reach cannot travel; names it, and the line that uses it.
    """
    reach = _Reach(frozenset(need[7:] for need in settings.get("needs") or () if need.startswith("module:")))
    reach.root("map", map)
    if filter is not None:
        reach.root("filter", filter)
    head = [ascii(title), *(f"{name} = {value!a}" for name, value in settings.items())]
    made = _laid_out("; ".join([*head, *reach.imports.values(), *reach.constants.values()]), reach, title)
    if len(made.text) > MAX_FILE_BYTES:
        raise QueryError(f"what it reaches is over {MAX_FILE_BYTES >> 20} MiB: read it there", made.file)
    return made


@dataclass(slots=True)
class _Reach:
    """The one mutable object while two functions are looked through.

    Attributes:
        declared: packages that providers are said to have.
        known: what each name stands for.
        file: of the first of the two functions.
        pieces: definitions, each after those that it reaches.
        early: names that are needed while the text is executed, and not only when a function of it is called.
        aliases: other names of definitions.
    """

    declared: frozenset[str]
    known: dict[str, object] = field(default_factory=dict)
    file: str = ""
    pieces: list[Piece] = field(default_factory=list)
    early: set[str] = field(default_factory=set)
    imports: dict[str, str] = field(default_factory=dict)
    constants: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    _seen: set[Piece] = field(default_factory=set)

    def root(self, name: str, found: Callable[..., Any]) -> None:
        """Take a function that has a meaning of its own in a query file."""
        self.known[name] = found
        made = piece(found, name)
        self.file = self.file or made.file
        self._definition(made, found)

    def _definition(self, made: Piece, found: Any) -> None:
        if made in self._seen:
            return
        self._seen.add(made)
        for statement in module(made.placed, made.file).statements:
            for reference in statement.references:
                if reference.name not in statement.binds:
                    self._name(reference, inspect.unwrap(found), made)
        self.pieces.append(made)

    def _name(self, reference: Reference, user: Any, made: Piece) -> None:
        name = reference.name
        value = _value(name, user)
        if value is _NOWHERE:
            if hasattr(builtins, name) or reference.stores:
                return
            raise QueryError(f"`{name}` is nowhere defined", made.file, reference.line)
        if reference.now:
            self.early.add(name)
        if name in SETTINGS:
            raise QueryError(
                f"`{name}` has a meaning of its own in a query: call it something else here", made.file, reference.line
            )
        if self._new(name, value, made, reference.line):
            self._take(name, value, made, reference.line)

    def _new(self, name: str, value: object, made: Piece, line: int) -> bool:
        known = self.known.setdefault(name, _NOWHERE)
        if known is _NOWHERE:
            self.known[name] = value
            return True
        if known is not value and not (type(known) is type(value) and isinstance(value, _SCALARS) and known == value):
            raise QueryError(f"`{name}` means two things in what it reaches: call one something else", made.file, line)
        return False

    def _take(self, name: str, value: Any, made: Piece, line: int) -> None:
        if isinstance(value, types.ModuleType):
            self._module(name, value, made, line)
        elif (text := _literal(value)) is not None:
            self.constants[name] = f"{name} = {text}"
        elif isinstance(value, re.Pattern):
            if self._new("re", re, made, line):
                self._module("re", re, made, line)
            self.constants[name] = f"{name} = re.compile({value.pattern!a}, {int(value.flags)})"
        elif isinstance(inspect.unwrap(value), (types.FunctionType, types.BuiltinFunctionType, type)):
            self._callable(name, value, made, line)
        else:
            raise QueryError(
                f"`{name}` is a {type(value).__name__}, which cannot travel: numbers, texts, lists and the like, "
                "compiled patterns, functions and classes do; make it inside of the function",
                made.file,
                line,
            )

    def _module(self, name: str, value: types.ModuleType, made: Piece, line: int) -> None:
        top = value.__name__.partition(".")[0]
        if top not in sys.stdlib_module_names and top not in self.declared:
            if _installed(value):
                raise QueryError(_foreign(name, top), made.file, line)
            raise QueryError(
                f"`{name}` is a module of your own, and providers do not have it: import its functions by name, as in "
                f"`from {value.__name__} import ...`, and they travel",
                made.file,
                line,
            )
        parent, _, last = value.__name__.rpartition(".")
        # `import a.b as c` is read by old Pythons as well.
        said = f"from {parent} import {last} as {name}" if parent else f"import {last} as {name}"
        self.imports[name] = said
        for found in re.finditer(rf"\b{re.escape(name)}((?:\.\w+)+)", made.text) if name == value.__name__ else ():
            # `import a.b` gives the name `a`, and means a.b.
            for inner in itertools.accumulate(found[1].split(".")[1:], lambda one, two: f"{one}.{two}"):
                if f"{name}.{inner}" in sys.modules:
                    self.imports[f"{name}.{inner}"] = f"import {name}.{inner}"

    def _callable(self, name: str, value: Any, made: Piece, line: int) -> None:
        home, called = str(value.__module__), str(value.__qualname__)
        top = home.partition(".")[0]
        if home == "builtins" and getattr(builtins, called, None) is value:
            self.constants[name] = f"{name} = {called}"
        elif top in sys.stdlib_module_names - {"__main__"} or top in self.declared:
            if getattr(sys.modules.get(home), called, None) is not value:
                raise QueryError(f"`{name}` cannot be imported from {home}: use it by its module", made.file, line)
            self.imports[name] = f"from {home} import {called} as {name}"
        elif _installed(sys.modules.get(home)):
            raise QueryError(_foreign(name, top), made.file, line)
        else:
            definition = piece(value)
            if definition.name != name:
                self._new(definition.name, value, made, line)
                self.aliases[name] = f"{name} = {definition.name}"
            self._definition(definition, value)


def _value(name: str, user: Any) -> object:
    """What a name of a function or a class means now."""
    if isinstance(user, types.FunctionType):
        cells = dict(zip(user.__code__.co_freevars, user.__closure__ or (), strict=True))
        if name in cells:
            try:
                return cells[name].cell_contents
            except ValueError:
                return _NOWHERE
        return user.__globals__.get(name, _NOWHERE)
    return vars(sys.modules.get(user.__module__, builtins)).get(name, _NOWHERE)


def _literal(value: object, deep: int = 0) -> str | None:
    """A value as Python's text; None where it is no plain one."""
    if type(value) in _SCALARS:
        return ascii(value)
    if type(value) is float:
        return repr(value) if math.isfinite(value) else None
    if deep == _MOST_DEEP:
        return None
    if type(value) is dict:
        pairs = [(_literal(key, deep + 1), _literal(each, deep + 1)) for key, each in value.items()]
        return None if any(None in pair for pair in pairs) else "{" + ", ".join(f"{k}: {v}" for k, v in pairs) + "}"
    if type(value) not in (list, tuple, set, frozenset):
        return None
    assert isinstance(value, (list, tuple, set, frozenset))
    parts = [_literal(each, deep + 1) for each in value]
    if None in parts:
        return None
    inner = ", ".join(map(str, parts))
    if isinstance(value, list):
        return f"[{inner}]"
    if isinstance(value, tuple):
        return f"({inner},)" if parts else "()"
    return f"{type(value).__name__}([{', '.join(sorted(map(str, parts)))}])"


def _installed(found: types.ModuleType | None) -> bool:
    file = str(getattr(found, "__file__", None) or "")
    return file.startswith(_PACKAGES)


def _foreign(name: str, package: str) -> str:
    return (
        f"`{name}` is of {package}, which is not in the standard library, so a provider may not have it: do without "
        f'it, or declare needs=["module:{package}"]'
    )


def _laid_out(head: str, reach: _Reach, title: str) -> Text:
    """One text: definitions of the first function's file at their own lines, behind them those of others."""
    own = sorted((each for each in reach.pieces if each.file == reach.file), key=lambda each: each.line)
    others = [each for each in reach.pieces if each.file != reach.file]
    tail = [*(each.text.rstrip("\n") for each in others), *reach.aliases.values()]
    lines = [head]
    room = not reach.early & {*reach.aliases, *(each.name for each in others)}
    for each in own if room else ():
        if each.line <= len(lines):
            room = False
            break
        lines += [""] * (each.line - 1 - len(lines))
        lines += each.text.rstrip("\n").split("\n")
    if room:
        return Text(reach.file, "\n".join([*lines, *tail]) + "\n")
    # There is none for what comes first: these are lines of no file.
    in_order = [each.text.rstrip("\n") for each in reach.pieces]
    return Text(f"<{title}>", "\n".join([head, *_with_aliases(in_order, reach)]) + "\n")


def _with_aliases(texts: list[str], reach: _Reach) -> list[str]:
    """Each alias behind what it names."""
    out = []
    for text, each in zip(texts, reach.pieces, strict=True):
        out.append(text)
        out += [alias for alias in reach.aliases.values() if alias.endswith(f" = {each.name}")]
    return out
