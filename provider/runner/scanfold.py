"""One plan's groups in the scan child, for all jobs that ask for just that.

Knows compiled plans, and what cuts hold. Does not know files or positions. It travels with plans: standard library
only, Python 3.6.

Equal plans are folded once. Their jobs then cut together, so that each cut is packed once; and a job comes or goes only
between two cuts, when the fold is empty. Keys are told by number (see `Combiner`), so the numbering begins anew when a
job comes.
"""

from typing import Any, Callable, Dict, List, Optional

from provider.runner.aggregates import Combiner, tag
from provider.runner.aggregates.base import NOTHING, States
from provider.runner.aggregates.names import chosen
from provider.runner.folding import MOST_SAMPLES, Scan
from provider.runner.pack import PackError
from provider.runner.plan import PLACED, Plan
from provider.runner.windows import Taken

#: Groups that a fold may hold, and lines without an aggregate; then a cut is due.
MOST_GROUPS = 50000
MOST_ROWS = 1024
#: Rows in which groups may grow (see `Aggregate.grows`) until then.
_MOST_GROWN = 200000
_PARTIALS_BYTES = 4 << 20
#: Where the first lines are looked for.
_SEEN_BYTES = 8 << 10


class Teller(Combiner):
    """A `Combiner` that is given its groups."""

    __slots__ = ()

    def told(self, window: "Optional[List[float]]", records: int, states: "List[States]") -> List[bytes]:
        """The payloads of these groups, which stay as they are."""
        states = [dict(each) for each in states]
        keys = set().union(*states)
        for each in states:
            if len(each) < len(keys):
                each.update(dict.fromkeys(keys.difference(each)))
        return list(self.tell(states, _PARTIALS_BYTES, window, records))


class Fold:
    """See the module.

    Args:
        data: the plan as it came, by which equal ones are known.
    """

    def __init__(self, plan: Plan, data: bytes, name: str, epoch: int) -> None:
        self.plan = plan
        self.scan = Scan(plan, tag(name, epoch))
        #: Those that it folds for (`scanjob.ScanJob`).
        self.jobs: List[Any] = []
        #: What is folded is not to be used any more, for this reason.
        self.broken = ""
        self._names = [each.name for each in plan.aggregates]
        self._tag = tag(name, epoch)
        self._data = data
        self._teller: Optional[Teller] = None
        self._cut_matched = 0
        #: Lines without the plan's text are never parsed: whether the first are of the format is still to be seen.
        self._to_see = self.scan.source.literal is not None
        self._grows = any(each.grows != NOTHING for each in chosen(self._names)) if self._names else False

    def equals(self, other: "Fold") -> bool:
        """One of the two would do for both."""
        # These name who emitted, too: no two jobs have the same.
        placed = any(name.partition("(")[0] in PLACED for name in self._names)
        return bool(self._names) and self._data == other._data and not placed

    def anew(self) -> None:
        """A job came: keys are told from the beginning."""
        self._teller = None
        if self.scan.windows is not None:
            self.scan.windows.anew()

    def feed(self, data: bytes, source: str, give: "Optional[Callable[[], None]]" = None) -> None:
        """Whole records.

        Args:
            give: what feeds them, having read them for others too.

        Raises:
            AggregateError: a value that an aggregate cannot take.
        """
        if self.scan.windows is not None:
            self.scan.windows.turn(source)
        if self._to_see:
            self._to_see = False
            self._see(data)
        if give is not None:
            give()
        else:
            self.scan.feed(data, 0, len(data))

    def _see(self, data: bytes) -> None:
        """Shows the first lines, if none of them is of the format. They are not counted: others may be."""
        needed = self.plan.needed()
        lines = bytes(data[:_SEEN_BYTES]).split(b"\n")[:-1][:MOST_SAMPLES]
        if all(self.plan.format.parse(line, needed) is None for line in lines):
            for line in lines:
                self.scan.seen.sample(line)

    @property
    def full(self) -> bool:
        """A cut is due for what it holds."""
        if not self._names:
            return self.scan.waiting >= MOST_ROWS
        grown = self._grows and self.scan.seen.matched - self._cut_matched >= _MOST_GROWN
        return grown or self.scan.groups >= MOST_GROUPS

    def rows(self) -> List[Any]:
        """What a plan without aggregates found, and begin anew: a line each, or a list of columns."""
        rows = self.scan.rows()
        return list(map(list, rows)) if self.plan.columns else [row[0] for row in rows]

    def taken(self) -> List[bytes]:
        """The content ``partials`` of all groups, and begin anew.

        Raises:
            PackError: a key that cannot travel.
        """
        if not self._names:
            return []
        self._cut_matched = self.scan.seen.matched
        taken = self.scan.taken()
        if self._teller is None:
            self._teller = Teller(self._names, self._tag)
        try:
            return self._told(taken)
        except PackError:
            self._teller = Teller(self._names, self._tag)
            small = [[{_small(key): state for key, state in each.items()} for each in states] for _, _, states in taken]
            return self._told([each._replace(states=states) for each, states in zip(taken, small)])

    def _told(self, taken: "List[Taken]") -> List[bytes]:
        assert self._teller is not None
        return [payload for each in taken for payload in self._teller.told(*each) if any(each.states)]

    def known(self, source: str) -> None:
        """There is such a source."""
        if self.scan.windows is not None:
            self.scan.windows.known(source)

    def dropped(self) -> Dict[str, int]:
        """Records that are in no window, and values that are no numbers, by reason."""
        found = dict(self.scan.windows.dropped()) if self.scan.windows is not None else {}
        found.update(("not_a_number:" + name, count) for name, count in self.scan.seen.no_numbers().items())
        return found

    def rest(self) -> None:
        """All sources have been read to their ends, for now."""
        if self.scan.windows is not None:
            self.scan.windows.rest()

    def marks(self) -> "List[List[Any]]":
        """How far its sources are in event time, where that has changed."""
        return self.scan.windows.marks() if self.scan.windows is not None else []


def _small(key: Any) -> Any:
    """A key that can travel: an int over 64 bits as its text."""
    if type(key) is tuple:
        return tuple(map(_small, key))
    return str(key) if type(key) is int and not -(1 << 63) <= key < 1 << 64 else key
