"""What a question looks for, made visible in the lines that it found.

Knows conditions of a plan, and how a terminal is told to show something in another colour. What is marked stays
harmless: the line is taken apart first, and each part made harmless by itself.
"""

from __future__ import annotations

import re
from typing import Final

from backplane.client.outputs.harmless import harmless
from provider.runner.expressions import Expression

#: As grep has it: bold red.
_BEGIN: Final = "\x1b[1;31m"
_END: Final = "\x1b[0m"
#: More alternatives are no help to the eye.
_MOST: Final = 20
_MOST_DEEP: Final = 50


def sought(where: Expression | None) -> re.Pattern[str] | None:
    """What is looked for in a text by a plan's condition; None where it looks for none.

    >>> found = sought(["and", ["contains", ["field", "line"], "a.b"], ["not", ["contains", ["field", "line"], "x"]]])
    >>> found.pattern
    '(?:a\\\\.b)'
    """
    parts = list(dict.fromkeys(_parts(where, 0)))[:_MOST] if where else []
    usable = []
    for part in parts:
        try:
            re.compile(part)
        except (re.error, RecursionError, OverflowError):
            continue
        usable.append(f"(?:{part})")
    try:
        return re.compile("|".join(usable)) if usable else None
    except (re.error, RecursionError, OverflowError):  # each is one alone: a group's name twice, flags in the middle
        return None


def _parts(where: Expression, deep: int) -> list[str]:
    kind = where[0]
    if kind in ("and", "or") and deep < _MOST_DEEP:
        return [part for each in where[1:] for part in _parts(each, deep + 1)]
    if len(where) != 3 or type(where[2]) is not str or not where[2]:
        return []
    if kind in ("contains", "starts", "ends"):
        return [re.escape(where[2])]
    return [where[2]] if kind == "matches" else []


def marked(text: str, pattern: re.Pattern[str]) -> str:
    """A line, harmless, with what is looked for in another colour.

    >>> marked("a\\x1bb", re.compile("b"))
    'a\\\\x1b\\x1b[1;31mb\\x1b[0m'
    """
    parts, at = [], 0
    for found in pattern.finditer(text):
        begin, end = found.span()
        if begin == end:
            continue
        parts += [harmless(text[at:begin], keep="\t"), _BEGIN, harmless(text[begin:end], keep="\t"), _END]
        at = end
    return "".join((*parts, harmless(text[at:], keep="\t")))
