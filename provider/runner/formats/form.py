"""A format: what a log's lines are made of, as data that a plan carries.

`format_of` makes a `Format` of data (docs/reference/formats.md says what it may hold). A kind is imported when a
format is of it. It travels: standard library only, Python 3.6.
"""

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional

from provider.runner.formats.base import FormatError, Layout
from provider.runner.formats.times import LayoutError, reader
from provider.runner.formats.values import Field, converter, text_of

#: The field that every format has: the record as it stands.
LINE = "line"
_TYPES = frozenset(("int", "float", "string", "time", "duration", "size", "bool", "any"))
_FIELD_PARTS = frozenset(("type", "layout", "null", "range", "unit"))
_UNITS = {"ns": 1e-9, "us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_PARTS = {
    "template": {"template", "parts"},
    "separated": {"separator", "quote", "columns", "header"},
    "json": set(),
    "keyvalue": {"separator", "equals", "prefix"},
    "regex": {"pattern", "rest"},
    "raw": set(),
}  # type: Dict[str, Any]


class Format(NamedTuple):
    """See the module.

    Attributes:
        data: what it was made of.
        types: of its fields by name; ``*`` are those that it does not name.
        time: the field that is a record's event time, "" for none.
        start: what the first line of a record matches, where records have several.
        header: a file's first line names its columns, and they are not known yet.
    """

    data: Dict[str, Any]
    fields: Dict[str, Field]
    types: Dict[str, str]
    time: str
    start: "Optional[re.Pattern[bytes]]"
    layout: Layout
    header: bool

    def field(self, name: str) -> Field:
        """What is known of one."""
        return self.fields.get(name) or Field(name, self.types.get(name) or self.types.get("*", "string"))

    def convert(self, name: str) -> Callable[[Any], Any]:
        """What makes a value of what the layout's parser gave."""
        if name == LINE:
            return text_of  # an empty line is no null
        field = self.field(name)
        if not self.layout.typed:
            return converter(field)
        return _typed(field) if name in self.fields else _same

    def parse(self, record: bytes, needed: "Optional[List[str]]" = None) -> Optional[Dict[str, Any]]:
        """The plain meaning: a record's fields by name, None if it does not parse.

        Args:
            record: without its newline.
            needed: the fields that are asked for; None: all that the format names.
        """
        if record.endswith(b"\r"):
            record = record[:-1]
        names = [name for name in (self.layout.names if needed is None else needed) if name != LINE]
        found = self.layout.parser(names)(record) if names else ()
        if found is None:
            return None
        values = {name: self.convert(name)(raw) for name, raw in zip(names, found)}
        values[LINE] = text_of(record)
        return values


class _Raw(Layout):
    """Lines that are nothing but lines."""

    @property
    def names(self) -> List[str]:
        return []


def format_of(data: Any, header: "Optional[List[str]]" = None) -> Format:
    """A format.

    Args:
        header: its columns, where a file's first line says them.

    Raises:
        FormatError: it is none.
    """
    kind = data.get("kind") if type(data) is dict else None
    if type(kind) is not str or kind not in _PARTS:
        raise FormatError("a format has a kind, one of %s" % ", ".join(sorted(_PARTS)), _word(kind), sorted(_PARTS))
    known = _PARTS[data["kind"]] | {"name", "title", "kind", "fields", "time", "start"}
    strange = sorted(set(map(str, data)) - known)
    if strange:
        raise FormatError("a format of kind %s has no part %.40r" % (kind, strange[0]), strange[0], sorted(known))
    fields = _fields(data.get("fields", {}))
    layout = _layout(data, fields, header)
    types = dict.fromkeys(layout.names, "string")
    types.update((name, field.kind) for name, field in fields.items())
    if data["kind"] in ("json", "keyvalue") or _waits(data, header):
        types["*"] = "any" if layout.typed else "string"
    else:
        _only_known(fields, layout)
    types[LINE] = "string"
    time = data.get("time", "")
    if time and types.get(time) != "time":
        times = [name for name in types if types[name] == "time"]
        raise FormatError("time names a field of type time, and %.40r is none" % (time,), _word(time), times)
    return Format(data, fields, types, time, _start(data.get("start")), layout, _waits(data, header))


def _waits(data: Dict[str, Any], header: "Optional[List[str]]") -> bool:
    return bool(data.get("header")) and header is None and not data.get("columns")


def _only_known(fields: Dict[str, Field], layout: Layout) -> None:
    for name in fields:
        if name not in layout.names:
            text = "fields has %.40r, and the format has only %s" % (name, ", ".join(layout.names))
            raise FormatError(text, name, layout.names)


