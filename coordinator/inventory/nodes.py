"""Sets of names as ClusterShell writes them: ``web[01-20],db1``.

Knows that notation, by ClusterShell, and puts what it says into one sentence. Groups (``@web``) would ask the
machine's own group configuration and are not in this version.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Final

from backplane.wire.errors import UsageError

#: ``node[1-999999999]`` is a slip of the finger that would fill the memory.
MOST_NAMES: Final = 100_000

_RANGE: Final = re.compile(r"(\d{1,18})-(\d{1,18})")


def expand(text: str) -> list[str]:
    """The names of a set, in its order, each once.

    >>> expand("web[01-03],db1")
    ['db1', 'web01', 'web02', 'web03']

    Raises:
        UsageError: not a set, or too many.
    """
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException  # type: ignore[import-untyped]

    if "@" in text:
        raise UsageError(f"{text!r}: groups (@name) are not in this version; --user names the login")
    if any(int(last) - int(first) >= MOST_NAMES for first, last in _RANGE.findall(text)):
        raise UsageError(f"{text!r} is a range of over {MOST_NAMES} names")
    if text.split() != [text]:
        raise UsageError(f"{text!r} is no set of names: no blanks in it, write web[01-20],db1")
    try:
        found = NodeSet(text, resolver=RESOLVER_NOGROUP)
    except NodeSetException as exc:
        raise UsageError(f"{text!r} is no set of names: {exc}; write web[01-20],db1") from exc
    if not found:
        raise UsageError(f"{text!r} is an empty set of names")
    if len(found) > MOST_NAMES:
        raise UsageError(f"{text!r} is {len(found)} names, {MOST_NAMES} at most")
    return [str(name) for name in found]


def fold(names: Iterable[str]) -> str:
    """The shortest way to write these names.

    >>> fold(["web02", "db1", "web01", "web03"])
    'db1,web[01-03]'
    """
    from ClusterShell.NodeSet import RESOLVER_NOGROUP, NodeSet, NodeSetException

    folded, others = NodeSet(resolver=RESOLVER_NOGROUP), []
    for name in names:
        # One by one: a name that an inventory made up may be no node name, and must not spoil the others.
        try:
            folded.update(NodeSet(name, resolver=RESOLVER_NOGROUP))
        except NodeSetException:
            others.append(name)
    return ",".join(filter(None, [str(folded), *others]))
