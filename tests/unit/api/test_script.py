"""Questions that are functions of a running program: what of them travels, and what is refused."""

from __future__ import annotations

import collections
import functools
import json
import os.path
import re
import xml.etree.ElementTree
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import hypothesis
import pytest

import backplane as lr
from backplane.query.model import Query
from tests.unit.api import helping
from tests.unit.api.helping import doubled, twice
from tests.unit.api.helping import doubled as helped

floor = 500
LINE = re.compile(r'"\w+ ([^ "]+)', re.ASCII)
STEPS = {"a": [1, (2, 3)], "b": {4}, None: frozenset({b"x"})}
Values = list[Any]


def part(line: str, at: int = floor) -> list[str]:
    return [each for each in line.split() if len(each) < at]


def run(query: Query, lines: Iterable[str]) -> Values:
    """What a provider's map gives of lines."""
    space: dict[str, Any] = {}
    exec(compile(query.map_source, query.file, "exec"), space)
    return list(space["map"](lines))


@lr.script(logs="/var/log/a.log", reduce=["count", "sum"])
def errors(lines: Iterable[str]) -> Iterator[tuple[str, int]]:
    """Errors by path.

    And more.
    """
    for line in lines:
        found = LINE.search(line)
        if found and int(part(line)[-1]) >= floor:
            yield found[1], doubled(int(part(line)[-1]))


def test_what_it_reaches_travels() -> None:
    """Functions as source, patterns and constants as they are; settings mean what they mean in a query file."""
    query = errors.understood()
    assert (query.title, query.name, query.sources) == ("Errors by path.", "errors", ("/var/log/a.log",))
    assert query.reduction.aggregates == query.combine == ("count", "sum")
    assert query.params["floor"] == 500
    assert query.replayable, query.replayable_reason
    assert run(query, ['"GET /x" 500', '"GET /x" 404', "no"]) == [("/x", 1000)]


def test_a_constant_is_a_parameter() -> None:
    """Its value is that of the time of asking, or another one that is asked for."""
    assert run(errors.understood(settings={"floor": "400"}), ['"GET /x" 404']) == [("/x", 808)]
    with pytest.raises(lr.UsageError, match="no parameter 'flor'; did you mean 'floor'"):
        errors.understood(settings={"flor": "1"})


def test_a_closure_is_taken_as_it_is_when_it_is_asked() -> None:
    """As Python's own closures are: a variable's last value counts."""
    least = 3

    @lr.script(logs="/a")
    def above(lines: Iterable[str]) -> Iterator[int]:
        for line in lines:
            if int(line) > least:
                yield int(line)

    assert run(above.understood(), ["3", "4"]) == [4]
    least = 5
    assert run(above.understood(), ["5", "6"]) == [6]
    assert list(above(["5", "6"])) == [6]


def test_texts_keep_their_blanks() -> None:
    """A function that is indented is moved to the left, and what stands within its texts is not."""

    @lr.script(logs="/a")
    def f(lines: Iterable[str]) -> Iterator[str]:
        text = """one
            two
"""
        yield text
        yield f"""{text}
            three"""

        yield f"""a {len(text)} b"""

    assert run(f.understood(), []) == list(f([]))


def test_lines_of_a_traceback_are_those_of_the_file() -> None:
    """Where a definition leaves room, each of its lines is where it is in the user's file."""
    query = errors.understood()
    assert query.file == __file__
    with open(__file__, encoding="utf-8") as file:
        lines = file.read().split("\n")

    @lr.script(logs="/a")
    def alone(lines: Iterable[str]) -> Iterator[int]:
        yield 1 // len(LINE.pattern[:0])

    made = alone.understood()
    with pytest.raises(ZeroDivisionError) as caught:
        run(made, [])
    assert caught.traceback[-1].lineno + 1 == lines.index("        yield 1 // len(LINE.pattern[:0])") + 1


def test_what_is_needed_first_comes_first() -> None:
    """A decorator or a default of another file stands before what it is needed for; wrapped functions travel whole."""

    @twice
    def wrapped(line: str) -> int:
        return len(line) * least

    @functools.lru_cache
    def cached(line: str, more: int = helped(1)) -> int:
        return wrapped(line) + more

    least = 3

    @lr.script(logs="/a")
    def uses(lines: Iterable[str]) -> Iterator[int]:
        for line in lines:
            yield cached(line)

    assert run(uses.understood(), ["ab"]) == list(uses(["ab"])) == [14]