def _layout(data: Dict[str, Any], fields: Dict[str, Field], header: "Optional[List[str]]") -> Layout:
    kind = data["kind"]
    if kind == "template":
        from provider.runner.formats.delimited import Template

        return Template(_text(data, "template"), fields, _texts(data.get("parts", {}), "parts"))
    if kind == "separated":
        from provider.runner.formats.delimited import Separated

        names = data.get("columns") or header or []
        if type(names) is not list or not all(type(name) is str for name in names) or len(set(names)) != len(names):
            raise FormatError("columns are different names", "columns")
        return Separated(names, _byte(data, "separator", ","), _byte(data, "quote", '"', empty=True))
    if kind == "json":
        from provider.runner.formats.json import Json

        return Json(list(fields))
    if kind == "keyvalue":
        from provider.runner.formats.keyvalue import Pairs

        return Pairs(_text(data, "separator", " "), _text(data, "equals", "="), list(fields), _text(data, "prefix", ""))
    if kind == "regex":
        from provider.runner.formats.regex import Pattern

        return Pattern(_text(data, "pattern"), _text(data, "rest", ""))
    return _Raw()


def _fields(given: Any) -> Dict[str, Field]:
    if type(given) is not dict:
        raise FormatError("fields are a map of names", "fields")
    return {name: _field(name, parts) for name, parts in given.items()}


def _field(name: Any, parts: Any) -> Field:
    if type(parts) is str:
        parts = {"type": parts}
    if type(name) is not str or type(parts) is not dict or set(parts) - _FIELD_PARTS:
        strange = sorted(map(str, set(parts) - _FIELD_PARTS)) if type(parts) is dict else []
        text = "field %.40r has a type, and perhaps %s" % (name, " ".join(sorted(_FIELD_PARTS - {"type"})))
        raise FormatError(text, (strange or [str(name)])[0], sorted(_FIELD_PARTS) if strange else ())
    kind = parts.get("type", "string")
    if kind not in _TYPES:
        text = "field %s has the type %.40r; there are %s" % (name, kind, ", ".join(sorted(_TYPES)))
        raise FormatError(text, _word(kind) or name, sorted(_TYPES))
    layout = _text(parts, "layout", "iso")
    try:
        reader(layout)
    except LayoutError as exc:
        raise FormatError("field %s: %s" % (name, exc), name)
    unit = parts.get("unit", "s")
    if unit not in _UNITS:
        text = "field %s has the unit %.20r; there are %s" % (name, unit, " ".join(_UNITS))
        raise FormatError(text, _word(unit) or name, sorted(_UNITS))
    span = parts.get("range")
    if span is not None:
        if type(span) is not list or len(span) != 2 or not all(type(end) is int for end in span) or kind != "int":
            raise FormatError("field %s: a range is the least and the most that an int can be" % name, name)
        span = (span[0], span[1])
    return Field(name, kind, layout, _text(parts, "null", "").encode("utf-8"), span, _UNITS[unit])


def _start(given: Any) -> "Optional[re.Pattern[bytes]]":
    if given is None:
        return None
    try:
        return re.compile(given.encode("utf-8"))
    except (AttributeError, re.error, RecursionError, OverflowError) as exc:
        raise FormatError("start is no regular expression: %s" % exc, "start")


def _text(data: Dict[str, Any], name: str, default: Optional[str] = None) -> str:
    value = data.get(name, default)
    if type(value) is not str:
        if value is None:
            raise FormatError("a format of kind %s needs %s" % (data.get("kind"), name))
        raise FormatError("%s is a text, not %.40r" % (name, value), name)
    return value


def _byte(data: Dict[str, Any], name: str, default: str, empty: bool = False) -> str:
    value = _text(data, name, default)
    if len(value.encode("utf-8")) != 1 and not (empty and not value):
        raise FormatError("%s is one byte, not %.20r" % (name, value), name)
    return value


def _texts(given: Any, name: str) -> Dict[str, str]:
    if type(given) is not dict or not all(type(value) is str for value in given.values()):
        raise FormatError("%s are texts by name" % name, name)
    return given


def _word(value: Any) -> str:
    return value if type(value) is str else ""


def _typed(field: Field) -> Callable[[Any], Any]:
    """JSON writes numbers as numbers or as texts; both are read as the type that the format names."""
    convert = converter(field)

    def typed(value: Any) -> Any:
        if value is None or type(value) is bool:
            return value if field.kind in ("bool", "any") else None
        text = value if type(value) is str else repr(value)
        return convert(text.encode("utf-8", "surrogatepass")) if field.kind != "string" else text

    return typed


def _same(value: Any) -> Any:
    return value
