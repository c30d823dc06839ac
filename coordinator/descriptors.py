"""How many files this process may have open, and how many of them its links take.

Knows numbers. A coordinator that runs out of descriptors does not only fail to connect: it cannot resolve names, start
threads' pipes or take a client either, and libraries abort. So links end before that, with a sentence.
"""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Mapping
from typing import Final

from backplane.wire.errors import ReachError

#: What a link holds, by its reach: a socket, or three pipes and the process. A login that is under way has more for a
#: moment (the agent, a name server): that is what `RESERVE` is for.
FILES: Final[Mapping[str, int]] = {"ssh": 1, "local": 5, "command": 5}
#: Left for clients, the log, the table, resolvers and agents.
RESERVE: Final = 96


def raise_limit() -> int:
    """Raise the soft limit to the hard one, and say what it is now. 1024, the usual default, is 900 providers."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        # macOS says that there is no hard limit, and refuses more than its kernel has.
        with contextlib.suppress(ValueError, OSError):
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


class Descriptors:
    """What the links of this process hold.

    Args:
        most: files that this process may have open; negative for no limit.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self._held = 0

    def take(self, reach: str) -> int:
        """Take what a link over this reach needs; give that to `give_back`.

        Raises:
            ReachError: there are not so many left.
        """
        wanted = FILES.get(reach, 1)
        if 0 <= self._most < self._held + wanted + RESERVE:
            raise ReachError(
                f"not tried: {self._held} of the {self._most} files that the coordinator may have open are held by "
                "other connections; raise its limit (ulimit -Hn, LimitNOFILE=), or ask fewer providers at a time"
            )
        self._held += wanted
        return wanted

    def give_back(self, taken: int) -> None:
        """A link is gone."""
        self._held -= taken
