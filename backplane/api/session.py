"""Asking, from a program: a session of many questions with ``async for``, and one question that blocks.

Knows loops and threads. What is asked, and of whom, is `backplane.api.asking`'s; the link is `backplane.client`'s.
Prints nothing: what the command line shows on stderr goes to the logger ``logreduce``.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import threading
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final, TypedDict, TypeVar, Unpack

from backplane.api import finding
from backplane.api.asking import EVERY_S, Ask, How, Prepared, prepared
from backplane.api.pruning import pruned_table
from backplane.client import session as links
from backplane.client.outputs.harmless import harmless
from backplane.client.run import Run
from backplane.reduce.snapshot import Snapshot
from backplane.wire.errors import LocalProtocolError, LogReduceError, UsageError
from backplane.wire.messages import Fault

if TYPE_CHECKING:
    from backplane.api.named import Named
    from backplane.client.named.running import Running

_LOG: Final = logging.getLogger("logreduce")
# Nothing on stderr, unless the program wants it there.
_LOG.addHandler(logging.NullHandler())
_Given = TypeVar("_Given")


class Where(TypedDict, total=False):
    """Which coordinator to use; none of these: the one that the command line would, or one of our own."""

    coordinator: str
    server_key: str
    #: The file of our own key.
    key: str
    private: bool


class Once(How, Where, total=False):
    """All that `ask` can be told."""


class Answers:
    """The running answer of one question: iterate with ``async for``, once. Leaving the loop cancels the question.

    One with a name stops instead, in both ways of ending it early: asked again it goes on from there.
    """

    def __init__(self, session: Session, query: Ask, how: How) -> None:
        self._session = session
        self._query = query
        self._how = how
        self._stop: Callable[[], None] | None = None
        self._begun = False
        self._stopped = False

    def stop(self) -> None:
        """End a question that follows, or any other: its final snapshot is on its way."""
        self._stopped = True
        if self._stop:
            self._stop()

    def __aiter__(self) -> AsyncGenerator[Snapshot, None]:
        if self._begun:
            raise LocalProtocolError("these answers have been iterated: ask again")
        self._begun = True
        return self._snapshots()

    async def _snapshots(self) -> AsyncGenerator[Snapshot, None]:
        asked = self._session.asked(self._query, self._how, EVERY_S, self._began)
        # Leaving the loop closes what is within at once, and not when it is found to be garbage.
        async with contextlib.aclosing(asked) as snapshots:
            async for snapshot in snapshots:
                yield snapshot

    def _began(self, stop: Callable[[], None]) -> None:
        self._stop = stop
        if self._stopped:
            stop()


class Session:
    """A link to a coordinator, shared by any number of questions; `session` opens one."""

    def __init__(self, link: links.Session, where: Where) -> None:
        self._link = link
        self._where = where

    def run(self, query: Ask, **how: Unpack[How]) -> Answers:
        """Ask, and see the answer grow: ``async for snapshot in session.run(query)``. The last snapshot is final.

        Args:
            query: `logs`'s or `script`'s, one line or SQL as a text, a query file's path, or a name of the library.
            how: see `How`; everything has the default of the command line.

        Raises:
            UsageError: when iterated: the question is wrong, or the options are.
            NoCoordinator: when iterated: the coordinator is gone.
        """
        return Answers(self, query, how)

    async def ask(self, query: Ask, **how: Unpack[How]) -> Snapshot:
        """Ask, and wait for the final answer.

        Raises:
            UsageError: the question is wrong, or the options are, or it would never end.
            NoCoordinator: the coordinator is gone.
        """
        final: Snapshot | None = None
        async for snapshot in self.asked(query, how, None, lambda stop: None):
            final = snapshot
        assert final is not None
        return final

    async def asked(
        self, query: Ask, how: How, every_s: float | None, began: Callable[[Callable[[], None]], None]
    ) -> AsyncGenerator[Snapshot, None]:
        """What `run` and `ask` iterate.

        Args:
            every_s: between snapshots, where nothing is said; None for one that must end by itself.
            began: called with what ends it.
        """
        how = _said(how)
        if "name" not in how:
            ready = await asyncio.to_thread(prepared, query, how, every_s)
            _ends(ready, every_s)
            async with contextlib.aclosing(_asked(self._link, ready, began)) as snapshots:
                async for snapshot in snapshots:
                    yield snapshot
            return
        from backplane.api.named import named

        async with _threaded(named(query, how, self._where, every_s)) as kept:
            if kept.running is None:
                _notice(f"{how['name']} has ended: this is its last answer")
                yield await asyncio.to_thread(kept.last)
                return
            _ends(kept.ready, every_s)
            async with contextlib.aclosing(_asked(self._link, kept.ready, began, kept)) as snapshots:
                async for snapshot in snapshots:
                    yield snapshot


def _said(how: How) -> How:
    """What is said: None is as good as nothing, but for ``every``, which it makes one answer of."""
    said: Any = {name: value for name, value in how.items() if value is not None or name == "every"}
    given: How = said
    return given


def _ends(ready: Prepared, every_s: float | None) -> None:
    if every_s is None and ready.question.endless and ready.options.for_s is None:
        raise UsageError("this question has no end: say end_after='30s', or iterate what session.run gives")


async def _asked(
    link: links.Session, ready: Prepared, began: Callable[[Callable[[], None]], None], kept: Named | None = None
) -> AsyncGenerator[Snapshot, None]:
    for text in ready.notices:
        _notice(text)
    options = replace(ready.options, on_note=_note, on_fault=_fault, on_notice=_notice)
    chosen = ready.selection
    names, notices = await chosen.chosen(link)
    for text in notices:
        _notice(text)
    hosts = getattr(ready.question, "hosts", None)  # of plans alone
    chosen = pruned_table(chosen, hosts, names, follow=ready.follow)
    entries = [provider.to_wire() for provider in chosen.providers]
    store = kept.store if kept else None
    run = link.ask(ready.question, entries, chosen.reach, options, chosen.select, store)
    running = kept.running if kept else None
    over = False
    try:
        async with _shown(running, run):
            began(running.stopping(run) if running else run.drain)
            async for snapshot in run.snapshots():
                if running:
                    await running.saw(snapshot)
                over = snapshot.final
                yield snapshot
    finally:
        await link.release(run)
        if running and over:
            await running.over(run)


@contextlib.asynccontextmanager
async def _shown(running: Running | None, run: Run) -> AsyncIterator[None]:
    """While entered, others may attach to a run that has a name.

    In a task of its own: an iterator that somebody drops is closed by another task than began it, and a task group
    must not be.
    """
    if running is None:
        yield
        return
    loop = asyncio.get_running_loop()
    up: asyncio.Future[None] = loop.create_future()
    over: asyncio.Future[None] = loop.create_future()

    async def hosted(running: Running) -> None:
        async with running.shown(run):
            up.set_result(None)
            await over

    task = asyncio.ensure_future(hosted(running))
    try:
        await asyncio.wait((task, up), return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            task.result()
        yield
        over.set_result(None)
        await task
    except LogReduceError as exc:
        if not over.done():
            over.set_exception(exc)
        raise
    finally:
        if not over.done():
            task.cancel()
        await asyncio.wait((task,))
        if not task.cancelled():
            task.exception()  # it is the one that is being raised already


@contextlib.asynccontextmanager
async def _threaded(manager: contextlib.AbstractContextManager[_Given]) -> AsyncIterator[_Given]:
    """A context whose beginning and end read files, and so are other threads'."""
    entering = asyncio.ensure_future(asyncio.to_thread(manager.__enter__))
    try:
        given = await asyncio.shield(entering)
    except asyncio.CancelledError:
        # A thread is not to be cancelled; what it has taken would be held for ever.
        await asyncio.wait((entering,))
        if entering.exception() is None:
            await asyncio.to_thread(manager.__exit__, None, None, None)
        raise
    try:
        yield given
    except BaseException as exc:
        if not await asyncio.to_thread(manager.__exit__, type(exc), exc, exc.__traceback__):
            raise
    else:
        await asyncio.to_thread(manager.__exit__, None, None, None)


