"""A question put together by method calls: ``logs("nginx", "access.log").where("status >= 500").count().by("path")``.

Knows the stages of a question of one line, and makes the text of one: what that means is `backplane.query.oneline`'s
alone. So the same is asked, by the same plan, and ``str(question)`` can be typed into a terminal. Each part is read as
it is given, and a mistake is pointed at in it; which fields there are is looked up when it is asked.

A question never changes: each method gives a new one.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import PurePath
from typing import Final

from backplane.query.oneline import OneLine, one_line
from backplane.query.oneline.pieces import columns, quoted
from backplane.wire.errors import UsageError

_NAME: Final = re.compile(r"[^\W\d]\w*")
#: A path that stands in a line as it is.
_BARE: Final = re.compile(r"[\w/.,:@%+*?~=-]+")
Path = str | PurePath


@dataclass(frozen=True, slots=True)
class Logs:
    """A question of logs; `logs` begins one.

    Attributes:
        format: of the lines: a name of the library, or a TOML file's path.
        paths: files and globs; none for the format's usual place.
    """

    format: str
    paths: tuple[str, ...] = ()
    _before: tuple[str, ...] = ()
    _folded: tuple[str, ...] = ()
    _keys: tuple[str, ...] = ()
    _after: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The question in one line."""
        stages = [*self._before]
        if self._folded:
            stages.append(", ".join(self._folded) + (f" by {', '.join(self._keys)}" if self._keys else ""))
        source = " ".join([self.format, *map(_path, self.paths)])
        return " | ".join([source, *stages, *self._after])

    def understood(self, sources: Sequence[str] | None = None) -> OneLine:
        """What is asked: a plan, and what is left for home.

        Args:
            sources: paths instead of its own.

        Raises:
            UsageError: something in it is wrong.
        """
        if self._keys and not self._folded:
            raise UsageError(f"by({', '.join(self._keys)}) makes groups and nothing folds them: add count()")
        # Its own paths by themselves too: what they hold is no business of a line's reader.
        return one_line(str(self), sources or self.paths or None)

    # --- stages

    def where(self, condition: str) -> Logs:
        """Keep the lines (after an aggregate: the rows) for which a condition is true, as in ``status >= 500``.

        Raises:
            OneLineError: it is no condition.
        """
        columns("where", condition)
        return self._with(f"where {condition.strip()}")

    def search(self, text: str) -> Logs:
        """Keep the lines that hold this text, whatever their format; nothing in it has a meaning."""
        return self._with(f"where `line` contains {quoted(text)}")

    def let(self, **named: str) -> Logs:
        """Give names to expressions: ``let(kb="bytes / 1024")``.

        Raises:
            OneLineError: one is no expression.
        """
        made = self
        for name, expression in named.items():
            columns("where", expression)
            made = made._with(f"let {name} = {expression.strip()}")
        return made

    def parse(self, pattern: str | re.Pattern[str], *names: str, of: str | None = None) -> Logs:
        """Take fields out of a text by ``*``, as in ``parse("took * ms", "took")``, or by a pattern with named groups.

        Args:
            of: an expression; None for the whole line.

        Raises:
            UsageError: a name is none.
        """
        for name in names:
            _named(name)
        if isinstance(pattern, re.Pattern):
            if names:
                raise UsageError("a pattern names its own groups, as in (?P<took>[0-9]+): leave the names out")
            stage = f"parse /{_slashed(pattern)}/"
        else:
            stage = f"parse {quoted(pattern)}"
        stage += self._of(of)
        return self._with(stage + (f" as {', '.join(names)}" if names else ""))

    def json(self, of: str | None = None) -> Logs:
        """Read the line, or the text that an expression gives, as JSON: its fields have names from here on."""
        return self._with("json" + self._of(of))

    def logfmt(self, of: str | None = None) -> Logs:
        """The same of ``key=value`` pairs."""
        return self._with("logfmt" + self._of(of))

    def timeslice(self, size: str, on: str | None = None) -> Logs:
        """An answer for each ``1m`` of event time, or ``5m/1m`` for windows that overlap.

        Args:
            on: the field that is the time; None for the format's own.
        """
        columns("timeslice", size)
        if on is not None:
            columns("where", on)
        return self._with(f"timeslice {size.strip()}" + (f" on {on.strip()}" if on is not None else ""))

    def fields(self, *expressions: str, **named: str) -> Logs:
        """The columns to show: of lines, or after an aggregate of rows."""
        return self._with(f"fields {_columns(expressions, named, 'fields')}")

    def uniq(self, *expressions: str, **named: str) -> Logs:
        """Each different row once."""
        return self._with(f"uniq {_columns(expressions, named, 'uniq')}")

    def sort(self, *by: str) -> Logs:
        """Sort rows: ``sort("-count", "path")``; without columns by the first that was folded, largest first."""
        for each in by:
            columns("sort", each)
        return self._with(f"sort {', '.join(map(str.strip, by))}".strip())

    def limit(self, rows: int) -> Logs:
        """Keep the first rows; without an aggregate, end after so many lines."""
        return self._with(f"limit {_count('limit', rows)}")

    def tail(self, rows: int) -> Logs:
        """Keep the last rows."""
        return self._with(f"tail {_count('tail', rows)}")

    # --- aggregates

    def by(self, *expressions: str, **named: str) -> Logs:
        """Group what is folded: ``by("path", minute="floor(took / 60)")``.

        Raises:
            OneLineError: one is no expression.
        """
        if not expressions and not named:
            return self
        return replace(self, _keys=(*self._keys, _columns(expressions, named, "by")))

    def aggregate(self, *calls: str, **named: str) -> Logs:
        """Fold by aggregates as one line calls them: ``aggregate("count", slow="p99.9(took)")``.

        Raises:
            OneLineError: one is no expression.
            UsageError: the rows were folded before, and something was done with them.
        """
        text = _columns(calls, named, "aggregate")
        if self._after:
            raise UsageError(
                f"{text} comes behind `{self._after[0]}`, where lines are not there any more: name all aggregates "
                "side by side"
            )
        return replace(self, _folded=(*self._folded, text))

    def count(self, of: str | None = None, *, name: str | None = None) -> Logs:
        """How many lines, or in how many an expression is there."""
        return self._fold("count", of, name)

    def sum(self, of: str, *, name: str | None = None) -> Logs:
        """The sum."""
        return self._fold("sum", of, name)

    def min(self, of: str, *, name: str | None = None) -> Logs:
        """The smallest."""
        return self._fold("min", of, name)

    def max(self, of: str, *, name: str | None = None) -> Logs:
        """The largest."""
        return self._fold("max", of, name)

    def mean(self, of: str, *, name: str | None = None) -> Logs:
        """The mean."""
        return self._fold("mean", of, name)

    def var(self, of: str, *, name: str | None = None) -> Logs:
        """The variance."""
        return self._fold("var", of, name)

    def stddev(self, of: str, *, name: str | None = None) -> Logs:
        """The standard deviation."""
        return self._fold("stddev", of, name)

    def median(self, of: str, *, name: str | None = None) -> Logs:
        """The median, within 1 %."""
        return self._fold("median", of, name)

    def p50(self, of: str, *, name: str | None = None) -> Logs:
        """The median, within 1 %."""
        return self._fold("p50", of, name)

    def p90(self, of: str, *, name: str | None = None) -> Logs:
        """What nine in ten are not above, within 1 %; `aggregate` takes any: ``aggregate("p99.9(took)")``."""
        return self._fold("p90", of, name)

    def p95(self, of: str, *, name: str | None = None) -> Logs:
        """See `p90`."""
        return self._fold("p95", of, name)

    def p99(self, of: str, *, name: str | None = None) -> Logs:
        """See `p90`."""
        return self._fold("p99", of, name)

    def distinct(self, of: str, *, name: str | None = None) -> Logs:
        """How many different ones there are."""
        return self._fold("distinct", of, name)

    def top(self, k: int, of: str, *, name: str | None = None) -> Logs:
        """The most frequent ``k``."""
        return self._fold("top", of, name, _count("top", k))

    def first(self, of: str, *, name: str | None = None) -> Logs:
        """The earliest."""
        return self._fold("first", of, name)

    def last(self, of: str, *, name: str | None = None) -> Logs:
        """The latest."""
        return self._fold("last", of, name)

    # --- parts

    def _fold(self, aggregate: str, of: str | None, name: str | None, first: int | None = None) -> Logs:
        if of is not None:
            columns("where", of)
        taken = ", ".join(text for text in (None if first is None else str(first), of and of.strip()) if text)
        call = f"{aggregate}({taken})" if taken else aggregate
        return self.aggregate(**{name: call}) if name is not None else self.aggregate(call)

    def _of(self, expression: str | None) -> str:
        if expression is None:
            return ""
        columns("where", expression)
        return f" from {expression.strip()}"

    def _with(self, stage: str) -> Logs:
        if self._folded:
            return replace(self, _after=(*self._after, stage))
        return replace(self, _before=(*self._before, stage))


