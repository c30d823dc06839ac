"""What every aggregate is: a merge law on states, and bulk passes that obey it.

Knows states and groups. Does not know columns, cuts or where it runs: the same code folds on a provider and at home.
It travels to providers, so: standard library only, Python 3.6.

The law: the result of a group does not depend on how its values were dealt into batches, in which order the batches
were merged, or on which side. `batch` folds many values at once and `merge` joins two states; there is no other way in.
"""

from typing import Any, Callable, Dict, Iterable, List, Tuple

#: A group's state while it is in memory. Never None.
State = Any
States = Dict[Any, State]


class AggregateError(ValueError):
    """A value that an aggregate cannot take, or an aggregate that there is not. ``str()`` is one sentence."""


class Aggregate:
    """One aggregate. Stateless: states are passed in, and ``merge`` may change and return its first."""

    name = ""

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
        """What a row shows."""
        raise NotImplementedError

    def dropped(self, state: State) -> int:
        """How many values the result leaves out."""
        return 0

    def dump(self, state: State) -> Any:
        """The state as msgpack can say it."""
        return state

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
