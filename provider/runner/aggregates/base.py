"""What every aggregate is: a merge law on states, and bulk passes that obey it.

Knows states and groups. Does not know columns, cuts or where it runs: the same code folds on a provider and at home.
It travels to providers, so: standard library only, Python 3.6.

The law: the result of a group does not depend on how its values were dealt into batches, in which order the batches
were merged, or on which side. `batch` folds many values at once and `merge` joins two states; there is no other way in.
"""

from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

#: A group's state while it is in memory. Never None.
State = Any
States = Dict[Any, State]

#: How much of a group's memory grows with the values that it has taken (`Aggregate.grows`).
NOTHING, ENTRIES, VALUES = 0, 1, 2


class AggregateError(ValueError):
    """A value that an aggregate cannot take, or an aggregate that there is not. ``str()`` is one sentence."""


class Aggregate:
    """One aggregate. Stateless: states are passed in, and ``merge`` may change and return its first."""

    #: As the query says it.
    name = ""
    #: `NOTHING`: a group is as large after a million values as after one. `ENTRIES`: it may hold a number for each
    #: value; `VALUES`: the values themselves.
    grows = NOTHING
    #: Those with the same text here have the same states of the same values, and make other results of them.
    alike = ""

    @property
    def columns(self) -> Tuple[str, ...]:
        """Of a row."""
        return (self.name,)

    def batch(self, keys: List[Any], values: List[Any], tag: str, first: int) -> States:
        """A state for each distinct key.

        Args:
            tag: who emitted these, in an order that home agrees with (`combiner.tag`).
            first: how many values the same one had emitted before.

        Raises:
            AggregateError: a value of a type that this aggregate cannot take.
        """
        raise NotImplementedError

    def merge(self, one: State, other: State) -> State:
        """The state of both groups' values."""
        raise NotImplementedError

    def result(self, state: State) -> Any:
        """What a row shows, if it is one column."""
        raise NotImplementedError

    def results(self, state: State) -> Tuple[Any, ...]:
        """What a row shows, a value a column."""
        return (self.result(state),)

    def dropped(self, state: State) -> int:
        """How many values the result leaves out."""
        return 0

    def error(self, states: Iterable[State]) -> Optional[str]:
        """How far results may be from exact ones, in one clause; None: these are exact."""
        return None

    def dump(self, state: State) -> Any:
        """The state as msgpack can say it."""
        return state

    def dumps(self, states: List[State]) -> List[Any]:
        """Many states, in the forms that pack best together."""
        return list(map(self.dump, states))

    def load(self, dumped: Any) -> State:
        """A state out of what another side dumped.

        Raises:
            ValueError: it is none. The other side is not to be trusted, so every field is looked at.
        """
        raise NotImplementedError

    def absorb(self, states: States, others: Iterable[Tuple[Any, State]]) -> None:
        """Merge each group of ``others`` into ``states``."""
        get = states.get
        merge = self.merge
        for key, state in others:
            have = get(key)
            states[key] = state if have is None else merge(have, state)

    def refusal(self, keys: List[Any], values: List[Any], accepts: Callable[[Any], bool]) -> AggregateError:
        """What to say about the first value that is not acceptable."""
        for key, value in zip(keys, values):
            if not accepts(value):
                where = "" if key == () else " (key %.80r)" % (key,)
                return AggregateError("%s cannot take a value of type %s%s" % (self.name, type(value).__name__, where))
        raise AssertionError("every value is acceptable")

    def numbers(self, keys: List[Any], values: List[Any]) -> None:
        """Looks whether all values are numbers.

        Raises:
            AggregateError: one is not.
        """
        if not all(issubclass(kind, (int, float)) for kind in set(map(type, values))):
            raise self.refusal(keys, values, _is_number)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float))


def grouped(keys: List[Any], values: List[Any]) -> Dict[Any, List[Any]]:
    """Values by key, each in order."""
    if len(set(keys)) == 1:
        return {keys[0]: values}
    groups: Dict[Any, List[Any]] = {}
    for key, value in zip(keys, values):
        groups.setdefault(key, []).append(value)
    return groups


def weight(value: Any) -> int:
    """About how many bytes a value takes; the same at both ends."""
    kind = type(value)
    if kind is str or kind is bytes:
        return 8 + len(value)
    if kind is list or kind is tuple:
        return 8 + sum(map(weight, value))
    if kind is dict:
        return 8 + sum(weight(key) + weight(each) for key, each in value.items())
    return 8
