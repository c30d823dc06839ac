"""Rows that several plans take of one block: what they need is read out of it once, for all of them.

Knows compiled plans. Does not know files, jobs or cuts. It travels with plans: standard library only, Python 3.6.

Theory of operation
-------------------
Plans of one format are read together: the fields that any of them needs, a column each. A line of which all of these
can be read says the same to a plan that needs a few of them (see `Format`); any other line is left to each plan's own
way, which knows what that plan makes of it. A condition on one field is looked up by that field's bytes, and by all
plans that have it together: logs have few statuses, and many lines.

Each plan takes its columns by itself, so that one which fails does so alone. Left out are plans that cost less by
themselves, finding a text that few lines hold; those that need whole lines; and those to whom the order of lines means
something.
"""

import re
from functools import partial
from itertools import compress
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Tuple

from provider.runner.bodies import prefixes
from provider.runner.compile import condition, tested
from provider.runner.expressions import fields
from provider.runner.folding import Scan
from provider.runner.formats.form import LINE
from provider.runner.plan import PLACED, Plan

#: Verdicts of a condition that are kept.
_MOST_VERDICTS = 4096
#: One in this many rows may need a new verdict; with more, each plan looks for itself.
_STRANGE = 8

Give = Callable[[], None]


class _Verdicts(dict):  # type: ignore[type-arg]  # Dict is but a hint in what travels
    """Whether a condition is true, by a field's bytes."""

    def __init__(self, test: Callable[[Any], bool]) -> None:
        super().__init__()
        self._test = test
        self._missed = 0
        self._asked = 0

    def __missing__(self, raw: Any) -> bool:
        self._missed += 1
        if len(self) >= _MOST_VERDICTS:
            self.clear()
        found = self[raw] = self._test(raw)
        return found

    def of(self, column: Any) -> List[bool]:
        """One for each row."""
        self._asked += len(column)
        return list(map(self.__getitem__, column))

    @property
    def useless(self) -> bool:
        """What it is asked for is mostly new."""
        return self._missed * _STRANGE > self._asked + _MOST_VERDICTS


class _Member(NamedTuple):
    """A plan among the others."""

    scan: Scan
    #: Takes how many rows there are, how many of them fulfil its condition, and its columns of those.
    take: Callable[..., None]
    #: Which columns.
    places: Tuple[int, ...]
    #: The column of its condition, and the verdicts; None: it looks itself.
    verdicts: Optional[Tuple[int, _Verdicts]]


class _Rows:
    """What was read of one block."""

    def __init__(self, data: bytes, number: int, columns: List[Any], rest: bytes) -> None:
        self._data = data
        self._number = number
        self._columns = columns
        #: Lines that each plan has to read itself.
        self._rest = rest
        #: By verdicts: for each row, and the columns of those that are chosen.
        self._chosen: Dict[int, Tuple[List[bool], Dict[int, Any]]] = {}

    def give(self, member: _Member) -> None:
        """To one plan."""
        if self._rest:
            member.scan.feed_only(self._rest, 0, len(self._rest))
        if self._number and member.verdicts is None:
            member.take(self._number, self._number, *[self._columns[place] for place in member.places])
        elif self._number and member.verdicts is not None:
            chosen, columns = self._of(*member.verdicts)
            for place in member.places:
                if place not in columns:
                    columns[place] = list(compress(self._columns[place], chosen))
            member.take(self._number, chosen.count(True), *[columns[place] for place in member.places])
        member.scan.look(self._data, 0, len(self._data))

    def _of(self, place: int, verdicts: _Verdicts) -> Tuple[List[bool], Dict[int, Any]]:
        if id(verdicts) not in self._chosen:
            self._chosen[id(verdicts)] = verdicts.of(self._columns[place]), {}
        return self._chosen[id(verdicts)]


