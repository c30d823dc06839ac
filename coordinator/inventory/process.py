"""A command's output: with a deadline, a bound, and its own words when it fails.

Knows processes. Whatever the command starts is in a session of its own and ends with it, when it is late as well as
when we are interrupted.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Final

from backplane.wire.errors import UsageError

#: A registry or a cloud answers in seconds; ansible-inventory may have a cloud to ask.
DEADLINE_S: Final = 60.0
#: As large as an inventory that is a file.
MOST_BYTES: Final = 256 << 20
#: The end of a traceback is what matters.
_MOST_ERRORS: Final = 64 << 10
#: Characters of its beginning and of its end.
_MOST_SHOWN: Final = 200
_CHUNK: Final = 1 << 16


class CommandFailed(UsageError):
    """A command ended badly.

    Args:
        text: what happened, naming the command.
        errors: its stderr.
    """

    def __init__(self, text: str, errors: str) -> None:
        super().__init__(f"{text}: {_told(errors)}" if errors.strip() else f"{text}, without a word on stderr")
        self.errors = errors


def output(
    argv: Sequence[str],
    what: str,
    *,
    env: Mapping[str, str] | None = None,
    deadline_s: float = DEADLINE_S,
    most: int = MOST_BYTES,
) -> tuple[bytes, str]:
    """What a command prints: stdout, and stderr's end as text.

    Args:
        what: what to call the command in a sentence.
        env: variables over those of this process.

    Raises:
        CommandFailed: its exit status is not 0, it was late, or it printed too much.
        FileNotFoundError: there is no such command.
        UsageError: it cannot be run.
    """
    try:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env={**os.environ, **(env or {})},
            start_new_session=True,
        )
    except FileNotFoundError:
        raise
    except OSError as exc:
        raise UsageError(f"{what} cannot be run: {exc.strerror}") from exc
    deadline = time.monotonic() + deadline_s
    with process:
        try:
            printed, errors, ended = _listen(process, deadline, most)
            if ended:
                with suppress(subprocess.TimeoutExpired):
                    process.wait(max(0.0, deadline - time.monotonic()))
        finally:
            # Not reaped yet: its number, which is its group's, cannot be somebody else's.
            if process.returncode is None:
                os.killpg(process.pid, signal.SIGKILL)
    if len(printed) > most:
        raise CommandFailed(f"{what} printed over {most >> 20} MB, which is no inventory, and was stopped", errors)
    if process.returncode == -signal.SIGKILL and time.monotonic() >= deadline:
        raise CommandFailed(f"{what} had not ended after {deadline_s:g} s and was stopped", errors)
    if process.returncode < 0:
        raise CommandFailed(f"{what} was killed by signal {-process.returncode}", errors)
    if process.returncode:
        raise CommandFailed(f"{what} failed with exit status {process.returncode}", errors)
    return printed, errors


def _listen(process: subprocess.Popen[bytes], deadline: float, most: int) -> tuple[bytes, str, bool]:
    """Stdout, stderr's end, and whether both came to their end."""
    assert process.stdout is not None
    assert process.stderr is not None
    printed, errors = bytearray(), bytearray()
    with selectors.PollSelector() as ready:
        for stream, kept in ((process.stdout, printed), (process.stderr, errors)):
            ready.register(stream, selectors.EVENT_READ, kept)
        while ready.get_map() and len(printed) <= most:
            events = ready.select(max(0.0, deadline - time.monotonic()))
            if not events:
                break
            for key, _ in events:
                part = os.read(key.fd, _CHUNK)
                key.data.extend(part)
                if not part:
                    ready.unregister(key.fileobj)
            del errors[:-_MOST_ERRORS]
        return bytes(printed), errors.decode("utf-8", "replace"), not ready.get_map()


def _told(errors: str) -> str:
    """The words in one line: the cause is often at the beginning, what became of it at the end."""
    text = " / ".join(line.strip() for line in errors.splitlines() if line.strip())
    return text if len(text) <= 2 * _MOST_SHOWN else f"{text[:_MOST_SHOWN]} ... {text[-_MOST_SHOWN:]}"
