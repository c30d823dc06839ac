"""`logreduce coordinator` as a process, and a question that goes on until somebody ends it.

Knows command lines. Where it listens is its environment's business.
"""

from __future__ import annotations

import contextlib
import subprocess
from collections.abc import Iterator

from tests.rigs.program import started

SLEEPS = 'import time\ndef map():\n    yield 1\n    while True:\n        time.sleep(0.1)\nreduce = "count"\n'


@contextlib.contextmanager
def coordinator(*words: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    """One that listens; what it prints besides `ready` is still to be read."""
    with started("coordinator", *words, cwd=None, **environ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        yield process
