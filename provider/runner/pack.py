"""msgpack in the standard library: what headers and values are made of on a provider.

Knows the msgpack format and the types that a value may have. Does not know frames.
It travels to providers, so: standard library only, Python 3.6. At home the msgpack library reads what this writes;
a test holds the two against each other.

Text is UTF-8 with undecodable bytes kept (surrogateescape), so a log line survives the trip byte for byte. Format:
https://github.com/msgpack/msgpack/blob/master/spec.md
"""

from struct import Struct
from struct import error as StructError
from typing import Any, Callable, Dict, List, Tuple

_U8 = Struct(">BB").pack
_U16 = Struct(">BH").pack
_U32 = Struct(">BI").pack
_U64 = Struct(">BQ").pack
_I8 = Struct(">Bb").pack
_I16 = Struct(">Bh").pack
_I32 = Struct(">Bi").pack
_I64 = Struct(">Bq").pack
_F64 = Struct(">Bd").pack

#: Deeper than any sane value, shallow enough that no interpreter's stack is at risk on either side.
MAX_DEPTH = 64


class PackError(ValueError):
    """A value that cannot travel, or bytes that are no value."""


def packb(value: Any) -> bytes:
    """A value's bytes.

    Raises:
        PackError: a type that msgpack does not know (the message names it), an integer over 64 bits, or nesting
            deeper than ``MAX_DEPTH``.
    """
    out = []  # type: List[bytes]
    _put(value, out.append, MAX_DEPTH)
    return b"".join(out)


def _put(value: Any, put: Callable[[bytes], None], depth: int) -> None:
    kind = type(value)
    if kind is str:
        _put_str(value, put)
    elif kind is int:
        _put_int(value, put)
    elif value is None:
        put(b"\xc0")
    elif kind is bool:
        put(b"\xc3" if value else b"\xc2")
    elif kind is float:
        put(_F64(0xCB, value))
    elif kind is bytes:
        _put_bytes(value, put)
    elif depth <= 0:
        raise PackError("a value nested more than %d deep" % MAX_DEPTH)
    elif kind is list or kind is tuple:
        _put_length(len(value), put, 0x90, 15, 0xDC)
        for item in value:
            _put(item, put, depth - 1)
    elif kind is dict:
        _put_length(len(value), put, 0x80, 15, 0xDE)
        for key, item in value.items():
            _put(key, put, depth - 1)
            _put(item, put, depth - 1)
    else:
        _put_other(value, put, depth)


_BASES = (bool, int, float, str, bytes, dict, tuple, list)  # type: Tuple[Any, ...]


def _put_other(value: Any, put: Callable[[bytes], None], depth: int) -> None:
    """Subclasses of what msgpack knows (an IntEnum, a Counter, a namedtuple) travel as their base."""
    for base in _BASES:
        if isinstance(value, base):
            _put(base(value), put, depth)
            return
    if isinstance(value, (bytearray, memoryview)):
        _put_bytes(bytes(value), put)
        return
    raise PackError("cannot emit a value of type %s" % type(value).__name__)


def _put_str(value: str, put: Callable[[bytes], None]) -> None:
    try:
        data = value.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:  # a surrogate that never was a byte, for instance out of JSON's "\ud800"
        data = value.encode("utf-8", "surrogatepass")
    size = len(data)
    if size < 32:
        put(bytes((0xA0 | size,)))
    elif size < 0x100:
        put(_U8(0xD9, size))
    elif size < 0x10000:
        put(_U16(0xDA, size))
    else:
        put(_U32(0xDB, size))
    put(data)


def _put_bytes(value: bytes, put: Callable[[bytes], None]) -> None:
    size = len(value)
    if size < 0x100:
        put(_U8(0xC4, size))
    elif size < 0x10000:
        put(_U16(0xC5, size))
    else:
        put(_U32(0xC6, size))
    put(value)


def _put_length(size: int, put: Callable[[bytes], None], small: int, most: int, code: int) -> None:
    if size <= most:
        put(bytes((small | size,)))
    elif size < 0x10000:
        put(_U16(code, size))
    else:
        put(_U32(code + 1, size))


