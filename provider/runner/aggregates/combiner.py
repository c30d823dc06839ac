"""Folding on the provider: what a map emitted becomes one state a key, until the next cut takes them.

Knows aggregates and columns. Does not know frames, cuts or credit: its child decides when a payload is due.
It travels to providers, so: standard library only, Python 3.6.

Theory of operation ------------------- Most keys of a cut were in the one before. So a job and its home share a
dictionary: a payload brings the keys that are new, they are numbered from where the dictionary ended, and its states
are told by number. A payload whose ``base`` is 0 begins the dictionary anew, as the first one of a job does: nothing of
an earlier epoch is ever meant. It also is begun anew when it would be too large, since it is memory at both ends; then
keys are told again, and nothing else is lost.
"""

from array import array
from typing import Any, Dict, Iterator, List, Optional

from provider.runner.aggregates.base import NOTHING, VALUES, Aggregate, States, weight
from provider.runner.aggregates.names import chosen
from provider.runner.columns import BARE, check_keys, column, key_column, little_endian, split
from provider.runner.pack import packb

#: Keys of a dictionary, and bytes of one payload that brought some of them. More is begun anew.
_MOST_KEYS = 1 << 16
_MOST_BYTES = 2 << 20
#: Groups that are tried as one payload; fewer of those that grow.
_GROUPS, _LARGE_GROUPS = 1 << 16, 1 << 12
#: Entries and bytes that weigh as much as a group: a group of one count is about 200 bytes.
_ENTRIES, _BYTES = 4, 1 << 10


def tag(provider: str, epoch: int) -> str:
    """Where values come from, so that tags sort by provider, then epoch. No name holds a NUL."""
    return "%s\0%010d" % (provider, epoch)


class Combiner:
    """The groups of one job since its last cut.

    Args:
        names: aggregates, in the order of their columns.
        tag: see `tag`.
        emitted: values of this tag that were folded before.
    """

    __slots__ = ("_aggregates", "_emitted", "_grown", "_grows", "_ids", "_names", "_states", "_tag")

    def __init__(self, names: List[str], tag: str, emitted: int = 0) -> None:
        self._names = list(names)
        self._aggregates = chosen(self._names)
        self._tag = tag
        self._emitted = emitted
        self._grows = max(aggregate.grows for aggregate in self._aggregates)
        self._grown = 0
        self._ids: Dict[Any, int] = {}
        self._states: List[States] = [{} for _ in names]

    @property
    def groups(self) -> int:
        """Distinct keys held."""
        return len(self._states[0])

    @property
    def weight(self) -> int:
        """About how much is held: a group counts 1, and so does what takes as much memory in one that grows."""
        return max(self.groups, self._grown)

    def fold(self, emitted: List[Any]) -> None:
        """Take what a map emitted (see `columns.values_payload`).

        Raises:
            PackError: a key that cannot be one.
            AggregateError: a value that an aggregate cannot take.
        """
        keys, values = split(emitted)
        if keys is None:
            keys = [BARE] * len(values)
        check_keys(keys)
        self.take(keys, values)

    def take(self, keys: List[Any], values: List[Any]) -> None:
        """The same of values whose keys are known to be some."""
        for aggregate, states in zip(self._aggregates, self._states):
            aggregate.absorb(states, aggregate.batch(keys, values, self._tag, self._emitted).items())
        self._emitted += len(values)
        if self._grows != NOTHING:
            self._grown += len(values) // _ENTRIES
        if self._grows == VALUES:
            self._grown += sum(map(weight, values)) // _BYTES

    def payloads(self, most_bytes: int) -> Iterator[bytes]:
        """The content ``partials`` of cut parts, to be sent in this order, and begin anew.

        Args:
            most_bytes: of each, unless one group alone is more.

        Raises:
            PackError: a key or a collected value that cannot travel. The combiner is of no use any more.
        """
        states, self._states = self._states, [{} for _ in self._names]
        self._grown = 0
        return self.tell(states, most_bytes)

    def tell(
        self, states: List[States], most_bytes: int, window: Optional[List[float]] = None, records: int = 0
    ) -> Iterator[bytes]:
        """The same of groups that were folded elsewhere, for each aggregate by key. They are not changed.

        Args:
            window: see `partials_payload`.
            records: how many records they are made of, which is said once.
        """
        keys = self._ordered(states[0])
        start, room = 0, _GROUPS if self._grows == NOTHING else _LARGE_GROUPS
        while start < len(keys):
            some = keys[start : start + room]
            payload = self._payload(some, states, window, records)
            if len(payload) > most_bytes and len(some) > 1:
                room = max(1, min(len(some) // 2, len(some) * most_bytes // len(payload)))
                continue
            self._sent(some, len(payload))
            start += len(some)
            records = 0
            yield payload

    def _ordered(self, states: States) -> List[Any]:
        """Keys in the order of their numbers, if they are most of the dictionary: all of it needs no numbers."""
        ids = self._ids
        if len(ids) > 2 * len(states):
            return list(states)
        return [key for key in ids if key in states] + [key for key in states if key not in ids]

    def _payload(self, keys: List[Any], states: List[States], window: Optional[List[float]], records: int) -> bytes:
        ids = self._ids
        new = [key for key in keys if key not in ids]
        if len(ids) + len(new) > _MOST_KEYS:
            ids = self._ids = {}
            new = keys
        base = len(ids)
        told = None  # type: Optional[bytes]
        if len(keys) < base + len(new):
            numbered = dict(zip(new, range(base, base + len(new))))
            told = little_endian(array("I", [ids[key] if key in ids else numbered[key] for key in keys]))
        columns = [[each[key] for key in keys] for each in states]
        return partials_payload(self._names, new, columns, window, base=base, ids=told, records=records)

    def _sent(self, keys: List[Any], size: int) -> None:
        if size > _MOST_BYTES:
            self._ids = {}
            return
        ids = self._ids
        for key in keys:
            if key not in ids:
                ids[key] = len(ids)


def partials_payload(
    names: List[str],
    keys: List[Any],
    states: List[List[Any]],
    window: Optional[List[float]] = None,
    base: Optional[int] = None,
    ids: Optional[bytes] = None,
    records: int = 0,
) -> bytes:
    """The content ``partials`` of some groups.

    Args:
        keys: one a group; with ``base``, those that the dictionary has not yet.
        states: for each aggregate, the state of each group; None where all its values were null.
        window: seconds since the epoch, from and to; None without.
        base: how many keys the dictionary had before; None without one.
        ids: the number of each group's key; None if the groups are all that were told, in order.
        records: of a window, how many records the groups are made of.

    Raises:
        PackError: a key or a collected value that cannot travel.
    """
    columns = [column(_dumped(aggregate, each)) for aggregate, each in zip(chosen(names), states)]
    packed: Dict[str, Any] = {"window": window, "aggregates": names, "keys": key_column(keys), "states": columns}
    if base is not None:
        packed.update(base=base, new=len(keys), ids=ids)
    if records:
        packed["records"] = records
    return packb(packed)


def _dumped(aggregate: Aggregate, states: List[Any]) -> List[Any]:
    if None not in states:
        return aggregate.dumps(states)
    dumped = iter(aggregate.dumps([state for state in states if state is not None]))
    return [None if state is None else next(dumped) for state in states]