class Shared:
    """Plans of one format that are read together.

    Args:
        scans: by any name; at least one.
    """

    def __init__(self, scans: Dict[int, Scan]) -> None:
        plans = [scan.plan for scan in scans.values()]
        self._layout = plans[0].format.layout
        needed = list(dict.fromkeys(name for name in self._layout.names if any(name in p.needed() for p in plans)))
        needed += sorted({name for plan in plans for name in plan.needed()}.difference(needed))
        depths = _depths(plans)
        bulk = self._layout.bulk(needed, depths)
        self._order = list(bulk.order) if bulk else needed
        #: Of fields that all want the same prefix of, that prefix only.
        self._cut = bulk.cut if bulk else frozenset()
        self._depths = [(self._order.index(name), depths[name]) for name in self._cut]
        self._guards = bulk.guards if bulk else ()
        self._rows = re.compile(("(?m:^)" + bulk.pattern).encode("utf-8")).findall if bulk else None
        self._parse = self._layout.parser(self._order)
        self._verdicts: Dict[str, _Verdicts] = {}
        self._members: Dict[int, _Member] = {}
        for name, scan in scans.items():
            self._add(name, scan, self._verdicts_of(scan.plan))

    def _add(self, name: int, scan: Scan, verdicts: Optional[Tuple[int, _Verdicts]]) -> None:
        made = scan.by_columns(self._order, self._cut, verdicts is not None)
        if made is not None:
            self._members[name] = _Member(scan, made[0], tuple(map(self._order.index, made[1])), verdicts)
        elif verdicts is not None:
            self._add(name, scan, None)

    def _verdicts_of(self, plan: Plan) -> Optional[Tuple[int, _Verdicts]]:
        where = condition(plan)
        used = fields(where) if where else []
        if where is None or len(used) != 1 or self._layout.typed or used[0] in self._cut:
            return None
        if repr(where) not in self._verdicts:
            self._verdicts[repr(where)] = _Verdicts(tested(plan, where, used[0]))
        return self._order.index(used[0]), self._verdicts[repr(where)]

    def read(self, data: bytes) -> Dict[int, Give]:
        """Of whole lines: what gives each plan its part, by its name."""
        for name, member in list(self._members.items()):
            if member.verdicts is not None and member.verdicts[1].useless:
                self._add(name, member.scan, None)
        rows = self._at_once(data) or self._by_lines(data)
        return {name: partial(rows.give, member) for name, member in self._members.items()}

    def _at_once(self, data: bytes) -> Optional[_Rows]:
        """None: it may hold a line that does not parse, or that the pattern and the parser do not agree about."""
        if self._rows is None or any(data.find(guard) >= 0 for guard in self._guards):
            return None
        rows = self._rows(data)
        if len(rows) != len(data) - len(data.replace(b"\n", b"")):
            return None
        return _Rows(data, len(rows), list(zip(*rows)) if len(self._order) > 1 else [rows], b"")

    def _by_lines(self, data: bytes) -> _Rows:
        parse = self._parse
        rows, rest = [], []
        for line in data[:-1].split(b"\n"):
            row = parse(line[:-1] if line[-1:] == b"\r" else line)
            if row is None:
                rest.append(line)
            else:
                rows.append(row)
        columns: List[Any] = list(zip(*rows))
        for place, depth in self._depths if rows else ():
            columns[place] = [_prefix(each, depth) for each in columns[place]]
        return _Rows(data, len(rows), columns, b"\n".join(rest) + b"\n" if rest else b"")


def together(scans: Dict[int, Scan]) -> List[Shared]:
    """Those of some scans that gain by being read together; an empty list if none do."""
    formats: Dict[str, Dict[int, Scan]] = {}
    for name, scan in scans.items():
        if _shares(scan.plan):
            known = repr((scan.plan.format.data, sorted(scan.plan.format.types)))
            formats.setdefault(known, {})[name] = scan
    found = []
    for each in formats.values():
        read = {name for scan in each.values() if scan.source.literal is None for name in scan.plan.needed()}
        chosen = {name: scan for name, scan in each.items() if read.issuperset(scan.plan.needed())}
        if len([scan for scan in chosen.values() if scan.plan.needed()]) > 1:
            found.append(Shared(chosen))
    return found


def _shares(plan: Plan) -> bool:
    placed = any(each.name.partition("(")[0] in PLACED for each in plan.aggregates)
    return bool(plan.aggregates) and not placed and plan.format.start is None and LINE not in plan.needed()


def _depths(plans: List[Plan]) -> Dict[str, int]:
    """Fields of which all that need them want one prefix, and to which depth."""
    wanted: Dict[str, List[int]] = {}
    for plan in plans:
        depths = prefixes(plan, condition(plan))
        for name in plan.needed():
            wanted.setdefault(name, []).append(depths.get(name, -1))
    return {name: depths[0] for name, depths in wanted.items() if depths[0] >= 0 and len(set(depths)) == 1}


def _prefix(raw: bytes, depth: int) -> bytes:
    return b"/".join(raw.partition(b"?")[0].split(b"/", depth + 1)[: depth + 1])
