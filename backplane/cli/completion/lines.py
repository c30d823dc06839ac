"""What may stand at the end of a question of one line, or of a SELECT, that is being written.

Knows stages, formats and their fields. It looks at the text up to the cursor and nothing else, and does not parse it: a
line that is being written is not one yet. Candidates are whole texts, and go on.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import Final

from backplane.cli.completion import names
from backplane.cli.completion.answer import Candidate

_WORD: Final = re.compile(r"[\w.@]*\Z")
_QUOTED: Final = re.compile(r"\"[^\"]*\"|'[^']*'|`[^`]*`")
#: Names that a line gives itself.
_GIVEN: Final = re.compile(r"\bas\s+([^\W\d]\w*(?:\s*,\s*[^\W\d]\w*)*)|\blet\s+([^\W\d]\w*)\s*=", re.IGNORECASE)
_AGGREGATES: Final = (
    *("count", "sum", "avg", "min", "max", "p50", "p90", "p95", "p99", "distinct", "approx_distinct", "stddev"),
    *("first", "last", "top", "histogram", "collect", "sample"),
)
_STAGES: Final = {
    "where": "keep the lines of which this is true",
    "parse": "take a text apart into fields",
    "let": "a field more",
    "json": "fields of JSON in a field",
    "logfmt": "fields of key=value in a field",
    "timeslice": "by windows of time",
    "fields": "these fields",
    "sort": "rows in order",
    "limit": "the first rows",
    "tail": "the last rows",
    "uniq": "each once",
}
#: Stages in which no aggregate stands.
_WITHOUT: Final = frozenset(("where", "parse", "let", "fields", "limit", "tail", "timeslice"))
_OPERATORS: Final = ("and", "or", "not", "in", "contains", "starts with", "ends with", "is null", "by", "as")
_SQL: Final = (
    *("SELECT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "DISTINCT", "AS", "AND", "OR", "NOT"),
    *("IN", "LIKE", "ILIKE", "BETWEEN", "IS NULL", "CASE", "WHEN", "THEN", "ELSE", "END", "DESC"),
)
_FROM: Final = re.compile(r"\bfrom\s+(?:'([\w.-]+):|\"([\w.-]+):|([\w.-]+))", re.IGNORECASE)


def one_line(text: str) -> Iterator[Candidate]:
    """How a line may go on."""
    stages = _QUOTED.sub(lambda found: "_" * len(found[0]), text).split("|")
    last = text[len(text) - len(stages[-1]) :]
    format_name = text.strip().partition(" ")[0]
    if len(stages) == 1:
        yield from _source(text, last)
        return
    word = _WORD.search(last)
    assert word is not None
    before, begun = text[: len(text) - len(word[0])], last[: word.start()].strip()
    if not begun:
        yield from _words(before, _STAGES.items())
        yield from _words(before, ((each, "aggregate") for each in _AGGREGATES))
        return
    yield from _words(before, _fields(format_name))
    yield from _words(before, ((each, "named here") for each in _given(text)))
    yield from _words(before, (("host", "the provider's name"), *((each, "") for each in _OPERATORS)))
    if begun.split()[0].lower() not in _WITHOUT and " by " not in f"{last} ":
        yield from _words(before, ((each, "aggregate") for each in _AGGREGATES))


def _source(text: str, last: str) -> Iterator[Candidate]:
    """The format, then paths."""
    if not any(map(str.isspace, last.lstrip())):
        yield from _words("", names.formats())
        return
    begun = re.split(r"\s", text)[-1]
    before = text[: len(text) - len(begun)]
    for path in names.files(begun):
        yield Candidate(before + path, "", True)
    yield Candidate(f"{before}| ", "a stage", True)


def _fields(format_name: str) -> Iterable[tuple[str, str]]:
    from backplane.wire.errors import UsageError

    try:
        return list(names.fields(format_name))
    except UsageError:
        return []


def _given(text: str) -> Iterator[str]:
    for several, one in _GIVEN.findall(text):
        yield from re.split(r"\s*,\s*", several or one)


def sql(text: str) -> Iterator[Candidate]:
    """How a SELECT may go on."""
    word = _WORD.search(text)
    assert word is not None
    before = text[: len(text) - len(word[0])]
    if re.search(r"\bfrom\s+['\"]?\Z", before, re.IGNORECASE):
        yield from _words(before, names.formats())
        return
    upper = not (word[0] and word[0].islower())
    yield from _words(before, ((each if upper else each.lower(), "") for each in _SQL))
    found = _FROM.search(text)
    if found is not None:
        yield from _words(before, _fields(next(filter(None, found.groups()))))
    yield from _words(before, ((each, "aggregate") for each in _AGGREGATES))
    yield from _words(before, (("host", "the provider's name"),))


def _words(before: str, found: Iterable[tuple[str, str]]) -> Iterator[Candidate]:
    for each, about in found:
        yield Candidate(before + each, about, True)
