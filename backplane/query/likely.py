"""Which format lines are likely to be of, for a sentence to whoever named another one.

Knows formats. Does not know where the lines came from.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

from backplane.query.formats import format_data, formats
from backplane.wire.errors import UsageError
from provider.runner.formats.form import LINE, Format, format_of

#: They take nearly any line, so that one is of them says nothing.
_LOOSE: Final = frozenset(("raw", "csv", "tsv", "keyvalue"))
_PAIRS: Final = re.compile(rb"[A-Za-z_][\w.-]*=\S.*\s[A-Za-z_][\w.-]*=")


def likely(lines: Sequence[bytes]) -> str:
    """The format that all of these lines are of and that finds most in them; "" if there is none.

    >>> likely([b"Nov 20 09:00:01 web1 cron[7]: done"])
    'syslog'
    >>> likely([b'{"level": "info"}', b"level=info"])
    ''
    """
    best, most = "", 0
    for name in sorted(formats()):
        if name in _LOOSE:
            continue
        try:
            form = format_of(format_data(name))
        except UsageError:  # one of the user's own, which is wrong
            continue
        found = min((_found(form, line) for line in lines), default=0)
        if found > most:
            best, most = name, found
    return {"combined": "nginx"}.get(best, best)


def _found(form: Format, line: bytes) -> int:
    """How many fields it finds in a line, at least 1 if the line is of it."""
    if form.header or not line.strip():
        return 0
    pairs = form.data["kind"] == "keyvalue" and not form.data.get("prefix")
    if pairs and not _PAIRS.match(line):
        return 0
    # JSON is looked at only where a field is asked for.
    names = form.layout.names or ["any"]
    found = form.parse(line, names)
    if found is None:
        return 0
    known = sum(found[name] is not None for name in form.layout.names if name != LINE)
    return 0 if form.layout.names and not known else 1 + known
