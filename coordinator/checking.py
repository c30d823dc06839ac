"""Checks: what is found out about a provider by connecting to it once, as any query would.

Knows links, the runner's hello, and two jobs: one of a kind that no runner knows, which the supervisor answers at
once, so that the time of a question and its answer is the link's and not Python's; and a filter that says which logs
the login may read. A provider that cannot be checked has a reason, and holds up nobody.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from backplane.wire import codec, limits
from backplane.wire.errors import LogReduceError, ReachError
from backplane.wire.messages import Message, Note, Start
from coordinator.gate import Gate
from coordinator.links import Link, Links, key_of
from coordinator.relay import Client, Job, Relay
from coordinator.table import Provider, ReachOptions

if TYPE_CHECKING:
    from coordinator.store import Facts

#: A runner that is up answers both jobs in a fraction of this.
JOBS_S: Final = 10.0
#: For all of a check: longer than one attempt takes from its turn on, and less than who asks will wait.
MOST_S: Final = 50.0
#: Far more than the names of some logs.
_GRANTED: Final = 256 << 10
#: What a refusal of `coordinator.reach.known_hosts` looks like.
_HOST_KEYS: Final = (("host key has CHANGED", "changed"), ("host key is not known", "unknown"))
#: Runs on the provider, so it obeys Python 3.6.
_FILTER: Final = """
import json, time
def filter(provider):
    print(json.dumps([time.time(), [bool(provider.readable(path)) for path in {paths}]]))
    return False
