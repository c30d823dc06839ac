"""A plan: a question about logs as data, which a provider compiles for itself.

Knows what a plan may say. Does not know files or how it is run. It travels: standard library only, Python 3.6.

`Plan.of` takes what msgpack gave and looks at every part, because a plan comes from outside: what it returns can be
compiled. `data` gives it back. A change of meaning is a new `VERSION`, and another one is refused by its number.
"""

from typing import Any, Dict, List, NamedTuple, Optional, Tuple

from provider.runner.expressions import NUMERIC, Expression, ExpressionError, fields, kind_of
from provider.runner.formats.base import FormatError
from provider.runner.formats.form import Format, format_of
from provider.runner.windows import Window

VERSION = 1
#: Far more than a person asks for at once, few enough that the source made of them stays small.
MOST_COLUMNS = 64
#: Aggregates whose states name the place of a value among all that there were.
PLACED = frozenset(("first", "last", "sample", "collect"))
#: Lines around one that is kept, in one direction.
MOST_CONTEXT = 100
#: Windows that one record may be in: each is held by itself at home.
MOST_WINDOWS = 100


class PlanError(ValueError):
    """A plan that is none. ``str()`` is one sentence."""


class Named(NamedTuple):
    """A column and what it is computed from."""

    name: str
    value: Expression


class Aggregated(NamedTuple):
    """An aggregate's name, as `aggregates` knows it, and what it takes; None counts records."""

    name: str
    value: Optional[Expression]


class Plan(NamedTuple):
    """See the module. Times are seconds since the epoch. Without aggregates it gives lines, or ``columns`` of them."""

    format: Format
    paths: Tuple[str, ...]
    where: Optional[Expression]
    keys: Tuple[Named, ...]
    aggregates: Tuple[Aggregated, ...]
    columns: Tuple[Named, ...]
    window: Optional[Window]
    since: Optional[float]
    until: Optional[float]
    #: How many lines before and after each that is kept are shown with it.
    context: Tuple[int, int] = (0, 0)

    @classmethod
    def of(cls, data: Any, header: "Optional[List[str]]" = None) -> "Plan":
        """What a message said.

        Args:
            header: the names of a format's columns, where a file's first line says them.

        Raises:
            PlanError: it is no plan, or none of this version.
        """
        if type(data) is not dict:
            raise PlanError("a plan is a map, not %.40r" % (data,))
        if data.get("version") != VERSION:
            raise PlanError("a plan of version %.20r is not known here, only %d" % (data.get("version"), VERSION))
        strange = sorted(set(map(str, data)) - _PARTS)
        if strange:
            raise PlanError("a plan has no part %.40r" % strange[0])
        try:
            return _checked(data, format_of(data.get("format"), header))
        except (ExpressionError, FormatError) as exc:
            raise PlanError(str(exc))

    def data(self) -> Dict[str, Any]:
        """The same as msgpack can say it."""
        data = {
            "version": VERSION,
            "format": self.format.data,
            "paths": list(self.paths),
            "where": self.where,
            "keys": [list(each) for each in self.keys],
            "aggregates": [list(each) for each in self.aggregates],
            "columns": [list(each) for each in self.columns],
            "window": list(self.window) if self.window else None,
            "since": self.since,
            "until": self.until,
        }  # type: Dict[str, Any]
        if any(self.context):
            data["context"] = list(self.context)
        return data

    def needed(self) -> List[str]:
        """The fields that it reads, in the order of the format."""
        wanted = set(fields(self.where)) if self.where else set()
        for value in self.values():
            wanted.update(fields(value))
        if self.window:
            wanted.add(self.window.field)
        if self.since is not None or self.until is not None:
            wanted.add(self.format.time)
        known = [name for name in self.format.types if name in wanted]
        return known + sorted(wanted.difference(known))

    def values(self) -> List[Expression]:
        """What is computed of a record that is kept: keys, what aggregates take, columns."""
        taken = [each.value for each in self.aggregates if each.value is not None]
        return [each.value for each in self.keys] + taken + [each.value for each in self.columns]

    def taken(self) -> "Tuple[List[Expression], List[int]]":
        """The different expressions that aggregates take, and of each aggregate which one (-1: it counts records)."""
        texts = []  # type: List[str]
        different = []  # type: List[Expression]
        places = []  # type: List[int]
        for each in self.aggregates:
            # By their texts, since 1 and True are equal.
            text = repr(each.value)
            if each.value is not None and text not in texts:
                texts.append(text)
                different.append(each.value)
            places.append(-1 if each.value is None else texts.index(text))
        return different, places

    def deals(self) -> bool:
        """Rows may be dealt to their groups at once: no state depends on the order of rows of different groups."""
        placed = any(each.name.partition("(")[0] in PLACED for each in self.aggregates)
        return bool(self.taken()[0]) and self.window is None and not placed


