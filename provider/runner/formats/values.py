"""Types of fields: the bytes that may stand in a line, and what they become.

Knows types. Does not know where a field stands. It travels: standard library only, Python 3.6.

An empty text is null in every format of bytes, and so is what a field names as its ``null``.
"""

import re
from typing import Any, Callable, Dict, NamedTuple, Optional, Tuple

from provider.runner.formats.times import reader

Convert = Callable[[bytes], Any]

#: What a field of a type may look like where a line's form decides whether it is one. At most 18 digits: 64 bits.
PATTERNS = {"int": r"[-+]?\d{1,18}", "float": r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"}
_INT = re.compile(rb"[-+]?\d{1,18}\Z")
_FLOAT = re.compile(rb"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?\Z")
_DURATION = re.compile(rb"(?:\d+(?:\.\d+)?(?:ns|us|\xc2\xb5s|ms|s|m|h|d))+\Z")
_DURATION_PART = re.compile(rb"(\d+(?:\.\d+)?)(ns|us|\xc2\xb5s|ms|s|m|h|d)")
_SECONDS = {
    b"ns": 1e-9,
    b"us": 1e-6,
    b"\xc2\xb5s": 1e-6,
    b"ms": 1e-3,
    b"s": 1.0,
    b"m": 60.0,
    b"h": 3600.0,
    b"d": 86400.0,
}
_SIZE = re.compile(rb"(\d{1,15}(?:\.\d+)?) ?([kKMGTP]?)(i?)B?\Z")
_POWERS = {b"": 0, b"k": 1, b"K": 1, b"M": 2, b"G": 3, b"T": 4, b"P": 5}


class Field(NamedTuple):
    """One field of a format.

    Attributes:
        kind: its type.
        layout: of a time.
        null: a text that stands for nothing.
        range: the least and the most that an int can be, where a format knows.
        unit_s: seconds of a duration that is written as a bare number.
    """

    name: str
    kind: str = "string"
    layout: str = "iso"
    null: bytes = b""
    range: Optional[Tuple[int, int]] = None
    unit_s: float = 1.0

    def pattern(self) -> str:
        """What its bytes look like, "" if the separator after it is all that ends it."""
        if self.range is not None and len(str(self.range[0])) == len(str(self.range[1])) and self.range[0] > 0:
            low, high = str(self.range[0]), str(self.range[1])
            return ("[%s-%s]" % (low[0], high[0])) + r"\d" * (len(low) - 1)
        text = PATTERNS.get(self.kind, "")
        return "(?:%s|%s)" % (text, re.escape(self.null.decode("latin-1"))) if text and self.null else text


def text_of(raw: bytes) -> str:
    """A text; bytes that are none are kept as surrogates."""
    return raw.decode("utf-8", "surrogateescape")


def int_of(raw: bytes) -> Optional[int]:
    """An int of 64 bits, or null."""
    return int(raw) if _INT.match(raw) else None


def float_of(raw: bytes) -> Optional[float]:
    """A float, or null. Words (nan, inf) are none."""
    return float(raw) if _FLOAT.match(raw) else None


def bool_of(raw: bytes) -> Optional[bool]:
    """``true`` or ``false``, or null."""
    return {b"true": True, b"false": False}.get(raw.lower())


def size_of(raw: bytes) -> Optional[int]:
    """Bytes: ``512``, ``10K``, ``3.5 MiB`` are powers of 1024 with an i or without B, ``3MB`` of 1000."""
    found = _SIZE.match(raw)
    if found is None:
        return None
    number, unit, binary = found.groups()
    base = 1000 if unit and not binary and raw.endswith(b"B") else 1024
    return int(float(number) * base ** _POWERS[unit])


def duration_of(unit_s: float) -> Convert:
    """Seconds: ``1.5s``, ``20ms``, ``1h2m``, or a bare number of ``unit_s``."""

    def convert(raw: bytes) -> Optional[float]:
        if _FLOAT.match(raw):
            return float(raw) * unit_s
        if not _DURATION.match(raw):
            return None
        return sum(float(number) * _SECONDS[unit] for number, unit in _DURATION_PART.findall(raw))

    return convert


def converter(field: Field) -> Convert:
    """What makes a value of a field's bytes, null where they are none of its type."""
    inner = _inner(field)
    null = field.null

    def convert(raw: bytes) -> Any:
        return None if not raw or raw == null else inner(raw)

    return convert


def _inner(field: Field) -> Convert:
    if field.kind == "time":
        return reader(field.layout)
    if field.kind == "duration":
        return duration_of(field.unit_s)
    return _PLAIN[field.kind]


_PLAIN: Dict[str, Convert] = {
    "string": text_of,
    "int": int_of,
    "float": float_of,
    "bool": bool_of,
    "size": size_of,
    "any": text_of,
}
