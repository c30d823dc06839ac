"""Where in the text a part of a SELECT stands.

Knows what sqlglot notes of its tokens: names, literals and functions have places, operators have those of their parts.
"""

from __future__ import annotations

import re
from typing import Final

from sqlglot import exp

from backplane.query.oneline.mistakes import Mistake

#: A function's name, where sqlglot notes none.
_HEAD: Final = re.compile(r"\w+\s*\(\s*$")


def head(part: exp.Expr, text: str) -> str:
    """What a function is called in the text."""
    found = re.match(r"\w+", text[part.meta["start"] if "start" in part.meta else place(part, text)[0] :])
    return found[0] if found else str(part.key)


def place(part: exp.Expr, text: str) -> tuple[int, int]:
    """Its first character, and the one behind its last. What has no place of its own stands where its parent does."""
    at: exp.Expr | None = part
    while at is not None:
        found = [(each.meta["start"], each.meta["end"] + 1) for each in at.walk() if "start" in each.meta]
        if found:
            start, end = min(found)[0], max(end for _, end in found)
            before = _HEAD.search(text, 0, start) if isinstance(at, exp.Func) and "start" not in at.meta else None
            return _whole(text, before.start() if before else start, end)
        at = at.parent
    return 0, len(text)


def _whole(text: str, start: int, end: int) -> tuple[int, int]:
    """Behind the parentheses that were opened in between: a function's place is its name."""
    if text[end : end + 1] == "(":
        end += 1
    missing = text.count("(", start, end) - text.count(")", start, end)
    for _ in range(missing):
        found = text.find(")", end)
        if found < 0:
            break
        end = found + 1
    return start, end


def mistake(reason: str, part: exp.Expr, text: str) -> Mistake:
    """Something wrong with a part."""
    return Mistake(reason, *place(part, text))
