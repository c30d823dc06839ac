"""A compiled plan at work: blocks in, groups out.

Knows plans and aggregates. Does not know files, cuts or frames. It travels: standard library only, Python 3.6.
"""

from collections import Counter, defaultdict
from itertools import chain, repeat
from operator import itemgetter
from typing import Any, Callable, Dict, List, Optional, Tuple

from provider.runner.aggregates import chosen
from provider.runner.aggregates.base import States
from provider.runner.compile import Source, by_columns, source
from provider.runner.expressions import call
from provider.runner.pack import packb, unpackb
from provider.runner.plan import Plan
from provider.runner.windows import LOW, Taken, Windows, by_pane

#: Lines that did not parse, kept to be shown.
MOST_SAMPLES = 5
_SAMPLE_BYTES = 500
#: Rows that a group has on average, so that folding groups one by one costs less than folding all at once.
_ROWS_A_GROUP = 64
#: Lines from a block's end that are tried for a time: a record may have many, and only the first has it.
_MOST_TRIED = 20
_pane_of = itemgetter(0)


class Seen:
    """What a scan has seen so far. Lines that a text ruled out are counted, and were never parsed."""

    __slots__ = ("lines", "matched", "odd", "samples", "unfit")

    def __init__(self) -> None:
        self.lines = 0
        self.matched = 0
        #: Lines (or records) that do not parse.
        self.odd = 0
        self.samples: List[bytes] = []
        #: Values of which a number was wanted, and that are none: by the number of the expression, and its field.
        self.unfit: "Counter[Tuple[int, str]]" = Counter()

    def number(self, place: "Tuple[int, str]", value: Any) -> Any:
        """A value of a field as a number, or null."""
        made = call("number", value)
        if made is None and value is not None:
            self.unfit[place] += 1
        return made

    def no_numbers(self) -> Dict[str, int]:
        """How many there were, by field; "" is for what was computed. Aggregates of one field have the same."""
        found: Dict[str, int] = {}
        for (_, name), count in self.unfit.items():
            found[name] = max(count, found.get(name, 0))
        return found

    def sample(self, line: bytes) -> None:
        """Keeps the first few lines that do not parse."""
        if len(self.samples) < MOST_SAMPLES:
            self.samples.append(line[:_SAMPLE_BYTES])


#: Separators around each value that `Tally` counts: no two values share one, and no value holds one.
_EDGE = b"\n"
#: Values that are worth a pass each.
_MOST_KNOWN = 12
#: Blocks with other values, in a row, after which there is no use in it.
_MOST_STRANGE = 16


class Tally:
    """Counts texts of lines, of which there often are but a few distinct ones: all rows of a block at a time.

    A dict has to hash each row. Joined, they are counted at the speed of `bytes.count`, a pass for each value.
    """

    __slots__ = ("_counts", "_known", "_strange")

    def __init__(self, counts: "Counter[Any]") -> None:
        self._counts = counts
        self._known: Optional[List[Tuple[bytes, bytes]]] = []
        self._strange = 0

    def count(self, rows: List[bytes]) -> None:
        """Adds a block's rows to the counts."""
        if self._known is None:
            self._counts.update(rows)
            return
        text = _EDGE + (_EDGE + _EDGE).join(rows) + _EDGE
        found = [(value, text.count(mark)) for value, mark in self._known]
        if sum([number for _, number in found]) == len(rows):
            counts = self._counts
            for value, number in found:
                if number:
                    counts[value] += number
            self._strange = max(0, self._strange - 1)
            return
        self._counts.update(rows)
        self._strange += 2
        distinct = set(rows).union([value for value, _ in self._known])
        if len(distinct) > _MOST_KNOWN or b"" in distinct or self._strange > _MOST_STRANGE:
            self._known = None
        else:
            self._known = [(value, _EDGE + value + _EDGE) for value in distinct]


