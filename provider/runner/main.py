"""The runner's entry: says hello, then becomes the supervisor.

Knows the file descriptors that it was born with. Everything that is not needed for a HELLO is imported after it, so
that compiling it overlaps with the answer's way home.
"""

import os
import sys
import time

from provider.runner import frames


def run(build: str) -> None:
    """Runs until stdin ends, is silent for the lease, or stdout is closed. Does not return.

    ``build`` is what home is to know of the code that this is (`provider.ship.build`).
    """
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:  # it was closed, and the next thing opened would take its place
            os.open(os.devnull, os.O_RDWR)
    out = os.dup(1)
    # Whatever prints in this process must not reach the frames.
    os.dup2(2, 1)
    hello = {
        "version": frames.VERSION,
        "oldest": frames.VERSION,
        "role": "runner",
        "python": list(sys.version_info[:3]),
        "pid": os.getpid(),
        "host": os.uname().nodename,
        "uid": os.getuid(),
        "now": time.time(),
        "level": "exec",
        "build": build,
    }
    first = frames.PREAMBLE + frames.framed(frames.encode(frames.HELLO, 0, hello))
    try:
        while first:
            first = first[os.write(out, first) :]
    except OSError:  # nobody is there any more
        os._exit(0)
    from provider.runner.supervisor import Supervisor

    os._exit(Supervisor(0, out).run())
