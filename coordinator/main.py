"""`python -m coordinator`: binds a socket, says so, and serves until it is told to end.

Knows the command line, and of a private coordinator the signals and the lease; of one that is not private,
`coordinator.daemon` does. Imports what a quiet start needs and nothing else: a private
coordinator stands in the way of every ad-hoc query, so asyncssh comes with the first SSH login and structlog with the
first line of the log.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import importlib
import os
import signal
import stat
import sys
from collections.abc import Sequence

from backplane.wire.errors import LogReduceError
from backplane.wire.zmq import Router
from coordinator import log
from coordinator.reach import reaches
from coordinator.service import Coordinator


def main(argv: Sequence[str] | None = None) -> int:
    """Run a coordinator. Returns its exit status."""
    args = _parser().parse_args(argv)
    try:
        if args.private:
            _private(args.socket, args.log, logins=args.logins)
        else:
            from coordinator import daemon

            daemon.run(settings(args), args.config)
    except (LogReduceError, ValueError) as exc:
        sys.stderr.write(f"coordinator: {exc}\n")
        return exc.exit_status if isinstance(exc, LogReduceError) else 2
    return 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The options of a coordinator that is not private."""
    parser.add_argument("--socket", metavar="PATH", help="listen on this path; its directory is 0700")
    parser.add_argument("--listen", metavar="tcp://HOST:PORT", help="listen there too, for those with an allowed key")
    parser.add_argument("--keys", metavar="DIR", help="directory of the keys")
    parser.add_argument(
        "--adhoc", action=argparse.BooleanOptionalAction, help="clients over TCP may name hosts that no table knows"
    )
    parser.add_argument("--table", metavar="PATH", help="file of the provider table, instead of this user's own")
    parser.add_argument("--idle", type=float, metavar="S", help="keep connections so long after their last query")
    parser.add_argument("--config", metavar="FILE", help="instead of coordinator.toml")
    parser.add_argument("-v", "--verbose", dest="log", action="store_const", const="debug", help="log everything")


def settings(args: argparse.Namespace) -> dict[str, object]:
    """What those options say, by the names of `coordinator.config`."""
    return {name: getattr(args, name) for name in ("socket", "listen", "keys", "adhoc", "table", "idle", "log")}


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m coordinator", description="Relay between clients and providers.")
    add_arguments(parser)
    parser.add_argument("--private", action="store_true", help="end when standard input ends")
    parser.add_argument("--logins", action="store_true", help="private: load what SSH logins take at once")
    return parser


def _private(socket: str | None, level: str | None, *, logins: bool) -> None:
    if socket is None:
        raise ValueError("--private takes a --socket")
    log.configure(level, default="none")
    with contextlib.closing(Router()) as router:
        router.bind(f"ipc://{os.path.abspath(socket)}")
        asyncio.run(_serve(router, logins=logins))


async def _serve(router: Router, *, logins: bool) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    # The first Ctrl-C of a terminal means that the client should drain; it reaches the whole foreground group.
    loop.add_signal_handler(signal.SIGINT, lambda: None)
    _hold_lease(stop)
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    async with asyncio.TaskGroup() as tasks:
        if logins:
            # In a thread, while the client is still reading its inventory and its query.
            tasks.create_task(asyncio.to_thread(importlib.import_module, "coordinator.reach.ssh"))
        await Coordinator(router, reaches(), idle_s=None).serve(stop)


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
