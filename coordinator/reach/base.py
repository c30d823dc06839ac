"""What every reach gives: a channel to a runner's stdin and stdout, and a reason in plain words where there is none.

Knows bytes, exits and sentences. A sentence does not name its provider: whoever shows it does, and five hundred
providers with one cause have one reason. Does not know frames, jobs or queries; what is a hello is `coordinator.links`'
business.

A reach opens a channel, at level `exec` (a loader waits for the payload on its stdin) or `resident` (a runner is
there already). Where there is no Python that could run a runner `explain_exit` gives `NoPython`, and a channel that is
a `Place` can start shells instead (see `coordinator.shell`).

What arrives is handed to the `Receiver` in the callback that read it: a coroutine a line costs thirty times as much.
There is no way to pause a runner's channel: jobs are held back by their credit, each on its own, and a runner that
sends more than it was granted loses its link.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final, NamedTuple, Protocol, runtime_checkable

from backplane.wire.errors import ReachError
from coordinator.table import Provider, ReachOptions
from provider import ship

#: What is kept of a runner's stderr, for reasons: the end of a traceback, not a log.
STDERR_BYTES: Final = 8192
#: What a reason quotes of it.
QUOTE_CHARS: Final = 300


class Exit(NamedTuple):
    """How a channel ended: an exit status, a signal, or what broke the connection; all None for a plain end of file."""

    status: int | None = None
    signal: str | None = None
    broken: str | None = None


class Receiver(Protocol):
    """Who hears what a channel says. Calls come from the event loop, in order."""

    def at_stage(self, stage: str) -> None:
        """The attempt has come to this stage, in words that follow "still" (``waiting for ...``)."""

    def data_received(self, data: bytes) -> None:
        """Bytes of the runner's stdout."""

    def channel_closed(self, how: Exit) -> None:
        """The last call: nothing more will come."""


class Channel(Protocol):
    """A runner's stdin, and the end of its stderr."""

    @property
    def level(self) -> str:
        """``exec``, ``resident`` or ``shell``."""

    @property
    def stderr(self) -> Tail:
        """The end of what it said on stderr."""

    @property
    def backlog(self) -> int:
        """Bytes written and not yet taken."""

    def write(self, data: bytes) -> None:
        """Send; never blocks. Who writes looks at `backlog` and gives up on a channel that does not take it."""

    def close(self) -> None:
        """End the runner by closing its stdin; what does not end by itself is killed a moment later."""

    async def wait_closed(self) -> None:
        """Wait until nothing of it is left on this machine."""


class Stream(Channel, Protocol):
    """The stdin and stdout of one script's shell. Closing it leaves the others of its connection alone."""

    def pause(self) -> None:
        """Take nothing more of its stdout and stderr for now."""

    def resume(self) -> None:
        """Take more."""


@runtime_checkable
class Place(Protocol):
    """A channel behind which more than one command can be started."""

    async def run(self, argv: Sequence[str], receiver: Receiver, stderr: Tail) -> Stream:
        """Start a command, as the runner would have been.

        Args:
            stderr: takes what it says there.

        Raises:
            ReachError: it cannot be had, and why.
        """

    def close(self) -> None:
        """End what belongs to all of them."""

    async def wait_closed(self) -> None:
        """Wait until nothing of that is left on this machine."""


class Turn(Protocol):
    """The way to a place for one handshake. See `coordinator.gate`."""

    def __call__(self, account: str | None) -> AbstractAsyncContextManager[None]:
        """The place.

        Args:
            account: to log in as, whose refusals are counted so that a wrong key does not lock it; None where nobody
                logs in.
        """

    def step_aside(self) -> None:
        """What comes next is waited for by many (a jump host): nobody else is to wait for that."""


class Reach(Protocol):
    """One way to start a runner somewhere."""

    async def open(self, provider: Provider, options: ReachOptions, receiver: Receiver, turn: Turn) -> Channel:
        """A channel to a new runner.

        Args:
            turn: to be held during a handshake, and not while waiting for what many wait for.

        Raises:
            ReachError: it cannot be had, and why.
        """

    async def close(self) -> None:
        """Give back what is shared by channels. All of them are closed before."""


class Tail:
    """The last `STDERR_BYTES` of a stream. Untrusted: it is quoted, never interpreted for more than a reason."""

    __slots__ = ("data",)

    def __init__(self) -> None:
        self.data = b""

    def add(self, data: bytes) -> None:
        """More of the stream."""
        self.data = (self.data + data)[-STDERR_BYTES:]

    def lines(self) -> list[str]:
        """Its lines that are not blank, undecodable bytes shown escaped, each cut to a length fit for a sentence."""
        text = self.data.decode("utf-8", "backslashreplace")
        return [line.strip()[:QUOTE_CHARS] for line in text.splitlines() if line.strip()]

    def last_line(self) -> str:
        """Its last line that is not blank, or nothing."""
        return (self.lines() or [""])[-1]


class NoPython(ReachError):
    """The host was reached, and has no Python that could run a runner. Less than that may do."""


#: What stderr says, in lower case, when a command is missing; shells and container tools each have their own words.
_MISSING: Final = ("not found", "no such file", "can't execute", "cannot execute")


def explain_exit(python: str, how: Exit, stderr: Tail) -> ReachError:
    """Why a runner ended before its hello.

    Args:
        python: the interpreter that was to run.
    """
    last = stderr.last_line()
    said = f": {last}" if last else ""
    if how.broken is not None:
        return ReachError(f"the connection broke while its runner was starting: {how.broken}")
    if too_old := ship.too_old(stderr.data):
        return NoPython(too_old, state="refused", retry=False)
    if refusal := _sudo_refusal(python, how, stderr):
        return refusal
    if how.status == 127 or (how.status == 126 and any(words in last.lower() for words in _MISSING)):
        # What the shell said of it names the interpreter; what a command said of itself is worth quoting.
        hint = "; --python names another" if python in last or not last else said
        return NoPython(f"no {python} on the PATH{hint}", state="refused", retry=False)
    if how.signal:
        return ReachError(f"{python} was ended by signal {how.signal} before its runner said hello{said}")
    if how.status:
        return ReachError(f"{python} ended with exit status {how.status} before its runner said hello{said}")
    return ReachError(f"{python} ended before its runner said hello{said}")


def _sudo_refusal(python: str, how: Exit, stderr: Tail) -> ReachError | None:
    """What sudo says where it starts nothing. Its words are the host's language; that it speaks is not."""
    lines = stderr.lines()
    if how.status in (126, 127) and any("sudo" in line and not line.startswith("sudo:") for line in lines[-1:]):
        text = "there is no sudo on its PATH: leave out --sudo, or log in as who may read the logs"
        return ReachError(text, state="refused", retry=False)
    if any(line.startswith("sudo:") and line.endswith(f"{python}: command not found") for line in lines):
        text = f"sudo finds no {python}; --python names another, with its whole path"
        return NoPython(text, state="refused", retry=False)
    own = [line for line in lines if line.startswith(("sudo:", "Sorry, user"))]
    if how.status and own:
        text = f"sudo does not start {python} without a password ({own[-1]}): it needs a NOPASSWD rule"
        return ReachError(text, state="refused", retry=False)
    return None
