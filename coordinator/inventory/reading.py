"""An inventory of any kind: which kind it is, and who reads it.

Knows what each kind looks like from outside. A prefix says it outright:

    ssh_config:[FILE]   ansible:FILE   file_sd:FILE   exec:FILE   hosts:FILE

and otherwise the file does: a folder is Ansible's; an executable (its executable bit set, and a program by its first
bytes: everything on a USB stick is executable) prints file_sd JSON; JSON is file_sd; YAML is file_sd if it is a list
and Ansible's if it is a map; a text is Ansible's if it has sections or variables, and otherwise a list of names.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Final

from backplane.wire.errors import UsageError
from coordinator.inventory import files
from coordinator.table import Provider

Tell = Callable[[str], None]
Reader = Callable[[str, Path, bytes, Tell], list[Provider]]

#: What the system can start: a script with an interpreter, or a binary of Linux or macOS.
_PROGRAM: Final = re.compile(rb"#!|\x7fELF|\xcf\xfa\xed\xfe|\xca\xfe\xba\xbe")
#: ``[web]`` begins a section of Ansible's, ``[{`` a list of JSON's.
_JSON: Final = re.compile(rb"(?:\xef\xbb\xbf)?\s*(?:\{|\[\s*[\[{\]\"])")
_YAML: Final = re.compile(rb"(?:\s*(?:#[^\n]*)?\n)*(?:---|- |%YAML)")
#: Sections, variables, ranges as Ansible writes them, and its second kind of comment.
_ANSIBLE: Final = re.compile(rb"^\s*(?:\[[^\]\n]+\]\s*(?:#.*)?$|;|[^#\n]*(?:\[\w+:\w+|\s\w+\s*=))", re.MULTILINE)
#: Enough to know a text by.
_HEAD: Final = 1 << 16


def _nobody(_: str) -> None:
    """Whoever does not listen."""


def read(source: str, tell: Tell = _nobody) -> list[Provider]:
    """The providers of an inventory.

    Args:
        source: a path, or one after a prefix, as ``-i`` takes it.
        tell: takes sentences on what was left out.

    Raises:
        UsageError: it cannot be read, or something in it is wrong; the message names the place.
    """
    prefix, colon, rest = source.partition(":")
    if colon and prefix in _NAMED:
        if not rest and prefix != "ssh_config":
            raise UsageError(f"{source!r} names no file: {prefix}:FILE")
        return _NAMED[prefix](rest, tell)
    if not source:
        raise UsageError("-i takes the path of an inventory, not an empty text")
    path = _expanded(source)
    if path.is_dir():
        return _ansible(source, tell)
    if _runs(path):
        return _exec(source, tell)
    data = files.content(str(path))
    return kind(path.name, data)(source, path, data, tell)


def kind(name: str, data: bytes) -> Reader:
    """Who reads a text, by its name and its beginning."""
    head = data[:_HEAD]
    if name.endswith(".json") or _JSON.match(head):
        return _json_text
    if name.endswith((".yml", ".yaml")) or _YAML.match(head):
        return _ansible_text if _is_map(data) else _yaml_text
    return _ansible_text if _ANSIBLE.search(head) else _hosts_text


def _is_map(data: bytes) -> bool:
    """True if a YAML text is a map at its top; a broken one is not, and its reader says where it breaks."""
    import yaml  # type: ignore[import-untyped]

    try:
        for event in yaml.parse(data, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
            if isinstance(event, yaml.CollectionStartEvent | yaml.ScalarEvent):
                return isinstance(event, yaml.MappingStartEvent)
    except (yaml.YAMLError, ValueError):
        return False
    return False


def _json_text(source: str, path: Path, data: bytes, _: Tell) -> list[Provider]:
    from coordinator.inventory import file_sd

    return file_sd.parse(source, data, yaml=False, directory=path.parent)


def _yaml_text(source: str, path: Path, data: bytes, _: Tell) -> list[Provider]:
    from coordinator.inventory import file_sd

    return file_sd.parse(source, data, yaml=True, directory=path.parent)


def _hosts_text(source: str, _path: Path, data: bytes, _: Tell) -> list[Provider]:
    from coordinator.inventory import hostfile

    return hostfile.parse(source, data)


def _ansible_text(source: str, _path: Path, _data: bytes, tell: Tell) -> list[Provider]:
    return _ansible(source, tell)


def _ansible(source: str, tell: Tell) -> list[Provider]:
    from coordinator.inventory import ansible

    return ansible.read(source, tell)


def _exec(source: str, _: Tell) -> list[Provider]:
    """What a program prints; it runs in our working directory, and a relative key lies beside it."""
    from coordinator.inventory import file_sd, process

    path = _expanded(source).absolute()
    try:
        printed, errors = process.output([str(path)], source)
    except FileNotFoundError as exc:
        missing = "it" if not path.exists() else "the interpreter in its first line"
        raise UsageError(f"{source} cannot be run: {missing} does not exist") from exc
    if not printed.strip():
        raise process.CommandFailed(f"{source} printed no inventory", errors)
    return file_sd.parse(f"{source} (its output)", printed, yaml=False, directory=path.parent)


def _file_sd(source: str, _: Tell) -> list[Provider]:
    from coordinator.inventory import file_sd

    return file_sd.read(str(_expanded(source)))


def _ssh_config(source: str, _: Tell) -> list[Provider]:
    from coordinator.inventory import ssh_config

    return ssh_config.read(source)


def _hosts(source: str, tell: Tell) -> list[Provider]:
    path = _expanded(source)
    return _hosts_text(source, path, files.content(str(path)), tell)


_NAMED: Final[dict[str, Callable[[str, Tell], list[Provider]]]] = {
    "ansible": _ansible,
    "exec": _exec,
    "file_sd": _file_sd,
    "hosts": _hosts,
    "ssh_config": _ssh_config,
}


def _runs(path: Path) -> bool:
    """True for a file that the system can start."""
    if not (path.is_file() and os.access(path, os.X_OK)):
        return False
    try:
        with path.open("rb") as file:
            return _PROGRAM.match(file.read(4)) is not None
    except OSError:
        # Somebody else's program may be run and not read.
        return True


def _expanded(text: str) -> Path:
    try:
        return Path(text).expanduser()
    except RuntimeError as exc:
        raise UsageError(f"{text}: there is no such user's home") from exc
