"""A stage that is only words: ``| "Failed password" not root`` keeps the lines that hold these texts.

Knows what words and phrases are. Does not know other stages, but for telling a slip of the pen from a word.
"""

from __future__ import annotations

import re
from typing import Final

from backplane.query.oneline import lexer
from backplane.query.oneline.lexer import Token
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.reading import MOST_DEEP, Reader
from backplane.query.oneline.tree import Node

_WORD: Final = re.compile(r"[^\s|()\"'`]+")
_CONDITION: Final = re.compile(r"[=<>~]")


def words(reader: Reader) -> Node:
    """The condition that a stage of words is.

    Raises:
        Mistake: it is none; a word that looks like a condition is not taken for a text.
    """
    return _either(reader, 0)


def _either(reader: Reader, deep: int) -> Node:
    if deep > MOST_DEEP:
        raise Mistake(f"this nests deeper than {MOST_DEEP}: put parts of it into stages of their own", reader.at, 0)
    parts = [_all(reader, deep)]
    while _peek(reader).text.lower() == "or" and _peek(reader).kind == "word":
        reader.at = _peek(reader).end
        parts.append(_all(reader, deep))
    return _joined("or", parts)


def _all(reader: Reader, deep: int) -> Node:
    parts = [_one(reader, deep)]
    while True:
        found = _peek(reader)
        if found.kind == "word" and found.text.lower() == "and":
            reader.at = found.end
        elif found.kind not in ("word", "text", "open") or (found.kind == "word" and found.text.lower() == "or"):
            return _joined("and", parts)
        parts.append(_one(reader, deep))


def _one(reader: Reader, deep: int) -> Node:
    found = _peek(reader)
    reader.at = found.end
    if found.kind == "word" and found.text.lower() == "not":
        inner = _one(reader, deep + 1) if deep < MOST_DEEP else _either(reader, deep + 1)
        return Node("not", found.start, inner.end, parts=(inner,))
    if found.kind == "open":
        inner = _either(reader, deep + 1)
        closing = _peek(reader)
        if closing.kind != "close":
            raise Mistake("a parenthesis is not closed", found.start, found.end)
        reader.at = closing.end
        return inner
    if found.kind not in ("word", "text") or found.text.lower() in ("and", "or"):
        raise Mistake("a word or a phrase in quotes is missing here", found.start, found.end)
    if found.kind == "word" and _CONDITION.search(found.text):
        raise Mistake(
            f"{found.text!r} looks like a condition: begin the stage with `where`, or write it in quotes to look for "
            "the text",
            found.start,
            found.end,
        )
    if not found.text:
        raise Mistake("an empty text is in every line: write what to look for", found.start, found.end)
    line = Node("name", found.start, found.end, "line", quoted=True)
    return Node("contains", found.start, found.end, parts=(line, Node("value", found.start, found.end, found.text)))


def _peek(reader: Reader) -> Token:
    start = lexer.skipped(reader.text, reader.at)
    char = reader.text[start : start + 1]
    if char in ("(", ")"):
        return Token("open" if char == "(" else "close", char, start, start + 1)
    if char in ('"', "'", "`") and char:
        return lexer.token(reader.text, start)
    found = _WORD.match(reader.text, start)
    if found is None:
        return Token("end", "", start, start)
    return Token("word", found[0], start, found.end())


def _joined(kind: str, parts: list[Node]) -> Node:
    return parts[0] if len(parts) == 1 else Node(kind, parts[0].start, parts[-1].end, parts=tuple(parts))
