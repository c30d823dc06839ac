"""The hosts that an ssh_config names: ``Host web01 db1`` makes two providers.

Knows which lines name hosts, and follows Include. Patterns (``*``, ``?``, ``!``) and Match name nobody. Where a host is
and how it is logged in to is read from the same file when it is reached, and not here: one reader of it is enough.
"""

from __future__ import annotations

import glob
import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from backplane.wire.errors import UsageError
from coordinator.inventory import checks, files
from coordinator.table import Provider

#: As ssh itself.
_MOST_DEPTH: Final = 16
_KEYWORD: Final = re.compile(r"\s*(host|include)(?:\s*=\s*|\s+)(.*)", re.IGNORECASE)
_PATTERN: Final = re.compile(r"[*?!]")


def path_of(text: str) -> str:
    """The file that ``ssh_config:TEXT`` means: the user's own if it is empty."""
    return str(Path(text or "~/.ssh/config").expanduser())


def read(text: str) -> list[Provider]:
    """The providers that an ssh_config names, in its order, each once.

    Raises:
        UsageError: it cannot be read, or names nobody; the message names the line.
    """
    path = path_of(text)
    names: dict[str, None] = {}
    for name in _names(path, 0):
        names[name] = None
    if not names:
        raise UsageError(f"{path} names nobody: only Host lines without * and ? are providers")
    return [Provider(name) for name in names]


def _names(path: str, depth: int) -> Iterator[str]:
    if depth > _MOST_DEPTH:
        raise UsageError(f"{path}: Include {_MOST_DEPTH} files deep: does one include itself?")
    for number, raw in enumerate(files.content(path).decode("utf-8", "surrogateescape").splitlines(), 1):
        found = _KEYWORD.fullmatch(raw)
        if not found:
            continue
        where = f"{path}:{number}"
        words = _words(where, found[2])
        if found[1].lower() == "include":
            for word in words:
                for included in _included(word):
                    yield from _names(included, depth + 1)
            continue
        for word in words:
            if not _PATTERN.search(word):
                yield checks.checked(where, Provider(word)).name


def _words(where: str, text: str) -> list[str]:
    try:
        return shlex.split(text, comments=True)
    except ValueError as exc:
        raise UsageError(f"{where}: {exc}") from exc


def _included(word: str) -> list[str]:
    """The files of an Include, in order; none is well, and a relative one lies in ~/.ssh: both as in ssh."""
    pattern = str(Path("~/.ssh").expanduser() / Path(word).expanduser())
    return sorted(path for path in glob.glob(pattern) if Path(path).is_file())
