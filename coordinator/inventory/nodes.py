"""Sets of names as ClusterShell writes them: ``web[01-20],db1``, ``@group``, ``@source:group``.

Knows that notation, by ClusterShell, and puts what it says into one sentence. Groups are looked up as ClusterShell is
configured on this machine. That may run commands of the administrator's which can hang, so it happens in a process
with a deadline; sets without a group, which are nearly all, are expanded here.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable
from typing import Final

from backplane.wire.errors import UsageError
from coordinator.inventory import checks, process

#: ``node[1-999999999]`` is a slip of the finger that would fill the memory.
MOST_NAMES: Final = 100_000
#: A group may be asked of a batch system.
GROUPS_S: Final = 30.0

_RANGE: Final = re.compile(r"(\d{1,18})-(\d{1,18})")
_LOGIN: Final = re.compile(r"[\w.-]@")
_PORT: Final = re.compile(r"[^:]+:\d+")
_GLOB: Final = re.compile(r"[*?]")
#: Nothing to expand, and no reason to wait for the library that would.
_SINGLE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,252}")
#: ClusterShell puts a group's name unquoted into the shell command of its source: ``@slurm:$(id)`` would run id.
_HARMLESS: Final = re.compile(r"[\w@:.,!&^*?\[\]/%+=-]+", re.ASCII)


def expand(text: str, *, globs: bool = False) -> list[str]:
    """The names of a set, in its order, each once.

    Args:
        globs: ``web*`` may stand among the names.

    >>> expand("web[01-03],db1")
    ['db1', 'web01', 'web02', 'web03']

    Raises:
        UsageError: not a set, an unknown group, or too many.
    """
    if _LOGIN.search(text):
        raise UsageError(f"{text!r}: --user names the login; groups are written @name or @source:name")
    if any(int(last) - int(first) >= MOST_NAMES for first, last in _RANGE.findall(text)):
        raise UsageError(f"{text!r} is a range of over {MOST_NAMES} names")
    if text.split() != [text]:
        raise UsageError(f"{text!r} is no set of names: no blanks in it, write web[01-20],db1")
    if _SINGLE.fullmatch(text):
        return [text]
    names = _of_groups(text) if "@" in text else _plain(text)
    for name in names:
        _check(name, globs)
    return names


def is_glob(name: str) -> bool:
    """True for ``web*`` and ``web?``."""
    return _GLOB.search(name) is not None


def fold(names: Iterable[str]) -> str:
    """The shortest way to write these names.

    >>> fold(["web02", "db1", "web01", "web03"])
    'db1,web[01-03]'
    """
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException  # type: ignore[import-untyped]

    folded, others = NodeSet(resolver=RESOLVER_NOGROUP), []
    for name in names:
        # One by one: a name that an inventory made up may be no node name, and must not spoil the others.
        try:
            folded.update(NodeSet(name, resolver=RESOLVER_NOGROUP))
        except NodeSetException:
            others.append(name)
    return ",".join(filter(None, [str(folded), *others]))


def _plain(text: str) -> list[str]:
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

    try:
        found = NodeSet(text, resolver=RESOLVER_NOGROUP)
    except NodeSetException as exc:
        raise UsageError(f"{text!r} is no set of names: {exc}; write web[01-20],db1") from exc
    if not found:
        raise UsageError(f"{text!r} is an empty set of names")
    _check_count(text, len(found))
    return [str(name) for name in found]


def _of_groups(text: str) -> list[str]:
    if not _HARMLESS.fullmatch(text):
        raise UsageError(f"{text!r}: a group's name holds letters, digits and . _ - + = / % only")
    # -P: with -m alone a folder named ClusterShell in the working directory would be imported.
    argv = [sys.executable, "-P", "-m", "ClusterShell.CLI.Nodeset", "-e", "-S", "\\n", "--", text]
    try:
        printed, _ = process.output(argv, "ClusterShell", deadline_s=GROUPS_S)
    except process.CommandFailed as exc:
        reason = exc.errors.strip().rpartition("\n")[2].partition(": ")[2] or str(exc)
        raise UsageError(f"{text!r} cannot be resolved by ClusterShell: {reason}") from exc
    names = printed.decode("utf-8", "surrogateescape").split()
    if not names:
        raise UsageError(f"{text!r} names nobody: ClusterShell knows no such group, or it is empty (see `nodeset -L`)")
    _check_count(text, len(names))
    return names


def _check_count(text: str, count: int) -> None:
    if count > MOST_NAMES:
        raise UsageError(f"{text!r} is {count} names, {MOST_NAMES} at most")


def _check(name: str, globs: bool) -> None:
    if is_glob(name) and not globs:
        raise UsageError(
            f"{name!r}: patterns choose among known names, and the table knows none: name an inventory with -i"
        )
    if _PORT.fullmatch(name) and not is_glob(name):
        raise UsageError(f"{name!r}: a port is written in ssh_config (Port), or in an inventory as the label ssh_port")
    fault = checks.name_fault(_GLOB.sub("x", name))
    if fault:
        raise UsageError(fault)
