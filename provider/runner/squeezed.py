"""A compressed file, read as what was compressed.

Knows gzip, bzip2 and xz, as far as this Python has them. Does not know lines or positions.

Reading goes forward; what lies before the offset given to `forget` is not kept, and asking for it reads the file anew
from its beginning. So memory is bounded by what is between the two, a block and a dictionary.
"""

import os
from typing import Any, Callable, Optional

_READ_BYTES = 64 << 10
_MORE_BYTES = 256 << 10
#: What `xz -9` needs. More than this would be most of a job's memory.
_XZ_BYTES = 80 << 20


def kind(name: str) -> Optional[str]:
    """How a file of this name would be compressed."""
    for suffix in (".gz", ".bz2", ".xz"):
        if name.endswith(suffix):
            return suffix
    return None


class _Gzip:
    """zlib with the interface that bz2 and lzma have."""

    def __init__(self) -> None:
        import zlib

        self._engine = zlib.decompressobj(31)

    def decompress(self, data: bytes, most: int) -> bytes:
        return self._engine.decompress(self._engine.unconsumed_tail + data, most)

    @property
    def needs_input(self) -> bool:
        return not self._engine.unconsumed_tail

    @property
    def eof(self) -> bool:
        return self._engine.eof

    @property
    def unused_data(self) -> bytes:
        return self._engine.unused_data


def _bzip2() -> Any:
    import bz2

    return bz2.BZ2Decompressor()


def _xz() -> Any:
    import lzma

    return lzma.LZMADecompressor(memlimit=_XZ_BYTES)


_ENGINES: "dict[str, tuple[bytes, Callable[[], Any]]]" = {
    ".gz": (b"\x1f\x8b", _Gzip),
    ".bz2": (b"BZh", _bzip2),
    ".xz": (b"\xfd7zXZ\0", _xz),
}


def squeezed(name: str, fd: int) -> "Optional[Squeezed]":
    """A reader of this file if its name and its first bytes say that it is compressed.

    Raises:
        OSError: this Python cannot read such.
    """
    magic, engine = _ENGINES.get(kind(name) or "", (b"", None))
    if engine is None or os.pread(fd, len(magic), 0) != magic:
        return None
    try:
        return Squeezed(fd, engine)
    except ImportError:
        raise OSError(95, "This Python has no module for %s files" % kind(name))


class Squeezed:
    """See the module. The descriptor stays its opener's."""

    __slots__ = ("_at", "_engine", "_fd", "_keep", "_make", "_start", "_unused", "_window", "damaged", "ended")

    def __init__(self, fd: int, make: "Callable[[], Any]") -> None:
        self._fd = fd
        self._make = make
        self._keep = 0
        self._anew()

    def _anew(self) -> None:
        self._engine = self._make()
        self._at = 0
        self._start = 0
        self._unused = b""
        self._window = bytearray()
        #: All of it has been read.
        self.ended = False
        #: It stopped before its end.
        self.damaged = False

    def forget(self, before: int) -> None:
        """Nothing before this offset will be asked for."""
        self._keep = before

    def pread(self, size: int, at: int) -> bytes:
        """Up to so many bytes at an offset; fewer only at the end."""
        if at < self._start:
            self._keep = min(self._keep, at)
            self._anew()
        while self._start + len(self._window) < at + size and not self.ended:
            self._more()
            drop = min(self._keep - self._start, len(self._window))
            if drop > 0:
                del self._window[:drop]
                self._start += drop
        begin = at - self._start
        return bytes(self._window[begin : begin + size])

    def size(self) -> int:
        """How much there is in all: reads to the end."""
        while not self.ended:
            end = self._start + len(self._window)
            self.forget(end)
            self.pread(_MORE_BYTES, end)
        return self._start + len(self._window)

    def _more(self) -> None:
        try:
            data = self._input()
            if data is not None:
                self._window += self._engine.decompress(data, _MORE_BYTES)
        except MemoryError:
            raise
        except Exception:  # zlib.error, lzma.LZMAError, OSError, EOFError: none of which need be imported here
            self.damaged = self.ended = True

    def _input(self) -> Optional[bytes]:
        """What the engine is given next, perhaps nothing; None at the end."""
        if self._engine.eof:
            # Files may be several compressed ones in a row; zeros behind them are padding.
            self._unused = self._engine.unused_data.lstrip(b"\0") or self._raw().lstrip(b"\0")
            if not self._unused:
                self.ended = True
                return None
            self._engine = self._make()
        if not self._engine.needs_input:
            return b""
        data, self._unused = self._unused, b""
        data = data or self._raw()
        if not data:
            # What the engine still holds comes without more input.
            held = self._engine.decompress(b"", _MORE_BYTES)
            self._window += held
            self.damaged = self.ended = not held and not self._engine.eof
            return None
        return data

    def _raw(self) -> bytes:
        data = os.pread(self._fd, _READ_BYTES, self._at)
        self._at += len(data)
        return data
