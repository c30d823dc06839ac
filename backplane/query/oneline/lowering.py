"""A question of one line, from its stages to a plan and what is left for home.

Knows what a plan can hold: a format, a condition, keys, aggregates, a window. What comes after the aggregates happens
at home, and a stage that neither can do is refused with what to do instead.

Theory of operation. `let`, `parse` and `json` compute nothing: they give names to expressions, and every use of such a
name is that expression. So a plan needs no order, and nothing is computed that nobody asks for. ``parse`` is a
condition besides: lines that do not have the pattern are not meant.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any, Final

from backplane.query import hosts, kinds
from backplane.query.formats import ALIASES, format_data, formats
from backplane.query.near import did_you_mean
from backplane.query.oneline.aggregates import Called, called
from backplane.query.oneline.meaning import Meaning
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.model import OneLine
from backplane.query.oneline.scope import Lowered, Scope
from backplane.query.oneline.tree import Column, Line, Node, Stage
from backplane.query.oneline.usual import USUAL
from backplane.wire.errors import UsageError
from provider.runner.expressions import Expression
from provider.runner.formats.form import LINE, Format, format_of
from provider.runner.plan import MOST_COLUMNS, VERSION, Plan, PlanError

_FIRST: Final = "comes before the aggregates: lines are not there any more"
#: Bytes of a star's text that are worth looking for before a pattern is tried.
_WORTH: Final = 3


def lowered(line: Line, sources: Sequence[str] | None = None) -> OneLine:
    """What a line asks.

    Args:
        sources: paths instead of its own.

    Raises:
        Mistake: a name, a type or an order of stages that is wrong.
    """
    return _Lowering(line, sources).made()


class _Lowering:
    """The one mutable object while a line is lowered: a plan under way."""

    def __init__(self, line: Line, sources: Sequence[str] | None) -> None:
        self._line = line
        self._format = _format(line)
        self._paths = list(sources) if sources else _paths(line)
        self._scope = Scope(self._format.types, line.format)
        self._where: list[Expression] = []
        self._keys: list[tuple[str, Expression]] = []
        self._aggregates: list[tuple[str, Expression | None]] = []
        self._values: list[str] = []
        #: How each aggregate was called, so that `sort p99(bytes)` finds its column.
        self._calls: dict[str, str] = {}
        self._columns: list[tuple[str, Expression]] = []
        self._window: list[Any] | None = None
        self._steps: list[tuple[Any, ...]] = []
        self._limit: int | None = None
        #: The stage after which lines are not lines any more.
        self._folded: Stage | None = None
        self._notices: list[str] = []

    def made(self) -> OneLine:
        """The whole."""
        for stage in self._line.stages:
            (self._after if self._folded else self._before)(stage)
        if self._window is not None and not self._aggregates:
            stage = next(stage for stage in self._line.stages if stage.kind == "timeslice")
            raise Mistake("`timeslice` is for aggregates: add one, as in | count", stage.start, stage.end)
        about, where = hosts.split(hosts.conjunction(self._where))
        plan = {
            "version": VERSION,
            "format": self._format.data,
            "paths": self._paths,
            "where": where,
            "keys": [list(each) for each in self._keys],
            "aggregates": [list(each) for each in self._aggregates],
            "columns": [list(each) for each in self._columns],
            "window": self._window,
            "since": None,
            "until": None,
        }
        try:
            Plan.of(hosts.for_host(plan, "", {}))
        except PlanError as exc:  # what is not known of here; the plan itself decides
            raise Mistake(str(exc), 0, len(self._line.text)) from None
        self._tell_hosts(plan, about)
        names = tuple(name for name, _ in self._keys)
        values = tuple(self._values) or tuple(name for name, _ in self._columns)
        steps, notices = tuple(self._steps), tuple(self._notices)
        return OneLine(self._line.text, plan, about, names, values, steps, self._limit, notices)

    def _tell_hosts(self, plan: dict[str, Any], about: Expression | None) -> None:
        if hosts.HOST in self._format.types and (about is not None or hosts.speaks(plan)):
            self._notices.append(
                f"host is the provider's name; the field of that name in the format {self._line.format} is `host`, in "
                "backticks"
            )

    @property
    def _meaning(self) -> Meaning:
        return Meaning(self._line.text, self._scope)

    # --- before the aggregates: what a plan holds

    def _before(self, stage: Stage) -> None:
        read: dict[str, Callable[[Stage], None]] = {
            "where": self._filter,
            "let": self._let,
            "parse": self._parse,
            "json": self._structured,
            "logfmt": self._structured,
            "timeslice": self._timeslice,
            "aggregates": self._fold,
            "uniq": self._uniq,
            "fields": self._fields,
            "limit": self._first,
        }
        if stage.kind not in read:
            self._refuse_order(stage)
        if self._limit is not None or (self._columns and stage.kind != "limit"):
            what = "limit" if self._limit is not None else "fields"
            raise Mistake(f"`{what}` ends a question without aggregates: this stage comes before it", *_place(stage))
        read[stage.kind](stage)

    def _refuse_order(self, stage: Stage) -> None:
        example = self._instead(stage)
        raise Mistake(
            f"`{stage.kind}` needs all rows, and lines are shown as they come: put it behind an aggregate, as in "
            f"{example}",
            *_place(stage),
        )

    def _instead(self, stage: Stage) -> str:
        """What asks for the largest rows: each group's largest, with names that the question has itself."""
        wanted = next((column.node for column in stage.columns if column.node.kind == "name"), None)
        if wanted is None or not stage.flags[0]:
            return "count by path | sort -count"
        key = next((name for name, _ in self._columns if name != wanted.value), "path")
        return f"max({wanted.value}) as most by {key} | sort -most | limit 5"

    def _filter(self, stage: Stage) -> None:
        assert stage.node is not None
        condition = self._meaning.condition(stage.node).expression
        self._where.append(condition)

    def _let(self, stage: Stage) -> None:
        for column in stage.columns:
            self._scope.given[self._new(column.name, stage)] = self._meaning.of(column.node)

    def _new(self, name: str, stage: Stage) -> str:
        if name == LINE or hosts.is_host(name):
            raise Mistake(f"{name!r} has a meaning already: choose another name", *_place(stage))
        return name

    def _text(self, stage: Stage) -> tuple[Lowered, Node]:
        """What a stage takes apart: a text, or the line."""
        node = stage.node or Node("name", stage.start, stage.end, LINE, quoted=True)
        made = self._meaning.of(node)
        if made.kind not in ("string", "any"):
            raise Mistake(
                f"`{stage.kind}` takes a text apart, and {self._meaning.said(node)} is none", node.start, node.end
            )
        return made, node

    def _parse(self, stage: Stage) -> None:
        made, _ = self._text(stage)
        pattern = stage.text
        self._where += [["contains", made.expression, text] for text in _literals(pattern)]
        self._where.append(["matches", made.expression, pattern])
        for number, name in enumerate(stage.names, 1):
            if name:
                taken = ["call", "extract", made.expression, ["value", pattern], ["value", number]]
                self._scope.given[self._new(name, stage)] = Lowered(taken, "string", loose=True)

    def _structured(self, stage: Stage) -> None:
        if stage.node is None and self._format.data["kind"] == "raw" and not self._scope.given:
            # Of whole lines a format does the same, and faster.
            self._format = format_of(format_data(stage.kind))
            self._scope.types, self._scope.format = self._format.types, stage.kind
            return
        made, _ = self._text(stage)
        self._scope.inner = (stage.kind, made.expression)

    def _timeslice(self, stage: Stage) -> None:
        if self._window is not None:
            raise Mistake("`timeslice` stands here twice", *_place(stage))
        time = self._format.time
        if stage.node is not None:
            made = self._meaning.of(stage.node)
            if made.expression[0] != "field" or made.kind not in ("time", "any"):
                raise Mistake(
                    f"`timeslice` goes by a field that is a time, and {self._meaning.said(stage.node)} is none",
                    stage.node.start,
                    stage.node.end,
                )
            time = made.expression[1]
        if not time:
            raise Mistake(
                f"`timeslice` needs a time, and the format {self._line.format} has none: name a field that is one, as "
                "in timeslice 1m on FIELD",
                *_place(stage),
            )
        self._window = [time, *stage.numbers, 0.0]

    def _fields(self, stage: Stage) -> None:
        for column in stage.columns:
            name = self._unique(column, [each for each, _ in self._columns])
            self._columns.append((name, self._meaning.of(column.node).expression))
        self._bounded(len(self._columns), stage)

    def _first(self, stage: Stage) -> None:
        self._limit = int(stage.numbers[0])

    def _uniq(self, stage: Stage) -> None:
        self._group(stage.columns)
        self._aggregates.append(("count", None))
        self._values.append("count")
        self._over(stage, [])
        names = [name for name, _ in self._keys]
        self._steps.append(("columns", tuple((name, ["field", name]) for name in names)))
        self._scope.types = {name: self._scope.types[name] for name in names}

    def _fold(self, stage: Stage) -> None:
        self._group(stage.keys)
        calls = [(called(column.node), column) for column in stage.columns]
        names = [call.columns[0].partition("(")[0] for call, _ in calls if len(call.columns) == 1]
        for call, column in calls:
            self._aggregate(call, column, alone=names.count(call.columns[0].partition("(")[0]) < 2)
        self._bounded(len(calls), stage)
        self._over(stage, self._values)

    def _aggregate(self, call: Called, column: Column, *, alone: bool) -> None:
        taken = None
        if call.node is not None:
            made = self._meaning.of(call.node)
            # What nobody has said the type of is most often a number where the largest is asked for.
            if call.numeric or (made.loose and call.name in ("min", "max")):
                made = self._meaning.number(call.node, call.name)
            if made.kind == "bool" and call.name == "count":
                raise Mistake(
                    f"count(x) counts where x is there: put `where {self._meaning.said(call.node)}` before it",
                    call.node.start,
                    call.node.end,
                )
            taken = made.expression
        self._aggregates.append((call.name, taken))
        if len(call.columns) > 1:
            if column.name:
                raise Mistake(
                    f"{call.name} gives {len(call.columns)} columns: leave `as` out", column.node.start, column.node.end
                )
            self._values += [self._free(name, column.node) for name in call.columns]
            return
        said = self._meaning.said(column.node)
        name = column.name or (call.columns[0].partition("(")[0] if alone else said)
        self._values.append(self._free(name, column.node))
        self._calls["".join(said.split()).lower()] = name

    def _free(self, name: str, node: Node) -> str:
        if name in self._values or name in (key for key, _ in self._keys) or name == "window":
            raise Mistake(f"two columns would be called {name!r}: name one by `as`", node.start, node.end)
        return name

    def _group(self, columns: Sequence[Column]) -> None:
        for column in columns:
            name = self._unique(column, [each for each, _ in self._keys])
            self._keys.append((name, self._meaning.of(column.node).expression))

    def _unique(self, column: Column, taken: Sequence[str]) -> str:
        name = column.name or (str(column.node.value) if column.node.kind == "name" else "")
        name = name or self._meaning.said(column.node)
        if name in taken:
            raise Mistake(f"two columns would be called {name!r}: name one by `as`", column.node.start, column.node.end)
        return name

    def _bounded(self, count: int, stage: Stage) -> None:
        if count > MOST_COLUMNS or len(self._keys) > MOST_COLUMNS:
            raise Mistake(f"at most {MOST_COLUMNS} columns", *_place(stage))

    def _over(self, stage: Stage, values: Sequence[str]) -> None:
        """From here on there are rows at home."""
        self._folded = stage
        types = {"window": "any"} if self._window is not None else {}
        names = [*(name for name, _ in self._keys), *values]
        found = kinds.of_plan(self._keys, self._aggregates, (), self._format.types)
        types |= {name: _of_row(kind) for name, kind in zip(names, found, strict=False)}
        self._scope = Scope(types, "", hosts=False, columns=True)

    # --- after them: what is done at home

    def _after(self, stage: Stage) -> None:
        read: dict[str, Callable[[Stage], None]] = {
            "where": self._having,
            "let": self._added,
            "sort": self._sorted,
            "limit": self._cut,
            "tail": self._cut,
            "fields": self._picked,
        }
        if stage.kind not in read:
            if stage.kind in ("aggregates", "uniq"):
                raise Mistake(
                    "a second aggregate would need the answer of the first: ask for both in one stage, joined by "
                    "commas, or fold the output of `-o jsonl`",
                    *_place(stage),
                )
            raise Mistake(f"`{stage.kind}` {_FIRST}", *_place(stage))
        read[stage.kind](stage)

    def _having(self, stage: Stage) -> None:
        assert stage.node is not None
        node = stage.node
        if node.kind == "contains" and node.parts[0].value == LINE and LINE not in self._scope.types:
            raise Mistake(f"looking for a text {_FIRST}; of columns ask `where path contains '...'`", *_place(stage))
        self._steps.append(("where", self._meaning.condition(self._resolved(node)).expression))

    def _added(self, stage: Stage) -> None:
        for column in stage.columns:
            made = self._meaning.of(self._resolved(column.node))
            self._steps.append(("let", column.name, made.expression))
            self._scope.types = {**self._scope.types, column.name: _of_row(made.kind)}

    def _sorted(self, stage: Stage) -> None:
        by = [] if stage.columns else [(["field", self._most()], True)]
        for column, down in zip(stage.columns, stage.flags, strict=True):
            by.append((self._meaning.of(self._resolved(column.node)).expression, down))
        self._steps.append(("sort", tuple(by)))

    def _most(self) -> str:
        """The column that a bare `sort` goes by: the first that was folded."""
        return next(name for name in (*self._values, *self._scope.types) if name in self._scope.types)

    def _cut(self, stage: Stage) -> None:
        self._steps.append((stage.kind, int(stage.numbers[0])))

    def _picked(self, stage: Stage) -> None:
        columns: dict[str, Lowered] = {}
        for column in stage.columns:
            columns[self._unique(column, list(columns))] = self._meaning.of(self._resolved(column.node))
        self._steps.append(("columns", tuple((name, made.expression) for name, made in columns.items())))
        self._scope.types = {name: _of_row(made.kind) for name, made in columns.items()}

    def _resolved(self, node: Node) -> Node:
        """An aggregate that is called again is the column that it gave."""
        said = "".join(self._line.text[node.start : node.end].split()).lower()
        if node.kind in ("call", "name") and str(node.value) not in self._scope.types and said in self._calls:
            return Node("name", node.start, node.end, self._calls[said], quoted=True)
        parts = tuple(self._resolved(part) for part in node.parts)
        return Node(node.kind, node.start, node.end, node.value, parts, node.quoted, node.unit)