class Scan:
    """One plan over one or more sources.

    Args:
        tag: see `aggregates.tag`.
    """

    def __init__(self, plan: Plan, tag: str = "") -> None:
        self.seen = Seen()
        self.source: Source = source(plan)
        self.plan = plan
        self._tag = tag
        self._aggregates = chosen([each.name for each in plan.aggregates]) if plan.aggregates else []
        different, self._places = plan.taken()
        self._states: List[States] = [{} for _ in self._aggregates]
        self._counts: List[Counter[Any]] = [Counter() for _ in self._aggregates]
        #: Of each aggregate the number of the first one that folds the same: p50 and p99 of one field share it.
        self._first = self._firsts()
        self._emitted = 0
        self._keys: List[Any] = []
        self._values: List[List[Any]] = [[] for _ in different]
        #: Rows by group, of a plan that deals them; otherwise they wait in `_keys` and `_values`.
        self._groups: Dict[Any, List[Any]] = defaultdict(list)
        #: Of a plan with a window; whoever feeds tells it the source.
        self.windows: Optional[Windows] = Windows(plan.window) if plan.window else None
        self._in_panes: "Counter[float]" = Counter()
        #: Feeds without a look at the time of the last record.
        self.feed_only = self._made(self.source)
        self.feed = self.feed_only
        if plan.window:
            self._parse = plan.format.layout.parser([plan.window.field])
            self._time_of = plan.format.convert(plan.window.field)
            self.feed = self._timed

    def _firsts(self) -> List[int]:
        known = [(each.alike, place) for each, place in zip(self._aggregates, self._places)]
        # Panes are merged into windows: there each has to have its own.
        return [
            known.index(each) if each[0] and self.plan.window is None else number for number, each in enumerate(known)
        ]

    def _timed(self, data: bytes, start: int, end: int) -> None:
        """Feeds, and looks at the last record's time: those that do not match tell how far the source is, too."""
        self.feed_only(data, start, end)
        self.look(data, start, end)

    def look(self, data: bytes, start: int, end: int) -> None:
        """Only that, after records that were taken in another way."""
        if self.windows is None:
            return
        for _ in range(_MOST_TRIED):
            begin = data.rfind(b"\n", start, end - 1) + 1 or start
            line = data[begin : end - 1]
            found = self._parse(line[:-1] if line[-1:] == b"\r" else line)
            if found is not None:
                self.windows.saw(self._time_of(found[0]))
                return
            end = begin
            if end <= start:
                return

    def by_columns(
        self, order: List[str], cut: "frozenset[str]", chosen: bool
    ) -> Optional[Tuple[Callable[..., None], List[str]]]:
        """Another way to feed it, and which columns that takes (see `compile.by_columns`); None if there is none."""
        found, columns = by_columns(self.plan, order, cut, chosen)
        # Both ways keep rows in one place, of which one thing makes values.
        if [each is None for each in found.values] != [each is None for each in self.source.values]:
            return None
        return self._made(found), columns

    def _made(self, source: Source) -> Callable[..., None]:
        space: Dict[str, Any] = {}
        exec(compile(source.text, "logreduce:plan", "exec"), space)
        env = dict(source.names, SEEN=self.seen, FLUSH=self.flush, K=self._keys, V=self._values)
        env.update(GROUPS=self._groups, NUMBER=self.seen.number)
        if source.literal:
            from provider.runner.locate import Finder

            env["FINDER"] = Finder(source.literal).of
        if self._counts:
            env["COUNT"] = Tally(self._counts[0]).count if source.texts else self._counts[0].update
        if self.windows is not None:
            env.update(CLOCK=self.windows, CLOCK_PANE=self.windows.pane_s, LOW=LOW)
        env["ADD"] = self._keys.append
        env.update(("ADD%d" % index, values.append) for index, values in enumerate(self._values))
        made: Callable[..., None] = space["make"](env)
        return made

    def flush(self) -> None:
        """Folds the rows that wait. Without aggregates they wait for `rows`."""
        if self._groups:
            self._deal()
        keys = self._keys
        if not self._aggregates or not keys:
            return
        if self.windows is not None:
            self._in_panes.update(map(_pane_of, keys) if self.plan.keys else keys)
        self._fold_all(keys, self._values)
        del keys[:]
        for each in self._values:
            del each[:]

    def _deal(self) -> None:
        """A group at a time, where they are few enough: nothing is hashed again, and no group sorted out."""
        groups, makers = self._groups, self.source.values
        rows = sum(map(len, groups.values()))
        if len(groups) * _ROWS_A_GROUP > rows:
            keys = list(chain.from_iterable(map(repeat, groups, map(len, groups.values()))))
            dealt = [(keys, list(chain.from_iterable(groups.values())))]
        else:
            dealt = [([key] * len(values), values) for key, values in groups.items()]
        groups.clear()
        for keys, values in dealt:
            columns: List[List[Any]] = list(map(list, zip(*values))) if len(makers) > 1 else [values]
            self._fold_all(keys, [make(each) if make else each for make, each in zip(makers, columns)])

    def _fold_all(self, keys: List[Any], columns: List[List[Any]]) -> None:
        for number, (aggregate, place) in enumerate(zip(self._aggregates, self._places)):
            if self._first[number] != number:
                continue
            if aggregate.name == "count" and place < 0:
                self._counts[number].update(keys)
            else:
                self._fold(number, keys, columns[place] if place >= 0 else keys)
        self._emitted += len(keys)

    def _fold(self, number: int, keys: List[Any], values: List[Any]) -> None:
        """Nulls are not folded, and keep their place in the order."""
        aggregate = self._aggregates[number]
        if None in values:
            pairs = [(key, value) for key, value in zip(keys, values) if value is not None]
            if not pairs:
                return
            keys, values = [pair[0] for pair in pairs], [pair[1] for pair in pairs]
        aggregate.absorb(self._states[number], aggregate.batch(keys, values, self._tag, self._emitted).items())

    @property
    def groups(self) -> int:
        """Distinct keys held, at most; some may turn out to be one (``0200`` and ``200``)."""
        return max([len(each) for each in self._states + self._counts] or [0])

    @property
    def waiting(self) -> int:
        """Rows that wait to be folded, or for `rows`."""
        return len(self._keys)

    def take(self) -> List[States]:
        """The states of each aggregate by key, and begin anew. They are not to be changed: some may share them."""
        self.flush()
        taken: List[States] = []
        for number, (aggregate, states, counts) in enumerate(zip(self._aggregates, self._states, self._counts)):
            if self._first[number] != number:
                taken.append(dict(taken[self._first[number]]))
                continue
            decoded: States = {}
            aggregate.absorb(decoded, ((self._decoded(key), state) for key, state in states.items()))
            aggregate.absorb(decoded, ((self._decoded(key), count) for key, count in counts.items()))
            taken.append(decoded)
        for each in self._states + self._counts:
            each.clear()
        return taken

    def parcel(self) -> List[Any]:
        """What was folded and seen, as `marshal` takes it, for `join` of another scan of this plan; and begin anew."""
        self.flush()
        seen = self.seen
        parcel = [
            seen.lines,
            seen.matched,
            seen.odd,
            dict(seen.unfit),
            list(seen.samples),
            list(map(dict, self._counts)),
        ]
        for aggregate, states in zip(self._aggregates, self._states):
            parcel.append([list(states), packb(aggregate.dumps(list(states.values())))])
        for each in self._states + self._counts:
            each.clear()
        seen.lines = seen.matched = seen.odd = 0
        seen.unfit.clear()
        del seen.samples[:]
        return parcel

    def join(self, parcel: List[Any]) -> None:
        """Adds what another scan of this plan folded, in another process. There is no window."""
        lines, matched, odd, unfit, samples, counts = parcel[:6]
        self.seen.lines += lines
        self.seen.matched += matched
        self.seen.odd += odd
        self.seen.unfit.update(unfit)
        for line in samples:
            self.seen.sample(line)
        for mine, other in zip(self._counts, counts):
            mine.update(other)
        for aggregate, states, (keys, dumped) in zip(self._aggregates, self._states, parcel[6:]):
            aggregate.absorb(states, zip(keys, map(aggregate.load, unpackb(dumped))))

    def taken(self) -> List[Taken]:
        """The same by window; of a plan without, all of it is of none."""
        states = self.take()
        if self.windows is None:
            return [Taken(None, 0, states)]
        counts, self._in_panes = self._in_panes, Counter()
        return list(self.windows.spread(self._aggregates, by_pane(states, counts, len(self.plan.keys))))

    def rows(self) -> List[Tuple[Any, ...]]:
        """The rows of a plan without aggregates, since this was last asked."""
        rows = [key if type(key) is tuple else (key,) for key in self._keys]
        del self._keys[:]
        return rows

    def _decoded(self, key: Any) -> Any:
        makers = self.source.keys
        if not makers:
            return key
        if len(makers) == 1:
            return makers[0](key)
        return tuple([maker(part) for maker, part in zip(makers, key)])