def _notice(text: str) -> None:
    _LOG.info("%s", harmless(text))


def _note(provider: str, text: str) -> None:
    _LOG.info("%s: %s", harmless(provider), harmless(text, keep="\t"))


def _fault(provider: str, fault: Fault) -> None:
    traceback = fault.payload.decode("utf-8", "replace")
    _LOG.warning("%s: %s", harmless(provider), harmless(f"{fault.text}\n{traceback}".rstrip(), keep="\t\n"))


@contextlib.asynccontextmanager
async def session(**where: Unpack[Where]) -> AsyncIterator[Session]:
    """Open a session; leaving it cancels all that still runs. Works in any loop of asyncio's.

    Args:
        where: see `Where`; nothing uses the coordinator that the command line would use.

    Raises:
        UsageError: no such option, or an address or a key is none.
        NoCoordinator: there is none, or it cannot be reached.
    """
    _known(where)
    found = await asyncio.to_thread(finding.coordinator, finding.Named(**where))
    if found.notice:
        _notice(found.notice)
    async with links.open_session(found.place, _notice) as link:
        yield Session(link, where)


def _known(where: Where) -> None:
    for name in where:
        if name not in Where.__annotations__:
            raise UsageError(f"a session has no option {name!r}: it goes to `run` or `ask`")


