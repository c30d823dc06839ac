"""`python -m coordinator`: binds a socket, says so, and serves until it is told to end.

Knows the command line, signals and the lease. Imports what a quiet start needs and nothing else: a private
coordinator stands in the way of every ad-hoc query, so asyncssh comes with the first SSH login and structlog with the
first line of the log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import os
import signal
import stat
import sys
from collections.abc import Sequence

from backplane.wire.errors import LogReduceError
from backplane.wire.zmq import Router
from coordinator import log
from coordinator.links import IDLE_S
from coordinator.reach import reaches
from coordinator.service import Coordinator


def main(argv: Sequence[str] | None = None) -> int:
    """Run a coordinator. Returns its exit status."""
    args = _parser().parse_args(argv)
    try:
        log.configure("debug" if args.verbose else None, default="none" if args.private else "info")
        with contextlib.closing(Router()) as router:
            router.bind(f"ipc://{os.path.abspath(args.socket)}")
            asyncio.run(_serve(router, private=args.private))
    except (LogReduceError, ValueError) as exc:
        sys.stderr.write(f"coordinator: {exc}\n")
        return exc.exit_status if isinstance(exc, LogReduceError) else 2
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m coordinator", description="Relay between clients and providers.")
    parser.add_argument("--socket", required=True, metavar="PATH", help="listen on this path; its directory is 0700")
    parser.add_argument("--private", action="store_true", help="end when standard input ends")
    parser.add_argument("-v", "--verbose", action="store_true", help="log everything")
    return parser


async def _serve(router: Router, *, private: bool) -> None:
    stop = asyncio.Event()
    _obey_signals(stop, private)
    if private:
        _hold_lease(stop)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    await Coordinator(router, reaches(), idle_s=None if private else IDLE_S).serve(stop)


def _obey_signals(stop: asyncio.Event, private: bool) -> None:
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # The first Ctrl-C of a terminal means that the client should drain; it reaches the whole foreground group.
    loop.add_signal_handler(signal.SIGINT, (lambda: None) if private else stop.set)


def _hold_lease(stop: asyncio.Event) -> None:
    """Standard input is the lease: whatever becomes of the client, its end of the pipe closes.

    Raises:
        ValueError: standard input is nothing that could end.
    """
    # Asked of the descriptor, not of the loop: epoll refuses a file, while to poll and kqueue it is always readable.
    kind = os.fstat(0).st_mode
    if not (stat.S_ISFIFO(kind) or stat.S_ISSOCK(kind) or os.isatty(0)):
        raise ValueError("--private takes a pipe on standard input, and ends when it does")
    loop = asyncio.get_running_loop()

    def read() -> None:
        try:
            alive = os.read(0, 4096)
        except BlockingIOError:
            return
        if not alive:
            loop.remove_reader(0)
            stop.set()

    loop.add_reader(0, read)