_PARTS = frozenset(
    ("version", "format", "paths", "where", "keys", "aggregates", "columns", "window", "since", "until", "context")
)


def _checked(data: Dict[str, Any], of: Format) -> Plan:
    where = data.get("where")
    if where is not None and kind_of(where, of.types) not in ("bool", "any"):
        raise PlanError("where needs a condition")
    keys = tuple(Named(*each) for each in _named("keys", data.get("keys"), of))
    columns = tuple(Named(*each) for each in _named("columns", data.get("columns"), of))
    aggregates = tuple(Aggregated(*each) for each in _named("aggregates", data.get("aggregates"), of, optional=True))
    if keys and not aggregates:
        raise PlanError("keys group what an aggregate folds, and there is no aggregate")
    if columns and aggregates:
        raise PlanError("a plan has aggregates or columns, not both")
    since, until = _time(data, "since"), _time(data, "until")
    if (since is not None or until is not None) and not of.time:
        raise PlanError("since and until need a format with a time")
    context = _context(data.get("context"))
    if any(context) and (columns or aggregates):
        raise PlanError("context stands around lines, and a plan with aggregates or columns has none")
    window = _window(data.get("window"), of)
    return Plan(of, _paths(data), where, keys, aggregates, columns, window, since, until, context)


def _named(part: str, given: Any, of: Format, optional: bool = False) -> List[Tuple[str, Any]]:
    if given is None:
        return []
    if type(given) is not list or len(given) > MOST_COLUMNS:
        raise PlanError("%s are a list of at most %d" % (part, MOST_COLUMNS))
    found = []  # type: List[Tuple[str, Any]]
    for each in given:
        if type(each) is not list or len(each) != 2 or type(each[0]) is not str:
            raise PlanError("%s hold a name and an expression, not %.60r" % (part, each))
        if not (optional and each[1] is None):
            kind_of(each[1], of.types)
        found.append((each[0], each[1]))
    return found


def _paths(data: Dict[str, Any]) -> Tuple[str, ...]:
    paths = data.get("paths", [])
    if type(paths) is not list or not all(type(path) is str for path in paths):
        raise PlanError("paths are a list of texts")
    return tuple(paths)


def _context(given: Any) -> Tuple[int, int]:
    if given is None:
        return 0, 0
    if type(given) is not list or len(given) != 2 or not all(type(each) is int for each in given):
        raise PlanError("context is how many lines before and how many after, not %.40r" % (given,))
    if not all(0 <= each <= MOST_CONTEXT for each in given):
        raise PlanError("context is at most %d lines before and after" % MOST_CONTEXT)
    return given[0], given[1]


def _time(data: Dict[str, Any], name: str) -> Optional[float]:
    value = data.get(name)
    if value is None:
        return None
    if type(value) not in (int, float) or not abs(value) < 1e12:
        raise PlanError("%s is seconds since the epoch, not %.40r" % (name, value))
    return float(value)


def _window(given: Any, of: Format) -> Optional[Window]:
    if given is None:
        return None
    if type(given) is not list or len(given) != 4 or type(given[0]) is not str:
        raise PlanError("a window is a field, a size, a step and a lateness, not %.60r" % (given,))
    if not all(type(each) in (int, float) and 0 <= each < 1e9 for each in given[1:]):
        raise PlanError("a window's size, step and lateness are seconds")
    window = Window(given[0], *map(float, given[1:]))
    if not all(abs(each - round(each, 3)) < 1e-9 for each in window[1:]):
        raise PlanError("a window's size, step and lateness are whole milliseconds")
    if not 0 < window.every_s <= window.size_s:
        raise PlanError("a window's step is above 0 and at most its size")
    if window.size_s > MOST_WINDOWS * window.every_s:
        raise PlanError("a record would be in more than %d windows" % MOST_WINDOWS)
    if of.types.get(window.field, "any") not in NUMERIC | {"any"}:
        raise PlanError("a window needs a field with a time, and %.40s has none" % window.field)
    return window
