"""A coordinator that a team shares, as a process: binds, obeys signals, reloads.

Knows configuration, keys and systemd. What it serves is `coordinator.service`; a private coordinator
(`coordinator.main`) needs nothing of this.

SIGTERM and SIGINT drain: no new queries, the running ones hand over what they have, within `DRAIN_S`. SIGHUP reads
keys and settings again; what cannot be read leaves things as they were, and a setting that needs a restart is named.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from backplane.wire import builds, limits
from backplane.wire.errors import LogReduceError
from backplane.wire.keys import Keys
from backplane.wire.zmq import Guard, Router
from coordinator import config, log
from coordinator.notify import notify
from coordinator.reach import reaches
from coordinator.service import Coordinator
from coordinator.terms import Terms

#: A runner's own time for a last cut, and the way here.
DRAIN_S: Final = limits.DRAIN_S + 2.0


def run(flags: Mapping[str, Any], file: str | None) -> None:
    """Serve until a signal.

    Args:
        flags: settings of the command line, None where it says nothing.
        file: the configuration that it names.

    Raises:
        LogReduceError: it cannot start, in one sentence.
    """
    settings = config.read(flags, file)
    log.configure(settings.log, default="info")
    keys = Keys(Path(settings.keys))
    with contextlib.ExitStack() as stack:
        router = stack.enter_context(contextlib.closing(Router()))
        addresses = [f"ipc://{os.path.abspath(settings.socket)}"]
        router.bind(addresses[0])
        allowed: dict[str, str] = {}
        guarded = None
        if settings.listen:
            allowed = keys.allowed()
            _check_allowed(allowed, keys)
            guarded = stack.enter_context(contextlib.closing(Router(Guard(keys.server(), lambda key: key in allowed))))
            address = guarded.listen(settings.listen)
            addresses += [address, f"server key: {keys.server().public}"]
            log.info("listening", address=address, server_key=keys.server().public, clients=len(allowed))
        asyncio.run(_Daemon(settings, flags, keys, router, guarded, allowed, addresses).serve())


def _check_allowed(allowed: Mapping[str, str], keys: Keys) -> None:
    if not allowed:
        raise LogReduceError(
            f"nobody may come in over TCP yet: `logreduce coordinator keys allow NAME KEY` lets a client in "
            f"(none in {keys.directory / 'clients'})"
        )


class _Daemon:
    """One run of it.

    ``allowed`` is the guard's own table, changed in place; ``addresses`` are what clients call, and the key that they
    know it by.
    """

    def __init__(
        self,
        settings: config.Config,
        flags: Mapping[str, Any],
        keys: Keys,
        router: Router,
        guarded: Router | None,
        allowed: dict[str, str],
        addresses: Sequence[str],
    ) -> None:
        self._settings = settings
        self._flags = flags
        self._keys = keys
        self._allowed = allowed
        self._addresses = tuple(addresses)
        self._coordinator = Coordinator(
            router,
            reaches(),
            settings.idle,
            guarded=guarded,
            allowed=allowed,
            terms=_terms(settings),
            table=settings.table,
            verdict_s=settings.verdict_s,
            build=builds.named(),
        )

    async def serve(self) -> None:
        """Until it is told to end."""
        stop = asyncio.Event()
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self._end, stop)
        loop.add_signal_handler(signal.SIGHUP, self._reload)
        sys.stdout.write("".join(f"{line}\n" for line in ("ready", *self._addresses)))
        sys.stdout.flush()
        notify("READY=1")
        await self._coordinator.serve(stop, DRAIN_S)

    def _end(self, stop: asyncio.Event) -> None:
        notify("STOPPING=1")
        stop.set()

    def _reload(self) -> None:
        notify(f"RELOADING=1\nMONOTONIC_USEC={time.monotonic_ns() // 1000}")
        try:
            self._take(config.read(self._flags, str(self._settings.file) if self._settings.file.exists() else None))
        except LogReduceError as exc:
            log.warning("not reloaded", reason=str(exc))
        notify("READY=1")

    def _take(self, settings: config.Config) -> None:
        allowed = self._keys.allowed() if settings.listen else {}
        stuck = config.differing(self._settings, settings)
        if stuck:
            log.warning("needs a restart", settings=", ".join(stuck))
        self._allowed.clear()
        self._allowed.update(allowed)
        self._coordinator.tune(_terms(settings), settings.idle, settings.verdict_s)
        self._coordinator.revoke()
        log.configure(settings.log, default="info")
        log.info("reloaded", clients=len(allowed))


def _terms(settings: config.Config) -> Terms:
    return Terms(settings.adhoc, settings.client_credit_mb << 20, settings.total_credit_mb << 20)
