"""Bugs that are planted in the program, one at a time, to see that a world shows them.

Each is planted by the driver in the process that it belongs to: a client, or a coordinator, which ships the runner. The
program guards its answers more than once, so that some bugs do no harm alone: where a mutant takes away more than its
name says, that is because each of the others would still hold.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from backplane.client.keeping import Keeper
from backplane.client.store.database import Store
from backplane.reduce.answer import Answer
from backplane.reduce.columns import Moves, Partials, Values, decode
from backplane.reduce.cursors import Cursor, Kept, Part
from backplane.reduce.journal import Changes, Place
from backplane.reduce.saving import Saved
from backplane.wire.messages import Cut, Open


@dataclass(frozen=True, slots=True)
class Mutant:
    """A planted bug.

    Attributes:
        plant: plants it.
        where: ``client``, or ``coordinator`` for what a runner does.
        faults: what should show it: kinds of faults, and when each begins in a burst, in seconds.
        forms: what is asked, all of it with a store if a client is to be killed.
    """

    plant: Callable[[], None]
    faults: tuple[tuple[str, float], ...]
    where: str = "client"
    forms: tuple[str, ...] = ("aggregates",)


_KILLED: Final = (("client killed", 0.4),)


def _set(where: object, name: str, value: object) -> None:
    setattr(where, name, value)


# -- what is stored


def _values_first() -> None:
    """The values of a commit are stored at once, and their positions with the next one."""
    commit = Store.commit
    late: dict[int, tuple[Place, ...]] = {}

    def split(self: Store, changes: Changes, facts: Mapping[str, Any] | None = None) -> None:
        commit(self, Changes(changes.pieces, late.pop(id(self), ())), facts)
        late[id(self)] = changes.places

    _set(Store, "commit", split)


def _positions_first() -> None:
    """The positions are stored at once, and the values up to there with the next commit."""
    commit = Store.commit
    late: dict[int, tuple[Saved, ...]] = {}

    def split(self: Store, changes: Changes, facts: Mapping[str, Any] | None = None) -> None:
        commit(self, Changes(late.pop(id(self), ()), changes.places), facts)
        late[id(self)] = changes.pieces

    _set(Store, "commit", split)


def _credit_is_commit() -> None:
    """What has arrived is taken for applied: it is stored as read, and applied when the next thing arrives."""
    apply, take = Answer._apply, Answer.handle
    waiting: dict[int, list[tuple[str, Any, list[Part]]]] = {}

    def later(self: Answer, provider: str, each: Any, parts: list[Part]) -> None:
        contents = [decode(part.content, part.payload) for part in parts]
        moves = [move for content in contents if isinstance(content, Moves) for move in content.moves]
        each.cursor.commit(each.cursor.moved(moves))
        waiting.setdefault(id(self), []).append((provider, each, parts))

    def first(self: Answer, *args: Any) -> Any:
        for provider, each, parts in waiting.pop(id(self), []):
            seq, positions = each.cursor.seq, dict(each.cursor.positions)
            with _unchecked():
                apply(self, provider, each, parts)
            each.cursor.seq, each.cursor._positions = seq, positions
        return take(self, *args)

    _set(Answer, "_apply", later)
    _set(Answer, "handle", first)


class _unchecked:
    """While entered, a cut may start anywhere."""

    def __enter__(self) -> None:
        self._moved = Cursor.moved
        _set(Cursor, "moved", _moved_anyhow)

    def __exit__(self, *exc: object) -> None:
        _set(Cursor, "moved", self._moved)


def _not_stored(which: str) -> Callable[[], None]:
    def plant() -> None:
        kept = Cursor.kept
        if which == "cursor":
            _set(Cursor, "kept", lambda self: Kept(self.epoch, {}, False))
        else:  # what no cut has moved yet
            opened = Cursor.open
            only: dict[int, dict[str, bytes]] = {}

            def open_(self: Cursor, message: Open) -> None:
                opened(self, message)
                only.setdefault(id(self), {})[message.source] = message.payload

            def moved(self: Cursor) -> Kept:
                still = only.get(id(self), {})
                return kept(self)._replace(
                    positions={s: at for s, at in self.positions.items() if still.get(s) != at}, settled=False
                )

            _set(Cursor, "open", open_)
            _set(Cursor, "kept", moved)

    return plant


def _not_filled() -> None:
    """A client that comes back has the positions, and none of the values."""
    _set(Keeper, "fill", lambda self: None)


def _said_twice() -> None:
    """What is said anew in short does not take the place of what it says."""

    def compact(self: Store, pieces: Iterable[Saved]) -> None:
        self.commit(Changes(tuple(pieces)))

    _set(Store, "compact", compact)


# -- what is applied


def _moved_anyhow(self: Cursor, moves: Iterable[tuple[str, bytes, bytes]]) -> dict[str, bytes]:
    return {source: end for source, _, end in moves}


def _no_start_check() -> None:
    """A cut may start anywhere, and so may a source that is opened."""

    def open_(self: Cursor, message: Open) -> None:
        self._positions[message.source] = message.payload
        self.settled = self.settled or message.last

    _set(Cursor, "moved", _moved_anyhow)
    _set(Cursor, "open", open_)


def _any_order() -> None:
    def stage(self: Cursor, cut: Cut) -> list[Part] | None:
        if cut.part == 0:
            self._drop()
        self._parts.append(Part(cut.content, cut.payload))
        if not cut.last:
            return None
        parts = self._parts
        self._drop()
        return parts

    _set(Cursor, "stage", stage)
    _no_start_check()


def _no_dedupe() -> None:
    """A cut that comes twice counts twice: neither its number nor its start is looked at."""
    _any_order()


def _no_fence() -> None:
    """What jobs of before still say counts: neither epoch nor job is looked at, nor numbers and starts."""
    heard = Answer.handle

    def handle(self: Answer, provider: str, message: Any, size: int = 0) -> Any:
        if isinstance(message, Cut) and provider in self._providers:
            each = self._providers[provider]
            if message.epoch < each.cursor.epoch:
                each.job = message.job
        return heard(self, provider, message, size)

    def current(self: Cursor, epoch: int) -> bool:
        return True

    stage = Cursor.stage
    _any_order()
    anyhow = Cursor.stage

    def staged(self: Cursor, cut: Cut) -> list[Part] | None:
        # In its own epoch everything is as it should be: only what is old comes through.
        return stage(self, cut) if cut.epoch == self.epoch else anyhow(self, cut)

    _set(Answer, "handle", handle)
    _set(Cursor, "current", current)
    _set(Cursor, "stage", staged)


def _epoch_reused() -> None:
    """A job gets the epoch of the one before, and so what both say counts; numbers and jobs tell nothing either."""
    begin, handle = Cursor.begin, Answer.handle

    def again(self: Cursor, *, anew: bool = False) -> tuple[int, tuple[tuple[str, bytes], ...]]:
        begin(self, anew=anew)
        self.epoch = 1
        return 1, tuple(self.positions.items())

    def jobless(self: Answer, provider: str, message: Any, size: int = 0) -> Any:
        if provider in self._providers:
            self._providers[provider].job = 0
        return handle(self, provider, message, size)

    _any_order()
    _set(Cursor, "begin", again)
    _set(Answer, "handle", jobless)


def _part_early() -> None:
    """Values count as soon as their part is here."""
    stage, apply = Cursor.stage, Answer._apply
    early: dict[int, list[Part]] = {}

    def staged(self: Cursor, cut: Cut) -> list[Part] | None:
        if cut.seq == self.seq + 1 and cut.part == len(self._parts):
            early.setdefault(id(self), []).append(Part(cut.content, cut.payload))
        return stage(self, cut)

    def cut(self: Answer, provider: str, each: Any, message: Cut) -> Any:
        done = real(self, provider, each, message)
        for part in early.pop(id(each.cursor), []):
            content = self._loaded(provider, decode(part.content, part.payload))
            if isinstance(content, Values):
                self._fold.values(provider, content.keys, content.values)
            elif isinstance(content, Partials):
                self._fold.partials(provider, content)
        return done

    def rest(self: Answer, provider: str, each: Any, parts: list[Part]) -> None:
        apply(self, provider, each, [part for part in parts if part.content not in ("values", "partials")])

    real = Answer._cut
    _set(Cursor, "stage", staged)
    _set(Answer, "_cut", cut)
    _set(Answer, "_apply", rest)


# -- what is read


def _shipped(module: str, old: str, new: str) -> Callable[[], None]:
    def plant() -> None:
        from provider import ship
        from tests.chaos.driver import edit

        edit(ship, module, old, new)

    return plant


_ROTATED: Final = (("child killed", 0.2), ("rotated five times", 0.25))
#: Positions are told by where a file lies, and not by what is in it.
_BY_INODE: Final = (
    "holders = [place for place in fits if place.log.holds(position)]",
    "holders = [place for place in fits if place.log.ident == (position.device, position.inode)]",
)

MUTANTS: Final[dict[str, Mutant]] = {
    "split commit, values first": Mutant(_values_first, _KILLED),
    "split commit, positions first": Mutant(_positions_first, _KILLED),
    "credit as commit": Mutant(_credit_is_commit, _KILLED),
    "cursor not stored": Mutant(_not_stored("cursor"), _KILLED),
    "open not stored": Mutant(_not_stored("open"), _KILLED),
    "values not filled in": Mutant(_not_filled, _KILLED),
    "compaction adds": Mutant(_said_twice, _KILLED),
    "no start check": Mutant(_no_start_check, (("a start from before", 0.0), ("child killed", 0.1))),
    "no dedupe": Mutant(_no_dedupe, (("cuts come again", 0.3),)),
    "no fence": Mutant(_no_fence, (("child killed", 0.3), ("cuts come again", 1.5))),
    "epoch reused": Mutant(_epoch_reused, (("child killed", 0.3), ("cuts come again", 1.5))),
    "part applied early": Mutant(_part_early, (("broken within a cut", 0.2),)),
    "missing cuts go unnoticed": Mutant(_any_order, (("a cut is lost", 0.2),), forms=("function",)),
    "resumed at the end": Mutant(
        _shipped(
            "provider.runner.sources", "chain.logs[0].told = data", "chain.logs[0].to_end(); chain.logs[0].told = data"
        ),
        (("child killed", 0.2),),
        "coordinator",
    ),
    "rotated siblings skipped": Mutant(
        _shipped(
            "provider.runner.chains",
            "newer = open_all(source, among[place.at + 1 :])",
            "newer = open_all(source, among[place.at + 1 :][-1:])",
        ),
        _ROTATED,
        "coordinator",
    ),
    "wrong generation": Mutant(
        _shipped("provider.runner.chains", *_BY_INODE),
        (("child killed", 0.2), ("rotated and compressed", 0.25)),
        "coordinator",
    ),
}


def plant(mutant: str, where: str) -> None:
    """Plant one, if it belongs into this process; the empty name is none."""
    if mutant and MUTANTS[mutant].where == where:
        MUTANTS[mutant].plant()
