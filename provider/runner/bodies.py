"""What is done with one record's row, as lines of source: its condition, its key and the values that it gives.

Knows expressions, and the names of a row's variables. Does not know blocks. It travels: standard library only,
Python 3.6. See `compile` for what a row is.

A condition becomes Python that is true exactly where it is true, or exactly where it is false: SQL's unknown is
neither, so `not` turns the one into the other instead of standing in the source. What has no fast form is written as
nested calls of the functions that `expressions.evaluate` calls itself.
"""

from typing import Any, Callable, Dict, List, Optional, Tuple

from provider.runner import expressions
from provider.runner.expressions import ARITHMETIC, COMPARISONS, NUMERIC, TEXTUAL, Expression, encoded, fields
from provider.runner.formats.form import LINE
from provider.runner.formats.values import text_of
from provider.runner.plan import Plan

Values = Callable[[List[Any]], List[Any]]

_OPERATORS = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
#: Keys that were computed, by the bytes that they were computed of. Above this many all are forgotten, and begun anew.
MOST_KEYS = 1 << 16
#: Counts a record that fulfils the condition.
_KEEP = "kept += 1"


class Body:
    """See the module.

    Args:
        order: the needed fields, as a row has them.
        where: the condition.
        cut: fields of which a row has the prefix only that is asked for (see `prefixes`).
    """

    def __init__(self, plan: Plan, order: List[str], where: Optional[Expression], cut: "frozenset[str]") -> None:
        self._plan = plan
        self._cut = cut
        self._order = order
        self._where = where
        self._types = plan.format.types
        self._typed = plan.format.layout.typed
        #: Constants that the source names.
        self.names: Dict[str, Any] = {"MOST_KEYS": MOST_KEYS}
        #: Lines that run once.
        self.setup: List[str] = []
        #: Makes values of a group's key.
        self.keys: Tuple[Callable[[Any], Any], ...] = ()
        #: Keys may be counted at once, while they are in the processor's cache.
        self._counts = len(plan.aggregates) == 1 and tuple(plan.aggregates[0]) == ("count", None)
        self._made: Dict[str, str] = {}
        self._lines: List[str] = []
        for name in ("call", "arithmetic", "compared", "textual", "member"):
            self.names["E_" + name] = getattr(expressions, name)
        self._condition = self._conjuncts(where) if where is not None else []
        self._key = self._grouped()
        self._deals = plan.deals()
        #: Of each expression that aggregates take: what makes a list of values of a list of what is kept, if need be.
        self.makers: List[Optional[Values]] = []
        self._values = [self._taken(value) for value in plan.taken()[0]]
        self._time = self._of_field(plan.window.field) if plan.window else ""
        self._timed = "%s is not None" % self._time
        if plan.window and self._types.get(plan.window.field) not in NUMERIC:
            self._timed = "type(%s) in (int, float)" % self._time
        #: Names that whoever runs the source gives it.
        self.given = ["SEEN", "FLUSH", "FINDER", "COUNT", "NUMBER", "K", "V", "ADD", "GROUPS"]
        self.given += ["CLOCK", "CLOCK_PANE", "LOW"] + ["ADD%d" % i for i in range(len(self._values))]

    def variable(self, name: str) -> str:
        """The variable that holds a field's bytes."""
        return "r%d" % self._order.index(name)

    def condition(self) -> List[str]:
        """What a row that does not fulfil the condition continues at."""
        return list(self._condition)

    def rows(self, rows: str, number: str = "") -> List[str]:
        """The body for every row of a list, or of something else that has this number of them."""
        names = [self.variable(name) for name in self._order]
        whole = names[0] if len(names) == 1 else "(%s)" % "".join(name + ", " for name in names)
        idle = not (self._condition or self._values or self._lines or self._plan.window)
        if idle and self._key == whole:
            return [
                "%s(%s)" % ("COUNT" if self._counts else "K.extend", rows),
                "kept += " + (number or "len(%s)" % rows),
            ]
        head = "for %s in %s:" % (", ".join(names), rows)
        one = self.one()
        if not (self._condition or self._plan.window):
            return ["kept += " + (number or "len(%s)" % rows), head] + ["    " + line for line in one if line != _KEEP]
        return [head] + ["    " + line for line in one]

    def one(self) -> List[str]:
        """The body for one row, inside of a loop."""
        lines = list(self._condition)
        rows = ["ADD(%s)" % self._key] + ["ADD%d(%s)" % (index, value) for index, value in enumerate(self._values)]
        if self._deals:
            rows = ["GROUPS[%s].append(%s)" % (self._key, self._dealt())]
        window = self._plan.window
        if window is None:
            return lines + self._lines + [_KEEP] + rows
        # Records come about in order, so that hardly one of them needs more than this comparison.
        lines += self._lines + ["if not (%s) or not LOW <= %s <= top:" % (self._timed, self._time)]
        lines += ["    if not (%s) or not LOW <= %s <= ahead:" % (self._timed, self._time)]
        lines += ["        CLOCK.missed(%s)" % self._time, "        continue", "    top = %s" % self._time]
        return lines + [_KEEP, "window = %s // CLOCK_PANE" % self._time] + rows

    def cut(self) -> List[str]:
        """For a row of whole fields: what makes it the same as one of a block."""
        found = []  # type: List[str]
        for key in self._plan.keys:
            if _depth(key.value) >= 0 and key.value[2][1] in self._cut:
                name = self.variable(key.value[2][1])
                found.append("%s = %s" % (name, _prefix_of(name, _depth(key.value))))
        return list(dict.fromkeys(found))

    def counted(self, number: str) -> List[str]:
        """The body for so many rows without any field."""
        if self._condition:
            return ["for _ in range(%s):" % number] + ["    " + line for line in self.one()]
        if self._deals:
            return ["kept += %s" % number, "GROUPS[%s].extend([%s] * %s)" % (self._key, self._dealt(), number)]
        return ["kept += %s" % number] + [
            "%s.extend([%s] * %s)" % (into, value, number)
            for into, value in [("K", self._key)] + [("V[%d]" % i, value) for i, value in enumerate(self._values)]
        ]

    # The condition.

    def _conjuncts(self, where: Expression) -> List[str]:
        parts = where[1:] if where[0] == "and" else [where]
        lines = []  # type: List[str]
        for part in parts:
            text = self._truth(part, True)
            lines += self._lines
            self._lines = []
            lines += ["if not (%s):" % text, "    continue"]
        return lines

    def _truth(self, part: Expression, want: bool) -> str:
        """Source that is true where the condition is `want`."""
        kind = part[0]
        if kind == "not":
            return self._truth(part[1], not want)
        if kind in ("and", "or"):
            joined = " and " if (kind == "and") is want else " or "
            return joined.join("(%s)" % self._truth(each, want) for each in part[1:])
        fast = self._fast(part, want)
        return fast if fast is not None else "%s is %r" % (self._value(part), want)

    def _fast(self, part: Expression, want: bool) -> Optional[str]:
        if len(part) < 2 or type(part[1]) is not list or part[1][0] != "field":
            return None
        name, kind = part[1][1], part[0]
        if kind == "null":
            return "%s is %sNone" % (self._of_field(name), "" if want else "not ")
        if len(part) != 3:
            return None
        if kind in COMPARISONS and part[2][0] == "value":
            return self._fast_comparison(name, kind, part[2][1], want)
        if kind == "in" and all(type(value) is str and value for value in part[2]) and self._is_bytes(name):
            raw = self._raw(name)
            held = "%s in %s" % (raw, self._constant(frozenset(map(encoded, part[2]))))
            return held if want else "%snot %s" % (self._unless_null(name), held)
        if kind in TEXTUAL and kind != "matches" and part[2] and self._is_bytes(name):
            raw, text = self._raw(name), self._constant(encoded(part[2]))
            forms = {"contains": "%s in %s" % (text, raw), "starts": "%s.startswith(%s)" % (raw, text)}
            held = forms.get(kind, "%s.endswith(%s)" % (raw, text))
            return held if want else "%snot %s" % (self._unless_null(name), held)
        return None

    def _fast_comparison(self, name: str, kind: str, value: Any, want: bool) -> Optional[str]:
        if self._types.get(name) in NUMERIC and type(value) in (int, float) and value == value:
            var = self._of_field(name)
            held = "%s %s %s" % (var, _OPERATORS[kind], self._constant(value))
            never_null = self._never_null(name)
            held = held if want else "not (%s)" % held
            return held if never_null else "%s is not None and %s" % (var, held)
        if type(value) is str and self._is_bytes(name):
            raw = self._raw(name)
            held = "%s %s %s" % (raw, _OPERATORS[kind], self._constant(encoded(value)))
            return self._unless_null(name) + (held if want else "not (%s)" % held)
        return None

    def _unless_null(self, name: str) -> str:
        """What stands before something that is to be true of texts only. An empty line is one."""
        return "" if name == LINE else self._raw(name) + " and "

    # Values.

    def _value(self, part: Expression) -> str:
        """Source of an expression's value, as `evaluate` gives it."""
        kind = part[0]
        if kind == "value":
            return self._constant(part[1])
        if kind == "field":
            return self._of_field(part[1])
        if kind in ("and", "or", "not"):
            return "(True if %s else False if %s else None)" % (self._truth(part, True), self._truth(part, False))
        if kind == "null":
            return "(%s is None)" % self._value(part[1])
        if kind == "call":
            return "E_call(%s)" % ", ".join([repr(part[1])] + [self._value(each) for each in part[2:]])
        if kind == "if":
            then, other = self._value(part[2]), self._value(part[3])
            return "(%s if %s else %s)" % (then, self._truth(part[1], True), other)
        if kind == "in":
            return "E_member(%s, %s)" % (self._value(part[1]), self._constant(part[2]))
        if kind in TEXTUAL:
            return "E_textual(%r, %s, %s)" % (kind, self._value(part[1]), self._constant(part[2]))
        helper = "E_arithmetic" if kind in ARITHMETIC else "E_compared"
        return "%s(%r, %s, %s)" % (helper, kind, self._value(part[1]), self._value(part[2]))

    def _constant(self, value: Any) -> str:
        if value is None or value is True or value is False:
            return repr(value)
        name = "C%d" % len([each for each in self.names if each.startswith("C")])
        self.names[name] = value
        return name

    def _raw(self, name: str) -> str:
        """A field's bytes, b"" where they stand for null."""
        null = self._plan.format.field(name).null
        if not null or name == LINE:
            return self.variable(name)
        made = "b_" + self.variable(name)
        if made not in self._made:
            self._made[made] = made
            raw = self.variable(name)
            self._lines.append("%s = %s if %s != %r else b''" % (made, raw, raw, null))
        return made

    def _of_field(self, name: str) -> str:
        """The variable of a field's value. What makes it comes once, before its first use."""
        made = "v_" + self.variable(name)
        if made not in self._made:
            self._made[made] = made
            self._lines.append("%s = %s" % (made, self._converted(name)))
        return made

    def _converted(self, name: str) -> str:
        raw = self.variable(name)
        field = self._plan.format.field(name)
        if self._types.get(name) == "int" and self._sure(name):
            if self._never_null(name):
                return "int(%s)" % raw
            return "int(%s) if %s and %s != %r else None" % (raw, raw, raw, field.null)
        self.names.setdefault("M_" + raw, self._plan.format.convert(name))
        return "M_%s(%s)" % (raw, raw)

    def _sure(self, name: str) -> bool:
        """A line parses only if this field is of its type."""
        return name in self._plan.format.layout.checked

    def _never_null(self, name: str) -> bool:
        return self._types.get(name) == "int" and self._sure(name) and not self._plan.format.field(name).null

    def _is_bytes(self, name: str) -> bool:
        return name == LINE or (not self._typed and self._types.get(name, self._types.get("*")) == "string")

    # Keys and what aggregates take.

    def _grouped(self) -> str:
        """Source of the key as it is kept; `keys` makes values of it."""
        makers = []  # type: List[Callable[[Any], Any]]
        parts = []  # type: List[str]
        for key in self._plan.keys:
            if key.value[0] == "field":
                parts.append(self.variable(key.value[1]))
                makers.append(self._plan.format.convert(key.value[1]))
            elif self._is_prefix(key.value):
                parts.append(self._prefixed(key.value))
                makers.append(_text_or_null)
            else:
                parts.append(self._remembered(key.value))
                makers.append(_same)
        if not self._plan.aggregates:
            columns = [each.value for each in self._plan.columns] or [["field", LINE]]  # type: List[Expression]
            parts = [self._value(each) for each in columns]
            makers = [_same] * len(parts)
        if self._plan.window:
            # The pane: what windows it is in is known when the groups are taken.
            parts.insert(0, "window")
            makers.insert(0, _same)
        self.keys = tuple(makers)
        return parts[0] if len(parts) == 1 else "(%s)" % "".join(part + ", " for part in parts)

    def _is_prefix(self, value: Expression) -> bool:
        """A usual key, and paths are too many to be remembered."""
        return _depth(value) >= 0 and self._is_bytes(value[2][1])

    def _prefixed(self, value: Expression) -> str:
        name = value[2][1]
        return self.variable(name) if name in self._cut else _prefix_of(self._raw(name), _depth(value))

    def _remembered(self, value: Expression) -> str:
        """A variable with a computed key, which is computed once for what it is computed of."""
        used = fields(value)
        if not used or self._typed:
            return self._value(value)
        number = len([each for each in self._made if each.startswith("k")])
        made, raws = "k%d" % number, [self.variable(name) for name in used]
        self._made[made] = made
        of = raws[0] if len(raws) == 1 else "(%s)" % ", ".join(raws)
        inner = Body.__new__(Body)
        inner.__dict__.update(self.__dict__, _made={}, _lines=[])
        text = inner._value(value)
        self.setup += ["%s_kept = {}" % made, "def %s_of(%s):" % (made, ", ".join(raws))]
        self.setup += ["    " + line for line in inner._lines] + ["    return " + text]
        self._lines += ["try:", "    %s = %s_kept[%s]" % (made, made, of), "except KeyError:"]
        self._lines += ["    if len(%s_kept) >= MOST_KEYS:" % made, "        %s_kept.clear()" % made]
        self._lines += ["    %s = %s_kept[%s] = %s_of(%s)" % (made, made, of, made, ", ".join(raws))]
        return made

    def _taken(self, value: Expression) -> str:
        """What is kept for an aggregate: the bytes of an int, since a list of them is converted faster."""
        self.makers.append(None)
        if self._deals and value[0] == "field" and "v_" + self.variable(value[1]) not in self._made:
            null = self._plan.format.field(value[1]).null
            if self._types.get(value[1]) == "int" and self._sure(value[1]) and not _is_int(null):
                self.makers[-1] = _ints(self._plan.format.convert(value[1]))
                return self.variable(value[1])
        return self._counting(value)

    def _counting(self, value: Expression) -> str:
        """Source of a value, which counts those that are to be numbers and are none: a null alone would not tell."""
        if value[:2] == ["call", "number"]:
            name = value[2][1] if value[2][0] == "field" else ""
            place = self._constant((len(self.makers), name))
            text = self._value(value[2])
            found = "NUMBER(%s, %s)" % (place, text)
            if not name or self._types.get(name, self._types.get("*")) == "string":
                return found
            # Most values of JSON are numbers already, and a call costs more than a look.
            return "(%s if type(%s) is int or type(%s) is float else %s)" % (text, text, text, found)
        if value[0] in ARITHMETIC:
            return "E_arithmetic(%r, %s, %s)" % (value[0], self._counting(value[1]), self._counting(value[2]))
        return self._value(value)

    def _dealt(self) -> str:
        return self._values[0] if len(self._values) == 1 else "(%s)" % ", ".join(self._values)


