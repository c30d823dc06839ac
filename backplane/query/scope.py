"""What each top-level statement of a module binds, reads and changes, and so which of them belong together.

Knows Python's scopes. Does not know queries: `map` is a name like any other. Nothing is executed here.

Theory of operation. Which global names a statement touches is asked of the compiler, not of a scope analysis of our
own: each statement is compiled alone, and the instructions that load or store globals are read from its code objects,
nested ones included. That is exact for closures, comprehensions, ``global`` and annotations, and gives lines.

What is changed without being bound is `backplane.query.changes`' guess; here it is joined with the functions that run
while the module is executed (a decorator that registers, a call that fills a table).
"""

from __future__ import annotations
import __future__

import ast
import dis
import inspect
import types
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from backplane.query.changes import changes
from backplane.query.syntax import parse

_LOADS: Final = frozenset({"LOAD_NAME", "LOAD_GLOBAL", "LOAD_FROM_DICT_OR_GLOBALS"})
_STORES: Final = frozenset({"STORE_NAME", "DELETE_NAME"})
_GLOBAL_STORES: Final = frozenset({"STORE_GLOBAL", "DELETE_GLOBAL"})
#: Whoever calls these may read any name: nothing can be left out.
_DYNAMIC: Final = frozenset({"eval", "exec", "globals"})


class Reference(NamedTuple):
    """A global name in a statement.

    Attributes:
        now: while the module is executed, not only when a function of it is called.
        own: it may as well be a name of the class whose body reads it.
    """

    name: str
    line: int
    stores: bool
    now: bool
    own: bool = False


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
        todo = list(roots)
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
            reads = frozenset(self.binders).union(*(each.changes for each in self.statements))
        return reads - stop


def module(text: str, file: str) -> Module:
    """Take a file's text apart.

    Raises:
        QueryError: it is no Python.
    """
    tree = parse(text, file)
    offsets = _Offsets(text)
    flags = _future_flags(tree)
    made = []
    for node in tree.body:
        start, end = offsets.span(node)
        references = tuple(_references(_compiled(node, file, flags)))
        binds = frozenset(ref.name for ref in references if ref.stores and ref.now)
        made.append(Statement(node, start, end, references, binds))
    statements = _with_changes([statement for statement in made if not _is_main_guard(statement.node)])
    return Module(file, text, tree, statements, _binders(statements))


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
    """Global names of a code object and those in it.

    A class body's own names look like the module's here: too much, never too little.
    """
    steps = list(dis.get_instructions(code))
    own = {step.argval for step in steps if step.opname in _STORES}
    for step in steps:
        line = (step.positions.lineno if step.positions else None) or code.co_firstlineno
        if step.opname in _LOADS:
            yield Reference(step.argval, line, False, now, not top and step.argval in own)
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


def _with_changes(bare: list[Statement]) -> tuple[Statement, ...]:
    """The statements with what they change."""
    statements = []
    for statement, found in zip(bare, changes([(each.node, each.binds) for each in bare]), strict=True):
        stored = {ref.name for ref in statement.references if ref.stores and not ref.now}
        statements.append(replace(statement, changes=found.now, may_change=found.later | stored))
    binders = _binders(statements)
    return tuple(replace(each, changes=each.changes | _executed(each, binders)) for each in statements)


def _binders(statements: Iterable[Statement]) -> dict[str, tuple[Statement, ...]]:
    binders: dict[str, tuple[Statement, ...]] = {}
    for statement in statements:
        for name in statement.binds:
            binders[name] = (*binders.get(name, ()), statement)
    return binders


def _executed(statement: Statement, binders: Mapping[str, tuple[Statement, ...]]) -> frozenset[str]:
    """What functions that run with the statement may change."""
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
