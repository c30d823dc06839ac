"""Lines whose fields stand in one order between fixed texts: access logs, CSV, TSV.

Knows a template and where its fields end. Does not know what a field's bytes mean. It travels: standard library only,
Python 3.6.

    {client} {ident} {user} [{time}] "{request}" {status} {bytes}

A field between quotes may hold everything, a quote behind a backslash too; any other one ends where the text after it
begins, and cannot hold that text's first byte. Fields are read from the left, up to the last one that is needed and the
text that ends it: what comes after that is not looked at, in no way of reading.
"""

import re
import sys
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from provider.runner.formats.base import Bulk, FormatError, Layout, Parse
from provider.runner.formats.values import Field

_NAME = re.compile(r"\{([A-Za-z_][A-Za-z0-9_]*)\}")
_ESCAPE = re.compile(rb"\\(?:x([0-9A-Fa-f]{2})|(.))", re.DOTALL)
_CONTROLS = {b"n": b"\n", b"t": b"\t", b"r": b"\r"}
#: Behind a repeated class whose next byte is not of it: there is no use in giving bytes back, and `re` need not note
#: where it could. Since Python 3.11.
_ALL = "+" if sys.version_info >= (3, 11) else ""
#: A prefix that is deeper is not captured as such.
_DEEPEST = 4


class _Part(NamedTuple):
    """A field, and the text that ends it (the line does where that is empty)."""

    name: str
    quoted: bool
    after: str


