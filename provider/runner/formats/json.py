"""One JSON object a line.

Knows JSON. Does not know what its values are used for. It travels: standard library only, Python 3.6; the json module
costs a provider 14 ms, and is imported only here.

A field is a key of the object; a dot goes into an object that is a value (``http.status``), unless a key with that
very name is there. A line that is no object does not parse. Objects and lists are shown as JSON text.
"""

import json
from typing import Any, Dict, List, Optional, Sequence, Tuple

from provider.runner.formats.base import Layout, Parse


class Json(Layout):
    """See the module. ``names`` are fields whose types are known; every other name is a field too."""

    typed = True

    def __init__(self, names: List[str]) -> None:
        self._names = names

    @property
    def names(self) -> List[str]:
        return self._names

    def parser(self, needed: Sequence[str]) -> Parse:
        loads = json.JSONDecoder(parse_constant=_no_number).decode
        names = list(needed)
        dotted = any("." in name for name in names)

        def parse(line: bytes) -> Optional[Tuple[Any, ...]]:
            try:
                found = loads(line.decode("utf-8", "surrogateescape"))
            except (ValueError, RecursionError):
                return None
            if type(found) is not dict:
                return None
            if not dotted:
                return tuple([plain(found.get(name)) for name in names])
            return tuple([plain(_deep(found, name)) for name in names])

        return parse


def _no_number(name: str) -> None:
    """NaN and Infinity are no JSON; many loggers write them for a number that they do not have."""


def _deep(found: Dict[str, Any], name: str) -> Any:
    if name in found:
        return found[name]
    value = found  # type: Any
    for key in name.split("."):
        if type(value) is not dict:
            return None
        value = value.get(key)
    return value


def plain(value: Any) -> Any:
    """What an expression can take: null, a text, a bool or a number of 64 bits."""
    kind = type(value)
    if kind is dict or kind is list:
        return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
    if kind is int and not -(1 << 63) <= value < 1 << 63:
        return float(value) if abs(value) < 1 << 1000 else None
    return value
