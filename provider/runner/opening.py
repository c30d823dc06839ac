"""The source that a script's lines come from, opened as its start asks for.

Knows which kind of source each name is of. Does not know maps or cuts. A job without lines does without all of this:
a host need not compile it.
"""

from typing import Any, Callable, List

from provider.runner.faults import Failure, Fault
from provider.runner.fed import Fed
from provider.runner.lines import Source
from provider.runner.script import Script
from provider.runner.sources import Scope, Told, find
from provider.runner.text import splitter
from provider.runner.ticks import Ticks, duration


def source(wanted: Script, told: Told) -> Source:
    """The one source that a job's lines come from.

    Raises:
        Failure: something is missing or unreadable, or what was named cannot be read together.
    """
    names = wanted.sources
    split = splitter(wanted.encoding if wanted.format is None else None)
    scope = Scope(wanted.since, wanted.until, wanted.rotated, wanted.resumed)
    special = [name for name in names if name == "-" or name.startswith(("tick:", "cmd:", "journald:"))]
    if not names:
        raise Failure(Fault("usage", "map takes lines, and there is no source", wanted.file))
    if special and len(names) > 1:
        raise Failure(Fault("usage", "%s stands alone as a source" % special[0], wanted.file))
    if not special:
        return _files(wanted, scope, split, told)
    if names[0] == "-":
        return Fed(0, split)
    if names[0].startswith("tick:"):
        return Ticks(duration(names[0][5:]))
    if names[0].startswith("journald:"):
        from provider.runner.journal import Journal

        return Journal(names[0], wanted.positions, split, told, wanted.follow, scope)
    from provider.runner.command import Command

    return Command(names[0][4:], split)


def _files(wanted: Script, scope: Scope, split: "Callable[[bytes], List[Any]]", told: Told) -> Source:
    # Only one of the two is needed, and each is compiled when it is.
    filtered = wanted.filter is not None
    if wanted.follow:
        from provider.runner.follow import Follow

        return Follow(wanted.sources, wanted.positions, split, told, filtered, scope)
    from provider.runner.finish import Finish

    return Finish(find(wanted.sources, filtered, wanted.positions), wanted.positions, split, told, scope)
