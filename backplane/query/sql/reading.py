"""A text read as one SELECT; what no provider can be asked is refused here, with what to do instead.

Knows clauses. Does not know expressions, fields or formats.
"""

from __future__ import annotations

import logging
import re
from typing import Final

import sqlglot
from sqlglot import exp
from sqlglot.dialects.duckdb import DuckDB
from sqlglot.errors import ParseError, SqlglotError, TokenError

from backplane.query.near import did_you_mean
from backplane.query.oneline.lexer import MOST_CHARS
from backplane.query.oneline.mistakes import Mistake
from backplane.query.sql.places import mistake

_EXAMPLE: Final = "SELECT status, count(*) FROM 'nginx:/var/log/nginx/access.log' GROUP BY status"
_WORDS: Final[list[str]] = re.findall(
    r"\w+",
    "SELECT DISTINCT FROM WHERE GROUP BY HAVING ORDER LIMIT AND OR NOT IN IS NULL BETWEEN LIKE ILIKE REGEXP AS "
    "CASE WHEN THEN ELSE END DESC ASC NULLS FIRST LAST FILTER WITHIN CAST",
)
#: Parts of a SELECT that are refused, and why.
_REFUSED: Final = {
    "with_": "WITH names a subquery, and there are none: ask one SELECT of the log itself",
    "qualify": "QUALIFY goes by window functions, and there are none: use GROUP BY with HAVING",
    "windows": "WINDOW names window functions, and there are none: use GROUP BY, and tumble(time, '1 minute') for time",
    "offset": "OFFSET is not known: ask for more rows by LIMIT",
    "locks": "logs are only read: leave FOR UPDATE out",
    "sample": "sampling is not known: leave it out, or aggregate with sample(5, path)",
    "laterals": "LATERAL makes rows of rows, and a question has one log: leave it out",
    "pivots": "PIVOT is not known: GROUP BY both columns",
    "connect": "CONNECT BY is not known: ask one SELECT of the log itself",
    "cluster": "CLUSTER BY is not known: use ORDER BY",
    "distribute": "DISTRIBUTE BY is not known: use GROUP BY",
    "sort": "SORT BY is written ORDER BY",
    "into": "SELECT INTO stores what it finds, and logs are only read: send the output to a file with -o csv",
    "prewhere": "PREWHERE is written WHERE",
    "hint": "hints are not known: leave it out",
}
#: Several paths, as DuckDB's functions take them; sqlglot knows a list of texts with commas only.
_LIST: Final = re.compile(r"(?i)(\bfrom\s*)\[((?:\s*'[^'\[\]]*'\s*,?)+)\]")
_KNOWN: Final = frozenset({"expressions", "from_", "joins", "where", "group", "having", "order", "limit", "distinct"})


class _Dialect(DuckDB):
    """DuckDB's words, and REGEXP, which others write for ~."""

    class Tokenizer(DuckDB.Tokenizer):
        KEYWORDS = {**DuckDB.Tokenizer.KEYWORDS, "REGEXP": sqlglot.TokenType.RLIKE}  # noqa: RUF012


def read(text: str) -> exp.Select:
    """The SELECT that a text is.

    Raises:
        Mistake: it is none, or has a part that cannot be asked.
    """
    if len(text) > MOST_CHARS:
        raise Mistake(f"a question has at most {MOST_CHARS} characters", 0, MOST_CHARS)
    if not text.strip():
        raise Mistake(f"nothing is asked: write {_EXAMPLE}", 0, 1)
    statements = [each for each in _parsed(_LIST.sub(r"\1 \2 ", text)) if each is not None]
    if len(statements) != 1 or not isinstance(statements[0], exp.Expr):
        at = text.find(";")
        raise Mistake("one SELECT at a time: leave what comes behind the ; out", max(at, 0), max(at, 0) + 1)
    return _select(statements[0], text)


def _parsed(text: str) -> list[exp.Expr | None]:
    # It tells the log of what it does not know, and the user is told by us.
    logger = logging.getLogger("sqlglot")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        return list(sqlglot.parse(text, read=_Dialect))
    except ParseError as exc:
        raise _wrong(exc, text) from None
    except (TokenError, SqlglotError) as exc:
        raise _untokened(exc, text) from None
    except (ValueError, TypeError, AttributeError, KeyError, IndexError, AssertionError):
        raise Mistake(f"this is no SQL that can be read: write {_EXAMPLE}", 0, len(text)) from None
    finally:
        logger.setLevel(level)