def test_types_are_left_out() -> None:
    """A provider's Python may be too old for them, and none of it needs them."""

    @lr.script(logs="/a")
    def typed(
        lines: (Iterable[str] | None) = (),
        *,
        more: dict[str, Callable[[int], int]] = {},  # noqa: B006 - so that there is a default behind a type
    ) -> (
        Iterator[
            tuple[str, int]
        ]
    ):  # fmt: skip
        for line in lines or ():
            yield line, len(more)

    query = typed.understood()
    assert run(query, ["x"]) == [("x", 0)]
    assert not re.search(r"Iterable|Callable|Iterator|tuple", query.map_source)


def test_modules_and_what_they_hold_are_imported() -> None:
    """Of the standard library: modules, functions, classes, and modules in packages."""

    @lr.script(logs="/a")
    def imports(lines: Iterable[str]) -> Iterator[object]:
        yield json.dumps(dict(collections.Counter(lines)))
        yield os.path.basename("/a/b")
        yield xml.etree.ElementTree.fromstring("<a/>").tag
        yield STEPS
        yield Point(3).x

    assert run(imports.understood(), ["x"]) == ['{"x": 1}', "b", "a", STEPS, 3]


class Point:
    """Travels as source."""

    def __init__(self, x: int) -> None:
        self.x = x


def test_a_filter_travels_by_itself() -> None:
    """With what it reaches."""

    def keeps(provider: Any) -> bool:
        return bool(provider.readable(PLACE))

    @lr.script(logs="/a", filter=keeps)
    def lines_of(lines: Iterable[str]) -> Iterator[str]:
        yield from lines

    query = lines_of.understood()
    assert query.filter_source is not None
    assert "def filter(provider" in query.filter_source
    assert "PLACE = '/var/log/a'" in query.filter_source
    assert "PLACE" not in query.map_source


PLACE = "/var/log/a"


def test_reduce_stays_home() -> None:
    """A function of two values, or a class, of this very process."""

    class Longest:
        def add(self, key: object, value: object) -> None: ...

        def rows(self) -> list[object]:
            return []

    for reduce, kind in ((max, "function"), (lambda a, b: a + b, "function"), (Longest, "class")):
        query = lr.script(logs="/a", reduce=reduce)(errors.map).understood()
        assert query.reduction.kind == kind
    with pytest.raises(lr.QueryError, match="called with two values"):
        lr.script(logs="/a", reduce=lambda a: a)(errors.map).understood()  # type: ignore[arg-type]  # wrong on purpose


def refused(found: Callable[..., Any], **settings: Any) -> str:
    with pytest.raises(lr.UsageError) as caught:
        lr.script(**{"logs": "/a", **settings})(found).understood()
    return str(caught.value)


def test_what_cannot_travel_is_refused_by_its_line() -> None:
    """With what to do instead."""
    handle = object()

    def holds(lines: Iterable[str]) -> Iterator[object]:
        yield handle

    def foreign(lines: Iterable[str]) -> Iterator[object]:
        yield hypothesis.settings

    def given(lines: Iterable[str]) -> Iterator[object]:
        yield hypothesis

    def own(lines: Iterable[str]) -> Iterator[object]:
        yield helping.doubled(1)

    def unknown(lines: Iterable[str]) -> Iterator[object]:
        yield nowhere  # type: ignore[name-defined]  # noqa: F821 - that is the point

    said = refused(holds)
    assert re.match(rf"{re.escape(__file__)}:\d+: `handle` is a object, which cannot travel", said)
    assert 'declare needs=["module:hypothesis"]' in refused(foreign)
    assert lr.script(logs="/a", needs=["module:hypothesis"])(given).understood().needs == ("module:hypothesis",)
    assert "`from tests.unit.api.helping import ...`" in refused(own)
    assert "`nowhere` is nowhere defined" in refused(unknown)
    assert "by `def`, with a name" in refused(lambda lines: lines)
    assert "no source" in refused(eval("lambda lines: lines"))


def test_names_with_a_meaning_are_refused() -> None:
    """A name of the program that means something else in a query file would change the query."""
    reduce = 3

    def uses(lines: Iterable[str]) -> Iterator[int]:
        yield reduce

    def builtin(lines: Iterable[str]) -> Iterator[object]:
        yield from map(str, lines)

    assert "`reduce` has a meaning of its own" in refused(uses)
    assert "use builtins.map" in refused(builtin)


def test_what_a_query_file_may_not_say_neither_may_it() -> None:
    """Settings are checked as a query file's are."""
    assert "no aggregate 'summ'" in refused(errors.map, reduce="summ")
    assert "nothing is known of 'exe:strace'" in refused(errors.map, needs=["exe:strace"])
    assert "nothing says whose" in refused(errors.map, logs=None)
    assert lr.script(logs="/a", encoding=None)(errors.map).understood().encoding is None
