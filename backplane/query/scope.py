"""What each top-level statement of a module binds, reads and changes, and so which of them belong together.

Knows Python's scopes. Does not know queries: `map` is a name like any other. Nothing is executed here.

Theory of operation. Which global names a statement touches is asked of the compiler, not of a scope analysis of our
own: each statement is compiled alone, and the instructions that load or store globals are read from its code objects,
nested ones included. That is exact for closures, comprehensions, ``global`` and annotations, and gives lines.

What is *changed* without being bound (``TABLE["a"] = 1``, ``TABLE.update(...)``, ``fill(TABLE)``) cannot be known from
text alone, so it is guessed from the tree, and on the side of too much: a change that is missed gives a wrong answer in
silence, a change too many ships a line that does no harm.
"""

from __future__ import annotations
import __future__

import ast
import dis
import inspect
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from backplane.query.syntax import parse

_LOADS: Final = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORES: Final = frozenset({"STORE_NAME", "DELETE_NAME"})
_GLOBAL_STORES: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
#: Whoever calls these may read any name: nothing can be left out.
_DYNAMIC: Final = frozenset({"eval", "exec", "globals"})


class Reference(NamedTuple):
    """A global name in a statement. ``now``: while the module is executed, not only when a function of it is called."""

    name: str
    line: int
    stores: bool
    now: bool


@dataclass(frozen=True, slots=True)
class Statement:
    """One top-level statement.

    Attributes:
        start: offset in characters of its first one, decorators included.
        end: offset after its last one.
        references: global names in it.
        binds: the names that it gives to the module.
        changes: roots of what it changes while the module is executed, other than by binding.
        may_change: the same for the functions in it, if they are called.
    """

    node: ast.stmt
    start: int
    end: int
    references: tuple[Reference, ...]
    binds: frozenset[str]
    changes: frozenset[str] = frozenset()
    may_change: frozenset[str] = frozenset()

    @property
    def reads(self) -> frozenset[str]:
        """Global names that it reads, now or later."""
        return frozenset(ref.name for ref in self.references if not ref.stores)

    @property
    def reads_now(self) -> frozenset[str]:
        """Global names that it reads while the module is executed."""
        return frozenset(ref.name for ref in self.references if ref.now and not ref.stores)


@dataclass(frozen=True, slots=True)
class Module:
    """A file's text and its top-level statements in order."""

    file: str
    text: str
    tree: ast.Module
    statements: tuple[Statement, ...]
    binders: Mapping[str, tuple[Statement, ...]] = field(repr=False)

    def reached(self, roots: Iterable[str], stop: frozenset[str] = frozenset()) -> tuple[Statement, ...]:
        """The statements that must run so that the roots work as in the whole module, in the file's order.

        Args:
            roots: names bound by the module.
            stop: names that are not followed.
        """
        kept: set[int] = {i for i, s in enumerate(self.statements) if _is_future(s.node)}
        names: set[str] = set()
        todo = [name for name in roots if name in self.binders]
        while todo:
            name = todo.pop()
            if name in names:
                continue
            names.add(name)
            for i, statement in enumerate(self.statements):
                if i in kept or not (name in statement.binds or name in statement.changes):
                    continue
                kept.add(i)
                todo += self._needs(statement, stop)
        return tuple(statement for i, statement in enumerate(self.statements) if i in kept)

    def _needs(self, statement: Statement, stop: frozenset[str]) -> Iterable[str]:
        reads = statement.reads
        if reads & _DYNAMIC - self.binders.keys():
            reads = frozenset(self.binders)
        return (name for name in reads - stop if name in self.binders)


def module(text: str, file: str) -> Module:
    """Take a file's text apart.

    Raises:
        QueryError: it is no Python.
    """
    tree = parse(text, file)
    offsets = _Offsets(text)
    flags = _future_flags(tree)
    bare = []
    for node in tree.body:
        start, end = offsets.span(node)
        references = tuple(_references(_compiled(node, file, flags)))
        binds = frozenset(ref.name for ref in references if ref.stores and ref.now)
        bare.append(Statement(node, start, end, references, binds))
    return Module(file, text, tree, *_with_changes([s for s in bare if not _is_main_guard(s.node)]))


def _is_future(node: ast.stmt) -> bool:
    return isinstance(node, ast.ImportFrom) and node.module == "__future__"


def _is_main_guard(node: ast.stmt) -> bool:
    """``if __name__ == "__main__":`` is true in neither place, so it belongs to no slice."""
    return (
        isinstance(node, ast.If)
        and isinstance(node.test, ast.Compare)
        and {"__name__", "'__main__'"} == {ast.unparse(side) for side in (node.test.left, *node.test.comparators)}
    )


def _future_flags(tree: ast.Module) -> int:
    names = (
        alias.name
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and _is_future(node)
        for alias in node.names
    )
    return sum({getattr(__future__, name).compiler_flag for name in names if name in __future__.all_feature_names})


def _compiled(node: ast.stmt, file: str, flags: int) -> types.CodeType:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tree = ast.Module([node], [])
        code: types.CodeType = compile(tree, file, "exec", flags=flags, dont_inherit=True, optimize=0)
        return code


