"""From a query file's text to Python's own trees, and what older Pythons make of it.

Knows Python's parser. Does not know what a query is. Nothing is executed here.
"""

from __future__ import annotations

import ast
import warnings
from collections.abc import Iterator
from typing import Final

from backplane.wire.errors import QueryError

#: What a hint may quote of the user's line: enough to recognise it, one line on a terminal.
_QUOTE_CHARS: Final = 80


def parse(text: str, file: str) -> ast.Module:
    """The tree of a file's text.

    Raises:
        QueryError: it is no Python; names the line and quotes it.
    """
    try:
        with warnings.catch_warnings():
            # An escape like "\\d" is the user's matter, and must not become an error where warnings are errors.
            warnings.simplefilter("ignore")
            tree = ast.parse(text, file)
            # Some errors ("'return' outside function") come out of the compiler only.
            compile(text, file, "exec", dont_inherit=True)
    except SyntaxError as exc:
        raise _syntax_error(exc, text, file) from None
    except ValueError:
        raise QueryError("a NUL byte in the text; a query file is Python in UTF-8", file, _line_of_nul(text)) from None
    except (RecursionError, MemoryError):
        raise QueryError("nested too deeply for Python's parser", file) from None
    return tree


def _syntax_error(exc: SyntaxError, text: str, file: str) -> QueryError:
    if "\0" in text:
        return QueryError("a NUL byte in the text; a query file is Python in UTF-8", file, _line_of_nul(text))
    lines = text.split("\n")
    line = min(max(exc.lineno or 1, 1), len(lines))
    quoted = lines[line - 1].strip()[:_QUOTE_CHARS]
    return QueryError(f"{exc.msg}: {quoted}" if quoted else str(exc.msg), file, line)


def _line_of_nul(text: str) -> int | None:
    return text.count("\n", 0, text.index("\0")) + 1 if "\0" in text else None


def too_new_for(source: str, version: tuple[int, int]) -> tuple[int, str] | None:
    """Where a source uses syntax that an older Python does not know.

    As far as Python's own parser and `_newer` can tell: what they cannot shows as a syntax error over there.

    Args:
        source: a shipped source, or a whole query file.
        version: major and minor of the provider's Python.

    Returns:
        The line and one sentence, or None where nothing was found.

    >>> too_new_for("if (n := 3): pass", (3, 6))
    (1, 'assignment expressions are only supported in Python 3.8 and greater')
    >>> too_new_for("x = 1", (3, 6)) is None
    True
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(source)
            ast.parse(source, feature_version=version)
    except SyntaxError as exc:
        text = str(exc.msg)
        return exc.lineno or 1, text[:1].lower() + text[1:]
    found = [(line, text) for line, text, since in _newer(tree) if version < since]
    return min(found, default=None)


def _newer(tree: ast.Module) -> Iterator[tuple[int, str, tuple[int, int]]]:
    """What the parser lets pass whatever the version: line, sentence, the first version that knows it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and node.module == "__future__":
            if any(alias.name == "annotations" for alias in node.names):
                yield node.lineno, "future annotations are only known to Python 3.7 and greater", (3, 7)
        elif isinstance(node, (ast.Return, ast.Yield)):
            if _bare_unpacking(node.value):
                yield node.lineno, "unpacking without parentheses is only known here to Python 3.8 and greater", (3, 8)
        elif isinstance(node, (ast.FunctionDef, ast.ClassDef)):
            if not all(map(_plain_decorator, node.decorator_list)):
                yield node.lineno, "such a decorator is only known to Python 3.9 and greater", (3, 9)
        elif isinstance(node, ast.Subscript) and _bare_unpacking(node.slice):
            yield node.lineno, "a star in an index is only known to Python 3.11 and greater", (3, 11)


def _bare_unpacking(node: ast.expr | None) -> bool:
    """``1, *rest`` without parentheses around it."""
    if not isinstance(node, ast.Tuple) or not any(isinstance(item, ast.Starred) for item in node.elts):
        return False
    return (node.lineno, node.col_offset) == (node.elts[0].lineno, node.elts[0].col_offset)


def _plain_decorator(node: ast.expr) -> bool:
    """A dotted name, perhaps called: all that a decorator could be before Python 3.9."""
    node = node.func if isinstance(node, ast.Call) else node
    while isinstance(node, ast.Attribute):
        node = node.value
    return isinstance(node, ast.Name)
