"""The last command of a line that is being typed, as words; and a candidate as a shell has to be given it.

Knows quoting as shells have it in common. Expands nothing: a variable is a text here.
"""

from __future__ import annotations

import re
from typing import Final, NamedTuple

#: What ends a command, so that the words before it are another's.
_ENDS: Final = frozenset(";|&\n(")
#: What a double-quoted text escapes, and what a word without quotes does.
_IN_DOUBLE: Final = re.compile(r"([\"$`\\])")
_BARE: Final = re.compile(r"([^\w@%+=:,./~-])")


class Typed(NamedTuple):
    """Words of a command up to the cursor.

    Attributes:
        words: unquoted; the last is the one under the cursor, which may be empty.
        quote: the quote that is open in it, or none.
        quoted_at: how many characters of it stand before that quote.
    """

    words: tuple[str, ...]
    quote: str = ""
    quoted_at: int = 0


def typed(line: str) -> Typed:
    """What a line up to the cursor says.

    >>> typed("ls | logreduce run 'nginx a.log | where st")
    Typed(words=('logreduce', 'run', 'nginx a.log | where st'), quote="'", quoted_at=0)
    >>> typed("logreduce run a\\\\ b ").words
    ('logreduce', 'run', 'a b', '')
    """
    words: list[str] = []
    word, quote, quoted_at, inside = "", "", 0, False
    chars = iter(line)
    for char in chars:
        if char == "\\" and quote != "'":
            following = next(chars, "")
            word += following if not quote or following in '"$`\\' else char + following
            inside = True
        elif quote:
            if char == quote:
                quote = ""
            else:
                word += char
        elif char in "'\"":
            quote, quoted_at, inside = char, len(word), True
        elif char in _ENDS or char.isspace():
            if inside:
                words.append(word)
            if char in _ENDS:
                words.clear()
            word, inside = "", False
        else:
            word += char
            inside = True
    return Typed((*words, word), quote, quoted_at if quote else 0)


def for_bash(candidate: str, typed: Typed, breaks: str) -> str:
    """What readline is to put in the place of what it takes for the word: that begins at a quote, or behind a break.

    Args:
        breaks: ``COMP_WORDBREAKS``.
    """
    if typed.quote:
        return _quoted(candidate[typed.quoted_at :], typed.quote)
    word = typed.words[-1]
    at = max((word.rfind(each) + 1 for each in breaks if not each.isspace() and each not in "'\""), default=0)
    return _BARE.sub(r"\\\1", candidate[at:])


def for_zsh(candidate: str, typed: Typed) -> str:
    """The whole word, without the quote that is open at its beginning: zsh keeps that."""
    if typed.quote and not typed.quoted_at:
        return _quoted(candidate, typed.quote)
    return _BARE.sub(r"\\\1", candidate)


def _quoted(text: str, quote: str) -> str:
    return _IN_DOUBLE.sub(r"\\\1", text) if quote == '"' else text.replace("'", "'\\''")
