"""The process of a detached query: `python -m backplane.cli.detached NAME`, started by `run --detach` and `attach`.

Its first line on stdout is for whoever started it (`backplane.client.named.process`); from then on it has no streams
but the log that is its stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import sys

from backplane.cli import named
from backplane.wire.errors import LogReduceError


class _Said:
    """The one line that is for whoever started it."""

    def __init__(self) -> None:
        # What is shown goes nowhere: the answer is the store's, and theirs who attach.
        self._out: int | None = os.dup(1)
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, 1)
        os.close(nowhere)

    def ready(self) -> None:
        self.line({"ready": os.getpid()})

    def line(self, said: dict[str, object]) -> None:
        if self._out is not None:
            with contextlib.suppress(BrokenPipeError):  # whoever started it waits no more, and finds it by its name
                os.write(self._out, json.dumps(said).encode() + b"\n")
            os.close(self._out)
            self._out = None


def main(name: str) -> int:
    """Run it, and return the exit status."""
    said = _Said()
    try:
        return named.go_on(name, said.ready)
    except LogReduceError as exc:
        said.line({"fault": str(exc), "status": exc.exit_status})
        print(f"logreduce: {exc}", file=sys.stderr)
        return exc.exit_status
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
