"""FROM: which log, in which format. ``'nginx:/var/log/nginx/access.log'``, several of them, or ``nginx`` alone.

Knows formats and their usual places. Does not open files.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from sqlglot import exp

from backplane.query.formats import ALIASES, format_data, formats
from backplane.query.near import did_you_mean
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.usual import USUAL
from backplane.query.sql.places import mistake, place
from backplane.wire.errors import UsageError
from provider.runner.formats.form import Format, format_of

_EXAMPLE: Final = "FROM 'nginx:/var/log/nginx/access.log'"


class Source(NamedTuple):
    """See the module. ``alias``: names that may stand before a field."""

    name: str
    format: Format
    paths: tuple[str, ...]
    alias: frozenset[str]


def source(found: exp.Select, text: str) -> Source:
    """What a FROM names.

    Raises:
        Mistake: a join, a format that there is not, or no path.
    """
    tables = [found.args["from_"].this, *(_joined(join, text) for join in found.args.get("joins") or [])]
    named: list[tuple[str, str, exp.Expr]] = []
    alias: set[str] = set()
    for table in tables:
        named += _table(table, named[0][0] if named else "", text)
        if table.alias:
            alias.add(table.alias.lower())
    kinds = {name for name, _, _ in named}
    if len(kinds) > 1:
        one, other = named[0][0], next(name for name, _, _ in named if name != named[0][0])
        part = next(part for name, _, part in named if name == other)
        raise mistake(f"one question reads one format, and here are {one} and {other}: ask twice", part, text)
    name, _, first = named[0]
    form = _format(name, first, text)
    paths = tuple(path for _, path, _ in named if path) or USUAL.get(name, ())
    if not paths:
        raise mistake(
            f"nothing says which file to read, and {name} has no usual place: write FROM '{name}:/path'"
            f"{did_you_mean(name, USUAL)}",
            first,
            text,
        )
    return Source(name, form, paths, frozenset({*alias, name.lower()}))


def _joined(join: exp.Join, text: str) -> exp.Expr:
    """A table behind a comma; sqlglot takes it for a join of all rows with all."""
    if any(join.args.get(each) for each in ("side", "kind", "on", "using", "method", "global")):
        raise mistake(
            "JOIN needs rows of several logs in one place, and no machine has them: ask each log by itself, and join "
            "what comes out of -o csv",
            join.this,
            text,
        )
    one: exp.Expr = join.this
    return one


def _table(table: exp.Expr, before: str, text: str) -> list[tuple[str, str, exp.Expr]]:
    """The format, the path and the part of each that is named."""
    if isinstance(table, exp.Unnest):
        array = table.expressions[0] if table.expressions else table
        return _several(array.expressions, before, text)
    if isinstance(table, exp.Table) and isinstance(table.this, exp.Identifier) and not table.args.get("db"):
        if table.args.get("sample") or table.args.get("pivots"):
            raise mistake("of a log all lines are read: leave this out", table, text)
        said = table.this.this
        if not table.this.quoted and ":" not in said:
            return [(_exact(said), "", table)]
        return [(*_split(said, before, table, text), table)]
    if isinstance(table, exp.Table) and isinstance(table.this, exp.Anonymous):
        return _several(table.this.expressions, _exact(str(table.this.this)), text)
    raise mistake(f"behind FROM comes 'format:path': write {_EXAMPLE}", table, text)


def _several(parts: list[exp.Expr], before: str, text: str) -> list[tuple[str, str, exp.Expr]]:
    found: list[tuple[str, str, exp.Expr]] = []
    for part in parts:
        if not (isinstance(part, exp.Literal) and part.is_string):
            raise mistake(f"here comes a path in quotes, as in {_EXAMPLE}", part, text)
        found.append((*_split(part.this, found[0][0] if found else before, part, text), part))
    if not found:
        raise Mistake(f"behind FROM comes 'format:path': write {_EXAMPLE}", 0, len(text))
    return found


def _exact(name: str) -> str:
    """A format's own spelling."""
    known = {each.lower().replace("-", "_"): each for each in [*formats(), *ALIASES]}
    return known.get(name.lower().replace("-", "_"), name)


def _split(said: str, before: str, part: exp.Expr, text: str) -> tuple[str, str]:
    name, colon, path = said.partition(":")
    if colon and ("/" not in name or name.endswith(".toml")):
        if not path:
            raise mistake(f"a path is missing behind {name}: write '{name}:/path'", part, text)
        return _exact(name.strip()), path
    if before:
        return before, said
    if not colon and _exact(said) in [*formats(), *ALIASES]:
        return _exact(said), ""
    likely = _likely(said)
    one, other, last = [each for each in ("json", "syslog", "raw", "nginx") if each != likely][:3]
    raise mistake(
        f"which format has it? Write '{likely}:{said[:60]}', or {one}:, {other}: or {last}: before it", part, text
    )


def _likely(path: str) -> str:
    """A format by the end of a path, as its name alone suggests it."""
    bare = path.lower().removesuffix(".gz").removesuffix(".zst").removesuffix(".xz").removesuffix(".bz2")
    last = bare.rpartition("/")[2]
    ends = {".json": "json", ".jsonl": "json", ".ndjson": "json", ".csv": "csv", ".tsv": "tsv", ".logfmt": "logfmt"}
    if last in ("syslog", "messages", "auth.log", "secure"):
        return "syslog"
    return next((name for end, name in ends.items() if last.endswith(end)), "nginx")


def _format(name: str, part: exp.Expr, text: str) -> Format:
    try:
        return format_of(format_data(name))
    except UsageError as exc:
        raise Mistake(str(exc), *place(part, text)) from None
