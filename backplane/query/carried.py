"""Whether a loop's body carries anything from one turn to the next: a walk in the order of execution, over the tree.

Knows Python's statements. Does not know queries. A local name is carried if it may be read in a turn before that turn
has bound it. What the walk does not know, it takes for carried: *carried* may be said in vain, its contrary must hold.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable
from typing import Final, NoReturn


class Carried(Exception):
    """Something outlives a turn of the loop. ``str()`` is one clause."""

    def __init__(self, text: str, node: ast.AST) -> None:
        super().__init__(f"{text} (line {getattr(node, 'lineno', '?')})")


#: After ``continue`` or ``raise`` nothing follows, so any name may count as bound there.
_NOWHERE: Final = None
_Bound = frozenset[str] | None


def check(loop: ast.For, local: frozenset[str], source: str, attributes: frozenset[str]) -> None:
    """Walk the body of a loop once.

    Args:
        loop: ``for … in source:``.
        local: the function's local names.
        source: what is looped over; the body may read no more of it than ``attributes``.

    Raises:
        Carried: something outlives a turn; says what and where.
    """
    walk = _Walk(local, source, attributes)
    walk.block(loop.body, walk.bind(loop.target, frozenset()))


def _both(a: _Bound, b: _Bound) -> _Bound:
    if a is _NOWHERE or b is _NOWHERE:
        return b if a is _NOWHERE else a
    return a & b


class _Walk:
    def __init__(self, local: frozenset[str], source: str, attributes: frozenset[str]) -> None:
        self._local = local
        self._source = source
        self._attributes = attributes
        self._loops = 0

    def block(self, body: Iterable[ast.stmt], bound: _Bound) -> _Bound:
        for statement in body:
            if bound is _NOWHERE:
                return _NOWHERE
            bound = self._statement(statement, bound)
        return bound

    def _statement(self, node: ast.stmt, bound: frozenset[str]) -> _Bound:
        method = getattr(self, f"_{type(node).__name__.lower()}", None)
        if method is None:
            self._unknown(node)
        result: _Bound = method(node, bound)
        return result

    def _unknown(self, node: ast.AST) -> NoReturn:
        raise Carried(f"it uses `{type(node).__name__.lower()}` in its loop, which is not followed", node)

    # --- statements, by the names of their classes -----------------------------------------------------------------

    def _pass(self, node: ast.Pass, bound: frozenset[str]) -> _Bound:
        return bound

    def _expr(self, node: ast.Expr, bound: frozenset[str]) -> _Bound:
        return self.read(node.value, bound)

    def _assert(self, node: ast.Assert, bound: frozenset[str]) -> _Bound:
        return self.read(node.test, bound)

    def _assign(self, node: ast.Assign, bound: frozenset[str]) -> _Bound:
        bound = self.read(node.value, bound)
        for target in node.targets:
            bound = self.bind(target, bound)
        return bound

    def _annassign(self, node: ast.AnnAssign, bound: frozenset[str]) -> _Bound:
        if node.value is None:
            return bound
        return self.bind(node.target, self.read(node.value, bound))

    def _augassign(self, node: ast.AugAssign, bound: frozenset[str]) -> _Bound:
        if isinstance(node.target, ast.Name):
            self._name(node.target, bound)
        return self.bind(node.target, self.read(node.value, bound))

    def _delete(self, node: ast.Delete, bound: frozenset[str]) -> _Bound:
        for target in node.targets:
            self.bind(target, bound)
        return bound - {target.id for target in node.targets if isinstance(target, ast.Name)}

    def _import(self, node: ast.Import | ast.ImportFrom, bound: frozenset[str]) -> _Bound:
        return bound | {(alias.asname or alias.name).partition(".")[0] for alias in node.names}

    _importfrom = _import

    def _continue(self, node: ast.Continue, bound: frozenset[str]) -> _Bound:
        return _NOWHERE

    def _break(self, node: ast.Break, bound: frozenset[str]) -> _Bound:
        if not self._loops:
            raise Carried("it leaves its loop early", node)
        return _NOWHERE

    def _return(self, node: ast.Return, bound: frozenset[str]) -> _Bound:
        raise Carried("it leaves its loop early", node)

    def _raise(self, node: ast.Raise, bound: frozenset[str]) -> _Bound:
        for part in (node.exc, node.cause):
            if part is not None:
                bound = self.read(part, bound)
        return _NOWHERE

    def _if(self, node: ast.If, bound: frozenset[str]) -> _Bound:
        after = self.read(node.test, bound)
        return _both(self.block(node.body, self._when_true(node.test, after)), self.block(node.orelse, after))

    def _while(self, node: ast.While, bound: frozenset[str]) -> _Bound:
        after = self.read(node.test, bound)
        self._turns(node.body, self._when_true(node.test, after))
        return self._else(node.orelse, after)

    def _for(self, node: ast.For, bound: frozenset[str]) -> _Bound:
        after = self.read(node.iter, bound)
        self._turns(node.body, self.bind(node.target, after))
        return self._else(node.orelse, after)

    def _turns(self, body: list[ast.stmt], bound: frozenset[str]) -> None:
        self._loops += 1
        self.block(body, bound)
        self._loops -= 1

    def _else(self, body: list[ast.stmt], bound: frozenset[str]) -> _Bound:
        """A loop's ``else`` may be passed over by its ``break``."""
        self.block(body, bound)
        return bound

    def _with(self, node: ast.With, bound: frozenset[str]) -> _Bound:
        for item in node.items:
            bound = self.read(item.context_expr, bound)
            if item.optional_vars is not None:
                bound = self.bind(item.optional_vars, bound)
        self.block(node.body, bound)
        return bound  # it may have swallowed an exception half-way

    def _try(self, node: ast.Try, bound: frozenset[str]) -> _Bound:
        after = self.block([*node.body, *node.orelse], bound)
        for handler in node.handlers:
            caught = bound if handler.type is None else self.read(handler.type, bound)
            after = _both(after, self.block(handler.body, caught | ({handler.name} if handler.name else set())))
        last = self.block(node.finalbody, bound)
        return _NOWHERE if after is _NOWHERE or last is _NOWHERE else after | last

    # --- expressions -------------------------------------------------------------------------------------------------

    def read(self, node: ast.AST, bound: frozenset[str]) -> frozenset[str]:
        """Go through an expression; returns what is bound after it."""
        if isinstance(node, ast.Name):
            self._name(node, bound)
        elif isinstance(node, ast.Attribute) and isinstance(node.value, ast.Name) and node.value.id == self._source:
            if node.attr not in self._attributes:
                raise Carried(f"it uses `{self._source}.{node.attr}` in its loop", node)
        elif isinstance(node, ast.NamedExpr):
            return self.bind(node.target, self.read(node.value, bound))
        elif isinstance(node, (ast.BoolOp, ast.Compare, ast.IfExp)):
            return self._sometimes(node, bound)
        elif isinstance(node, (ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)):
            self._comprehension(node, bound)
        elif isinstance(node, ast.Lambda):
            own = {arg.arg for arg in ast.walk(node.args) if isinstance(arg, ast.arg)}
            self.read(node.body, bound | own)
        elif isinstance(node, ast.Await):
            self._unknown(node)
        else:
            for child in ast.iter_child_nodes(node):
                bound = self.read(child, bound)
        return bound

    def _name(self, node: ast.Name, bound: frozenset[str]) -> None:
        if node.id == self._source:
            raise Carried(f"it uses `{self._source}` within its loop", node)
        if node.id in self._local and node.id not in bound:
            raise Carried(f"`{node.id}` is carried from one line to the next", node)

    def _sometimes(self, node: ast.BoolOp | ast.Compare | ast.IfExp, bound: frozenset[str]) -> frozenset[str]:
        """The first operand is always evaluated; what the others bind counts for those after them only."""
        if isinstance(node, ast.BoolOp):
            first, *others = node.values
        elif isinstance(node, ast.Compare):
            # The second operand is always evaluated too.
            first, others = node.left, node.comparators[1:]
            bound = self.read(node.comparators[0], self.read(first, bound))
            first = ast.Constant(None)
        else:
            after = self.read(node.test, bound)
            self.read(node.body, self._when_true(node.test, after))
            self.read(node.orelse, after)
            return after
        after = inner = self.read(first, bound)
        for other in others:
            inner = self.read(other, inner)
        return after

    def _when_true(self, test: ast.expr, bound: frozenset[str]) -> frozenset[str]:
        """Of ``a and b`` both were evaluated where it is true."""
        if isinstance(test, ast.BoolOp) and isinstance(test.op, ast.And):
            for value in test.values:
                bound = self._when_true(value, self.read(value, bound))
        return bound

    def _comprehension(
        self, node: ast.ListComp | ast.SetComp | ast.DictComp | ast.GeneratorExp, bound: frozenset[str]
    ) -> None:
        for generator in node.generators:
            bound = self.bind(generator.target, self.read(generator.iter, bound))
            for test in generator.ifs:
                bound = self.read(test, bound)
        for part in (node.key, node.value) if isinstance(node, ast.DictComp) else (node.elt,):
            bound = self.read(part, bound)

    def bind(self, target: ast.expr, bound: frozenset[str]) -> frozenset[str]:
        """What is bound after an assignment to a target; what the target itself reads is gone through."""
        if isinstance(target, ast.Name):
            return bound | {target.id}
        if isinstance(target, (ast.Tuple, ast.List)):
            for item in target.elts:
                bound = self.bind(item, bound)
            return bound
        if isinstance(target, ast.Starred):
            return self.bind(target.value, bound)
        for child in ast.iter_child_nodes(target):
            self.read(child, bound)
        return bound
