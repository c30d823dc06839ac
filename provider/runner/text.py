"""Blocks of bytes into lists of lines.

Knows encodings. Does not know files.
"""

from typing import Any, Callable, List, Optional

from provider.runner.faults import Failure, Fault

#: What hz, utf-7 and raw_unicode_escape make more or fewer lines of than there are bytes 10.
_PROBE = b"~\n+AAo- \\u000a \xff\n"


def splitter(encoding: Optional[str]) -> Callable[[bytes], List[Any]]:
    r"""A function that makes lines of a block, in C: without their ``\n``, with their ``\r``.

    Bytes that are no text are kept as surrogates. Without an encoding lines are bytes.

    Raises:
        Failure: there is no such encoding, or its newline is not the byte 10, by which files are cut.
    """
    if encoding is None:
        return _bytes
    try:
        usable = "\n".encode(encoding) == b"\n" and _PROBE.decode(encoding, "surrogateescape").count("\n") == 2
    except (LookupError, ValueError):
        usable = False
    if not usable:
        raise Failure(Fault("usage", "lines cannot be read in the encoding %r" % encoding))
    name = encoding

    def text(data: bytes) -> List[Any]:
        lines = data.decode(name, "surrogateescape").split("\n")
        if not lines[-1]:
            lines.pop()
        return lines

    return text


def _bytes(data: bytes) -> List[Any]:
    lines = data.split(b"\n")
    if not lines[-1]:
        lines.pop()
    return lines