class Template(Layout):
    """See the module.

    Args:
        template: its text.
        fields: by name; those that are not here are texts.
        parts: of a field that is itself a template, by its name; what does not fit gives nulls.
    """

    def __init__(self, template: str, fields: Dict[str, Field], parts: Dict[str, str]) -> None:
        self._before, self._parts = _split(template)
        self._fields = fields
        self._inner = {name: _split(text) for name, text in parts.items()}
        self.checked = frozenset(
            part.name for part in self._parts if not part.quoted and part.name in fields and fields[part.name].pattern()
        )
        for name, (before, _) in self._inner.items():
            if name not in [part.name for part in self._parts] or before:
                raise FormatError(
                    "parts of %.40r: it is no field of the template, or they begin with a text" % name, name
                )

    @property
    def names(self) -> List[str]:
        """All fields, in order; the parts of one come after it."""
        found = []  # type: List[str]
        for part in self._parts:
            found.append(part.name)
            found += [inner.name for inner in self._inner.get(part.name, ("", []))[1]]
        return found

    def bulk(self, needed: Sequence[str], depths: Dict[str, int]) -> Optional[Bulk]:
        depths = {name: depth for name, depth in depths.items() if depth <= _DEEPEST and self._can_cut(name)}
        text, ended = self._pattern(needed, simple=True, depths=depths)
        # A carriage return before the newline is looked at by patterns only that go so far.
        guards = [b"\r"] if ended or "\r" in text else []
        if any(part.quoted for part in self._parts):
            # Where there is no backslash a quote is a quote, and the class that runs fastest says all.
            guards.append(b"\\")
        tail = r"\n" if ended else ".*%s\\n" % _ALL
        return Bulk(text + tail, tuple(guards), tuple(self._order(needed)), frozenset(depths))

    def _can_cut(self, name: str) -> bool:
        """It is all bytes up to another byte."""
        if name in self._inner:
            return False
        for part in self._parts:
            if part.name == name:
                field = self._fields.get(name)
                return not part.quoted and bool(part.after) and not (field and field.pattern())
        return any(name == each.name for _, inner in self._inner.values() for each in inner)

    def parser(self, needed: Sequence[str]) -> Parse:
        text, ended = self._pattern(needed, simple=False)
        match = re.compile((text + (r"\Z" if ended else "")).encode("utf-8"), re.DOTALL).match
        order = self._order(needed)
        quoted = self._quoted()
        places = [(order.index(name) + 1, name in quoted) for name in needed]

        def parse(line: bytes) -> Optional[Tuple[Any, ...]]:
            found = match(line)
            if found is None:
                return None
            group = found.group
            return tuple([_unescaped(group(place) or b"", escapes) for place, escapes in places])

        return parse

    def literal_before(self, name: str) -> Optional[str]:
        before = self._before
        for part in self._parts:
            if part.name == name:
                return before
            before = ('"' if part.quoted else "") + part.after
        return None

    def _quoted(self) -> "set[str]":
        quoted = set()
        for part in self._parts:
            if part.quoted:
                quoted.add(part.name)
                quoted.update(inner.name for inner in self._inner.get(part.name, ("", []))[1])
        return quoted

    def _order(self, needed: Sequence[str]) -> List[str]:
        """The needed ones in the order of their captures."""
        return [name for name in self.names if name in needed]

    def _pattern(
        self, needed: Sequence[str], simple: bool, depths: "Optional[Dict[str, int]]" = None
    ) -> Tuple[str, bool]:
        """A regular expression up to the last needed field, and whether that ends the line."""
        pieces = [re.escape(self._before)]
        left = len([name for name in self.names if name in needed])
        for part in self._parts:
            if not left:
                return "".join(pieces), False
            inner = [each.name for each in self._inner.get(part.name, ("", []))[1]]
            left -= (part.name in needed) + len([name for name in inner if name in needed])
            pieces.append(self._field(part, needed, simple, depths or {}))
        return "".join(pieces), not self._parts[-1].after

    def _field(self, part: _Part, needed: Sequence[str], simple: bool, depths: Dict[str, int]) -> str:
        body = self._body(part, simple)
        inner = self._inner.get(part.name, ("", []))[1]
        if any(each.name in needed for each in inner):
            body = "(?:%s|%s)" % (self._inside(part, inner, needed, simple, depths), body)
        if part.name in depths:
            body = _prefix(_in_class(part.after[0]), depths[part.name]) + body
        elif part.name in needed:
            body = "(%s)" % body
        quote = '"' if part.quoted else ""
        # The quote in front is in the text before; the one behind belongs to the field.
        return body + quote + re.escape(part.after)

    def _body(self, part: _Part, simple: bool) -> str:
        if part.quoted:
            return '[^"]*' + _ALL if simple else r'[^"\\]*(?:\\.[^"\\]*)*'
        field = self._fields.get(part.name)
        text = field.pattern() if field else ""
        if text:
            return text
        return "[^%s]*%s" % (_in_class(part.after[0]), _ALL) if part.after else (".*" if simple else "(?s:.*)")

    def _inside(
        self, part: _Part, inner: List[_Part], needed: Sequence[str], simple: bool, depths: Dict[str, int]
    ) -> str:
        end = '"' if part.quoted else part.after[:1]
        pieces = []  # type: List[str]
        for each in inner:
            stop = (_in_class(each.after[0]) if each.after else "") + _in_class(end)
            text = "[^%s%s]+%s" % (stop, "" if simple or not part.quoted else r"\\", _ALL)
            if not simple and part.quoted:
                text = r"(?:[^%s\\]|\\.)+" % stop
            if each.name in depths:
                # The class needs one byte at least, which may be in the prefix.
                text = "(?=[^%s])%s[^%s]*%s" % (stop, _prefix(stop, depths[each.name]), stop, _ALL)
            elif each.name in needed:
                text = "(%s)" % text
            pieces.append(text + re.escape(each.after))
        # It must be all of the field: otherwise the whole would be tried again with fewer of its parts.
        return "".join(pieces) + "(?=%s)" % re.escape(end)


