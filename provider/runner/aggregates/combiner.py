"""Folding on the provider: what a map emitted becomes one state a key, until the next cut takes them.

Knows aggregates and columns. Does not know frames, cuts or credit: its child decides when a payload is due.
It travels to providers, so: standard library only, Python 3.6.
"""

from typing import Any, Dict, List, Optional

from provider.runner.aggregates.base import Aggregate, AggregateError, States
from provider.runner.aggregates.collect import Collect
from provider.runner.aggregates.counts import Count
from provider.runner.aggregates.extremes import Extreme
from provider.runner.aggregates.sums import Mean, Sum
from provider.runner.columns import BARE, check_keys, column, key_column, split
from provider.runner.pack import packb

#: By the name that a query's ``reduce`` says.
AGGREGATES: Dict[str, Aggregate] = {
    each.name: each for each in (Count(), Sum(), Extreme("min", min), Extreme("max", max), Mean(), Collect())
}


def chosen(names: List[str]) -> List[Aggregate]:
    """The aggregates of these names.

    Raises:
        AggregateError: there is none of a name, or no name.
    """
    for name in names:
        if name not in AGGREGATES:
            raise AggregateError("there is no aggregate %.40r; there are %s" % (name, ", ".join(AGGREGATES)))
    if not names:
        raise AggregateError("no aggregate was named")
    return [AGGREGATES[name] for name in names]


def tag(provider: str, epoch: int) -> str:
    """Where values come from, so that tags sort by provider, then epoch. No name holds a NUL."""
    return "%s\0%010d" % (provider, epoch)


class Combiner:
    """The groups of one job since its last cut.

    Args:
        names: aggregates, in the order of their columns.
        tag: see `tag`.
    """

    __slots__ = ("_aggregates", "_emitted", "_names", "_states", "_tag")

    def __init__(self, names: List[str], tag: str) -> None:
        self._names = list(names)
        self._aggregates = chosen(self._names)
        self._tag = tag
        self._emitted = 0
        self._states: List[States] = [{} for _ in names]

    @property
    def groups(self) -> int:
        """Distinct keys held."""
        return len(self._states[0])

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
        for aggregate, states in zip(self._aggregates, self._states):
            aggregate.absorb(states, aggregate.batch(keys, values, self._tag, self._emitted).items())
        self._emitted += len(values)

    def payload(self) -> bytes:
        """The content ``partials`` of one cut part, and begin anew.

        Raises:
            PackError: a key or a collected value that cannot travel.
        """
        payload = partials_payload(self._names, list(self._states[0]), [list(each.values()) for each in self._states])
        self._states = [{} for _ in self._names]
        return payload


def partials_payload(
    names: List[str], keys: List[Any], states: List[List[Any]], window: Optional[List[float]] = None
) -> bytes:
    """The content ``partials`` of some groups.

    Args:
        states: for each aggregate, the state of each key.
        window: seconds since the epoch, from and to; None without.

    Raises:
        PackError: a key or a collected value that cannot travel.
    """
    return packb(
        {
            "window": window,
            "aggregates": names,
            "keys": key_column(keys),
            "states": [
                column([aggregate.dump(state) for state in each]) for aggregate, each in zip(chosen(names), states)
            ],
        }
    )
