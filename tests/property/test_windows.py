"""Windows of event time: what they hold does not depend on cuts, order or who read what."""

from __future__ import annotations

from collections import Counter
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backplane.query.formats import format_data
from backplane.reduce.columns import Marks, decode
from backplane.reduce.folds import AggregateFold
from backplane.reduce.saving import Saved
from backplane.reduce.windowed import WindowedFold
from backplane.reduce.windows import Expected, Windows
from provider.runner.aggregates import Combiner, tag
from provider.runner.folding import Scan
from provider.runner.pack import packb
from provider.runner.plan import Plan

LATENESS_S = 20
RUNS, OVER = Expected(True, False, 0.0, ""), Expected(False, True, 0.0, "")
NAMES = ["count", "sum"]

Record = tuple[int, str, int]
_shapes = st.sampled_from([(60, 60), (60, 20), (50, 30), (1, 1)])


@st.composite
def _log(draw: st.DrawFn) -> list[Record]:
    """Records of one source, none of them earlier than another before it by more than the lateness."""
    at, records = draw(st.integers(0, 100)), []
    for _ in range(draw(st.integers(0, 12))):
        at += draw(st.integers(0, 40))
        back = draw(st.integers(0, LATENESS_S))
        records.append((max(0, at - back), draw(st.sampled_from("ab")), draw(st.integers(0, 9))))
    return records


class _Provider:
    """Reads one log a few records at a time, and cuts."""

    def __init__(self, name: str, shape: tuple[int, int], records: list[Record]) -> None:
        self.name = name
        self.records = records
        self._combiner = Combiner(NAMES, tag(name, 1))
        plan = {
            "version": 1,
            "format": format_data("json"),
            "keys": [["k", ["field", "k"]]],
            "aggregates": [["count", None], ["sum", ["field", "v"]]],
            "window": ["t", *shape, LATENESS_S],
        }
        self._scan = Scan(Plan.of(plan), tag(name, 1))
        assert self._scan.windows is not None
        self.windows = self._scan.windows
        self.windows.known("/log")

    def cut(self, count: int) -> list[Saved]:
        """What the next records bring."""
        some, self.records = self.records[:count], self.records[count:]
        data = b"".join(b'{"t": %d, "k": "%s", "v": %d}\n' % (at, key.encode(), value) for at, key, value in some)
        if some:
            self.windows.turn("/log")
            self._scan.feed(data, 0, len(data))
        found = [
            Saved(self.name, "partials", payload)
            for window, count, states in self._scan.taken()
            for payload in self._combiner.tell(states, 1 << 20, window, count)
        ]
        marks = self.windows.marks()
        return [*found, Saved(self.name, "marks", packb(marks))] if marks else found


def _plain(shape: tuple[int, int], logs: list[list[Record]]) -> list[Any]:
    """The same by a loop over all records and all windows."""
    size, every = shape
    counts: Counter[tuple[int, str]] = Counter()
    sums: Counter[tuple[int, str]] = Counter()
    for at, key, value in (record for log in logs for record in log):
        for begin in range(at // every * every - size // every * every - every, at + 1, every):
            if begin <= at < begin + size:
                counts[begin, key] += 1
                sums[begin, key] += value
    return [([begin, begin + size], key, counts[begin, key], sums[begin, key]) for begin, key in sorted(counts)]


def _shown(fold: WindowedFold) -> list[Any]:
    return [tuple(row) for row in fold.rows().rows]


@settings(max_examples=60, deadline=None)
@given(shape=_shapes, logs=st.lists(_log(), min_size=1, max_size=3), data=st.data())
def test_windows_hold_what_a_plain_loop_finds(
    shape: tuple[int, int], logs: list[list[Record]], data: st.DataObject
) -> None:
    """Whatever the cuts, and whoever is faster: no row of a closed window changes, and all are as a loop has them."""
    fold = WindowedFold(AggregateFold(NAMES), Windows(LATENESS_S))
    providers = [_Provider(f"p{number}", shape, list(log)) for number, log in enumerate(logs)]
    expected = dict.fromkeys((each.name for each in providers), RUNS)
    closed: dict[Any, list[Any]] = {}
    watermark = float("-inf")
    live = list(providers)
    while live:
        each = data.draw(st.sampled_from(live))
        for piece in each.cut(data.draw(st.integers(0, 4))):
            fold.restore(piece)
        if not each.records:
            live.remove(each)
            for piece in each.cut(0):
                fold.restore(piece)
            expected[each.name] = OVER
        fold.windows.advance(expected, 0.0)
        assert fold.windows.watermark >= watermark
        watermark = fold.windows.watermark
        rows = _shown(fold)
        for told in fold.windows.tell():
            assert told.revision == 0
            closed.setdefault(told.window, [row for row in rows if tuple(row[0]) == told.window])
    assert _shown(fold) == _plain(shape, logs)
    assert [row for window in sorted(closed) for row in closed[window]] == _shown(fold)


@settings(max_examples=60, deadline=None)
@given(shape=_shapes, logs=st.lists(_log(), min_size=1, max_size=3), data=st.data())
def test_who_comes_late_is_counted_or_changes_a_row(
    shape: tuple[int, int], logs: list[list[Record]], data: st.DataObject
) -> None:
    """Without waiting for anybody: windows that are kept end as a loop has them, each told again when it changed."""
    fold = WindowedFold(AggregateFold(NAMES), Windows(0, keeps=data.draw(st.integers(0, 8))))
    last: dict[Any, tuple[int, list[Any]]] = {}
    late = 0
    for number, log in enumerate(logs):
        provider = _Provider(f"p{number}", shape, list(log))
        while provider.records:
            for piece in provider.cut(data.draw(st.integers(1, 4))):
                fold.restore(piece)
            fold.windows.advance({provider.name: RUNS}, 0.0)
            rows = _shown(fold)
            for told in fold.windows.tell():
                mine = [row for row in rows if tuple(row[0]) == told.window]
                before = last.get(told.window)
                if before is not None:
                    assert told.revision >= before[0]
                    assert (told.revision > before[0]) == (mine != before[1])
                last[told.window] = told.revision, mine
            fold.forget(fold.windows.forgotten(shown=True))
            assert fold.groups <= 2 * (8 + len(rows))
    late = sum(fold.windows.late.values())
    plain = _plain(shape, logs)
    kept = {tuple(row[0]) for row in _shown(fold)}
    if not late:
        assert _shown(fold) == [row for row in plain if tuple(row[0]) in kept]
    told = sum(count for _, _, count, _ in _shown(fold)) + sum(
        count for window, (_, rows) in last.items() if window not in kept for _, _, count, _ in rows
    )
    assert told + late == sum(count for _, _, count, _ in plain)


def test_marks_are_what_the_wire_knows() -> None:
    """What a runner packs, home reads."""
    provider = _Provider("p", (60, 60), [(10, "a", 1)])
    assert decode("marks", provider.cut(0)[-1].payload) == Marks((("/log", None),))
    assert decode("marks", provider.cut(1)[-1].payload) == Marks((("/log", 10.0),))
