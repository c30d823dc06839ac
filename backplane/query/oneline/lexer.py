"""The words of a question of one line: one token at a place, read when the parser wants it.

Knows characters. Does not know stages. It reads on demand because what stands at a place depends on where that is: a
slash divides in an expression and begins a pattern after ``~``, and a path is whatever holds no blank and no ``|``.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from backplane.query.near import did_you_mean
from backplane.query.oneline.mistakes import Mistake

#: What a number may be followed by, and how much it is then: durations in seconds, sizes in bytes.
DURATIONS: Final = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1, "m": 60, "h": 3600, "d": 86400}
_SIZES: Final = {
    f"{prefix}{suffix}": (1000 if suffix == "B" and prefix else 1024) ** power
    for power, prefix in enumerate(("", "K", "M", "G", "T"))
    for suffix in ("", "B", "iB")
    if prefix
}
UNITS: Final[dict[str, float]] = {**DURATIONS, **_SIZES, "kB": 1000, "k": 1024, "B": 1}

_BLANK: Final = re.compile(r"\s*")
_TOKEN: Final = re.compile(
    r"""(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)(?P<unit>[^\W\d]*)
    |(?P<name>[^\W\d@][\w@]*(?:\.[^\W\d][\w@]*)*|@\w+(?:\.\w+)*)
    |(?P<op>==|!=|<>|<=|>=|=~|!~|&&|\|\||[=<>~+\-*/%(),|!])
    |(?P<quote>["'`])""",
    re.VERBOSE,
)
#: Not numbers, though they begin so.
_DATE: Final = re.compile(r"\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d(?:\.\d+)?)?(?:Z|[+-]\d\d:?\d\d)?)?")
_DOTTED: Final = re.compile(r"\d+(?:\.\d+){2,}")
_WORD: Final = re.compile(r"[^\s|]+")
_ESCAPES: Final = {"n": "\n", "t": "\t"}
#: Far longer than a person types.
MOST_CHARS: Final = 20_000
#: Largest whole number that travels.
_MOST_INT: Final = (1 << 63) - 1


@dataclass(frozen=True, slots=True)
class Token:
    """``kind``: name, quoted (a name in backticks), text, regex, number, word, op or end."""

    kind: str
    text: str
    start: int
    end: int
    value: int | float = 0
    #: A number's unit, "" for none.
    unit: str = ""

    def says(self, *texts: str) -> bool:
        """It is one of these words, in any case, or one of these signs."""
        return (self.kind == "name" and self.text.lower() in texts) or (self.kind == "op" and self.text in texts)


def skipped(text: str, at: int) -> int:
    """Where the next thing begins."""
    found = _BLANK.match(text, at)
    return found.end() if found else at


def token(text: str, at: int) -> Token:
    """The token from here on.

    Raises:
        Mistake: no token begins here, or it does not end.
    """
    at = skipped(text, at)
    if at >= len(text):
        return Token("end", "", at, at)
    found = _TOKEN.match(text, at)
    if found is None:
        raise Mistake(f"{text[at]!r} means nothing here; a text is written in quotes", at, at + 1)
    if found["quote"]:
        return _quoted(text, at)
    if found["number"]:
        return _number(text, found)
    kind = "name" if found["name"] else "op"
    if found[0] in ("&&", "||", "!"):
        word = {"&&": "and", "||": "or", "!": "not"}[found[0]]
        raise Mistake(f"{found[0]} is written `{word}`", at, found.end())
    return Token(kind, found[0], at, found.end())


def _number(text: str, found: re.Match[str]) -> Token:
    start, end = found.start(), found.end()
    for pattern in (_DATE, _DOTTED):
        other = pattern.match(text, start)
        if other:
            raise Mistake(f"{other[0]} is no number: write it in quotes, '{other[0]}'", start, other.end())
    unit = found["unit"]
    if unit and unit not in UNITS:
        known = "ns us ms s m h d, K M G T, KB MB GB, KiB MiB GiB"
        near = did_you_mean(unit, UNITS)
        raise Mistake(f"{unit!r} is no unit: there are {known}{near or '; a text is written in quotes'}", start, end)
    plain = found["number"]
    number: int | float = int(plain) if plain.isdigit() and len(plain) < 20 else float(plain)
    value = number * UNITS[unit] if unit else number
    if isinstance(value, float) and value.is_integer() and unit:
        value = int(value) if value <= _MOST_INT else value
    if not abs(value) <= _MOST_INT:
        raise Mistake(f"{found[0]} is too large for a number", start, end)
    return Token("number", found[0], start, end, value, unit)


def _quoted(text: str, start: int) -> Token:
    mark = text[start]
    said, end = _until(text, start, mark)
    if end < 0:
        what = "name" if mark == "`" else "text"
        raise Mistake(f"the {what} that begins here never ends: a {mark} is missing", start, len(text))
    kind = "quoted" if mark == "`" else "text"
    if mark != "`":
        said = re.sub(r"\\(.)", lambda found: _escape(found[1], mark), said, flags=re.DOTALL)
    return Token(kind, said, start, end)


def _escape(char: str, mark: str) -> str:
    """A backslash before what is special to us goes; any other stays, since most stand in regular expressions."""
    return char if char in (mark, "\\") else _ESCAPES.get(char, "\\" + char)


def regex(text: str, at: int) -> Token | None:
    """A pattern between slashes from here on; None if none begins here.

    Raises:
        Mistake: it does not end.
    """
    start = skipped(text, at)
    if text[start : start + 1] != "/":
        return None
    said, end = _until(text, start, "/")
    if end < 0:
        raise Mistake("the pattern that begins here never ends: a / is missing", start, len(text))
    return Token("regex", said.replace("\\/", "/"), start, end)


def _until(text: str, start: int, mark: str) -> tuple[str, int]:
    """What stands before the next mark that has no backslash before it, and where it ends; -1: nowhere."""
    at = start + 1
    while at < len(text):
        if text[at] == "\\" and mark != "`":
            at += 2
            continue
        if text[at] == mark:
            return text[start + 1 : at], at + 1
        at += 1
    return "", -1


def word(text: str, at: int) -> Token:
    """Whatever holds no blank and no ``|``, or a quoted text: a path, a word to look for."""
    start = skipped(text, at)
    if text[start : start + 1] in ('"', "'") and start < len(text):
        return _quoted(text, start)
    found = _WORD.match(text, start)
    if found is None:
        return Token("op" if start < len(text) else "end", text[start : start + 1], start, min(start + 1, len(text)))
    return Token("word", found[0], start, found.end())
