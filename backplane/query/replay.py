"""Whether a map that broke off may begin again at the position where its last applied cut ended.

It may if each line's values depend on that line alone: one ``for`` over the lines, nothing carried from line to line,
and no outer state that is changed or could be. Knows query files and trees. Decides on the side of *no*: a wrong *yes*
would give a wrong answer that calls itself exact, a wrong *no* can be overruled by ``replayable = True``.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from typing import Final

from backplane.query import carried
from backplane.query.changes import root
from backplane.query.scope import Module, Statement
from backplane.query.slice import Slice

#: What a map may read of its lines besides looping over them: the same whenever a line is read.
_STEADY: Final = frozenset({"path", "provider"})
_DYNAMIC: Final = frozenset({"eval", "exec", "globals", "locals", "vars", "setattr", "delattr", "__import__"})
#: Methods that change nothing, of texts, lists, dicts, sets and patterns.
_PURE_METHODS: Final = frozenset(
    {"copy", "count", "difference", "endswith", "findall", "finditer", "format", "fullmatch", "get", "index"}
    | {"intersection", "isdisjoint", "issubset", "issuperset", "items", "join", "keys", "lower", "match", "search"}
    | {"split", "startswith", "strip", "sub", "subn", "symmetric_difference", "union", "upper", "values"}
)
_PURE_FUNCTIONS: Final = frozenset(
    {"all", "any", "dict", "enumerate", "frozenset", "isinstance", "len", "list", "max", "min", "range", "repr"}
    | {"reversed", "set", "sorted", "str", "sum", "tuple", "zip"}
)
_IMMUTABLE_MAKERS: Final = frozenset({"re.compile", "frozenset", "struct.Struct", "int", "float", "str", "bytes"})


class _Not(Exception):
    """Not replayable; ``str()`` is the reason as one clause."""


def replayable(module: Module, part: Slice, sources: tuple[str, ...], declared: bool | None) -> tuple[bool, str]:
    """Whether a map is replayable, and why or why not as one clause.

    Args:
        part: the map's slice.
        sources: none for ``def map():``.
        declared: what the file says of it, None where it does not.
    """
    if not sources:
        return False, "a map without a source has no position to begin again from"
    for source in sources:
        if source == "-" or source.startswith(("tick:", "cmd:")):
            return False, f"{source} cannot be read again"
    if declared is not None:
        return declared, "the file says so"
    try:
        _check(module, part)
    except (_Not, carried.Carried) as exc:
        return False, str(exc)
    return True, "each line's values depend on that line alone"


def _check(module: Module, part: Slice) -> None:
    function = _plain_function(module, "map")
    arguments = [*function.args.posonlyargs, *function.args.args]
    source = arguments[0].arg
    body = function.body[1:] if ast.get_docstring(function, clean=False) is not None else function.body
    loop = body[0] if body else None
    if len(body) != 1 or not isinstance(loop, ast.For) or loop.orelse:
        raise _Not("`map` is more than one `for` over its lines")
    if not (isinstance(loop.iter, ast.Name) and loop.iter.id == source):
        raise _Not("`map` does not loop over its lines directly")
    local = frozenset(
        node.id for node in ast.walk(loop) if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)
    )
    handlers = {node.name for node in ast.walk(loop) if isinstance(node, ast.ExceptHandler) and node.name}
    carried.check(loop, local | handlers, source, _STEADY)
    _Outer(module, part).function("map")


def _plain_function(module: Module, name: str) -> ast.FunctionDef:
    binders = module.binders[name]
    if len(binders) != 1 or not isinstance(binders[0].node, ast.FunctionDef):
        raise _Not(f"`{name}` is bound more than once, or conditionally")
    node = binders[0].node
    for decorator in node.decorator_list:
        if root(decorator) not in ("functools", "lru_cache", "cache"):
            raise _Not(f"`{name}` is decorated (line {decorator.lineno})")
    for default in (*node.args.defaults, *node.args.kw_defaults):
        if default is not None and not isinstance(default, (ast.Constant, ast.UnaryOp, ast.Name)):
            raise _Not(f"a default of `{name}` outlives its calls (line {default.lineno})")
    return node


class _Outer:
    """Goes through the functions that a map calls, and says whether they touch anything that could change."""

    def __init__(self, module: Module, part: Slice) -> None:
        self._module = module
        self._part = part
        self._seen: set[str] = set()

    def function(self, name: str) -> None:
        if name in self._seen:
            return
        self._seen.add(name)
        node = _plain_function(self._module, name)
        statement = self._module.binders[name][0]
        outer = {ref.name for ref in statement.references if not ref.now}
        parents = {child: parent for parent in ast.walk(node) for child in ast.iter_child_nodes(parent)}
        for inner in ast.walk(node):
            self._no_change(inner, outer)
            if isinstance(inner, ast.Name) and inner.id in outer:
                self._use(inner, parents)
        for read in statement.reads_now:
            if not self._value(read):
                raise _Not(f"a default of `{name}` is `{read}`, which could be changed (line {node.lineno})")

    def _no_change(self, node: ast.AST, outer: set[str]) -> None:
        if isinstance(node, (ast.Global, ast.Nonlocal)):
            raise _Not(f"it binds {', '.join(node.names)} outside of itself (line {node.lineno})")
        if isinstance(node, (ast.Attribute, ast.Subscript)) and not isinstance(node.ctx, ast.Load):
            name = root(node)
            if name is None or name in outer:
                raise _Not(f"it changes `{ast.unparse(node)}` (line {node.lineno})")

    def _use(self, node: ast.Name, parents: dict[ast.AST, ast.AST]) -> None:
        if node.id not in self._module.binders:
            if node.id in _DYNAMIC:
                raise _Not(f"it uses `{node.id}` (line {node.lineno})")
            return
        if self._value(node.id) or self._only_read(node, parents):
            return
        raise _Not(f"it uses `{node.id}`, which could be changed (line {node.lineno})")

    def _value(self, name: str) -> bool:
        """True if the name can be nothing but a library, a function that is as harmless, or an immutable value."""
        binders = self._module.binders.get(name, ())
        if any(isinstance(statement.node, ast.FunctionDef) for statement in binders):
            self.function(name)
            return True
        return all(_is_import(statement, name) or self._immutable(statement, name) for statement in binders)

    def _immutable(self, statement: Statement, name: str) -> bool:
        node = statement.node
        if not isinstance(node, (ast.Assign, ast.AnnAssign)) or node.value is None:
            return False
        targets = node.targets if isinstance(node, ast.Assign) else [node.target]
        return all(isinstance(target, ast.Name) for target in targets) and self._immutable_value(node.value)

    def _immutable_value(self, node: ast.expr) -> bool:
        if isinstance(node, (ast.Constant, ast.JoinedStr)):
            return True
        if isinstance(node, ast.Tuple):
            return all(map(self._immutable_value, node.elts))
        if isinstance(node, (ast.UnaryOp, ast.BinOp)):
            operands = [node.operand] if isinstance(node, ast.UnaryOp) else [node.left, node.right]
            return all(map(self._immutable_value, operands))
        if isinstance(node, ast.Name):
            binders = self._module.binders.get(node.id, ())
            return len(binders) == 1 and self._immutable(binders[0], node.id)
        return isinstance(node, ast.Call) and ast.unparse(node.func) in _IMMUTABLE_MAKERS - self._module.binders.keys()

    def _only_read(self, node: ast.Name, parents: dict[ast.AST, ast.AST]) -> bool:
        """A list, dict or set of plain values that is written out once, used in a way that cannot change it."""
        binders = self._module.binders[node.id]
        if len(binders) != 1 or not isinstance(binders[0].node, (ast.Assign, ast.AnnAssign)):
            return False
        if any(node.id in statement.changes for statement in self._part.statements):
            return False
        return _is_flat(binders[0].node.value) and _reads(node, parents)


def _is_import(statement: Statement, name: str) -> bool:
    nodes: Iterator[ast.AST] = ast.walk(statement.node)
    return isinstance(statement.node, (ast.Import, ast.ImportFrom, ast.Try)) and any(
        isinstance(node, (ast.Import, ast.ImportFrom))
        and any((alias.asname or alias.name).partition(".")[0] == name for alias in node.names)
        for node in nodes
    )


def _is_flat(node: ast.expr | None) -> bool:
    """Plain values, or tuples of them, in one list, set or dict: what is taken out of it cannot be changed."""
    try:
        value = ast.literal_eval(node) if node is not None else None
    except (ValueError, TypeError):
        return False
    items = value.values() if isinstance(value, dict) else value if isinstance(value, (list, set)) else None
    return items is not None and all(map(_is_plain, items))


def _is_plain(item: object) -> bool:
    return all(map(_is_plain, item)) if isinstance(item, tuple) else not isinstance(item, (list, dict, set))


def _reads(node: ast.Name, parents: dict[ast.AST, ast.AST]) -> bool:
    parent = parents[node]
    if isinstance(parent, ast.Subscript):
        return parent.value is node and isinstance(parent.ctx, ast.Load)
    if isinstance(parent, ast.UnaryOp):
        return True
    if isinstance(parent, (ast.If, ast.While, ast.IfExp)):
        return parent.test is node
    if isinstance(parent, ast.Compare):
        return True
    if isinstance(parent, (ast.For, ast.comprehension)):
        return parent.iter is node
    if isinstance(parent, ast.Attribute):
        call = parents[parent]
        return isinstance(call, ast.Call) and call.func is parent and parent.attr in _PURE_METHODS
    return (
        isinstance(parent, ast.Call)
        and isinstance(parent.func, ast.Name)
        and parent.func.id in _PURE_FUNCTIONS
        and node in parent.args
    )
