"""What can go wrong, by whose fault, and with which exit status.

    LogReduceError                 anything that we raise on purpose
    |- UsageError                  the user asked for what cannot be done: exit status 2
    |  `- QueryError               ... in a query file, at a line
    |- NoCoordinator               the coordinator could not be started or reached
    |- ProtocolError
    |  |- LocalProtocolError       we were about to say what the protocol forbids: a bug of ours
    |  `- RemoteProtocolError      the peer did: its link cannot be trusted any more
    `- ReachError                  a provider could not be reached; `retry` says whether trying again may help

Knows nothing of transports. Messages are one sentence that names the place and what to do.
"""

from __future__ import annotations


class LogReduceError(Exception):
    """Anything that we raise on purpose. ``str()`` is one sentence for the user."""

    exit_status = 1
    #: Below the sentence there are lines that point at a place in the user's own text.
    points = False


class UsageError(LogReduceError):
    """The user asked for what cannot be done."""

    exit_status = 2


class QueryError(UsageError):
    """A query file is wrong.

    Args:
        text: what is wrong and what to do, without the place.
        file: the query file as the user named it.
        line: from 1; None where the file as a whole is meant.
    """

    def __init__(self, text: str, file: str, line: int | None = None) -> None:
        super().__init__(f"{file}:{line}: {text}" if line else f"{file}: {text}")
        self.text = text
        self.file = file
        self.line = line


class NoCoordinator(LogReduceError):
    """The coordinator could not be started or reached."""


class ProtocolError(LogReduceError):
    """Something was said that the protocol does not allow."""


class LocalProtocolError(ProtocolError):
    """We were about to say what the protocol forbids."""


class RemoteProtocolError(ProtocolError):
    """The peer said what the protocol forbids."""


class ReachError(LogReduceError):
    """A provider could not be reached.

    Args:
        text: one plain sentence.
        state: the provider's state if this stands: ``unreachable`` or ``refused``.
        retry: another try may help (a refused port); False for keys, names and policies.
        auth: the login itself was refused; many of these without a success stop the fan-out.
    """

    def __init__(self, text: str, *, state: str = "unreachable", retry: bool = True, auth: bool = False) -> None:
        super().__init__(text)
        self.state = state
        self.retry = retry
        self.auth = auth
