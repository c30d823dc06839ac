"""Lets asyncssh be imported without running a compiler.

On import asyncssh looks for two optional C libraries (liboqs, nettle) by ``ctypes.util.find_library``, which runs
ldconfig, gcc and ld, six processes in a tenth of a second, and writes temporary files. What the libraries would add,
algorithms that our connections do not offer first, is not worth compilers that run on a user's machine unasked.
"""

from __future__ import annotations

import contextlib
import ctypes.util
from collections.abc import Iterator


@contextlib.contextmanager
def no_library_search() -> Iterator[None]:
    """While entered, `ctypes.util.find_library` finds nothing."""
    search = ctypes.util.find_library
    ctypes.util.find_library = lambda name: None
    try:
        yield
    finally:
        ctypes.util.find_library = search
