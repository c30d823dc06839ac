"""The program's first file, `python -m backplane.cli`: so small that Ctrl-C finds it ready.

Knows the process: its streams, its exit status, and an interrupt that comes while the rest is still being imported.
Everything else is `backplane.cli.main`'s business.
"""

from __future__ import annotations

import gc
import os
import sys

_ABORTED = 130
#: Objects that are made before Python looks for cycles among them: imports make many, and none that is garbage.
_LOOK_AFTER = 20_000


def entry() -> None:
    """The console script."""
    _open_streams()
    gc.set_threshold(_LOOK_AFTER)
    try:
        from backplane.cli.main import main

        status = main(sys.argv[1:])
    except KeyboardInterrupt:
        status = _ABORTED
    gc.freeze()  # all memory is about to go: to look through it once more takes longer than some questions
    sys.exit(status)


def _open_streams() -> None:
    """A stream that was closed (``<&-``) is empty, and its number is not given to the next file that is opened."""
    for fd, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            os.dup2(os.open(os.devnull, os.O_RDWR), fd)
            setattr(sys, name, os.fdopen(fd, mode))


if __name__ == "__main__":
    entry()
