"""The text of a function or a class of a running program, as it can stand in a query file.

Knows Python's text: indentation, decorators, annotations, and the lines of the file that it is from, which stay, so
that a traceback on a provider names the place in the user's own file. Does not know what the text reaches.
"""

from __future__ import annotations

import ast
import inspect
import io
import re
import tokenize
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from backplane.query.syntax import parse
from backplane.wire.errors import QueryError

#: Tokens of an f-string whose lines are the text's own (Python 3.12 and later has them).
_F_STRING: Final[dict[int | None, int]] = {
    getattr(tokenize, "FSTRING_START", None): 1,
    getattr(tokenize, "FSTRING_END", None): -1,
}


@dataclass(frozen=True, slots=True)
class Piece:
    """A definition: ``line`` is the first of ``text`` in ``file``, ``name`` what it defines."""

    name: str
    file: str
    line: int
    text: str

    @property
    def placed(self) -> str:
        """The text at its lines, with nothing before it."""
        return "\n" * (self.line - 1) + self.text


def piece(found: Callable[..., Any] | type, rename: str | None = None) -> Piece:
    """The definition of a function or a class.

    Args:
        rename: what it is called in the piece, which leaves its decorators out; None for its own name and all.

    Raises:
        QueryError: there is no source, it is no definition, or it has decorators that would be left out.
    """
    file = _file(found)
    try:
        lines, first = inspect.getsourcelines(found)
    except (OSError, TypeError, SyntaxError, IndexError, tokenize.TokenError):
        raise QueryError(
            f"`{_called(found)}` has no source that could travel: define it in a file or a cell", file
        ) from None
    first = max(first, 1)
    text = _dedented("".join(lines).replace("\r\n", "\n"))
    tree = parse(text, file)
    node = tree.body[0] if tree.body else None
    if not isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)):
        raise QueryError(f"`{_called(found)}` is no definition: write it by `def`, with a name", file, first)
    text = _without_annotations(text, node)
    if rename is None:
        return Piece(node.name, file, first, text)
    if len(node.decorator_list) > 1:
        raise QueryError("other decorators would not travel: leave them out", file, first + node.lineno - 1)
    body = "".join(text.splitlines(keepends=True)[node.lineno - 1 :])
    body = re.sub(rf"\b((?:def|class)\s+){re.escape(node.name)}\b", rf"\g<1>{rename}", body, count=1)
    return Piece(rename, file, first + node.lineno - 1, body)


def _file(found: Callable[..., Any] | type) -> str:
    code = getattr(found, "__code__", None)
    return str(code.co_filename) if code else str(getattr(found, "__module__", "?"))


def _called(found: object) -> str:
    return str(getattr(found, "__qualname__", found))


def _dedented(text: str) -> str:
    """The text without the indentation of its first line; what stands within texts of several lines is left alone."""
    lines = text.splitlines(keepends=True)
    indent = len(lines[0]) - len(lines[0].lstrip())
    if not indent:
        return text
    inside = _within_texts(text)
    margin = lines[0][:indent]
    return "".join(
        line[indent:] if line.startswith(margin) and number not in inside else line
        for number, line in enumerate(lines, 1)
    )


def _within_texts(text: str) -> set[int]:
    """The lines that begin within a text."""
    inside: set[int] = set()
    open_at: list[int] = []
    try:
        for token in tokenize.generate_tokens(io.StringIO(text).readline):
            step = _F_STRING.get(token.type, 0)
            if step > 0:
                open_at.append(token.start[0])
            elif step < 0:
                inside.update(range(open_at.pop() + 1, token.end[0] + 1))
            elif token.type == tokenize.STRING:
                inside.update(range(token.start[0] + 1, token.end[0] + 1))
    except (tokenize.TokenError, IndentationError):
        pass  # what is no Python is said by whoever parses it
    return inside


def _without_annotations(text: str, node: ast.AST) -> str:
    """The text with blanks where functions say types: an older Python would evaluate them, and fail."""
    encoded = text.encode()
    starts = [0]
    for line in encoded.split(b"\n"):
        starts.append(starts[-1] + len(line) + 1)
    out = bytearray(encoded)
    for each in ast.walk(node):
        if isinstance(each, ast.arg) and each.annotation is not None:
            _blank(out, starts[each.lineno - 1] + each.col_offset + len(each.arg.encode()), each.annotation, starts)
        elif isinstance(each, (ast.FunctionDef, ast.AsyncFunctionDef)) and each.returns is not None:
            begin = starts[each.returns.lineno - 1] + each.returns.col_offset
            _blank(out, encoded.rindex(b"->", 0, begin), each.returns, starts)
    return out.decode()


def _blank(out: bytearray, begin: int, node: ast.expr, starts: list[int]) -> None:
    """Blanks from a place to the end of a type, and of the parentheses around it, which the parser leaves out."""
    start = starts[node.lineno - 1] + node.col_offset
    end = starts[(node.end_lineno or 1) - 1] + (node.end_col_offset or 0)
    for _ in range(out.count(b"(", begin, start)):
        end = out.index(b")", end) + 1
    for at in range(begin, end):
        if out[at] != ord("\n"):
            out[at] = ord(" ")
        elif at > begin:
            out[at - 1] = ord("\\")  # the line goes on, also outside of parentheses
