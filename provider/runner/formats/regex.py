"""Lines that a regular expression with named groups describes: syslog, log4j, a user's own.

Knows patterns. Does not know what a group's bytes mean. It travels: standard library only, Python 3.6.

A line parses if the whole of it matches. Groups that a question does not need do not capture: half of the time of a
match is spent on captures. Lines of several blocks are read at once only if the pattern cannot see beyond its line.
"""

import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from provider.runner.formats.base import Bulk, FormatError, Layout, Parse

_GROUP = re.compile(r"\(\?P<([A-Za-z_][A-Za-z0-9_]*)>")
#: Looks around or back, flags, and ends of text: what means something else inside of a block.
_BOUND = re.compile(r"\(\?(?:=|!|<=|<!|P=|\(|[aiLmsux]|#|>)|\\[1-9AZ]|[$^]")


class Pattern(Layout):
    """See the module.

    Args:
        pattern: the regular expression, for bytes in UTF-8.
        rest: the group that the lines after the first of a record belong to, "" for none.
    """

    def __init__(self, pattern: str, rest: str = "") -> None:
        self._pattern = pattern
        self._rest = rest
        try:
            compiled = re.compile(pattern.encode("utf-8"))
        except (re.error, RecursionError, OverflowError) as exc:
            raise FormatError("%.60r is no regular expression: %s" % (pattern, exc), "pattern")
        self._names = sorted(compiled.groupindex, key=compiled.groupindex.__getitem__)
        if not self._names or compiled.groups != len(self._names):
            text = "a format's groups have names, (?P<name>...), and the others do not capture, (?:...)"
            raise FormatError(text, "pattern")
        if rest and rest not in self._names:
            raise FormatError("rest names a group that there is not: %.40r" % rest, rest, self._names)

    @property
    def names(self) -> List[str]:
        return self._names

    def bulk(self, needed: Sequence[str], depths: Dict[str, int]) -> Optional[Bulk]:
        if _BOUND.search(re.sub(r"\\[^1-9AZ]|\[\^", "", self._pattern)):
            return None
        order = tuple(name for name in self._names if name in needed)
        return Bulk("(?:%s)\\n" % self._pruned(order), (b"\r",), order)

    def parser(self, needed: Sequence[str]) -> Parse:
        order = [name for name in self._names if name in needed]
        match = re.compile(("(?:%s)\\Z" % self._pruned(order)).encode("utf-8")).match
        places = [order.index(name) + 1 for name in needed]
        rest = needed.index(self._rest) if self._rest in needed else -1

        def parse(record: bytes) -> Optional[Tuple[Any, ...]]:
            line, newline, more = record.partition(b"\n")
            found = match(line)
            if found is None:
                return None
            values = [found.group(place) or b"" for place in places]
            if newline and rest >= 0:
                values[rest] += newline + more
            return tuple(values)

        return parse

    def _pruned(self, needed: Sequence[str]) -> str:
        """The pattern, capturing only these; as it is where cutting the text would change more than that."""
        pruned = _GROUP.sub(lambda found: found.group() if found.group(1) in needed else "(?:", self._pattern)
        groups = re.compile(pruned.encode("utf-8")).groupindex
        if sorted(groups, key=groups.__getitem__) != list(needed):
            raise FormatError("a format's pattern has (?P<...> where it is no group: %.60r" % self._pattern, "pattern")
        return pruned
