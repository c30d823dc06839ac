"""Finding a text in a block, by the C library where that is there.

Knows ctypes. Does not know plans. It travels: standard library only, Python 3.6; whoever looks for nothing does not
import it, because ctypes costs a start 5 ms.

glibc's `memmem` runs at the speed of memory; `bytes.find` does half of that. A call through ctypes costs as much as
looking through 10 KB, so once a text has been found near by, the block's next ones are found by `bytes.find`.
"""

from typing import Callable

Find = Callable[[bytes, bytes, int, int], int]


def finder() -> Find:
    """A function of (block, text, from where on, up to where) that gives a place or -1."""
    try:
        import ctypes

        memmem = ctypes.CDLL(None).memmem
    except (ImportError, OSError, AttributeError):
        return plain
    memmem.restype = ctypes.c_void_p
    memmem.argtypes = [ctypes.c_char_p, ctypes.c_size_t, ctypes.c_char_p, ctypes.c_size_t]

    last, found = b"", False

    def find(data: bytes, text: bytes, at: int, end: int) -> int:
        # All of the block, once: an address inside of the bytes is not to be had without arithmetic on it.
        nonlocal last, found
        if data is not last:
            last, found = data, memmem(data, len(data), text, len(text)) is not None
        if not found:
            return -1
        return data.find(text, at, end)

    return find


def plain(data: bytes, text: bytes, at: int, end: int) -> int:
    """The same by the standard library."""
    return data.find(text, at, end)
