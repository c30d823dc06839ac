"""Finding a text in a block, by the C library where that is there.

Knows ctypes. Does not know plans. It travels: standard library only, Python 3.6; whoever looks for nothing does not
import it, because ctypes costs a start 5 ms.

glibc's `memmem` runs at the speed of memory; `bytes.find` does half of that, or less where the text is short. A call
through ctypes costs as much as looking through 3 KB: for a text that stands in every tenth line it is still the faster.
"""

from typing import Callable

Find = Callable[[bytes, bytes, int, int], int]


def finder() -> Find:
    """A function of (block, text, from where on, up to where) that gives a place or -1."""
    try:
        import ctypes

        memmem = ctypes.CDLL(None).memmem
        address = ctypes.pythonapi.PyBytes_AsString
    except (ImportError, OSError, AttributeError):
        return plain
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
