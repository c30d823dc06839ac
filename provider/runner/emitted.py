"""A line that a program printed, as a value: JSON where it is JSON, otherwise text; ``key TAB value`` is a pair.

Knows lines of text. Does not know processes. Home reads what a reducer prints with it too.
"""

import re
from typing import Any

#: What needs no parser: most values are counts. More digits than these might not fit 64 bits.
_WHOLE = re.compile(r"-?(?:0|[1-9][0-9]{0,17})$")
#: What JSON begins with; anything else is text, and the parser need not be asked.
_BEGINS = frozenset('{["-0123456789tfn')
_LEAST, _MOST = -(1 << 63), 1 << 64


def emitted(line: str) -> Any:
    r"""What a line of output says. A key is always text, so that it groups with what another language printed.

    >>> emitted("/cart\t1"), emitted('{"a":\t2.5}'), emitted("GET /"), emitted("007"), emitted("200\ttrue")
    (('/cart', 1), {'a': 2.5}, 'GET /', '007', ('200', True))
    """
    if "\t" in line and line[0] not in '{["':
        key, _, rest = line.partition("\t")
        return key, value(rest)
    return value(line)


def value(text: str) -> Any:
    """JSON if it parses as JSON and can travel, else the text as it is."""
    if _WHOLE.match(text):
        return int(text)
    if text[:1] not in _BEGINS:
        return text
    import json

    try:
        return json.loads(text, parse_int=_whole, parse_constant=_refused)
    except (ValueError, RecursionError):
        return text


def _whole(digits: str) -> int:
    number = int(digits) if len(digits) <= 20 else _MOST
    if not _LEAST <= number < _MOST:
        raise ValueError(digits)
    return number


def _refused(name: str) -> None:
    """``NaN`` and ``Infinity`` are words, whatever Python's parser takes them for."""
    raise ValueError(name)
