"""Aggregates by name, fed by partials or raw values alike.

Knows the groups of a query, and that the aggregates of `provider.runner.aggregates` obey the merge law. Does not know
cuts or coverage. Touched by one thread only.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Iterator, Sequence
from typing import Any, Final

from backplane.reduce.columns import Partials, Values, Window, decode, rekeyed
from backplane.reduce.faults import ReduceFault
from backplane.reduce.fold import Keys, Plain
from backplane.reduce.rows import Entry, Place, Rows, table
from backplane.reduce.saving import PIECE_BYTES, Saved
from backplane.wire import codec
from backplane.wire.errors import RemoteProtocolError
from provider.runner.aggregates import AggregateError, chosen, tag
from provider.runner.aggregates.combiner import partials_payload

#: Groups of one saved piece, unless they are large.
_PIECE_GROUPS: Final = 20_000


class AggregateFold(Plain):
    """Aggregates by name, fed by partials or raw values alike."""

    full = False

    def __init__(self, names: Sequence[str], *, by_host: bool = False) -> None:
        self._names = tuple(names)
        self._aggregates = chosen(list(names))
        self._by_host = by_host
        self._groups: dict[Place, list[dict[Hashable, Any]]] = {}
        self._taken: dict[str, int] = {}

    def load(self, partials: Partials) -> Partials:
        if partials.aggregates != self._names:
            raise RemoteProtocolError(
                f"partials of {', '.join(partials.aggregates)} where {self._names} were asked for"
            )
        try:
            states = [
                list(map(aggregate.load, column))
                for aggregate, column in zip(self._aggregates, partials.states, strict=True)
            ]
        except (ValueError, OverflowError) as exc:
            raise RemoteProtocolError(f"a state that is none: {exc}") from exc
        return dataclasses.replace(partials, states=states)

    def values(self, provider: str, keys: Keys, values: Sequence[Any]) -> None:
        first = self._taken.get(provider, 0)
        every = list(rekeyed(keys, len(values)))
        try:
            for aggregate, states in zip(self._aggregates, self._at(provider, None), strict=True):
                aggregate.absorb(states, aggregate.batch(every, list(values), tag(provider, 0), first).items())
        except AggregateError as exc:
            raise ReduceFault(f"{provider}: {exc}") from exc
        self._taken[provider] = first + len(values)

    def partials(self, provider: str, partials: Partials) -> None:
        groups = self._at(provider, partials.window)
        for aggregate, states, others in zip(self._aggregates, groups, partials.states, strict=True):
            aggregate.absorb(states, zip(partials.keys, others, strict=True))

    def _at(self, provider: str, window: Window | None) -> list[dict[Hashable, Any]]:
        place = Place(window, provider if self._by_host else None)
        if place not in self._groups:
            self._groups[place] = [{} for _ in self._aggregates]
        return self._groups[place]

    def durable(self) -> None:
        return None

    def saved(self) -> Iterator[Saved]:
        if self._taken:
            yield Saved("", "state", codec.pack(self._taken))
        for place, groups in self._groups.items():
            for payload in self._pieces(place.window, list(groups[0]), groups):
                yield Saved(place.host or "", "partials", payload)

    def _pieces(
        self, window: Window | None, keys: list[Hashable], groups: list[dict[Hashable, Any]]
    ) -> Iterator[bytes]:
        for start in range(0, len(keys), _PIECE_GROUPS):
            yield from self._halved(window, keys[start : start + _PIECE_GROUPS], groups)

    def _halved(
        self, window: Window | None, keys: list[Hashable], groups: list[dict[Hashable, Any]]
    ) -> Iterator[bytes]:
        states = [[each[key] for key in keys] for each in groups]
        payload = partials_payload(list(self._names), keys, states, None if window is None else list(window))
        if len(payload) <= PIECE_BYTES or len(keys) == 1:
            yield payload
            return
        half = len(keys) // 2
        yield from self._halved(window, keys[:half], groups)
        yield from self._halved(window, keys[half:], groups)

    def restore(self, saved: Saved) -> None:
        if saved.content == "state":
            self._taken = _counts(codec.unpack(saved.payload))
            return
        content = decode(saved.content, saved.payload)
        if isinstance(content, Partials):
            self.partials(saved.provider, self.load(content))
        elif isinstance(content, Values):
            self.values(saved.provider, content.keys, content.values)
        else:
            raise RemoteProtocolError(f"saved {saved.content} where aggregates were folded")

    def rows(self) -> Rows:
        return table(self._entries(), self._names)

    def _entries(self) -> Iterator[Entry]:
        for place, groups in self._groups.items():
            for key in groups[0]:
                results = (
                    aggregate.result(states[key]) for aggregate, states in zip(self._aggregates, groups, strict=True)
                )
                yield Entry(place, key, tuple(results))

    def inexact(self) -> list[str]:
        reasons = []
        for number, aggregate in enumerate(self._aggregates):
            dropped = [
                aggregate.dropped(state) for groups in self._groups.values() for state in groups[number].values()
            ]
            if any(dropped):
                keys = sum(map(bool, dropped))
                reasons.append(f"{aggregate.name} left out {sum(dropped)} values of {keys} key{'s' * (keys != 1)}")
        return reasons


def _counts(packed: Any) -> dict[str, int]:
    if type(packed) is not dict or not packed or not all(type(count) is int for count in packed.values()):
        raise RemoteProtocolError("saved counts that are none")
    return packed
