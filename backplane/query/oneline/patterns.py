"""Patterns of `parse`: stars with names, or a regular expression with named groups.

Knows patterns as text. Does not know what they are matched with.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from backplane.query.oneline.lexer import Token
from backplane.query.oneline.mistakes import Mistake

#: Fields that one `parse` may give.
MOST_NAMES = 50


def of_stars(found: Token, names: Sequence[Token]) -> tuple[str, tuple[str, ...]]:
    """A regular expression with a group for each star, and the names of these groups, in order.

    Raises:
        Mistake: there are not as many names as stars, or a name stands twice.

    >>> of_stars(Token("text", "took * ms", 0, 9), [Token("name", "took", 0, 4)])
    ('took (.*?) ms', ('took',))
    """
    pieces = found.text.split("*")
    stars = len(pieces) - 1
    if stars == 0 or stars > MOST_NAMES:
        raise Mistake('the text has a * for each field, as in "took * ms"', found.start, found.end)
    if len(names) != stars:
        want = f"{stars} star{'s' * (stars != 1)} need{'s' * (stars == 1)} {stars} name{'s' * (stars != 1)} after `as`"
        last = names[-1].end if names else found.end
        raise Mistake(f"{want}, and there {'is' if len(names) == 1 else 'are'} {len(names)}", found.start, last)
    if "" in pieces[1:-1]:
        raise Mistake("two stars need a text between them", found.start, found.end)
    for number, name in enumerate(names):
        if name.text in [each.text for each in names[:number]]:
            raise Mistake(f"{name.text!r} stands here twice", name.start, name.end)
    text = "(.*?)".join(map(escaped, pieces[:-1])) + ("(.*?)" + escaped(pieces[-1]) if pieces[-1] else "(.*)")
    return ("^" if not pieces[0] else "") + text, tuple(name.text for name in names)


def escaped(text: str) -> str:
    """A text as a pattern for itself. `re.escape` would mark blanks too, and this is shown to people."""
    return re.sub(r"[\\.^$*+?{}\[\]|()]", r"\\\g<0>", text)


def of_regex(found: Token) -> tuple[str, tuple[str, ...]]:
    """A regular expression as Python writes it, and the names of its groups by number, "" for those without.

    Raises:
        Mistake: it is none, or names no group.

    >>> of_regex(Token("regex", "took (?<took>[0-9]+)", 0, 10))
    ('took (?P<took>[0-9]+)', ('took',))
    """
    # Named groups as the rest of the world writes them.
    text = re.sub(r"\(\?<(?=[^\W\d])", "(?P<", found.text)
    compiled = checked(text, found.start, found.end)
    if not compiled.groupindex or compiled.groups > MOST_NAMES:
        raise Mistake("the pattern names no group: write (?<name>...) around each field", found.start, found.end)
    by_number = {number: name for name, number in compiled.groupindex.items()}
    return text, tuple(by_number.get(number, "") for number in range(1, compiled.groups + 1))


def checked(text: str, start: int, end: int) -> re.Pattern[str]:
    """A regular expression that is one.

    Raises:
        Mistake: it is none.
    """
    try:
        return re.compile(text)
    except (re.error, OverflowError, RecursionError) as exc:
        raise Mistake(f"this is no regular expression: {exc}", start, end) from None
