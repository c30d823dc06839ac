"""Where named queries lie: a directory for each, which only this user may enter.

Knows names and paths. Does not know what is in the files, or whether anybody uses them.

    $XDG_STATE_HOME/logreduce/queries/NAME/
        state.db      the question and the answer so far (`backplane.client.store.database`)
        query/        the query file or folder as it was when it was first asked
        lock          held by the process that runs it
        process       which one that is, and where it listens
        log           what a detached one has to say
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backplane.wire import places
from backplane.wire.errors import UsageError

#: A name is a directory's, a word on a command line and a column of `ps`.
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
#: What is being removed: no name begins so.
_REMOVED: Final = ".removed-"


@dataclass(frozen=True, slots=True)
class Directory:
    """A named query's directory, which may not exist."""

    name: str
    path: Path

    @property
    def database(self) -> Path:
        """The question and the answer so far."""
        return self.path / "state.db"

    @property
    def query(self) -> Path:
        """Where the query's files are laid out."""
        return self.path / "query"

    @property
    def lock(self) -> Path:
        """Held by the process that runs it."""
        return self.path / "lock"

    @property
    def process(self) -> Path:
        """Which process that is."""
        return self.path / "process"

    @property
    def log(self) -> Path:
        """What a detached one has to say."""
        return self.path / "log"

    @property
    def exists(self) -> bool:
        """Something of this name has been asked."""
        return self.database.exists()

    def make(self) -> None:
        """Make the directory.

        Raises:
            UsageError: it cannot be made; says why, and what else can be done.
        """
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.chmod(self.path, 0o700)
            os.chmod(self.path.parent, 0o700)
            if not os.access(self.path, os.W_OK):
                raise PermissionError(13, "no permission to write")
        except OSError as exc:
            raise UsageError(
                f"nothing can be kept in {self.path}: {exc.strerror or exc}; name a directory that can be written with "
                "XDG_STATE_HOME, or ask without --name"
            ) from None

    def remove(self) -> None:
        """Remove it with all that is in it: out of sight at once, then for good."""
        aside = self.path.with_name(f"{_REMOVED}{self.name}-{os.getpid()}")
        with contextlib.suppress(FileNotFoundError):
            self.path.rename(aside)
            shutil.rmtree(aside)


def directory(name: str, environ: Mapping[str, str]) -> Directory:
    """The directory of a name.

    Raises:
        UsageError: it cannot be a name.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(f"{name!r:.80} is no name: letters, digits, . _ and -, at most 64, a letter or digit first")
    return Directory(name, _root(environ) / name)


def known(environ: Mapping[str, str]) -> list[Directory]:
    """This user's named queries, by name."""
    try:
        names = sorted(entry.name for entry in os.scandir(_root(environ)) if _NAME.fullmatch(entry.name))
    except OSError:
        return []
    found = [directory(name, environ) for name in names]
    return [each for each in found if each.exists]


def _root(environ: Mapping[str, str]) -> Path:
    return places.state(environ) / "queries"