def _is_int(null: bytes) -> bool:
    try:
        int(null)
    except ValueError:
        return False
    return True


def _ints(convert: Callable[[Any], Any]) -> Values:
    def ints(raws: List[Any]) -> List[Any]:
        try:
            return list(map(int, raws))
        except ValueError:  # a null among them
            return list(map(convert, raws))

    return ints


def prefixes(plan: Plan, where: Optional[Expression]) -> Dict[str, int]:
    """Texts of which nothing is asked but one prefix, as a key, and to which depth."""
    depths = {key.value[2][1]: _depth(key.value) for key in plan.keys if _depth(key.value) >= 0}
    others = [key.value for key in plan.keys if _depth(key.value) < 0]
    others += [each.value for each in plan.aggregates if each.value is not None] + ([where] if where else [])
    used = {name for other in others for name in fields(other)}
    for key in plan.keys:
        if _depth(key.value) >= 0 and depths[key.value[2][1]] != _depth(key.value):
            used.add(key.value[2][1])
    if plan.window:
        used.add(plan.window.field)
    types = plan.format.types
    return {
        name: depth
        for name, depth in depths.items()
        if name not in used and name != LINE and types.get(name) == "string" and not plan.format.field(name).null
    }


def _depth(value: Expression) -> int:
    """Of a field's prefix with a constant depth; -1 for anything else."""
    if value[:2] != ["call", "prefix"] or value[2][0] != "field":
        return -1
    if len(value) == 3:
        return 1
    return max(value[3][1], -1) if value[3][0] == "value" and type(value[3][1]) is int else -1


def _prefix_of(raw: str, depth: int) -> str:
    return "b'/'.join(%s.partition(b'?')[0].split(b'/', %d)[:%d])" % (raw, depth + 1, depth + 1)


def _text_or_null(raw: bytes) -> Optional[str]:
    return text_of(raw) if raw else None


def _same(value: Any) -> Any:
    return value