def logs(format: str, *paths: Path) -> Logs:
    """Begin a question of logs.

    Args:
        format: of the lines: ``nginx``, ``json``, ``raw`` ... (docs/reference/formats.md), or a TOML file's path.
        paths: files and globs on the providers; none for the format's usual place.

    Raises:
        UsageError: a path is none, or the format's name cannot be one.

    >>> print(logs("nginx", "access.log").where("status >= 500").count().p99("bytes").by("path").sort("-count"))
    nginx access.log | where status >= 500 | count, p99(bytes) by path | sort -count
    """
    if _BARE.fullmatch(format) is None:
        raise UsageError(f"{format!r} is no format's name: there are nginx, json, raw and others")
    for path in map(str, paths):
        if not path or "\0" in path or "\n" in path:
            raise UsageError(f"{path!r} is no path: it is empty, or holds what no path can")
    return Logs(format, tuple(map(str, paths)))


def _path(path: str) -> str:
    # A word that names a stage would be taken for one.
    bare = _BARE.fullmatch(path) and ("/" in path or "." in path)
    return path if bare else quoted(path)


def _columns(expressions: Sequence[str], named: dict[str, str], what: str) -> str:
    """Expressions as the columns of a stage."""
    if not expressions and not named:
        raise UsageError(f"{what}() takes expressions, as in {what}('{'count' if what == 'aggregate' else 'path'}')")
    for expression in expressions:
        columns("fields", expression)
    for expression in named.values():
        columns("where", expression)
    return ", ".join(
        [*map(str.strip, expressions), *(f"{text.strip()} as {_named(name)}" for name, text in named.items())]
    )


def _named(name: str) -> str:
    if _NAME.fullmatch(name) is None:
        raise UsageError(f"{name!r} is no column's name: letters, digits and _")
    return name


def _count(what: str, number: int) -> int:
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise UsageError(f"{what}() takes how many, from 1, and not {number!r}")
    return number


def _slashed(pattern: re.Pattern[str]) -> str:
    """A pattern as it stands between slashes, with its flags."""
    said = {re.ASCII: "a", re.IGNORECASE: "i", re.MULTILINE: "m", re.DOTALL: "s", re.VERBOSE: "x"}
    letters = "".join(letter for flag, letter in said.items() if pattern.flags & flag)
    text = re.sub(r"^\(\?[aimsux]+\)", "", pattern.pattern)
    text = f"(?{letters}){text}" if letters else text
    return re.sub(r"(?<!\\)((?:\\\\)*)/", r"\1\\/", text)
