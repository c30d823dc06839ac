"""A source that comes from home: ``-``, the bytes of FEED frames, which the supervisor puts into our stdin.

Knows a blocking descriptor. Does not know frames.
"""

import os
import select
from typing import Any, Callable, Iterator, List, Optional

from provider.runner.files import LINE_BYTES
from provider.runner.lines import Block, Source

_READ_BYTES = 64 << 10
_NAP_MS = 200


class Fed(Source):
    """See the module. It has no positions: what was fed cannot be fed again."""

    def __init__(self, fd: int, split: Callable[[bytes], List[Any]]) -> None:
        self._source = "-"
        self._fd = fd
        self._split = split
        self._poll = select.poll()
        if fd >= 0:
            self._poll.register(fd, select.POLLIN)
        self._carry: List[bytes] = []
        self._carried = 0
        self._too_long = 0
        self._skipping = False

    def blocks(self) -> "Iterator[Optional[Block]]":
        """All lines up to the end of the feed; a last one without a newline counts."""
        while True:
            data = self._read()
            if data is None:
                yield None
                continue
            if not data:
                break
            whole = self._whole(data)
            if whole:
                yield Block(self._source, self._split(whole), whole)
        last = b"".join(self._carry)
        self._too_long += self._skipping
        if last:
            yield Block(self._source, self._split(last), last)

    def _read(self) -> Optional[bytes]:
        """What is there; None while there is nothing, no bytes at the end."""
        return os.read(self._fd, _READ_BYTES) if self._poll.poll(0) else None

    def _whole(self, data: bytes) -> bytes:
        """The lines that these bytes complete."""
        end = data.rfind(b"\n") + 1
        if not end:
            self._keep(data)
            return b""
        whole = b"".join(self._carry) + data[:end]
        self._carry = []
        self._carried = 0
        if self._skipping:
            self._skipping = False
            self._too_long += 1
            whole = whole[whole.find(b"\n") + 1 :]
        self._keep(data[end:])
        return whole

    def _keep(self, data: bytes) -> None:
        if self._skipping or not data:
            return
        self._carry.append(data)
        self._carried += len(data)
        if self._carried > LINE_BYTES:
            self._carry = []
            self._carried = 0
            self._skipping = True

    def fileno(self) -> int:
        """Where it is fed."""
        return self._fd

    def wait(self) -> None:
        """Until something is fed, or a nap."""
        self._poll.poll(_NAP_MS)

    def dropped(self) -> "dict[str, int]":
        """Lines over the limit of `files.LINE_BYTES`."""
        return {"line_too_long": self._too_long} if self._too_long else {}
