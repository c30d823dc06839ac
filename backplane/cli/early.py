"""Whether `run` will need a coordinator of its own: looked at before the command line is parsed, so that it may start.

Knows the options that matter for it, as words. It is a guess: what is begun for nothing is ended again, and what is not
begun here is begun later. `backplane.cli.finding` decides.
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Final

from backplane.wire import places

if TYPE_CHECKING:
    from backplane.client.begun import Begun

#: Options that select other machines.
_TARGETS: Final = ("-w", "--where", "-g", "--group", "-l", "--label", "-i", "--inventory", "-a", "--all")


@contextlib.contextmanager
def begun(argv: Sequence[str], environ: Mapping[str, str] = os.environ) -> Iterator[Begun | None]:
    """A private coordinator that is starting, if `run` with these words will want one. Ended with the context.

    Raises:
        NoCoordinator: it cannot be started.
    """
    if not wanted(argv, environ):
        yield None
        return
    from backplane.client.begun import Begun

    begun = Begun(logins=abroad(argv), verbose="-v" in argv or "--verbose" in argv)
    try:
        yield begun
    finally:
        begun.discard()


def wanted(argv: Sequence[str], environ: Mapping[str, str]) -> bool:
    """Nothing names another coordinator, and no file is there that might."""
    if not argv or "-h" in argv or "--help" in argv:
        return False
    if "--private" in argv:
        return True
    named = environ.get("LOGREDUCE_COORDINATOR") or any(word.startswith("--coordinator") for word in argv)
    files = (places.config(environ) / "config.toml", places.socket(environ))
    return not (named or any(os.path.lexists(file) for file in files))


def abroad(argv: Sequence[str]) -> bool:
    """Other machines are asked."""
    return any(word.split("=")[0] in _TARGETS or word[:2] in _TARGETS for word in argv)
