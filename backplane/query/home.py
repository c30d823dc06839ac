"""The reduction of a query file: read where it is a text, executed where it is code, because `reduce` stays at home.

The only place that runs anything of a query file here, and only what `reduce` reaches: never `filter`, never `map`.
"""

from __future__ import annotations

import ast
import inspect
import itertools
import sys
import traceback
import types
from pathlib import Path
from typing import Any, Final

from backplane.query.model import Reduction
from backplane.query.near import did_you_mean, listed
from backplane.query.problems import Problems
from backplane.query.programs import at_home
from backplane.query.rules import OWN, shadowed_builtins, undefined_names
from backplane.query.scope import Module
from backplane.query.settings import line_of, node_of
from backplane.query.slice import cut
from backplane.wire.errors import QueryError
from provider.runner.aggregates import AGGREGATES, AggregateError, chosen

STREAM: Final = Reduction("stream")
_FORMS: Final = (
    "the name of an aggregate, a list of names, an executable's path, `def reduce(a, b):` or `class Reduce:`"
)
#: Each loaded file gets a module of its own; the number keeps two files of one name apart.
_numbers = itertools.count(1)


def reduction(module: Module, problems: Problems) -> Reduction | None:
    """The reduction that a file asks for; None where it is wrong, which goes to ``problems``."""
    named = [name for name in ("reduce", "Reduce") if name in module.binders]
    if not named:
        return STREAM
    if len(named) > 1:
        problems.wrong("there are both `reduce` and `Reduce`: leave one out", line_of(module, "Reduce"))
        return None
    (name,) = named
    node = module.binders[name][-1].node
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        problems.wrong(f"`{name}` is imported here, and means how values are reduced: it is {_FORMS}", node.lineno)
        return None
    value = node_of(module, name)
    if isinstance(value, (ast.Constant, ast.List, ast.Tuple)):
        return _named(value, node.lineno, problems, Path(module.file).parent)
    return _executed(module, name, problems)


def of_object(found: Any, line: int, problems: Problems) -> Reduction | None:
    """The reduction by a function or a class of this process; ``line`` is where it is defined."""
    return _class(found, line, problems) if isinstance(found, type) else _function(found, line, problems)


def program(path: Path, line: int | None, problems: Problems) -> Reduction | None:
    """The reduction by an executable of this machine."""
    try:
        return Reduction("program", argv=at_home(path), path=str(path), line=line)
    except QueryError as exc:
        if line is None:
            problems.refuse(exc)
        else:
            problems.wrong(f"`reduce`: {exc}", line)
        return None


def _named(value: ast.expr, line: int, problems: Problems, folder: Path) -> Reduction | None:
    try:
        said = ast.literal_eval(value)
    except (ValueError, TypeError):
        said = None
    if said is None and isinstance(value, ast.Constant):
        return STREAM
    if isinstance(said, str) and "/" in said:
        return program(folder / Path(said).expanduser(), line, problems)
    names = [said] if isinstance(said, str) else said
    if not isinstance(names, (list, tuple)) or not names or not all(isinstance(name, str) for name in names):
        problems.wrong(f"`reduce` is {_FORMS}, not {ast.unparse(value)}", line)
        return None
    before = len(problems.errors)
    columns: list[str] = []
    for name in names:
        try:
            (aggregate,) = chosen([name])
        except AggregateError as exc:
            problems.wrong(_unknown(name, exc), line)
        else:
            columns += aggregate.columns
    twice = {name for name in columns if columns.count(name) > 1}
    if twice:
        problems.wrong(f"`reduce` names {listed(twice)} twice: once is enough", line)
    return Reduction("aggregates", aggregates=tuple(names), line=line) if len(problems.errors) == before else None


def _unknown(name: str, exc: AggregateError) -> str:
    if "/" in name:
        return f"`reduce`: an executable ({name!r}) stands alone and not in a list"
    if "," in name.partition("(")[0]:
        return f"`reduce`: several aggregates are a list: {[part.strip() for part in name.split(',')]}"
    kind = name.partition("(")[0].strip()
    near = "" if kind in AGGREGATES else did_you_mean(kind, AGGREGATES)
    return f"`reduce`: there is no aggregate {name!r}{near}" if near else f"`reduce`: {exc}"


def _executed(module: Module, name: str, problems: Problems) -> Reduction | None:
    line = line_of(module, name)
    part = cut(module, [name], stop=frozenset(OWN))
    before = len(problems.errors)
    shadowed_builtins(module, part, problems)
    undefined_names(module, part, problems)
    if len(problems.errors) > before:
        return None
    try:
        found = _run(part.text, module.file)[name]
    except (Exception, SystemExit) as exc:  # the user's own code: whatever it raises is said, with its place
        problems.wrong(f"`{name}` cannot be loaded: {_said(exc)}", _line(exc, module.file) or line)
        return None
    return of_object(found, line, problems)


def _run(text: str, file: str) -> dict[str, Any]:
    own = types.ModuleType(f"logreduce_query_{next(_numbers)}")
    own.__file__ = file
    # Dataclasses and pickle look a class's module up.
    sys.modules[own.__name__] = own
    exec(compile(text, file, "exec", dont_inherit=True), own.__dict__)
    return own.__dict__


def _said(exc: BaseException) -> str:
    return " ".join("".join(traceback.format_exception_only(exc)).split())


def _line(exc: BaseException, file: str) -> int | None:
    lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == file]
    return lines[-1] if lines else None


def _function(found: Any, line: int, problems: Problems) -> Reduction | None:
    if not callable(found):
        problems.wrong(f"`reduce` is {_FORMS}, not {type(found).__name__}", line)
        return None
    if inspect.iscoroutinefunction(found) or inspect.isgeneratorfunction(found) or inspect.isasyncgenfunction(found):
        problems.wrong("`reduce` must return the two values folded into one: no `async`, no `yield`", line)
        return None
    if not _takes(found, 2):
        problems.wrong("`reduce` is called with two values and returns one: write `def reduce(a, b):`", line)
        return None
    return Reduction("function", function=found, line=line)


def _class(found: type, line: int, problems: Problems) -> Reduction | None:
    good = True
    for name, arguments, form in (("add", 2, "add(self, key, value)"), ("rows", 0, "rows(self)")):
        method = getattr(found, name, None)
        if not callable(method):
            problems.wrong(f"class {found.__name__} has no `{name}`: write `def {form}:`", line)
            good = False
        elif not _takes(method, arguments + 1):
            problems.wrong(f"class {found.__name__}: `{name}` is called as {form}", line)
            good = False
    if not _takes(found, 0):
        problems.wrong(f"class {found.__name__} is made without arguments: give those of `__init__` defaults", line)
        good = False
    return Reduction("class", factory=found, line=line) if good else None


def _takes(function: Any, arguments: int) -> bool:
    try:
        inspect.signature(function).bind(*range(arguments))
    except TypeError:
        return False
    except ValueError:
        return True  # a function written in C that does not say
    return True