"""
_MAP: Final = "def map():\n    yield 0\n"


class Checking:
    """See above. Called with providers, it gives what was found of each.

    Args:
        numbers: gives job numbers that nobody else is given.
    """

    def __init__(self, links: Links, relay: Relay, numbers: Iterator[int]) -> None:
        self._links = links
        self._relay = relay
        self._numbers = numbers

    async def __call__(
        self, providers: Mapping[str, Provider], options: ReachOptions, logs: list[str]
    ) -> Mapping[str, Facts]:
        """What is found of these, all at the same time but for the fan-out.

        Args:
            logs: paths, of which is told whether the login may read them.
        """
        gate = Gate(options.fanout)
        ends = asyncio.get_running_loop().time() + MOST_S
        async with asyncio.TaskGroup() as tasks:
            found = {
                name: tasks.create_task(self._one(provider, options, logs, gate, ends))
                for name, provider in providers.items()
            }
        return {name: task.result() for name, task in found.items()}

    async def _one(self, provider: Provider, options: ReachOptions, logs: list[str], gate: Gate, ends: float) -> Facts:
        from coordinator.store import Facts

        visit = _Visit()
        key = key_of(provider, options)
        try:
            async with asyncio.timeout_at(ends):
                self._links.watch(key, options, visit, gate)
                link = await visit.up
                assert link.hello is not None
                if (
                    link.level != "resident"
                    and link.hello.uid == 0
                    and provider.reach == "ssh"
                    and not _as_root(provider, options)
                ):
                    raise ReachError("the login is root: use another one, or --allow-root")
                asked = Start(epoch=1, query="check", body="none", granted=0)
                latency_s = await self._asked(link, visit, asked)
                ahead_s, readable = await self._looked(link, visit, provider, logs)
        except LogReduceError as exc:
            return Facts(time.time(), host_key=_host_key(provider, str(exc)), problem=str(exc))
        except TimeoutError:
            return Facts(time.time(), problem=f"still {visit.stage}")
        finally:
            self._links.unwatch(key, visit)
        return Facts(
            checked_at=time.time(),
            level=link.level,
            python=".".join(map(str, link.hello.python)),
            latency_ms=round(latency_s * 1000, 3),
            clock_offset_s=round(ahead_s, 3),
            host_key="known" if provider.reach == "ssh" else None,
            logs=readable,
        )

    async def _looked(
        self, link: Link, visit: _Visit, provider: Provider, logs: list[str]
    ) -> tuple[float, dict[str, bool]]:
        """How far its clock is ahead of ours, as exactly as a job begins at once; and which logs it may read."""
        shell = link.level == "shell"
        payload: dict[str, object] = {
            "file": "check.py",
            "filter": _shell_filter(logs) if shell else _FILTER.replace("{paths}", ascii(logs)),
            "map": _MAP,
            "programs": {"filter": ["sh"], "map": ["sh"]} if shell else None,
            "lines": False,
            "sources": [],
            "encoding": "utf-8",
            "follow": False,
            "combine": None,
            "every_s": 1.0,
            "provider": {"name": provider.name, "labels": {}},
            "positions": [],
        }
        body = "folder" if shell else "script"
        start = Start(
            epoch=1, query="check", body=body, granted=_GRANTED, filter_s=limits.FILTER_S, payload=codec.pack(payload)
        )
        took_s = await self._asked(link, visit, start)
        try:
            clock, answers = json.loads(visit.printed)
            readable = {path: answer is True for path, answer in zip(logs, answers, strict=True)}
            return float(clock) - (time.time() - took_s / 2), readable
        except (ValueError, TypeError):
            raise ReachError(f"it did not say which logs it may read: {visit.ended}") from None

    async def _asked(self, link: Link, visit: _Visit, start: Start) -> float:
        """Run a job to its end; the seconds that it took.

        Raises:
            ReachError: the link broke, or it did not end.
        """
        number = next(self._numbers)
        client = Client(b"", visit.heard)
        client.reserved = start.granted
        job = Job(number, visit, client, link)
        visit.begin()
        self._relay.add(job)
        began = time.monotonic()
        try:
            for body in codec.encode(replace(start, job=number)):
                self._relay.down(client, Start.KIND, number, body)
            async with asyncio.timeout(JOBS_S):
                await visit.over
        except TimeoutError:
            raise ReachError(f"its runner did not answer within {JOBS_S:.0f} s") from None
        finally:
            self._relay.drop(number)
        return visit.over_at - began


class _Visit:
    """One provider's check: the `Watcher` of its link, the `Owner` of its jobs, and what is told of them."""

    def __init__(self) -> None:
        self.stage = "waiting for its turn to connect"
        self.over_at = 0.0
        self.printed = ""
        self.ended = ""
        self._inbox = codec.Inbox()
        self._loop = asyncio.get_running_loop()
        self.up: asyncio.Future[Link] = self._loop.create_future()
        self.over: asyncio.Future[None] = self._loop.create_future()

    def begin(self) -> None:
        """Another job begins."""
        self.over, self.printed = self._loop.create_future(), ""

    def heard(self, _: bytes, bodies: Sequence[bytes]) -> bool:
        """What its job says, as a client would hear it."""
        for body in bodies:
            message: Message | None = self._inbox.add(body)
            if isinstance(message, Note):
                self.printed += message.payload.decode("utf-8", "replace")
        if self.over_at and not self.over.done():
            self.over.set_result(None)
        return True

    def link_trying(self, stage: str) -> None:
        self.stage = stage

    def link_up(self, link: Link) -> None:
        if not self.up.done():
            self.up.set_result(link)

    def link_failed(self, error: ReachError) -> None:
        self._fail(error)

    def link_lost(self, reason: str) -> None:
        self._fail(ReachError(reason))

    def link_quiet(self) -> None:
        """The deadline of the job is what counts."""

    def link_heard(self) -> None:
        """Likewise."""

    def job_started(self, job: Job, profile: str) -> None:
        self.over_at = 0.0

    def job_decided(self, job: Job, keep: bool) -> None:
        """Nothing is kept: a check is a filter that says no."""

    def job_ended(self, job: Job, state: str, reason: str | None, drained: bool) -> None:
        # The job's own words come before its end, and are handed over in the next turn of the event loop.
        self.over_at, self.ended = time.monotonic(), reason or state

    def job_broke(self, job: Job, state: str, reason: str | None) -> None:
        self.job_ended(job, state, reason, False)

    def job_noted(self, job: Job, event: str) -> None:
        """A check has no story."""

    def cancel(self, mode: str, number: int = 0) -> None:
        """Nobody cancels a check; it ends with its deadline."""

    def _fail(self, error: ReachError) -> None:
        futures: tuple[asyncio.Future[Link], asyncio.Future[None]] = (self.up, self.over)
        for future in futures:
            if not future.done():
                future.set_exception(error)
                # What failed before anybody waited for it is no news for the log.
                future.exception()


def _shell_filter(logs: Sequence[str]) -> str:
    """The same in sh. A clock that is only told in seconds is half of one behind on average."""
    from coordinator.shell.text import pattern

    lines = [
        "now=$(date +%s.%N)",
        "case $now in *[!0-9.]*) now=$(date +%s).5 ;; esac",
        "printf '[%s, [' \"$now\"",
        "comma=",
    ]
    for path in logs:
        look = 'if [ -r "$path" ] && [ ! -d "$path" ]; then found=true; fi'
        lines += ["found=false", f"for path in {pattern(path)}; do {look}; done", 'printf %s "$comma$found"; comma=,']
    return "\n".join([*lines, "echo ']]'", "exit 1\n"])


def _as_root(provider: Provider, options: ReachOptions) -> bool:
    return options.allow_root or options.sudo or provider.sudo


def _host_key(provider: Provider, problem: str) -> str | None:
    if provider.reach != "ssh":
        return None
    return next((state for words, state in _HOST_KEYS if words in problem), None)
