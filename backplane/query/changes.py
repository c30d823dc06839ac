"""What a statement changes other than by binding it: ``TABLE["a"] = 1``, ``TABLE.update(...)``, ``fill(TABLE)``.

Knows trees and names. Does not know queries. It cannot be known from text alone, so it is guessed, and on the side of
too much: a change that is missed gives a wrong answer in silence, a change too many ships a line that does no harm.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

Bound = tuple[ast.stmt, frozenset[str]]


class Changed(NamedTuple):
    """Roots of what a statement changes: ``now`` by running it, ``later`` by calling what it defines."""

    now: frozenset[str]
    later: frozenset[str]


def changes(statements: Sequence[Bound]) -> list[Changed]:
    """What each of a module's statements changes, other names of the same objects included.

    Args:
        statements: each with the names that it binds.
    """
    kinds = _kinds(statements)
    aliases = _aliases(statements, kinds)
    found = []
    for node, _ in statements:
        walk = _Changes(kinds)
        walk.visit(node)
        found.append(Changed(_meant(walk.now, aliases), _meant(walk.later, aliases)))
    return found


def _kinds(statements: Sequence[Bound]) -> dict[str, str]:
    """What each bound name is, as far as its changing matters: import, function, class, scalar, or anything else."""
    kinds: dict[str, str] = {}
    for node, binds in statements:
        kind = _kind(node)
        for name in binds:
            kinds[name] = kind if kinds.get(name, kind) == kind else "other"
    return kinds


def _kind(node: ast.stmt) -> str:
    if isinstance(node, (ast.Import, ast.ImportFrom)):
        return "import"
    if isinstance(node, ast.Try) and any(isinstance(inner, (ast.Import, ast.ImportFrom)) for inner in node.body):
        return "import"
    if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
        return "function"
    if isinstance(node, ast.ClassDef):
        return "class"
    if isinstance(node, (ast.Assign, ast.AnnAssign)) and isinstance(
        node.value, (ast.Constant, ast.UnaryOp, ast.JoinedStr)
    ):
        return "scalar"
    return "other"


def root(node: ast.expr) -> str | None:
    """The name at which a chain of attributes, indexes and calls begins: ``a`` for ``a.b[0].c()``."""
    while True:
        if isinstance(node, ast.Name):
            return node.id
        if isinstance(node, (ast.Attribute, ast.Subscript, ast.Starred, ast.NamedExpr)):
            node = node.value
        elif isinstance(node, ast.Call):
            node = node.func
        else:
            return None


class _Changes(ast.NodeVisitor):
    """Collects the roots of what one statement changes."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._inside = False
        self.now: set[str] = set()
        self.later: set[str] = set()

    def _changed(self, node: ast.expr, spare: tuple[str, ...] = ()) -> None:
        name = root(node)
        if name is not None and self._kinds.get(name, "other") not in spare:
            (self.later if self._inside else self.now).add(name)

    def _function(self, node: ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) -> None:
        for outer in (*getattr(node, "decorator_list", ()), node.args):
            self.visit(outer)
        inside, self._inside = self._inside, True
        for inner in node.body if isinstance(node.body, list) else [node.body]:
            self.visit(inner)
        self._inside = inside

    visit_FunctionDef = _function
    visit_AsyncFunctionDef = _function
    visit_Lambda = _function

    def visit_Attribute(self, node: ast.Attribute) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._changed(node)
        self.generic_visit(node)

    def visit_Subscript(self, node: ast.Subscript) -> None:
        if not isinstance(node.ctx, ast.Load):
            self._changed(node)
        self.generic_visit(node)

    def visit_AugAssign(self, node: ast.AugAssign) -> None:
        self._changed(node.target, spare=("scalar",))
        self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> None:
        """A call for its effect may change what it is called on (a module too: ``random.seed(1)``) and is given."""
        call = node.value
        if isinstance(call, ast.Call) and not (isinstance(call.func, ast.Name) and call.func.id == "print"):
            if isinstance(call.func, ast.Attribute):
                self._changed(call.func)
            self._arguments(call)
        self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> None:
        """A call for its value: methods, and functions of this module, may change things on the way."""
        if isinstance(node.func, ast.Attribute):
            self._changed(node.func, spare=("import", "scalar"))
        elif isinstance(node.func, ast.Name) and self._kinds.get(node.func.id) in ("function", "class", "other"):
            self._arguments(node)
        self.generic_visit(node)

    def _arguments(self, call: ast.Call) -> None:
        for argument in (*call.args, *(keyword.value for keyword in call.keywords)):
            self._changed(argument, spare=("import", "function", "class", "scalar"))


def _aliases(statements: Sequence[Bound], kinds: Mapping[str, str]) -> dict[str, set[str]]:
    """For each bound variable, the variables that it may be, or hold, or be held by."""
    aliases: dict[str, set[str]] = {}
    for node, binds in statements:
        if _kind(node) == "other":
            held = {name for name in _held(node, kinds) if kinds.get(name) == "other"}
            for name in binds:
                aliases.setdefault(name, set()).update(held - {name})
    return aliases


def _held(node: ast.AST, kinds: Mapping[str, str]) -> Iterator[str]:
    """Names in a statement, except what is given to a function of a library: those return something of their own."""
    if isinstance(node, ast.Call):
        name = root(node.func)
        if name is not None and kinds.get(name) == "import":
            return
    if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load):
        yield node.id
    for child in ast.iter_child_nodes(node):
        yield from _held(child, kinds)


def _meant(names: Iterable[str], aliases: Mapping[str, set[str]]) -> frozenset[str]:
    """The names, and what they may be other names of."""
    found: set[str] = set()
    todo = list(names)
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += aliases.get(name, ())
    return frozenset(found)
