"""Scripts that are no Python: how one says what runs it, and whether it can travel.

Knows files and their first lines. Does not know queries.
"""

from __future__ import annotations

import os
import shlex
from pathlib import Path
from typing import Final

from backplane.wire.errors import QueryError

#: More than any script that a person wrote; a log that was named by mistake ends here.
MAX_BYTES: Final = 1 << 20


def text_of(path: Path) -> str:
    """The text of a script that travels.

    Raises:
        QueryError: it cannot be read, is too large, or is no text.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise QueryError(f"cannot be read: {getattr(exc, 'strerror', None) or exc}", str(path)) from None
    if len(data) > MAX_BYTES:
        raise QueryError(f"is over {MAX_BYTES >> 20} MiB: that is no script", str(path))
    if b"\0" in data:
        raise QueryError("is a binary, which another host may not be able to run: a script travels as text", str(path))
    return data.decode("utf-8", "surrogateescape")


def shebang(text: str) -> tuple[str, ...]:
    """The interpreter that a script names in its first line, and its arguments; nothing where it names none.

    >>> shebang("#!/usr/bin/awk -f\\n"), shebang("#!/usr/bin/env -S perl -w\\n"), shebang("print 1\\n")
    (('/usr/bin/awk', '-f'), ('perl', '-w'), ())
    """
    first = text.partition("\n")[0]
    if not first.startswith("#!"):
        return ()
    try:
        words = shlex.split(first[2:])
    except ValueError:
        words = first[2:].split()
    if words and os.path.basename(words[0]) == "env":
        words = words[1:]
        while words and (words[0].startswith("-") or "=" in words[0]):
            words = words[1:]
    return tuple(words)


def travelling(path: Path) -> tuple[str, tuple[str, ...]]:
    """The text of a script and what runs it on a provider.

    Raises:
        QueryError: it does not say, or see `text_of`.
    """
    text = text_of(path)
    argv = shebang(text)
    if not argv:
        raise QueryError(
            "does not say what runs it: begin it with a line like #!/bin/sh, #!/usr/bin/awk -f or #!/usr/bin/env perl",
            str(path),
            1,
        )
    return text, argv


def at_home(path: Path) -> tuple[str, ...]:
    """The command that runs a program here, where it is a file.

    Raises:
        QueryError: it is none.
    """
    if not path.is_file():
        raise QueryError("there is no such file", str(path))
    if os.access(path, os.X_OK):
        return (str(path.absolute()),)
    argv = shebang(text_of(path))
    if not argv:
        raise QueryError("is not executable, and does not say what runs it: chmod +x, or begin it with #!", str(path))
    return (*argv, str(path.absolute()))