def ask(query: Ask, **how: Unpack[Once]) -> Snapshot:
    """Ask, and wait for the final answer: what a program without a loop does, and a notebook that has one.

    Where a loop runs in this thread already, the question is asked by a loop of its own in another one; either way this
    blocks until the answer is there, and Ctrl-C cancels it.

    Args:
        query: as of `Session.run`.
        how: see `How` and `Where`.

    Raises:
        UsageError: the question is wrong, or the options are, or it would never end.
        NoCoordinator: there is no coordinator.
    """
    where: Where = {}
    rest: How = {}
    for name, value in _said(how).items():
        into: Any = where if name in Where.__annotations__ else rest
        into[name] = value

    async def whole() -> Snapshot:
        async with session(**where) as opened:
            return await opened.ask(query, **rest)

    return _blocking(whole)


def _blocking(work: Callable[[], Coroutine[Any, Any, _Given]]) -> _Given:
    """Run to its end, whether a loop runs here or not."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return asyncio.run(work())
    return _elsewhere(work)


def _elsewhere(work: Callable[[], Coroutine[Any, Any, _Given]]) -> _Given:
    """Run in a thread that has a loop of its own; an interrupt here cancels it there."""
    begun: concurrent.futures.Future[tuple[asyncio.AbstractEventLoop, asyncio.Task[_Given]]]
    begun = concurrent.futures.Future()
    done: concurrent.futures.Future[_Given] = concurrent.futures.Future()

    async def main() -> _Given:
        task = asyncio.ensure_future(work())
        begun.set_result((asyncio.get_running_loop(), task))
        return await task

    def threaded() -> None:
        try:
            done.set_result(asyncio.run(main()))
        except BaseException as exc:  # whatever it is, it is the caller's
            done.set_exception(exc)

    thread = threading.Thread(target=threaded, name="logreduce-ask")
    try:
        thread.start()
        return done.result()
    except BaseException:
        either: list[concurrent.futures.Future[Any]] = [begun, done]
        if thread.is_alive():
            concurrent.futures.wait(either, return_when=concurrent.futures.FIRST_COMPLETED)
        if begun.done() and not done.done():
            loop, task = begun.result()
            with contextlib.suppress(RuntimeError):  # it has ended by itself, this very moment
                loop.call_soon_threadsafe(task.cancel)
        raise
    finally:
        if thread.is_alive():
            thread.join()
