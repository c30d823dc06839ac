"""What `filter` and `map` must be, and what the text that travels may use. One function a rule.

Knows query files and Python's trees. Runs nothing, reads no settings but those handed to it.
"""

from __future__ import annotations

import ast
import builtins
import sys
from collections.abc import Iterator, Sequence
from typing import Final

from backplane.query.near import did_you_mean
from backplane.query.problems import Problems
from backplane.query.scope import Module, Statement
from backplane.query.slice import Slice

#: Names of a query file that are also builtins.
OWN: Final = ("map", "filter")
Function = ast.FunctionDef | ast.AsyncFunctionDef


def star_imports(module: Module, problems: Problems) -> None:
    """``from x import *`` hides which names there are, so nothing could be cut out."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and any(alias.name == "*" for alias in node.names):
            origin = "." * node.level + (node.module or "")
            problems.wrong(f"`from {origin} import *` hides which names it makes: import them by name", node.lineno)


def map_takes_lines(module: Module, problems: Problems) -> bool | None:
    """Whether ``map`` takes its source; None where there is no `map` that could run."""
    if "map" not in module.binders:
        problems.wrong(_no_map(module))
        return None
    found = _functions(module, "map", problems)
    if not found:
        return None
    taken = {_map_parameters(function, problems) for function in found}
    if taken == {True, False}:
        problems.wrong("one `map` takes lines and another one does not: let both take them", found[-1].lineno)
        return None
    if None in taken:
        return None
    for function in found:
        if not any(isinstance(node, (ast.Yield, ast.YieldFrom, ast.Return)) for node in _own(function)):
            problems.warn("`map` never yields, so it gives no values", function.lineno)
    return True in taken


def _no_map(module: Module) -> str:
    functions = [s.node.name for s in module.statements if isinstance(s.node, (ast.FunctionDef, ast.ClassDef))]
    near = did_you_mean("map", functions) or did_you_mean("map", [name.lower() for name in functions])
    if not near:
        like = [name for name in functions if name.lower().startswith("map") or name.lower().endswith("map")]
        near = f"; did you mean {like[0]!r}?" if like else ""
    return f"there is no `map`: write `def map(lines):` with a `yield` for each value{near}"


def _functions(module: Module, name: str, problems: Problems) -> list[Function]:
    """The definitions of a function, or none after saying what else the name is."""
    found = []
    for statement in module.binders[name]:
        defined = [node for node in _module_level(statement.node) if isinstance(node, Function) and node.name == name]
        if not defined:
            what = _what(statement, name)
            again = " again" if len(module.binders[name]) > 1 else ""
            problems.wrong(
                f"`{name}` is {what} here{again}: it must be a function, `def {name}({_PARAMETER[name]}):`",
                statement.node.lineno,
            )
            return []
        found += defined
    for function in found:
        if isinstance(function, ast.AsyncFunctionDef):
            problems.wrong(f"`{name}` is async: write `def {name}`, it may block", function.lineno)
            return []
    return found


_PARAMETER: Final = {"map": "lines", "filter": "provider"}


def _what(statement: Statement, name: str) -> str:
    node = statement.node
    if isinstance(node, ast.ClassDef):
        return "a class"
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return "imported"
    if isinstance(node, (ast.Assign, ast.AnnAssign)):
        return "a lambda" if isinstance(node.value, ast.Lambda) else "assigned"
    return "bound"


def _module_level(node: ast.stmt) -> Iterator[ast.stmt]:
    """A statement and those in it that run in the module's own scope: the branches of an `if` or a `try`."""
    yield node
    if not isinstance(node, (*Function.__args__, ast.ClassDef)):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.stmt, ast.excepthandler)):
                yield from _module_level(child)  # type: ignore[arg-type]  # a handler holds statements as a statement does


