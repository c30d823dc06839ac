"""A named query's question: all that it takes to ask it again after a reboot, and to tell it from another.

Knows command lines as words, and the texts of query files. Does not know what they mean.

A secret is never kept: a parameter that is one has to be given by the file that holds it.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
from collections.abc import Container, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from backplane.wire import codec
from backplane.wire.errors import UsageError

#: A folder of scripts; one that is larger was named by mistake.
_MOST_FILES: Final = 200
_MOST_BYTES: Final = 8 << 20


@dataclass(frozen=True, slots=True)
class Text:
    """A file of the query's: its name below the query's own, and whether it is a program."""

    name: str
    data: bytes = field(repr=False)
    runs: bool = False


@dataclass(frozen=True, slots=True)
class Asked:
    """A question as it was asked.

    Attributes:
        words: the options of the command line that say what is asked, by name.
        texts: the query's files; none of a query that is all in the words.
        folder: the query is a folder of these files.
        cwd: where it was asked: relative paths are meant from there.
        local: this machine alone is asked, so that another directory is another question.
        entries: the providers that were selected.
        select: what a coordinator is to choose besides.
        reach: how they are reached.
        title: for people.
        ends_at: when it is to end, in seconds since the epoch; None for no such time.
        every: seconds that values may wait to be shown; another rhythm is no other question.
        limit: most rows and bytes, likewise; None for the usual ones.
        groups: most groups and bytes of memory, likewise; None for any number.
    """

    words: Mapping[str, Any]
    texts: tuple[Text, ...]
    folder: bool
    cwd: str
    local: bool
    entries: tuple[Mapping[str, Any], ...]
    select: Mapping[str, Any] | None
    reach: Mapping[str, Any]
    title: str
    ends_at: float | None = None
    every: float = 2.0
    limit: tuple[int | None, int | None] = (None, None)
    groups: tuple[int | None, int | None] = (None, None)

    def differs(self, other: Asked, but: Container[str] = ()) -> list[str]:
        """In what this is another question, in words; nothing if it is the same.

        Args:
            but: options that do not make another one.
        """
        mine, theirs = _plain(self.words), _plain(other.words)
        names = [name for name in sorted({*mine, *theirs}) if _said(mine.get(name)) != _said(theirs.get(name))]
        names = [name for name in names if name not in but]
        found = [name.removesuffix("_s").replace("_", " ") for name in names]  # for_s: seconds
        if _digest(self.texts) != _digest(other.texts):
            found.append("the text of the query")
        if self.local and other.local and self.cwd != other.cwd:
            found.append("the directory")
        return found

    def to_fact(self) -> dict[str, Any]:
        """As a store keeps it."""
        return {
            "words": _plain(self.words),
            "texts": [[text.name, text.data, text.runs] for text in self.texts],
            "folder": self.folder,
            "cwd": self.cwd,
            "local": self.local,
            "entries": [dict(entry) for entry in self.entries],
            "select": self.select,
            "reach": dict(self.reach),
            "title": self.title,
            "ends_at": self.ends_at,
            "every": self.every,
            "limit": list(self.limit),
            "groups": list(self.groups),
        }

    @classmethod
    def from_fact(cls, fact: Mapping[str, Any]) -> Asked:
        """What `to_fact` gave."""
        texts = tuple(Text(*each) for each in fact["texts"])
        limits: dict[str, tuple[int | None, int | None]] = {}
        for name in ("limit", "groups"):
            number, size = fact[name]
            limits[name] = (number, size)
        return cls(**{**fact, "texts": texts, "entries": tuple(fact["entries"]), **limits})

    def lay_out(self, place: Path) -> str | None:
        """Write the query's files there, in the place of what was, and return which of them is the query.

        Returns:
            A path; None of a query that is all in the words.
        """
        shutil.rmtree(place, ignore_errors=True)
        if not self.texts:
            return None
        root = place / self.texts[0].name.split("/")[0]
        for text in self.texts:
            path = place / text.name
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            mode = 0o700 if text.runs else 0o600
            with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
                file.write(text.data)
        return str(root)


def texts(path: str) -> tuple[Text, ...]:
    """The files of a query that is a file or a folder.

    Raises:
        UsageError: they cannot be read, or are too many.
    """
    root = Path(path).absolute()
    files = sorted(each for each in root.rglob("*") if each.is_file()) if root.is_dir() else [root]
    size = 0
    found = []
    for file in files[: _MOST_FILES + 1]:
        try:
            found.append(Text(str(file.relative_to(root.parent)), file.read_bytes(), os.access(file, os.X_OK)))
        except OSError as exc:
            raise UsageError(f"{file} cannot be read: {exc.strerror}") from None
        size += len(found[-1].data)
        if len(found) > _MOST_FILES or size > _MOST_BYTES:
            raise UsageError(
                f"{path} is too much to be kept: it is over {_MOST_FILES} files or {_MOST_BYTES >> 20} MiB"
            )
    return tuple(found)


def _plain(words: Mapping[str, Any]) -> dict[str, Any]:
    """As it comes back from a store: tuples are lists there."""
    plain: dict[str, Any] = codec.unpack(codec.pack(dict(words)))
    return plain


def _said(word: Any) -> Any:
    """What of a word tells two questions apart: of a moment (a text, and what it meant then) the text.

    An option that was not given is as good as one that the version that kept the question did not know.
    """
    moment = isinstance(word, list) and len(word) == 2 and isinstance(word[1], float)
    return (word[0] if moment else word) or None


def _digest(files: tuple[Text, ...]) -> str:
    said = [[text.name, hashlib.sha256(text.data).hexdigest()] for text in sorted(files, key=lambda text: text.name)]
    return json.dumps(said)