def _split(template: str) -> Tuple[str, List[_Part]]:
    pieces = _NAME.split(template)
    parts = []  # type: List[_Part]
    for index in range(1, len(pieces), 2):
        before, after = pieces[index - 1], pieces[index + 1]
        quoted = before.endswith('"') and after.startswith('"')
        if not after and index + 2 < len(pieces):
            raise FormatError("a template needs a text between {%s} and the next field" % pieces[index], "template")
        parts.append(_Part(pieces[index], quoted, after[1:] if quoted else after))
    names = [part.name for part in parts]
    if not parts or len(set(names)) != len(names):
        raise FormatError("a template names its fields in braces, each once: %.60r" % template, "template")
    return pieces[0], parts


def _prefix(stop: str, depth: int) -> str:
    """What `expressions.prefix` gives of a field that ends before one of these bytes."""
    text = "[^/?%s]*%s" % (stop, _ALL)
    # One in another costs less than a group that is repeated. Whatever it ends at, what follows is up to the same byte.
    steps = ""
    for _ in range(depth):
        steps = "(?:/%s%s|)" % (text, steps)
    # It cannot end inside of a step, so that no line is tried at each byte of a long one.
    return "(%s%s)" % (text, steps) + ("" if _ALL else "(?=[/?%s])" % stop)


def _in_class(char: str) -> str:
    return "\\" + char if char in "\\]^-[" else {"\t": r"\t", "\x01": r"\x01"}.get(char, char)


def _unescaped(raw: bytes, escapes: bool) -> bytes:
    if not escapes or b"\\" not in raw:
        return raw
    return _ESCAPE.sub(_unescape, raw)


def _unescape(found: "re.Match[bytes]") -> bytes:
    code, char = found.groups()
    return bytes((int(code, 16),)) if code else _CONTROLS.get(char, char)


class Separated(Layout):
    """Columns with one byte between them, and quotes around those that hold it: RFC 4180, and TSV.

    A quote inside of quotes is doubled. A newline inside of quotes is not a part of a record here: files are cut at
    newlines, and a record that runs over one is counted as one that does not parse.
    """

    def __init__(self, names: List[str], separator: str, quote: str) -> None:
        self._names = names
        self._separator = separator
        self._quote = quote

    @property
    def names(self) -> List[str]:
        return self._names

    def bulk(self, needed: Sequence[str], depths: Dict[str, int]) -> Optional[Bulk]:
        wanted = set(needed)
        # Every column is looked at, so that a record with more or fewer is told apart.
        text = "[^%s\\n]*" % _in_class(self._separator)
        pieces = ["(%s)" % text if name in wanted else text for name in self._names]
        guards = (b"\r",) + ((self._quote.encode("utf-8"),) if self._quote else ())
        order = tuple(name for name in self._names if name in wanted)
        return Bulk(re.escape(self._separator).join(pieces) + r"\n", guards, order)

    def parser(self, needed: Sequence[str]) -> Parse:
        places = [self._names.index(name) for name in needed]
        width = len(self._names)

        def parse(line: bytes) -> Optional[Tuple[Any, ...]]:
            found = self.columns(line)
            if found is None or len(found) != width:
                return None
            return tuple([found[place] for place in places])

        return parse

    def columns(self, line: bytes) -> Optional[List[bytes]]:
        """A record's columns, None if its quotes do not close."""
        separator, quote = self._separator.encode("utf-8"), self._quote.encode("utf-8")
        if not quote or quote not in line:
            return line.split(separator)
        found = []  # type: List[bytes]
        at = 0
        while True:
            if line[at : at + 1] == quote:
                piece, at = _quoted(line, at + 1, quote)
                if at < 0 or line[at : at + 1] not in (b"", separator):
                    return None
            else:
                end = line.find(separator, at)
                end = len(line) if end < 0 else end
                piece, at = line[at:end], end
            found.append(piece)
            if at >= len(line):
                return found
            at += 1


def _quoted(line: bytes, at: int, quote: bytes) -> Tuple[bytes, int]:
    pieces = []  # type: List[bytes]
    while True:
        end = line.find(quote, at)
        if end < 0:
            return b"", -1
        pieces.append(line[at:end])
        if line[end + 1 : end + 2] != quote:
            return quote.join(pieces), end + 1
        at = end + 2
