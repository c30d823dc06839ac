"""A detached query's process: how it is started, and the log that it writes to.

Knows processes and files. Does not know what the process does, beyond its first line on stdout: JSON, `ready` or what
is wrong.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import subprocess
import sys
import time
from typing import Final

from backplane.client.store.directory import Directory
from backplane.wire.errors import LogReduceError, UsageError

#: Imports, a private coordinator, a table of providers to choose from: seconds on a busy machine.
READY_S: Final = 90.0
#: The log is for people: its end tells what matters.
LOG_BYTES: Final = 1 << 20


def start(directory: Directory) -> None:
    """Start the process that runs a named query, and wait until it does.

    Raises:
        UsageError: it cannot be run so; in its own words.
        LogReduceError: it was not ready in time, or ended without a word.
    """
    log = os.open(directory.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    try:
        # -P: a module that lies in the working directory is not ours. A session of its own, so that no terminal's
        # signals reach it, and it stays when this one goes.
        process = subprocess.Popen(
            [sys.executable, "-P", "-m", "backplane.cli.detached", directory.name],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            start_new_session=True,
        )
    finally:
        os.close(log)
    assert process.stdout is not None
    try:
        _heard(directory, process, _line(process.stdout.fileno()))
    except BaseException:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        raise
    finally:
        process.stdout.close()
        # It outlives us by design, and is nobody's zombie then: a child of ours no more than anybody's.
        process.returncode = 0


def _line(fd: int) -> bytes:
    """What it says first; as much as came if it says no more in time."""
    said = b""
    deadline = time.monotonic() + READY_S
    while not said.endswith(b"\n") and (left := deadline - time.monotonic()) > 0:
        if select.select([fd], [], [], left)[0]:
            data = os.read(fd, 1 << 16)
            if not data:
                break
            said += data
    return said


def _heard(directory: Directory, process: subprocess.Popen[bytes], line: bytes) -> None:
    try:
        said = json.loads(line)
    except ValueError:
        status = process.poll()
        how = f"was not ready within {READY_S:.0f} s" if status is None else f"ended with status {status}"
        raise LogReduceError(
            f"the process that was to run {directory.name} {how}; its log is {directory.log}"
        ) from None
    if "fault" in said:
        process.wait(READY_S)
        raise (UsageError if said.get("status") == 2 else LogReduceError)(said["fault"])


def trim(directory: Directory) -> None:
    """Keep the log's last half once it is too long; whoever writes goes on at its end."""
    with contextlib.suppress(OSError), open(directory.log, "r+b") as log:
        size = log.seek(0, os.SEEK_END)
        if size > LOG_BYTES:
            log.seek(-LOG_BYTES // 2, os.SEEK_END)
            rest = log.read()
            log.seek(0)
            log.write(rest[rest.find(b"\n") + 1 :])
            log.truncate()
