"""Finding a query: what the user typed becomes a file's text and its name.

Knows paths and the library of queries. Does not know what is in a file.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from backplane.query.near import did_you_mean, listed
from backplane.wire.errors import QueryError, UsageError

#: Larger than any query that a person wrote, small enough to travel; a log file named by mistake ends here.
MAX_FILE_BYTES: Final = 1 << 20
_PACKAGE: Final = Path(__file__).parents[1]


@dataclass(frozen=True, slots=True)
class Found:
    """A query file's text. ``file`` is as the user named it, or the library's path; ``folder``: that is a folder."""

    name: str
    file: str
    text: str
    folder: bool = False


def find(query: str) -> Found:
    """The file or folder that a QUERY names: with ``/`` or ``.py`` a path, otherwise a name of the library.

    Raises:
        UsageError: there is none, it cannot be read, or it is a form that comes later.
        QueryError: it is no text in UTF-8.
    """
    is_file = os.path.isfile(query)
    if not is_file and ("|" in query or any(char.isspace() for char in query)):
        raise UsageError(f"{query!r} is a question of one line, and a query file or a name is meant here")
    if "/" in query or query.endswith(".py"):
        if os.path.isdir(query):
            return Found(Path(query).resolve().name, query, "", folder=True)
        return Found(Path(query).stem, query, _text(query))
    path = library().get(query)
    if path is None:
        raise UsageError(_unknown(query, is_file))
    return Found(query, str(path), _text(str(path)))


def library() -> dict[str, Path]:
    """The library's queries by name: those that were packaged, or those of the checkout.

    In this order, because beside an installed package there may be a `queries` of someone else's.
    """
    for folder in (_PACKAGE / "_queries" / "library", _PACKAGE.parent / "queries" / "library"):
        if folder.is_dir():
            return {path.stem: path for path in sorted(folder.glob("*.py"))}
    return {}


def _unknown(name: str, is_file: bool) -> str:
    names = library()
    near = did_you_mean(name, names)
    if is_file or os.path.isdir(name):
        near = f"; a path is written with a slash: ./{name}"
    elif not near:
        near = did_you_mean(name, [Path(script).stem for script in _scripts(Path())], "./{}.py")
    has = f"it has {listed(names)}" if names else "it is empty"
    return f"the library has no query {name!r}{near or f'; {has}'}"


def _text(path: str) -> str:
    try:
        with open(path, "rb") as file:
            data = file.read(MAX_FILE_BYTES + 1)
    except FileNotFoundError:
        raise UsageError(_missing(path)) from None
    except (OSError, ValueError) as exc:
        raise UsageError(f"cannot read the query file {path}: {getattr(exc, 'strerror', None) or exc}") from None
    if len(data) > MAX_FILE_BYTES:
        raise UsageError(f"{path} is over {MAX_FILE_BYTES >> 20} MiB: that is no query file")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        line = data.count(b"\n", 0, exc.start) + 1
        raise QueryError(f"byte 0x{data[exc.start]:02x} is not UTF-8, and a query file is", path, line) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _missing(path: str) -> str:
    folder = Path(path).parent
    if not folder.is_dir():
        return f"there is no query file {path}: there is no folder {folder}"
    return f"there is no query file {path}{did_you_mean(Path(path).name, _scripts(folder))}"


def _scripts(folder: Path) -> list[str]:
    """The names of a folder's Python files; none where it cannot be read."""
    try:
        return [entry.name for entry in folder.iterdir() if entry.suffix == ".py"]
    except OSError:
        return []
