"""Which build of LogReduce this is, and what is said where two that talk are not of one.

Knows the files that a client and its coordinator must have in common: what both say (here), what the coordinator makes
of it, and the runner, whose modules come from both. Does not know connections.

Unknown fields are ignored on the wire, so a version number would have to be raised with each new word of a submit; a
build changes by itself. What a client alone does (reading questions, reducing, showing) is not in it.
"""

from __future__ import annotations

import functools
from importlib import import_module
from pathlib import Path
from typing import Final

from provider import ship

#: Where the version is not known.
_UNKNOWN: Final = "0"
_HERE: Final = Path(__file__).parent
#: Both lie beside each other, wherever they are installed.
_SHARED: Final = (_HERE, _HERE.parents[1] / "coordinator")

#: Of what another says that its build is called.
MOST_CHARS: Final = 64


@functools.cache
def release() -> str:
    """The version, as packages have it; in a checkout that was never installed there is none."""
    # It takes a while to import, and is asked for where something is wrong, or where nobody waits.
    metadata = import_module("importlib.metadata")
    try:
        return str(metadata.version("logreduce"))
    except metadata.PackageNotFoundError:
        return _UNKNOWN


@functools.cache
def build() -> str:
    """This build: the runner's part, a dot, and the rest. Of when it was first asked for. Reads files: not in a loop.

    >>> build().partition(".")[0] == ship.build()
    True
    """
    import hashlib  # not at once: most queries start their own coordinator, and compare nothing

    digest = hashlib.blake2b(digest_size=4)
    for folder in _SHARED:
        for path in sorted(folder.rglob("*.py")):
            source = path.read_bytes()
            digest.update(b"%s %d\n" % (path.relative_to(folder).as_posix().encode(), len(source)))
            digest.update(source)
    return f"{ship.build()}.{digest.hexdigest()}"


def named() -> str:
    """The version and the build: ``0.1.0+1c0ffee1.0ddba11e``."""
    return f"{release()}+{build()}"


def differ(client: str, coordinator: str) -> str | None:
    """What is wrong if a client and a coordinator are named so, None if they are of one build.

    A name may lack the version, which a client does not take the time to look up before there is something to say.

    >>> differ("a.b", "0.1.0+a.b")
    >>> str(differ("0.1.0+a.b", "0.2.0+a.c")).partition(":")[0]
    'the coordinator is of another build of LogReduce (0.2.0+a.c) than this client (0.1.0+a.b)'
    """
    if coordinator and client.rpartition("+")[2] == coordinator.rpartition("+")[2]:
        return None
    return (
        f"the coordinator is of another build of LogReduce ({coordinator or 'an older one'}) than this client "
        f"({client or 'an older one'}): restart the coordinator, or install the same version for both"
    )


def renewed(then: str, now: str) -> str:
    """What is wrong if a client's own coordinator, which had to be started anew, is of another build than the client.

    >>> renewed("a.b", "0.2.0+a.c")
    'LogReduce was installed anew while this ran (a.b then, 0.2.0+a.c now): ask again'
    """
    return f"LogReduce was installed anew while this ran ({then} then, {now or 'an older one'} now): ask again"


def resident_differs(its: str) -> str | None:
    """What is wrong with a resident's runner of this build, None if it is ours."""
    if its == ship.build():
        return None
    return (
        f"its resident runner is of another build of LogReduce ({its[:MOST_CHARS] or 'an older one'}, and here it is "
        f"{ship.build()}): restart what serves it there, with the version that is installed here"
    )
