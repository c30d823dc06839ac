"""A SELECT as a plan and what is left for home, in the form that questions of one line have.

Knows what a plan can hold, and clauses. Does not know how expressions are written, or where a log is.

Theory of operation. WHERE, keys, what is folded, and the columns of a SELECT without aggregates are asked on the
providers. Of what they fold come rows, and the rest is done with these: HAVING, ORDER BY, LIMIT, and what stands behind
SELECT, in which keys and aggregates are columns. So ``sum(bytes) / count(*)`` folds two columns and divides here.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from sqlglot import exp

from backplane.query import hosts, kinds
from backplane.query.oneline.aggregates import called
from backplane.query.oneline.meaning import Meaning
from backplane.query.oneline.mistakes import Mistake
from backplane.query.oneline.model import OneLine
from backplane.query.oneline.scope import Lowered, Scope
from backplane.query.oneline.tree import Node
from backplane.query.sql.aggregates import Taken, taken
from backplane.query.sql.names import name_of
from backplane.query.sql.nodes import Nodes
from backplane.query.sql.places import place
from backplane.query.sql.sources import source
from provider.runner.expressions import Expression
from provider.runner.formats.form import LINE
from provider.runner.plan import VERSION, Plan, PlanError

_WINDOW: Final = "window"
_WINDOWS: Final = ("tumble", "hop")
#: Aggregates of no rows that are not null.
_ZERO: Final = ("count", "distinct")


class _Item(NamedTuple):
    """What stands behind SELECT, without its name."""

    name: str
    part: exp.Expr
    named: bool


class _Key(NamedTuple):
    part: exp.Expr
    name: str
    value: Expression


class _Folded(NamedTuple):
    part: exp.Expr
    name: str
    aggregate: str
    value: Expression | None


def lowered(select: exp.Select, text: str, sources: Sequence[str] | None = None) -> OneLine:
    """What a SELECT asks.

    Args:
        sources: paths instead of its own.

    Raises:
        Mistake: a name, a type or a clause that is wrong.
    """
    return _Lowering(select, text, sources).made()


class _Lowering:
    """The one mutable object while a SELECT is lowered: a plan under way."""

    def __init__(self, select: exp.Select, text: str, sources: Sequence[str] | None) -> None:
        self._select = select
        self._text = text
        self._source = source(select, text)
        self._paths = list(sources) if sources else list(self._source.paths)
        self._types = self._source.format.types
        self._meaning = Meaning(text, Scope(self._types, self._source.name))
        self._nodes = Nodes(text, self._of_line)
        self._rows = Nodes(text, self._of_row)
        self._row_types: dict[str, str] = {}
        self._row_meaning = Meaning(text, Scope(self._row_types, "", hosts=False, columns=True))
        self._unqualify()
        self._items = self._selected()
        #: Names of columns that are being looked up: ``lower(path) AS path`` means the field.
        self._open: set[str] = set()
        self._keys: list[_Key] = []
        self._folded: list[_Folded] = []
        self._window: list[Any] | None = None
        self._window_part: exp.Expr | None = None
        self._steps: list[tuple[Any, ...]] = []

    def made(self) -> OneLine:
        """The whole."""
        where = self._where()
        limit = self._limit()
        if self._groups():
            columns: list[tuple[str, Expression]] = []
            self._grouped(limit)
        else:
            columns = self._lines()
        about, rest = hosts.split(where)
        plan = {
            "version": VERSION,
            "format": self._source.format.data,
            "paths": self._paths,
            "where": rest,
            "keys": [[key.name, key.value] for key in self._keys],
            "aggregates": [[each.aggregate, each.value] for each in self._folded],
            "columns": [list(each) for each in columns],
            "window": self._window,
            "since": None,
            "until": None,
        }
        try:
            Plan.of(hosts.for_host(plan, "", {}))
        except PlanError as exc:  # what is not known of here; the plan itself decides
            raise Mistake(str(exc), 0, len(self._text)) from None
        keys = tuple(key.name for key in self._keys)
        values = tuple(each.name for each in self._folded) or tuple(name for name, _ in columns)
        most = limit if not self._folded else None
        return OneLine(self._text, plan, about, keys, values, tuple(self._steps), most, self._notices(plan, about))

    def _notices(self, plan: dict[str, Any], about: Expression | None) -> tuple[str, ...]:
        told = []
        if hosts.HOST in self._types and (about is not None or hosts.speaks(plan)):
            name = self._source.name
            told.append(
                f'host is the provider\'s name; the field of that name in the format {name} is "host", in quotes'
            )
        if self._window is not None and any(step[0] == "limit" for step in self._steps):
            told.append("ORDER BY and LIMIT are of each window; of all rows they are with GROUP BY time_bucket(...)")
        return tuple(told)

    def _wrong(self, reason: str, part: exp.Expr) -> Mistake:
        return Mistake(reason, *place(part, self._text))

    # --- names

    def _unqualify(self) -> None:
        """Take what FROM is called off the fields: ``n.status`` is ``status``."""
        for column in self._select.find_all(exp.Column):
            first = column.parts[0]
            if len(column.parts) > 1 and first.name.lower() in self._source.alias and first.name != hosts.HOST:
                name = next(key for key in ("catalog", "db", "table") if column.args.get(key))
                column.set(name, None)

    def _selected(self) -> list[_Item]:
        items: list[_Item] = []
        for part in self._select.expressions:
            if isinstance(part, exp.Star) or (isinstance(part, exp.Column) and isinstance(part.this, exp.Star)):
                items += self._all(part)
            elif isinstance(part, exp.Alias):
                items.append(_Item(part.alias, part.this, True))
            else:
                items.append(_Item(name_of(part, self._text), part, False))
        if not items and not self._select.find(exp.Star):
            raise Mistake("nothing stands behind SELECT: name columns, or write *", 0, len(self._text.split()[0]))
        return items

    def _all(self, star: exp.Expr) -> list[_Item]:
        """Every field, where they are known; otherwise whole lines, which is no column at all."""
        if any(star.args.get(each) for each in ("except_", "except", "replace", "rename")):
            raise self._wrong("* stands alone: name the columns", star)
        names = [name for name in self._types if name not in ("*", LINE)]
        if "*" in self._types or not names:
            if len(self._select.expressions) > 1:
                raise self._wrong(f"* is the whole line in the format {self._source.name}: write `line`", star)
            return []
        return [_Item(name, exp.column(exp.to_identifier(name, quoted=hosts.is_host(name))), False) for name in names]

    def _alias(self, part: exp.Expr) -> exp.Expr | None:
        """The expression that a bare name behind SELECT stands for."""
        if not isinstance(part, exp.Column) or len(part.parts) != 1:
            return None
        found = [item.part for item in self._items if item.named and item.name.lower() == part.name.lower()]
        return found[0] if found else None

    def _at(self, part: exp.Expr, clause: str) -> exp.Expr | None:
        """What stands behind SELECT at a place that is given as a number."""
        if not (isinstance(part, exp.Literal) and not part.is_string):
            return None
        said = str(part.this)
        if not said.isdigit() or not 1 <= int(said) <= len(self._items):
            raise self._wrong(f"{clause} {said}: there are {len(self._items)} columns behind SELECT", part)
        return self._items[int(said) - 1].part

    def _field(self, part: exp.Expr) -> str | None:
        """The format's own field that a name means, whatever its case."""
        if not isinstance(part, exp.Column):
            return None
        name = ".".join(each.name for each in part.parts)
        if name in self._types or part.this.args.get("quoted"):
            return name
        lower = [each for each in self._types if each.lower() == name.lower()]
        return lower[0] if len(lower) == 1 else None

    # --- of lines, on providers

    def _of_line(self, part: exp.Expr) -> Node | None:
        if isinstance(part, exp.Column):
            return self._named(part)
        if taken(part, self._nodes) is not None:
            raise self._wrong("an aggregate stands behind SELECT, in HAVING or in ORDER BY, and in no other one", part)
        return None

    def _named(self, part: exp.Column) -> Node | None:
        field = self._field(part)
        alias = self._alias(part)
        name = part.name.lower()
        if field is None and alias is not None and name not in self._open:
            self._open.add(name)
            try:
                return self._nodes.of(alias)
            finally:
                self._open.discard(name)
        if field is None or (hosts.is_host(field) and not part.this.args.get("quoted")):
            return None
        start, end = place(part, self._text)
        return Node("name", start, end, field, quoted=bool(part.this.args.get("quoted")))

    def _where(self) -> Expression | None:
        where = self._select.args.get("where")
        if where is None:
            return None
        found = next((part for part in where.walk() if taken(part, self._nodes) is not None), None)
        if found is not None:
            raise self._wrong("WHERE is asked of lines, before they are folded: put an aggregate into HAVING", found)
        return hosts.conjunction([self._meaning.condition(self._nodes.of(where.this)).expression])

    def _lines(self) -> list[tuple[str, Expression]]:
        for clause, instead in (("having", "put it into WHERE"), ("order", "add GROUP BY, or sort the output")):
            part = self._select.args.get(clause)
            if part is not None:
                word = {"having": "HAVING", "order": "ORDER BY"}[clause]
                raise self._wrong(f"{word} needs rows that were folded, and lines come as they are: {instead}", part)
        columns: list[tuple[str, Expression]] = []
        for item in self._items:
            self._free(item.name, item.part, [name for name, _ in columns])
            self._no_window(item.part)
            columns.append((item.name, self._meaning.of(self._nodes.of(item.part)).expression))
        # The host of a line is told before it, whatever is asked.
        return [each for each in columns if each != (hosts.HOST, ["field", hosts.HOST])] or columns

    def _no_window(self, part: exp.Expr) -> None:
        if _is_window(part):
            raise self._wrong("tumble and hop are for aggregates: add GROUP BY, and an aggregate behind SELECT", part)

    # --- groups

    def _groups(self) -> bool:
        if self._select.args.get("group") or self._select.args.get("distinct"):
            return True
        asked = [item.part for item in self._items]
        asked += [self._select.args[each] for each in ("having", "order") if self._select.args.get(each)]
        return any(taken(part, self._nodes) is not None for each in asked for part in each.walk())

    def _grouped(self, limit: int | None) -> None:
        for part in self._group_parts():
            self._group(part)
        if not self._items:
            raise self._wrong("GROUP BY gives keys and aggregates, and * is every field: name columns", self._select)
        columns = [self._column(item) for item in self._items]
        having = self._select.args.get("having")
        if having is not None:
            condition = self._row_meaning.condition(self._rows.of(having.this)).expression
            self._steps.append(("where", condition))
        by = [each for part in self._ordered() for each in self._sorted(part)]
        # A group of nulls alone is there because its records were counted: no other aggregate tells of it.
        grouped = self._keys or self._window is not None
        if grouped and not any(each.aggregate == "count" and each.value is None for each in self._folded):
            self._folded.append(_Folded(self._select, self._unused("count"), "count", None))
        if not self._keys and self._window is None:
            empty = tuple(0 if each.aggregate.partition("(")[0] in _ZERO else None for each in self._folded)
            self._steps.insert(0, ("default", empty))
        if by:
            self._steps.append(("sort", tuple(by)))
        if limit is not None:
            self._steps.append(("limit", limit))
        columns = [each for each in columns if each[0] != _WINDOW or self._window is None]
        there = [*(key.name for key in self._keys), *(each.name for each in self._folded)]
        if [(name, ["field", name]) for name in there] != columns:
            self._steps.append(("columns", tuple(columns)))

    def _group_parts(self) -> list[exp.Expr]:
        group = self._select.args.get("group")
        distinct = self._select.args.get("distinct")
        if distinct is not None:
            if distinct.args.get("on"):
                raise self._wrong(
                    "DISTINCT ON is not known: GROUP BY these columns, and take first(x) of others", distinct
                )
            if group is not None or any(self._folds(item.part) for item in self._items):
                raise self._wrong("groups are distinct already: leave DISTINCT out", self._items[0].part)
            return [item.part for item in self._items]
        if group is None:
            return []
        for each in ("grouping_sets", "cube", "rollup", "totals"):
            if group.args.get(each):
                raise self._wrong(f"{each.upper()} is not known: ask each GROUP BY by itself", group)
        if group.args.get("all"):
            return [item.part for item in self._items if not self._folds(item.part)]
        return [self._group_part(part) for part in group.expressions]

    def _group_part(self, part: exp.Expr) -> exp.Expr:
        if isinstance(part, (exp.Rollup, exp.Cube, exp.GroupingSets, exp.Tuple)):
            raise self._wrong("GROUP BY takes expressions with commas between: ask other groups by themselves", part)
        at = self._at(part, "GROUP BY")
        alias = self._alias(part) if self._field(part) is None else None
        return at if at is not None else alias if alias is not None else part

    def _folds(self, part: exp.Expr) -> bool:
        return any(taken(each, self._nodes) is not None for each in part.walk())

    def _group(self, part: exp.Expr) -> None:
        part = part.unnest()
        if self._key(part) is not None or (self._window_part is not None and part == self._window_part):
            return
        if _is_window(part):
            self._windowed(part)
            return
        if self._folds(part):
            raise self._wrong("groups are made before anything is folded: GROUP BY takes no aggregate", part)
        made = self._meaning.of(self._nodes.of(part))
        name = self._name(part)
        self._keys.append(_Key(part, name, made.expression))
        self._row_types[name] = kinds.kind(made.expression, kinds.fields(self._types))

    def _name(self, part: exp.Expr) -> str:
        """What a key or an aggregate is called: as behind SELECT, if it stands there."""
        for item in self._items:
            if item.part.unnest() == part and item.name not in self._taken():
                return item.name
        return self._unused(name_of(part, self._text))

    def _taken(self) -> list[str]:
        return [_WINDOW, *(key.name for key in self._keys), *(each.name for each in self._folded)]

    def _unused(self, name: str) -> str:
        """A name that no other column has, now or behind SELECT."""
        found, number = name, 1
        while found in self._taken() or any(item.name == found for item in self._items):
            number += 1
            found = f"{name} ({number})"
        return found

    def _key(self, part: exp.Expr) -> _Key | None:
        return next((key for key in self._keys if key.part == part), None)

    def _column(self, item: _Item) -> tuple[str, Expression]:
        if _is_window(item.part) and item.part == self._window_part:
            if item.named and item.name != _WINDOW:
                raise self._wrong("the column of windows is called window: leave AS out", item.part)
            return _WINDOW, ["field", _WINDOW]
        made = self._row_meaning.of(self._rows.of(item.part))
        self._free(item.name, item.part, self._shown)
        return item.name, made.expression

    @property
    def _shown(self) -> list[str]:
        """Names that stand behind SELECT more than once."""
        names = [item.name for item in self._items]
        return [name for name in names if names.count(name) > 1] + ([_WINDOW] if self._window is not None else [])

    def _free(self, name: str, part: exp.Expr, others: Sequence[str]) -> None:
        if name in others:
            raise self._wrong(f"two columns would be called {name!r}: name one by AS", part)

    def _windowed(self, part: exp.Expr) -> None:
        if self._window is not None:
            raise self._wrong("one question has windows of one kind", part)
        name, given = str(part.this).lower(), part.expressions
        want = 2 if name == "tumble" else 3
        if len(given) != want:
            example = "tumble(time, '1 minute')" if want == 2 else "hop(time, '1 minute', '5 minutes')"
            raise self._wrong(f"{name} takes a time and {'a length' if want == 2 else 'two lengths'}: {example}", part)
        made = self._meaning.of(self._nodes.of(given[0]))
        if made.expression[0] != "field" or made.kind not in ("time", "any"):
            raise self._wrong(
                f"{name} goes by a field that is a time, and {name_of(given[0], self._text)} is none", part
            )
        lengths = [self._nodes.seconds(each) for each in given[1:]]
        self._window = [made.expression[1], lengths[-1], lengths[0], 0.0]
        self._window_part = part
        self._row_types[_WINDOW] = "any"

    # --- of rows, at home

    def _of_row(self, part: exp.Expr) -> Node | None:
        start, end = place(part, self._text)
        key = self._key(part)
        if key is not None:
            return Node("name", start, end, key.name, quoted=True)
        if self._window_part is not None and part == self._window_part:
            return Node("name", start, end, _WINDOW, quoted=True)
        found = taken(part, self._nodes)
        if found is not None:
            return self._counted(Node("name", start, end, self._fold(part, found), quoted=True), found)
        if not isinstance(part, exp.Column):
            return None
        alias = self._alias(part)
        if alias is not None and part.name.lower() not in self._open:
            self._open.add(part.name.lower())
            try:
                return self._rows.of(alias)
            finally:
                self._open.discard(part.name.lower())
        name = name_of(part, self._text)
        if name == _WINDOW and self._window is not None:
            return Node("name", start, end, _WINDOW, quoted=True)
        made = self._nodes.of(part)
        self._meaning.of(made)  # a name that is none is that first of all
        raise self._wrong(f"{name} is no one value of a group: put it into GROUP BY, or into an aggregate", part)

    def _counted(self, node: Node, found: Taken) -> Node:
        """Of nulls alone a count is 0; what was folded of nothing is null."""
        if found.name not in _ZERO or (found.folded is None and found.where is None):
            return node
        null = Node("null", node.start, node.end, parts=(node,))
        return Node("call", node.start, node.end, "if", (null, Node("value", node.start, node.end, 0), node))

    def _fold(self, part: exp.Expr, found: Taken) -> str:
        """The column that an aggregate gives."""
        same = next((each for each in self._folded if each.part == part), None)
        if same is not None:
            return same.name
        start, end = place(part, self._text)
        node = self._taken_node(part, found)
        numbers = [Node("value", start, end, number) for number in found.arguments]
        call = called(Node("call", start, end, found.name, (*([node] if node else []), *numbers)))
        if len(call.columns) != 1:
            raise self._wrong(f"{found.name} gives {len(call.columns)} columns: ask for one at a time", part)
        made = None if call.node is None else self._value(call.node, call.name, numeric=call.numeric)
        name = self._name(part)
        self._folded.append(_Folded(part, name, call.name, None if made is None else made.expression))
        taken_kind = "any" if made is None else kinds.kind(made.expression, kinds.fields(self._types))
        self._row_types[name] = kinds.of_row(kinds.folded(call.name, taken_kind))
        return name

    def _value(self, node: Node, name: str, *, numeric: bool) -> Lowered:
        made = self._meaning.of(node)
        return self._meaning.number(node, name) if numeric or (made.loose and name in ("min", "max")) else made

    def _taken_node(self, part: exp.Expr, found: Taken) -> Node | None:
        """What an aggregate folds: where a condition is not true, null, which no aggregate takes."""
        folded = found.folded
        if isinstance(folded, exp.Literal) and not folded.is_string and found.name == "count":
            folded = None
        conditions = [each for each in (found.where, folded if found.true else None) if each is not None]
        if not conditions:
            return None if folded is None else self._nodes.of(folded)
        start, end = place(part, self._text)
        node = Node("value", start, end, 1) if folded is None or found.true else self._nodes.of(folded)
        null = Node("value", start, end, None)
        for condition in conditions:
            at = place(condition, self._text)
            node = Node("call", *at, "if", (self._nodes.of(condition), node, null))
        return node

    def _ordered(self) -> list[exp.Expr]:
        order = self._select.args.get("order")
        return [] if order is None else list(order.expressions)

    def _sorted(self, part: exp.Expr) -> list[tuple[Expression, bool]]:
        if not isinstance(part, exp.Ordered):
            raise self._wrong("ORDER BY takes expressions with commas between", part)
        if part.args.get("with_fill"):
            raise self._wrong("WITH FILL is not known: leave it out", part)
        at = self._at(part.this, "ORDER BY")
        wanted = at if at is not None else self._alias(part.this) or part.this
        made = self._row_meaning.of(self._rows.of(wanted)).expression
        nulls: list[tuple[Expression, bool]] = [(["null", made], True)] if part.args.get("nulls_first") else []
        return [*nulls, (made, bool(part.args.get("desc")))]

    def _limit(self) -> int | None:
        limit = self._select.args.get("limit")
        if limit is None:
            return None
        number = limit.args.get("count") or limit.args.get("expression")
        options = limit.args.get("limit_options")
        said = str(number.this) if isinstance(number, exp.Literal) and not number.is_string else ""
        odd = options is not None and (options.args.get("percent") or options.args.get("with_ties"))
        if odd or limit.expressions or not said.isdigit() or not 0 < int(said) < 1 << 31:
            raise self._wrong("LIMIT takes how many, a whole number above 0", number or limit)
        return int(said)


def _is_window(part: exp.Expr) -> bool:
    return isinstance(part, exp.Anonymous) and str(part.this).lower() in _WINDOWS
