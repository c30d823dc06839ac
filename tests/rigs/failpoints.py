"""The program, which kills itself with -9 at a step of a named query's: `-m tests.rigs.failpoints POINT NTH WORDS...`.

Knows which function each step is. Nothing of this is in the program itself.
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any, Final

from backplane.cli.main import main
from backplane.client import keeping
from backplane.client.keeping import Keeper
from backplane.client.named.running import Running
from backplane.client.run import Run
from backplane.client.store import database
from backplane.client.store.database import Store
from backplane.reduce.answer import Answer
from backplane.reduce.cursors import Cursor

#: Each step: where the function is, its name, and whether it dies before or after it.
POINTS: Final[dict[str, tuple[Any, str, bool]]] = {
    "before a part is staged": (Cursor, "stage", True),
    "after a part was staged": (Cursor, "stage", False),
    "before a cut is applied": (Answer, "_apply", True),
    "after a cut was applied": (Answer, "_apply", False),
    "before a commit": (Store, "commit", True),
    "in a commit, after its values": (database, "_append", False),
    "in a commit, after its places": (database, "_note", False),
    "after a commit": (Store, "commit", False),
    "before it is tidied": (Store, "compact", True),
    "after it was tidied": (Store, "compact", False),
    "before a start is sent": (Run, "_start", True),
    "after a start was sent": (Run, "_start", False),
    "after it was filled": (Keeper, "fill", False),
    "before its process is told": (Running, "shown", True),
}
#: Those that a client of one provider comes to once in its life.
ONCE: Final = frozenset(
    ("before a start is sent", "after a start was sent", "after it was filled", "before its process is told")
)


def dies(point: str, nth: int) -> None:
    """From now on the n-th time is the last one."""
    where, name, before = POINTS[point]
    real: Callable[..., Any] = getattr(where, name)
    left = nth

    def counted() -> None:
        nonlocal left
        left -= 1
        if not left:
            os.kill(os.getpid(), signal.SIGKILL)

    def patched(*args: Any, **kwargs: Any) -> Any:
        if before:
            counted()
        result = real(*args, **kwargs)
        if not before:
            counted()
        return result

    setattr(where, name, patched)


if __name__ == "__main__":
    # Tidied often, so that a crash meets it.
    keeping._WORTH_BYTES = 0  # type: ignore[misc]
    keeping._MOST_BYTES = 0  # type: ignore[misc]
    keeping.IDLE_S = 0.05  # type: ignore[misc]
    if sys.argv[1]:
        dies(sys.argv[1], int(sys.argv[2]))
    sys.exit(main(sys.argv[3:]))