def _wrong(exc: ParseError, text: str) -> Mistake:
    said = exc.errors[0] if exc.errors else {}
    marked = str(said.get("highlight") or "")
    start = max(0, _offset(text, int(said.get("line") or 1), int(said.get("col") or 1)) - len(marked))
    found = _word(text, start)
    first = re.match(r"\s*\(*\s*([A-Za-z]+)", text)
    if first and first[1].upper() not in ("SELECT", "FROM", "WITH"):
        near = did_you_mean(first[1].upper(), ["SELECT"])
        return Mistake(f"a question begins with SELECT{near or f', as in {_EXAMPLE}'}", first.start(1), first.end(1))
    what = str(said.get("description") or "")
    by = re.search(r"(?i)\b(group|order)\s+(?!by\b)", text[: start + len(marked)])
    if by and not _quoted(text, by.start()):
        return Mistake(f"BY is missing behind {by[1].upper()}", by.start(1), by.end(1))
    if "number of provided arguments" in what:
        return Mistake("here stand more values than a function takes", start, start + len(marked))
    for word in re.finditer(r"\b[A-Za-z]{3,}\b(?!\s*\()", text[: start + len(marked)]):
        near = did_you_mean(word[0].upper(), _WORDS)
        if near and word[0].upper() not in _WORDS and not _quoted(text, word.start()):
            return Mistake(f"{word[0]} means nothing here{near}", word.start(), word.end())
    expecting = re.match(r"Expecting (\S+)", what)
    if expecting and start + len(marked) >= len(text.rstrip()):
        return Mistake(f"{expecting[1]} is missing behind {found!r}", start, start + len(marked))
    if "missing for" in what and marked == ")":
        return Mistake("something is missing between the parentheses", start, start + 1)
    if "missing for" in what or not marked or start + len(marked) >= len(text.rstrip()):
        return Mistake(f"something is missing behind {found or 'this'!r}", start, start + max(1, len(marked)))
    if expecting:
        return Mistake(f"{expecting[1]} is missing before {marked!r}", start, start + len(marked))
    for bare in re.finditer(r"(?i)\bfrom\s+([\w.:~/*-]*[:/][\w.:~/*-]+)", text):
        if bare.start() < start <= bare.end() and not _quoted(text, bare.start()):
            return Mistake(f"a log is written in quotes: FROM '{bare[1]}'", bare.start(1), bare.end(1))
    if "Expected table name" in what:
        return Mistake(f"behind FROM comes 'format:path', as in {_EXAMPLE}", start, start + len(marked))
    return Mistake(f"{marked!r} cannot stand here: a comma or a word before it is missing", start, start + len(marked))


def _quoted(text: str, at: int) -> bool:
    return text.count("'", 0, at) % 2 == 1 or text.count('"', 0, at) % 2 == 1


def _word(text: str, start: int) -> str:
    found = re.match(r"\S+", text[start:])
    return found[0][:40] if found else ""


def _offset(text: str, line: int, column: int) -> int:
    """A place of lines and columns, both from 1, in the whole text."""
    lines = text.split("\n")
    return sum(len(each) + 1 for each in lines[: line - 1]) + min(column, len(lines[min(line, len(lines)) - 1]))


def _untokened(exc: Exception, text: str) -> Mistake:
    for mark in ("'", '"'):
        if text.count(mark) % 2:
            at = text.rfind(mark)
            return Mistake(f"the text that begins here never ends: a {mark} is missing", at, len(text))
    return Mistake("this cannot be read as SQL: a quote or the end of a comment is missing", 0, len(text))


def _select(found: exp.Expr, text: str) -> exp.Select:
    while isinstance(found, exp.Subquery) and not found.args.get("alias"):
        found = found.this
    if isinstance(found, exp.SetOperation):
        raise mistake(
            f"{found.key.upper()} puts two questions together: ask each by itself, or both by one WHERE with OR",
            found.expression,
            text,
        )
    if not isinstance(found, exp.Select):
        word = _word(text.lstrip(), 0).rstrip(";(")
        verb = word.upper()
        if verb in ("EXPLAIN", "DESCRIBE", "SUMMARIZE"):
            raise Mistake(f"there is no {verb} here: write logreduce sql --explain 'SELECT ...'", 0, len(word))
        why = "logs are only read" if verb.isalpha() and verb != "SELECT" else "this is no question"
        raise Mistake(f"{why}: a question begins with SELECT, as in {_EXAMPLE}", 0, len(word))
    _refuse_clauses(found, text)
    _refuse_inner(found, text)
    return found


def _refuse_clauses(found: exp.Select, text: str) -> None:
    for name, value in found.args.items():
        if not value or name in _KNOWN:
            continue
        part = value[0] if isinstance(value, list) else value
        part = part if isinstance(part, exp.Expr) else found
        raise mistake(_REFUSED.get(name, f"{name.strip('_').upper()} is not known: leave it out"), part, text)
    if not found.args.get("from_"):
        raise Mistake(f"FROM is missing: say which log, as in {_EXAMPLE}", len(text.rstrip()), len(text) + 1)


def _refuse_inner(found: exp.Select, text: str) -> None:
    for part in found.walk():
        if part is found:
            continue
        if isinstance(part, (exp.Subquery, exp.Select, exp.Exists, exp.SetOperation)):
            raise mistake(
                "a subquery would need an answer before the question is asked: ask it first, and write its rows into "
                "the WHERE as IN (...)",
                part,
                text,
            )
        if isinstance(part, exp.Window):
            raise mistake(
                "OVER goes by rows of all machines in order, and no machine has them: use GROUP BY, and "
                "tumble(time, '1 minute') for time",
                part,
                text,
            )
        if isinstance(part, (exp.Placeholder, exp.Parameter)):
            raise mistake("there are no parameters: write the value", part, text)