def _put_int(value: int, put: Callable[[bytes], None]) -> None:
    if -32 <= value < 0x80:
        put(bytes((value & 0xFF,)))
    elif value >= 0:
        if value < 0x100:
            put(_U8(0xCC, value))
        elif value < 0x10000:
            put(_U16(0xCD, value))
        elif value < 0x100000000:
            put(_U32(0xCE, value))
        elif value < 1 << 64:
            put(_U64(0xCF, value))
        else:
            raise PackError("cannot emit an integer over 64 bits")
    elif value >= -0x80:
        put(_I8(0xD0, value))
    elif value >= -0x8000:
        put(_I16(0xD1, value))
    elif value >= -0x80000000:
        put(_I32(0xD2, value))
    elif value >= -(1 << 63):
        put(_I64(0xD3, value))
    else:
        raise PackError("cannot emit an integer under -2**63")


_FIXED = {
    0xCA: Struct(">f"),
    0xCB: Struct(">d"),
    0xCC: Struct(">B"),
    0xCD: Struct(">H"),
    0xCE: Struct(">I"),
    0xCF: Struct(">Q"),
    0xD0: Struct(">b"),
    0xD1: Struct(">h"),
    0xD2: Struct(">i"),
    0xD3: Struct(">q"),
}  # type: Dict[int, Struct]
_CONSTANT = {0xC0: None, 0xC2: False, 0xC3: True}
#: Code: what follows, and the width of its length.
_SIZED = {
    0xC4: ("bytes", Struct(">B")),
    0xC5: ("bytes", Struct(">H")),
    0xC6: ("bytes", Struct(">I")),
    0xD9: ("str", Struct(">B")),
    0xDA: ("str", Struct(">H")),
    0xDB: ("str", Struct(">I")),
    0xDC: ("list", Struct(">H")),
    0xDD: ("list", Struct(">I")),
    0xDE: ("dict", Struct(">H")),
    0xDF: ("dict", Struct(">I")),
}  # type: Dict[int, Tuple[str, Struct]]


def unpackb(data: bytes) -> Any:
    """The value whose bytes these are, all of them. Sequences come back as lists.

    Raises:
        PackError: not msgpack, cut short, trailing bytes, or nested deeper than ``MAX_DEPTH``.
    """
    try:
        value, end = _get(data, 0, MAX_DEPTH)
    except (IndexError, StructError, KeyError, TypeError):
        raise PackError("not msgpack, or cut short")
    if end != len(data):
        raise PackError("%d bytes after the value" % (len(data) - end))
    return value


def _get(data: bytes, at: int, depth: int) -> Tuple[Any, int]:
    code = data[at]
    at += 1
    if code < 0x80:
        return code, at
    if code >= 0xE0:
        return code - 0x100, at
    if code < 0x90:
        return _get_dict(data, at, code & 0x0F, depth)
    if code < 0xA0:
        return _get_list(data, at, code & 0x0F, depth)
    if code < 0xC0:
        return _get_str(data, at, code & 0x1F)
    if code in _CONSTANT:
        return _CONSTANT[code], at
    if code in _FIXED:
        form = _FIXED[code]
        return form.unpack_from(data, at)[0], at + form.size
    what, width = _SIZED[code]
    size = width.unpack_from(data, at)[0]
    at += width.size
    if what == "str":
        return _get_str(data, at, size)
    if what == "bytes":
        return bytes(_take(data, at, size)), at + size
    if what == "list":
        return _get_list(data, at, size, depth)
    return _get_dict(data, at, size, depth)


def _take(data: bytes, at: int, size: int) -> bytes:
    if at + size > len(data):
        raise IndexError
    return data[at : at + size]


def _get_str(data: bytes, at: int, size: int) -> Tuple[str, int]:
    return _take(data, at, size).decode("utf-8", "surrogateescape"), at + size


def _get_list(data: bytes, at: int, size: int, depth: int) -> Tuple[List[Any], int]:
    if depth <= 0:
        raise PackError("nested more than %d deep" % MAX_DEPTH)
    items = []
    for _ in range(size):
        item, at = _get(data, at, depth - 1)
        items.append(item)
    return items, at


def _get_dict(data: bytes, at: int, size: int, depth: int) -> Tuple[Dict[Any, Any], int]:
    if depth <= 0:
        raise PackError("nested more than %d deep" % MAX_DEPTH)
    items = {}
    for _ in range(size):
        key, at = _get(data, at, depth - 1)
        items[key], at = _get(data, at, depth - 1)
    return items, at
