"""Values as what may be counted and told apart. Travels: standard library only, Python 3.6.

``True == 1 == 1.0`` in Python, and lists cannot be counted at all. A token is equal to another one only if their values
have one type and are the same: texts, bytes, ints and None are their own tokens, anything else is a tuple of its
msgpack.
"""

from typing import Any, List

from provider.runner.pack import packb, unpackb

_PLAIN = frozenset((str, bytes, int, type(None)))


def tokens(values: List[Any]) -> List[Any]:
    """A token for each value.

    Raises:
        PackError: a value that cannot travel.
    """
    if _PLAIN.issuperset(map(type, values)):
        return values
    return [value if type(value) in _PLAIN else (packb(value),) for value in values]


def is_token(token: Any) -> bool:
    """It is one, as far as can be seen without opening it."""
    return type(token) in _PLAIN or (type(token) is tuple and len(token) == 1 and type(token[0]) is bytes)


def value(token: Any) -> Any:
    """What a token stands for.

    Raises:
        ValueError: nothing; whoever sent it made it up.
    """
    return unpackb(token[0]) if type(token) is tuple else token


def octets(token: Any) -> bytes:
    """Bytes that no other token has."""
    if type(token) is str:
        return b"s" + token.encode("utf-8", "surrogatepass")
    if type(token) is tuple:
        return b"p" + bytes(token[0])
    return b"b" + token if type(token) is bytes else b"i%d" % token if type(token) is int else b"n"
