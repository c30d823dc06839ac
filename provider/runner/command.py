"""A source that is a command: ``cmd:journalctl -f``, whose stdout is read as lines.

Knows a program's output. Does not know files.
"""

from typing import Any, Callable, Iterator, List, Optional

from provider.runner.faults import Failure
from provider.runner.fed import Fed
from provider.runner.lines import Block
from provider.runner.program import Program

_NAP_MS = 200


class Command(Fed):
    """See the module. It has no positions: what was printed is not printed again.

    Args:
        command: for a shell; with `argv`, which needs none, it is for people.
        source: its name, where that is no ``cmd:``.

    Raises:
        Failure: there is no shell.
    """

    def __init__(
        self, command: str, split: Callable[[bytes], List[Any]], source: str = "", argv: Optional[List[str]] = None
    ) -> None:
        super().__init__(-1, split)
        self._source = source or "cmd:" + command
        self._program = Program(self._source, argv or ["/bin/sh", "-c", command])
        self._program.starve()
        self._ahead = b""

    def blocks(self) -> "Iterator[Optional[Block]]":
        """All lines up to its exit.

        Raises:
            Failure: it exited with another status than 0.
        """
        for block in super().blocks():
            yield block
        if self._program.status:
            raise Failure(self._program.fault())

    def _read(self) -> Optional[bytes]:
        data, self._ahead = self._ahead, b""
        data = data or self._program.step(0)
        return data if data or self._program.ended else None

    def close(self) -> None:
        """Asks it to end. What does not is killed with its job."""
        self._program.terminate()

    def wait(self) -> None:
        """Until something is printed, or a nap."""
        self._ahead += self._program.step(_NAP_MS)