def _references(code: types.CodeType, now: bool = True, top: bool = True) -> Iterator[Reference]:
    """Global names of a code object and those in it. A class body's own look like the module's: too much, not too little."""
    for step in dis.get_instructions(code):
        line = (step.positions.lineno if step.positions else None) or code.co_firstlineno
        if step.opname in _LOADS:
            yield Reference(step.argval, line, False, now)
        elif step.opname in _GLOBAL_STORES or (top and step.opname in _STORES):
            yield Reference(step.argval, line, True, now)
    for const in code.co_consts:
        if isinstance(const, types.CodeType):
            # Bodies of classes and of comprehensions run at once, a function's when it is called.
            later = bool(const.co_flags & inspect.CO_OPTIMIZED) and not const.co_name.startswith("<")
            yield from _references(const, now and not later, top=False)


class _Offsets:
    """From the parser's places (lines, and columns in bytes) to offsets in the text."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._lines = text.split("\n")
        self._starts = [0]
        for line in self._lines:
            self._starts.append(self._starts[-1] + len(line) + 1)

    def at(self, line: int, column: int) -> int:
        return self._starts[line - 1] + len(self._lines[line - 1].encode()[:column].decode())

    def span(self, node: ast.stmt | ast.expr) -> tuple[int, int]:
        start = self.at(node.lineno, node.col_offset)
        decorators = getattr(node, "decorator_list", ())
        if decorators:
            start = self._text.rindex("@", 0, self.at(decorators[0].lineno, decorators[0].col_offset))
        return start, self.at(node.end_lineno or node.lineno, node.end_col_offset or 0)


def span(text: str, node: ast.stmt | ast.expr) -> tuple[int, int]:
    """The offsets in characters of a node of a text's tree: first, and after the last."""
    return _Offsets(text).span(node)


# --- what is changed ------------------------------------------------------------------------------------------------


def _with_changes(bare: list[Statement]) -> tuple[tuple[Statement, ...], dict[str, tuple[Statement, ...]]]:
    """The statements with their changes, and which of them bind each name."""
    kinds = _kinds(bare)
    seen = [_Changes(kinds).of(statement.node) for statement in bare]
    aliases = _aliases(bare, kinds)
    statements = []
    for statement, found in zip(bare, seen, strict=True):
        stored = {ref.name for ref in statement.references if ref.stores and not ref.now}
        statements.append(
            Statement(
                statement.node,
                statement.start,
                statement.end,
                statement.references,
                statement.binds,
                _meant(found.now, aliases),
                _meant(found.later | stored, aliases),
            )
        )
    binders = _binders(statements)
    executed = [_executed(statement, binders) for statement in statements]
    final = [
        Statement(s.node, s.start, s.end, s.references, s.binds, s.changes | more, s.may_change)
        for s, more in zip(statements, executed, strict=True)
    ]
    return tuple(final), _binders(final)


def _binders(statements: list[Statement]) -> dict[str, tuple[Statement, ...]]:
    binders: dict[str, tuple[Statement, ...]] = {}
    for statement in statements:
        for name in statement.binds:
            binders[name] = (*binders.get(name, ()), statement)
    return binders


def _kinds(statements: list[Statement]) -> dict[str, str]:
    """What each bound name is, as far as its changing matters: import, function, class, scalar, or anything else."""
    kinds: dict[str, str] = {}
    for statement in statements:
        kind = _kind(statement.node)
        for name in statement.binds:
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
    """Collects the roots of what a statement changes: ``now`` by running it, ``later`` by calling what it defines."""

    def __init__(self, kinds: Mapping[str, str]) -> None:
        self._kinds = kinds
        self._inside = False
        self.now: set[str] = set()
        self.later: set[str] = set()

    def of(self, node: ast.stmt) -> _Changes:
        self.visit(node)
        return self

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
        """A call for its effect alone may change what it is called on (a module too: ``random.seed(1)``) and is given."""
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


def _aliases(statements: list[Statement], kinds: Mapping[str, str]) -> dict[str, set[str]]:
    """For each bound variable, the variables that it may be, or hold, or be held by."""
    aliases: dict[str, set[str]] = {}
    for statement in statements:
        if _kind(statement.node) != "other":
            continue
        held = {name for name in _held(statement.node, kinds) if kinds.get(name) == "other"}
        for name in statement.binds:
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


def _executed(statement: Statement, binders: Mapping[str, tuple[Statement, ...]]) -> frozenset[str]:
    """What functions that run with the statement may change: decorators that register, calls that fill."""
    changed: set[str] = set()
    seen: set[str] = set()
    todo = list(statement.reads_now)
    if getattr(statement.node, "decorator_list", ()):
        changed |= statement.may_change
        todo += statement.reads
    while todo:
        name = todo.pop()
        if name in seen:
            continue
        seen.add(name)
        for binder in binders.get(name, ()):
            if binder is not statement:
                changed |= binder.may_change
                todo += binder.reads
    return frozenset(changed)
