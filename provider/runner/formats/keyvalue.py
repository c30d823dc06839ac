"""Lines of ``key=value`` in any order: logfmt, Hadoop's audit log.

Knows keys, separators and quotes. Does not know what a value means. It travels: standard library only, Python 3.6.

A value is in quotes, with backslashes before what would end it, or runs to the next separator. What is no pair is
passed over, as the words of a message are. The first of two equal keys counts. A line without any pair does not parse.
"""

import re
from typing import Any, Dict, List, Optional, Sequence, Tuple

from provider.runner.formats.base import FormatError, Layout, Parse

_ESCAPE = re.compile(rb'\\(["\\])')


class Pairs(Layout):
    """See the module.

    Args:
        separator: between pairs.
        equals: between key and value.
        names: fields whose types are known; every other key is a field too.
        prefix: a regular expression with named groups, for what stands before the pairs ("" for nothing).
    """

    def __init__(self, separator: str, equals: str, names: List[str], prefix: str) -> None:
        if not separator or not equals or separator[0] == equals[0] or "\n" in separator + equals:
            raise FormatError("separator and equals are short texts that begin differently", "separator")
        try:
            self._prefix = re.compile(prefix.encode("utf-8"))
        except (re.error, RecursionError, OverflowError) as exc:
            raise FormatError("%.60r is no regular expression: %s" % (prefix, exc), "prefix")
        known = sorted(self._prefix.groupindex, key=self._prefix.groupindex.__getitem__)
        self._names = known + [name for name in names if name not in known]
        sep, eq, first = re.escape(separator), re.escape(equals), re.escape(equals[0])
        text = r'(?:^|(?<=%s))([^\s"%s]+)%s(?:"((?:[^"\\]|\\.)*)"(?=%s|\Z)|(.*?)(?=%s|\Z))' % (sep, first, eq, sep, sep)
        self._pair = re.compile(text.encode("utf-8"), re.DOTALL)

    @property
    def names(self) -> List[str]:
        return self._names

    def pairs(self, line: bytes) -> Optional[Dict[bytes, bytes]]:
        """All of a line, those of the prefix included."""
        head = self._prefix.match(line)
        if head is None:
            return None
        rest = line[head.end() :]
        found = {}  # type: Dict[bytes, bytes]
        for name, value in head.groupdict().items():
            found[name.encode("utf-8")] = value or b""
        any_pair = False
        for key, quoted, bare in self._pair.findall(rest):
            any_pair = True
            found.setdefault(key, _ESCAPE.sub(rb"\1", quoted) if quoted else bare)
        return found if any_pair else None

    def parser(self, needed: Sequence[str]) -> Parse:
        keys = [name.encode("utf-8") for name in needed]

        def parse(line: bytes) -> Optional[Tuple[Any, ...]]:
            found = self.pairs(line)
            if found is None:
                return None
            return tuple([found.get(key, b"") for key in keys])

        return parse