def _own(function: Function) -> Iterator[ast.AST]:
    """The nodes of a function's body, not those of functions in it."""
    todo: list[ast.AST] = list(function.body)
    while todo:
        node = todo.pop()
        yield node
        if not isinstance(node, (*Function.__args__, ast.Lambda, ast.ClassDef)):
            todo += ast.iter_child_nodes(node)


def _map_parameters(function: Function, problems: Problems) -> bool | None:
    args = function.args
    positional = [*args.posonlyargs, *args.args]
    required = [arg.arg for arg in positional[: len(positional) - len(args.defaults)]]
    required += [arg.arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
    if len(required) > 1:
        others = ", ".join(required[1:])
        problems.wrong(
            f"`map` takes its lines and nothing else, and here it needs {len(required)} arguments: "
            f"make {others} constants of the file, which --set can change",
            function.lineno,
        )
        return None
    if args.vararg or (args.kwonlyargs and not positional):
        problems.wrong("`map` is called with its lines alone: write `def map(lines):` or `def map():`", function.lineno)
        return None
    return bool(positional)


def format_has_lines(module: Module, sources: Sequence[str], *, names_columns: bool, problems: Problems) -> None:
    """``format`` makes records of lines: there have to be some.

    Args:
        sources: none for a `map` that takes none.
        names_columns: a file's first line names the columns.
    """
    line = module.binders["format"][-1].node.lineno
    if not sources or sources[0].startswith("tick:"):
        problems.wrong("`format` makes records of lines, and `map` gets none here", line)
    elif names_columns and (sources[0] == "-" or sources[0].startswith(("cmd:", "journald:"))):
        problems.wrong(f"`format`: the columns are named by the first line of a file, and {sources[0]} is none", line)


def check_filter(module: Module, problems: Problems) -> bool:
    """Whether there is a ``filter``; how it must be goes to ``problems``."""
    if "filter" not in module.binders:
        return False
    for function in _functions(module, "filter", problems):
        args = function.args
        positional = [*args.posonlyargs, *args.args]
        least = len(positional) - len(args.defaults)
        keywords = [arg for arg, default in zip(args.kwonlyargs, args.kw_defaults, strict=True) if default is None]
        if least > 1 or not (positional or args.vararg) or keywords:
            problems.wrong("`filter` is called with the provider alone: write `def filter(provider):`", function.lineno)
        if any(isinstance(node, (ast.Yield, ast.YieldFrom)) for node in _own(function)):
            problems.wrong("`filter` yields, which would keep every provider: return True or False", function.lineno)
        elif not any(isinstance(node, ast.Return) for node in _own(function)):
            problems.warn("`filter` never returns anything, so it keeps no provider", function.lineno)
    return True


def shadowed_builtins(module: Module, part: Slice, problems: Problems) -> None:
    """A name means one thing in a file: ``map`` and ``filter`` are the file's own where it defines them."""
    for statement in part.statements:
        for ref in statement.references:
            if ref.name in OWN and ref.name in module.binders and not ref.stores:
                problems.wrong(
                    f"`{ref.name}` is this file's own function here and not the builtin: "
                    f"use builtins.{ref.name} (after `import builtins`)",
                    ref.line,
                )


def foreign_imports(part: Slice, declared: frozenset[str], problems: Problems) -> None:
    """What travels imports the standard library, and what ``needs`` declares; anything else may not be there."""
    for statement in part.statements:
        guarded = {id(node) for node in _guarded(statement.node)}
        for node in ast.walk(statement.node):
            if isinstance(node, ast.ImportFrom) and node.level:
                origin = "." * node.level + (node.module or "")
                problems.wrong(
                    f"`from {origin} import` is relative, and this file travels alone: put it into the file",
                    node.lineno,
                )
            elif isinstance(node, (ast.Import, ast.ImportFrom)) and id(node) not in guarded:
                for name in _packages(node):
                    if name not in sys.stdlib_module_names and name not in declared:
                        problems.wrong(_foreign(name, node), node.lineno)


def undefined_names(module: Module, part: Slice, problems: Problems) -> None:
    """A name that nothing defines is found only by the line that reaches it, and perhaps on one host of many."""
    known = {ref.name for statement in module.statements for ref in statement.references if ref.stores}
    known |= {*dir(builtins), "_"}  # gettext's is put among the builtins
    if any(map(_makes_names, part.statements)):
        return
    for statement in part.statements:
        expected = _expected_missing(statement.node)
        for ref in statement.references:
            dunder = ref.name.startswith("__") and ref.name.endswith("__")
            if ref.stores or ref.own or dunder or ref.name in known or (ref.name, ref.line) in expected:
                continue
            near = did_you_mean(ref.name, {*module.binders, *_locals(statement.node, ref.line)})
            what = f"import {ref.name}" if ref.name in sys.stdlib_module_names else f"{ref.name} = ..."
            hint = near or f": write `{what}` at the top of the file"
            problems.wrong(f"`{ref.name}` is nowhere defined{hint}", ref.line)


def _makes_names(statement: Statement) -> bool:
    """It may make names in ways that cannot be read from it."""
    attributes = {node.attr for node in ast.walk(statement.node) if isinstance(node, ast.Attribute)}
    return bool(statement.reads & _MAKERS) or "modules" in attributes


_MAKERS: Final = frozenset({"eval", "exec", "globals", "vars", "locals", "setattr", "__builtins__", "__import__"})


def _expected_missing(node: ast.AST) -> set[tuple[str, int]]:
    """Names, with their lines, that may be missing: in the body of a ``try`` that catches a NameError by its name."""
    found = set()
    for inner in ast.walk(node):
        if isinstance(inner, ast.Try) and any(map(_catches_name_errors, inner.handlers)):
            for name in (each for statement in inner.body for each in ast.walk(statement)):
                if isinstance(name, ast.Name):
                    found.add((name.id, name.lineno))
    return found


def _catches_name_errors(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    return any(one is None or (isinstance(one, ast.Name) and one.id == "NameError") for one in caught)


def _locals(node: ast.AST, line: int) -> set[str]:
    """Names of the functions that a line is in."""
    return {
        name
        for inner in ast.walk(node)
        if isinstance(inner, Function) and inner.lineno <= line <= (inner.end_lineno or line)
        for each in ast.walk(inner)
        for name in ([each.id] if isinstance(each, ast.Name) and isinstance(each.ctx, ast.Store) else _argument(each))
    }


def _argument(node: ast.AST) -> list[str]:
    return [node.arg] if isinstance(node, ast.arg) else []


def _packages(node: ast.Import | ast.ImportFrom) -> list[str]:
    names = [node.module or ""] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
    return [name.partition(".")[0] for name in names]


def _foreign(name: str, node: ast.Import | ast.ImportFrom) -> str:
    alone = (
        ""
        if isinstance(node, ast.ImportFrom) or len(node.names) == 1
        else " (on a line of its own if only `reduce` uses it)"
    )
    return (
        f"`{name}` is not in the standard library, so a provider may not have it: "
        f'do without it in `filter` and `map`, or declare needs = ["module:{name}"]{alone}'
    )


def _guarded(node: ast.AST) -> Iterator[ast.AST]:
    """Imports whose failing is provided for: in the body of a ``try`` that catches it."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Try) and any(map(_catches_import_errors, inner.handlers)):
            for statement in inner.body:
                yield from ast.walk(statement)


def _catches_import_errors(handler: ast.ExceptHandler) -> bool:
    caught = handler.type.elts if isinstance(handler.type, ast.Tuple) else [handler.type]
    for one in caught:
        kind = getattr(builtins, one.id, None) if isinstance(one, ast.Name) else BaseException if one is None else None
        if isinstance(kind, type) and issubclass(ModuleNotFoundError, kind):
            return True
    return False