def _of_row(kind: str) -> str:
    """A column's type after the aggregates: a time can be compared with a text then, and a text may be a number."""
    return kind if kind == "time" else "any"


def _place(stage: Stage) -> tuple[int, int]:
    return stage.start, stage.end


def _format(line: Line) -> Format:
    start, end = line.format_at
    name = line.format
    by_lower = {each.lower(): each for each in [*formats(), *ALIASES]}
    looks_like_path = "/" in name or name.endswith((".log", ".txt", ".gz")) or name == "-"
    if looks_like_path and not name.endswith(".toml"):
        raise Mistake(
            f"a question begins with the format of the log: write raw {name}, or nginx, json, syslog ... before it",
            start,
            end,
        )
    if name not in by_lower.values() and name.lower() in by_lower:
        raise Mistake(f"there is no format {name!r}; did you mean {by_lower[name.lower()]!r}?", start, end)
    try:
        return format_of(format_data(name))
    except UsageError as exc:
        raise Mistake(str(exc), start, end) from None


def _paths(line: Line) -> list[str]:
    if line.paths:
        return list(line.paths)
    if line.format in USUAL:
        return list(USUAL[line.format])
    start, end = line.format_at
    near = did_you_mean(line.format, USUAL)
    raise Mistake(
        f"nothing says which file to read, and {line.format} has no usual place: write a path after it{near}",
        start,
        end,
    )


def _literals(pattern: str) -> list[str]:
    """A text that every match holds, by which lines are found before a pattern is tried; where it is easily seen."""
    if re.search(r"\((?!\.\*\??\))|[|\[{?+](?!\))|\\[A-Za-z0-9]", pattern.replace("(.*?)", "").replace("(.*)", "")):
        return []
    pieces = re.split(r"\(\.\*\??\)", pattern.removeprefix("^"))
    longest = max((re.sub(r"\\(.)", r"\1", piece, flags=re.DOTALL) for piece in pieces), key=len)
    return [longest] if len(longest) >= _WORTH else []
