"""A question of one line, from text to a `Line`: its format, paths and stages.

Knows what stages look like. Does not know which formats, fields or functions there are; `lowering` does.

    FORMAT [PATH ...] | STAGE | STAGE ...
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable
from dataclasses import replace
from typing import Final

from backplane.query.oneline import lexer, patterns
from backplane.query.oneline.aggregates import is_aggregate, names
from backplane.query.oneline.lexer import DURATIONS, MOST_CHARS, Token
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.reading import Reader, shown
from backplane.query.oneline.tree import Column, Line, Stage
from backplane.query.oneline.words import words

_NAME: Final = re.compile(r"[^\W\d]\w*(?:\.\d+)?")
#: What people of other tools write, and what it is here.
_ELSEWHERE: Final = {
    "select": "fields",
    "project": "fields",
    "having": "where",
    "group": "count by",
    "search": "where line contains",
    "grep": "where line ~",
    "extract": "parse",
    "eval": "let",
    "extend": "let",
    "math": "let",
    "rename": "fields old as new",
    "bin": "timeslice",
    "delete": "fields, which names those that stay",
}
#: What a sign of comparison begins with.
_COMPARING: Final = frozenset("=!<>~")
#: Most stages that a line may have.
MOST_STAGES: Final = 50
#: How like a name of ours a word has to be, to be taken for a slip of the pen and not for a text to look for.
_NEAR: Final = 0.75


def parsed(text: str) -> Line:
    """The stages of a line.

    Raises:
        Mistake: it is none.
    """
    if len(text) > MOST_CHARS:
        raise Mistake(f"this is over {MOST_CHARS} characters: put the question into a file", 0, 1)
    reader = Reader(text)
    name, paths = _source(reader)
    stages: list[Stage] = []
    while (found := _divider(reader)) is not None:
        if len(stages) == MOST_STAGES:
            raise Mistake(f"more than {MOST_STAGES} stages", found.start, found.end)
        stages.append(_stage(reader, found))
    return Line(text, name.text, (name.start, name.end), tuple(path.text for path in paths), tuple(stages))


def _source(reader: Reader) -> tuple[Token, list[Token]]:
    name = lexer.word(reader.text, reader.at)
    if name.kind not in ("word", "text"):
        raise Mistake("a question begins with the format of the log, as in: nginx access.log | count", name.start, 0)
    reader.at = name.end
    paths: list[Token] = []
    while (found := lexer.word(reader.text, reader.at)).kind in ("word", "text"):
        if found.kind == "word" and (found.text.lower() in STAGES or is_aggregate(found.text)):
            raise Mistake(f"a | is missing before {found.text!r}", found.start, found.end)
        if found.kind == "word" and found.text.startswith(('cmd:"', "cmd:'")):
            command = lexer.word(reader.text, found.start + 4)
            found = Token("text", f"cmd:{command.text}", found.start, command.end)
        if not found.text or "\0" in found.text or "\n" in found.text:
            raise Mistake("this is no path: it is empty, or holds what no path can", found.start, found.end)
        reader.at = found.end
        paths.append(found)
    return name, paths


def _divider(reader: Reader) -> Token | None:
    """The | before the next stage; None at the end."""
    start = lexer.skipped(reader.text, reader.at)
    if start >= len(reader.text):
        return None
    if reader.text.startswith("||", start):
        raise Mistake("|| is written `or`; one | begins a stage", start, start + 2)
    if reader.text[start] != "|":
        found = lexer.token(reader.text, start)
        if found.says(*STAGES):
            raise Mistake(f"a | is missing before {found.text!r}", found.start, found.end)
        hint = ": conditions are joined by `and` or `or`, stages by |"
        raise Mistake(f"{shown(found)} is not expected here{hint}", found.start, found.end)
    reader.at = start + 1
    return Token("op", "|", start, start + 1)


def _stage(reader: Reader, divider: Token) -> Stage:
    start = lexer.skipped(reader.text, reader.at)
    if reader.text[start : start + 1] in ("", "|"):
        raise Mistake("there is no stage after this |", divider.start, divider.end)
    found = _NAME.match(reader.text, start)
    if found is not None:
        name = found[0].lower()
        read = STAGES.get(name)
        if read is not None:
            reader.at = found.end()
            made = read(reader, start)
            return replace(made, start=start, end=reader.at)
        if _aggregates_follow(reader, found):
            return replace(_aggregates(reader, start), end=reader.at)
        _slip(reader, found)
    node = words(reader)
    return Stage("where", start, reader.at, node=node)


def _aggregates_follow(reader: Reader, found: re.Match[str]) -> bool:
    at = lexer.skipped(reader.text, found.end())
    return is_aggregate(found[0]) or reader.text[at : at + 1] == "("


def _slip(reader: Reader, found: re.Match[str]) -> None:
    """A word that is nearly a stage's name is meant to be one.

    Raises:
        Mistake: it is.
    """
    name = found[0].lower()
    following = reader.text[found.end() : found.end() + 1]
    if following and not following.isspace() and following not in "|,":
        return
    if name in _ELSEWHERE:
        raise Mistake(
            f"there is no stage {found[0]!r}; it is `{_ELSEWHERE[name]}` here (in quotes it is a text to look for)",
            found.start(),
            found.end(),
        )
    near = difflib.get_close_matches(name, [*STAGES, *names()], n=1, cutoff=_NEAR)
    at = lexer.skipped(reader.text, found.end())
    # `status >= 500` is no slip for `stats`, but a condition without its `where`, and words say so.
    if near and reader.text[at : at + 1] not in _COMPARING:
        raise Mistake(
            f"there is no stage {found[0]!r}; did you mean {near[0]!r}? (in quotes it is a text to look for)",
            found.start(),
            found.end(),
        )


# --- the stages


def _where(reader: Reader, start: int) -> Stage:
    return Stage("where", start, 0, node=reader.expression())


def _let(reader: Reader, start: int) -> Stage:
    name = reader.name("`let` takes a name, as in let kb = bytes / 1024")
    reader.need("=", "`let` takes a name and =, as in let kb = bytes / 1024")
    return Stage("let", start, 0, columns=(Column(reader.expression(), name.text),))


def _columns(reader: Reader, what: str) -> tuple[Column, ...]:
    columns = [_column(reader, what)]
    while reader.taken(","):
        columns.append(_column(reader, what))
    return tuple(columns)


def _column(reader: Reader, what: str) -> Column:
    found = reader.peek()
    if found.kind == "end" or found.says("|"):
        raise Mistake(what, found.start, found.end)
    node = reader.expression()
    name = reader.name("after `as` comes a name").text if reader.taken("as") else ""
    return Column(node, name)


def _fields(reader: Reader, start: int) -> Stage:
    return Stage("fields", start, 0, columns=_columns(reader, "`fields` takes fields, as in fields time, path"))


def _uniq(reader: Reader, start: int) -> Stage:
    reader.taken("by")
    return Stage("uniq", start, 0, columns=_columns(reader, "`uniq` takes fields, as in uniq path"))


def _parse(reader: Reader, start: int) -> Stage:
    found = lexer.regex(reader.text, reader.at) or reader.peek()
    if found.kind not in ("text", "regex"):
        raise Mistake(
            'after `parse` comes a text or a pattern, as in parse "took * ms" as took, or parse /took (?<took>\\d+)/',
            found.start,
            found.end,
        )
    reader.at = found.end
    node = None
    if reader.taken("from", "on"):
        node = reader.expression()
    given = _names(reader) if reader.taken("as") else []
    if found.kind == "regex":
        if given:
            raise Mistake("a pattern names its own groups: leave `as` out", given[0].start, given[-1].end)
        pattern, names = patterns.of_regex(found)
    else:
        pattern, names = patterns.of_stars(found, given)
    return Stage("parse", found.start, 0, node=node, names=names, text=pattern)


def _names(reader: Reader) -> list[Token]:
    found = [reader.name("after `as` comes a name for each *")]
    while reader.taken(","):
        found.append(reader.name("after a comma comes another name"))
    return found


def _structured(kind: str) -> Callable[[Reader, int], Stage]:
    def read(reader: Reader, start: int) -> Stage:
        reader.taken("from", "on")
        found = reader.peek()
        return Stage(kind, start, 0, node=None if found.kind == "end" or found.says("|") else reader.expression())

    return read


def _timeslice(reader: Reader, start: int) -> Stage:
    example = "as in timeslice 1m, or 5m/1m for windows that overlap"
    size = _duration(reader, example)
    every = _duration(reader, example) if reader.taken("/") else size
    if every > size:
        raise Mistake("windows begin at least as often as they are long: write 5m/1m, not 1m/5m", start, reader.at)
    node = reader.expression() if reader.taken("on") else None
    return Stage("timeslice", start, 0, node=node, numbers=(size, every))


def _duration(reader: Reader, example: str) -> float:
    found = reader.next()
    if found.kind != "number" or found.unit not in DURATIONS or not 0 < found.value < 1e9:
        raise Mistake(f"here comes a duration, {example}, and {shown(found)} stands here", found.start, found.end)
    return float(found.value)


def _number(kind: str) -> Callable[[Reader, int], Stage]:
    def read(reader: Reader, start: int) -> Stage:
        found = reader.peek()
        if found.kind == "end" or found.says("|"):
            return Stage(kind, start, 0, numbers=(10,))
        reader.next()
        if found.kind != "number" or not isinstance(found.value, int) or found.unit or found.value < 1:
            raise Mistake(f"`{kind}` takes how many, as in {kind} 10, not {shown(found)}", found.start, found.end)
        return Stage(kind, start, 0, numbers=(found.value,))

    return read


def _sort(reader: Reader, start: int) -> Stage:
    reader.taken("by")
    columns: list[Column] = []
    flags: list[bool] = []
    while True:
        found = reader.peek()
        if found.kind == "end" or found.says("|"):
            if not columns:
                return Stage("sort", start, 0)
            raise Mistake("after a comma comes another column, as in sort -count, path", found.start, found.end)
        down = reader.taken("-")
        if not down:
            reader.taken("+")
        node = reader.expression()
        down = reader.taken("desc", "descending") or down
        reader.taken("asc", "ascending")
        columns.append(Column(node, ""))
        flags.append(down)
        if not reader.taken(","):
            return Stage("sort", start, 0, columns=tuple(columns), flags=tuple(flags))


def _stats(reader: Reader, start: int) -> Stage:
    keys = _keys(reader) if reader.taken("by") else ()
    made = _aggregates(reader, start)
    if keys and made.keys:
        raise Mistake("`by` stands here twice", start, reader.at)
    return Stage("aggregates", start, made.end, made.columns, keys or made.keys)


def _aggregates(reader: Reader, start: int) -> Stage:
    columns = _columns(reader, "here comes an aggregate, as in count, p99(bytes) by path")
    found = reader.peek()
    if found.says(*STAGES):
        raise Mistake(f"a | is missing before {found.text!r}", found.start, found.end)
    if not (found.kind == "end" or found.says("|", "by")):
        name = columns[-1].node.value
        hint = f"; what it folds stands in parentheses: {name}({found.text})" if found.kind == "name" else ""
        if str(name).lower() == "top":
            number = found.text
            hint = f"; the most frequent values are top({number}, FIELD), the largest rows are sort | limit {number}"
        raise Mistake(
            f"after an aggregate comes a comma, `by`, `as` or |, and {shown(found)} stands here{hint}",
            found.start,
            found.end,
        )
    return Stage("aggregates", start, 0, columns, _keys(reader) if reader.taken("by") else ())


def _keys(reader: Reader) -> tuple[Column, ...]:
    """Keys, in parentheses or not."""
    before = reader.at
    if reader.taken("("):
        keys = _columns(reader, "after `by` come fields, as in by path, status")
        if reader.taken(")") and not reader.peek().says("+", "-", "*", "/", "%"):
            return keys
        reader.at = before
    return _columns(reader, "after `by` come fields, as in by path, status")


STAGES: Final[dict[str, Callable[[Reader, int], Stage]]] = {
    "where": _where,
    "filter": _where,
    "let": _let,
    "fields": _fields,
    "columns": _fields,
    "parse": _parse,
    "json": _structured("json"),
    "logfmt": _structured("logfmt"),
    "timeslice": _timeslice,
    "stats": _stats,
    "sort": _sort,
    "order": _sort,
    "limit": _number("limit"),
    "head": _number("limit"),
    "take": _number("limit"),
    "tail": _number("tail"),
    "uniq": _uniq,
    "dedup": _uniq,
}
