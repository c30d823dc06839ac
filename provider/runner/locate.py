"""Finding a text in a block, by whichever of two ways is the faster in this log.

Knows ctypes and a clock. Does not know plans. It travels: standard library only, Python 3.6.

glibc's `memmem` runs at the speed of memory, but a call through ctypes costs as much as looking through 3 KB, and it is
slower with texts of two or three bytes. `bytes.find` is four times as fast where a text's last byte is rare and half as
fast where it is not. No rule of thumb told them apart in every log, so now and then a block is looked through by both.
"""

from time import perf_counter
from typing import Callable, Optional

Find = Callable[[bytes, bytes, int, int], int]

#: A block that tells, and how many are then looked through by what it told.
_TELLS_BYTES = 32 << 10
_BLOCKS = 1024


class Finder:
    """Gives what finds a text in a block: a function of (block, text, from where on, up to where) to a place or -1."""

    __slots__ = ("_chosen", "_left", "_memmem", "_text")

    def __init__(self, text: bytes) -> None:
        self._text = text
        self._memmem = by_libc()
        self._chosen: Find = plain
        self._left = 0

    def of(self, data: bytes, start: int, end: int) -> Find:
        """The faster of the two, in this block or one not long before it."""
        self._left -= 1
        if self._left < 0 and self._memmem is not None and end - start >= _TELLS_BYTES:
            self._left = _BLOCKS
            ways = [plain, self._memmem]
            took = [min(self._took(way, data, start, end) for _ in range(2)) for way in ways]
            self._chosen = ways[took.index(min(took))]
        return self._chosen

    def _took(self, find: Find, data: bytes, start: int, end: int) -> float:
        """Seconds to the end of a block, by lines."""
        text, at = self._text, start
        begun = perf_counter()
        while True:
            at = find(data, text, at, end)
            if at < 0:
                return perf_counter() - begun
            at = data.find(b"\n", at, end)
            if at < 0:
                return perf_counter() - begun


def by_libc() -> Optional[Find]:
    """The C library's way, None where that has none."""
    try:
        import ctypes

        memmem = ctypes.CDLL(None).memmem
        address = ctypes.pythonapi.PyBytes_AsString
    except (ImportError, OSError, AttributeError):
        return None
    memmem.restype = ctypes.c_void_p
    memmem.argtypes = [ctypes.c_void_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]
    address.restype = ctypes.c_void_p
    address.argtypes = [ctypes.py_object]

    def find(data: bytes, text: bytes, at: int, end: int) -> int:
        if type(data) is not bytes:
            return data.find(text, at, end)
        base = address(data)
        found = memmem(base + at, end - at, text, len(text))
        return -1 if found is None else found - base

    return find


def plain(data: bytes, text: bytes, at: int, end: int) -> int:
    """The same by the standard library."""
    return data.find(text, at, end)
