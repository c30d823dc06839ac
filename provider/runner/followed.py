"""One source that is followed: its chain of generations, and what is known of their writers.

Knows which logs it holds. Does not read them.
"""

import os
from typing import Dict, List, Optional

from provider.runner.files import Log, raw
from provider.runner.sources import Found


class Followed:
    """See the module."""

    __slots__ = (
        "found",
        "globbed",
        "late",
        "late_until",
        "log",
        "more",
        "name",
        "quiet_since",
        "told_of",
        "waiting",
        "watches",
    )

    def __init__(self, found: Found, globbed: bool) -> None:
        self.found = found
        self.globbed = globbed
        self.name = raw(found.path)
        self.log: "Optional[Log]" = None
        self.waiting: "List[Log]" = []
        #: There are more behind those.
        self.more = False
        #: The generation before, where it may get late lines.
        self.late: "Optional[Log]" = None
        self.late_until = 0.0
        self.quiet_since = 0.0
        #: What home knows of a source whose files are all gone.
        self.told_of = b""
        #: By descriptor.
        self.watches: "Dict[int, Optional[int]]" = {}

    def still(self) -> bool:
        """Nothing has happened to it, at the price of one system call: most files are like that most of the time."""
        log = self.log
        if log is None or self.late is not None or self.waiting or log.packed:
            return False
        try:
            status = os.stat(self.name)
        except OSError:
            return False
        same = (status.st_dev, status.st_ino) == log.ident
        # A file of which nothing was read may have been emptied again, which only its time tells.
        return same and 0 < status.st_size == log.read_to

    def late_taken(self, size: int) -> None:
        """Late lines were taken: so far is the generation before the one that is read."""
        if self.late is not None and self.log is not None:
            self.late.taken(size)
            self.log.before = self.late.as_before()
            self.log.touched = True

    @property
    def newest(self) -> Optional[Log]:
        return self.waiting[-1] if self.waiting else self.log

    def logs(self) -> List[Log]:
        """All that are open."""
        return [log for log in (self.late, self.log) if log is not None] + self.waiting
