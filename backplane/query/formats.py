"""Formats by name: TOML files become the data that a plan carries.

Knows where formats are kept and how their names are suggested. What a format may hold is checked by
`provider.runner.formats.form`, which providers use too.
"""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any, Final

from backplane.query.near import did_you_mean, listed
from backplane.wire.errors import QueryError, UsageError
from provider.runner.formats.base import FormatError
from provider.runner.formats.form import format_of

#: Far above any format, below any log that was named by mistake.
MAX_FILE_BYTES: Final = 64 << 10
#: Other names of the same.
ALIASES: Final = {"nginx": "combined", "apache": "combined", "clf": "common", "jsonl": "json", "ndjson": "json"}
_PACKAGE: Final = Path(__file__).parents[1]


def format_data(name: str) -> dict[str, Any]:
    """The data of a format, checked.

    Args:
        name: of a format that comes with the program, of a file in ``$XDG_CONFIG_HOME/logreduce/formats`` (which goes
            first), or a path, which has a slash or ends in ``.toml``.

    Raises:
        UsageError: there is none, it cannot be read, or it is no format.
    """
    if "/" in name or name.endswith(".toml"):
        return _read(Path(name), Path(name).stem)
    known = formats()
    path = known.get(name) or known.get(ALIASES.get(name, ""))
    if path is None:
        near = did_you_mean(name, [*known, *ALIASES]) or f"; there are {listed(known)}"
        raise UsageError(f"there is no format {name!r}{near}")
    return _read(path, name)


def formats() -> dict[str, Path]:
    """The files of all formats by name, the user's own before ours."""
    found: dict[str, Path] = {}
    for folder in (_users(), _PACKAGE / "_queries" / "formats", _PACKAGE.parent / "queries" / "formats"):
        for path in sorted(folder.glob("*.toml")):
            found.setdefault(path.stem, path)
    return found


def _users() -> Path:
    config = os.environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    return Path(config) / "logreduce" / "formats"


def _read(path: Path, name: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            text = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as exc:
        raise UsageError(f"cannot read the format {path}: {getattr(exc, 'strerror', None) or exc}") from None
    if len(text) > MAX_FILE_BYTES:
        raise UsageError(f"{path} is over {MAX_FILE_BYTES >> 10} KiB: that is no format")
    try:
        data = tomllib.loads(text.decode("utf-8"))
        format_of(data)
    except UnicodeDecodeError:
        raise UsageError(f"the format {path} is not UTF-8") from None
    except tomllib.TOMLDecodeError as exc:
        raise QueryError(f"the format is no TOML: {exc}", str(path), line_of(exc, text.decode("utf-8"))) from None
    except RecursionError:
        raise QueryError("the format is no TOML: it nests too deep", str(path)) from None
    except FormatError as exc:
        near = did_you_mean(exc.about, exc.known) if exc.about else ""
        raise QueryError(f"{exc}{near}", str(path), _line_with(exc.about, text)) from None
    return {"name": name, **data}


def line_of(error: tomllib.TOMLDecodeError, text: str) -> int:
    """Where a TOML file is wrong: its last line, if it is its end that should not be there."""
    found = re.search(r"\(at line (\d+)", str(error))
    return int(found[1]) if found else text.rstrip().count("\n") + 1


def _line_with(word: str, text: bytes) -> int | None:
    """The line that gives a word its value, or the first that it stands in, and not within another one."""
    lines = text.decode("utf-8").split("\n") if word else []
    whole = rf"(?<![\w-]){re.escape(word)}(?![\w-])"
    for pattern in (rf"\s*[\"']?{re.escape(word)}[\"']?\s*=", rf".*{whole}"):
        for number, line in enumerate(lines, 1):
            if re.match(pattern, line):
                return number
    return None
