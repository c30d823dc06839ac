"""Text from elsewhere, made safe to show on a terminal.

Knows characters. What is shown may come out of a log that an attacker writes to: escape sequences could retitle,
recolour or even type into a terminal, and invisible or right-to-left controls could make a line read as another.
Whatever is not printable is shown as an escape.
"""

from __future__ import annotations

import re

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}

#: Almost everything that is ever shown: not worth a look at each character.
_PLAIN = re.compile(r"[ -~]*")


def harmless(text: str, *, keep: str = "") -> str:
    r"""The same text with each character that is not printable escaped.

    Args:
        keep: characters to leave, such as a tab in a line that stands for itself.

    >>> print(harmless("a\x1b[2Jb\u202ec\udcff\n"))
    a\x1b[2Jb\u202ec\xff\n
    """
    if _PLAIN.fullmatch(text):
        return text
    return "".join(each if each.isprintable() or each in keep else _escaped(each) for each in text)


def _escaped(each: str) -> str:
    code = ord(each)
    if each in _NAMED:
        return _NAMED[each]
    if 0xDC80 <= code <= 0xDCFF:  # an undecodable byte, kept by surrogateescape
        return f"\\x{code - 0xDC00:02x}"
    if code < 0x100:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
