"""Which aggregates there are, and what their names say: ``count``, ``p99.9``, ``top(20)``, ``quantiles(0.5, 0.99)``.

Knows names and the modules behind them; imports an aggregate's module when a query asks for it, so that no other job
compiles it. Travels: standard library only, Python 3.6.
"""

from typing import Any, Callable, Dict, FrozenSet, Iterable, List, NamedTuple, Tuple

from provider.runner.aggregates.base import Aggregate, AggregateError

Arguments = List[Any]


class _Home(NamedTuple):
    """Where an aggregate is, and what it may be given."""

    module: str
    maker: str
    #: Checks the arguments, and gives them as the maker takes them.
    takes: "Callable[[str, Arguments], Tuple[Any, ...]]"
    #: Modules of this package that it needs besides.
    helpers: Tuple[str, ...] = ()
    #: The maker is told the name that was asked for.
    named: bool = False


def _none(name: str, given: Arguments) -> Tuple[Any, ...]:
    if given:
        raise AggregateError("%s takes no argument" % name)
    return ()


def _one(default: int, most: int) -> "Callable[[str, Arguments], Tuple[Any, ...]]":
    def takes(name: str, given: Arguments) -> Tuple[Any, ...]:
        given = given or [default]
        if len(given) != 1 or type(given[0]) is not int or not 1 <= given[0] <= most:
            raise AggregateError("%s takes how many, from 1 to %d" % (name, most))
        return (given[0],)

    return takes


def _shares(name: str, given: Arguments) -> Tuple[Any, ...]:
    given = given or [0.5, 0.9, 0.99]
    if not all(0 <= share <= 1 for share in given) or len(given) > 20:
        raise AggregateError("%s takes up to 20 numbers from 0 to 1" % name)
    return (tuple(map(float, given)),)


def _bounds(name: str, given: Arguments) -> Tuple[Any, ...]:
    if len(given) > 200 or sorted(set(given)) != given:
        raise AggregateError("%s takes up to 200 bounds, each larger than the one before" % name)
    return (tuple(given),)


_HOMES: Dict[str, _Home] = {
    "count": _Home("counts", "Count", _none),
    "sum": _Home("sums", "Sum", _none),
    "min": _Home("extremes", "Extreme", _none, ("order",), named=True),
    "max": _Home("extremes", "Extreme", _none, ("order",), named=True),
    "mean": _Home("sums", "Mean", _none),
    "var": _Home("moments", "Moment", _none, named=True),
    "stddev": _Home("moments", "Moment", _none, named=True),
    "quantiles": _Home("quantiles", "Quantiles", _shares, ("buckets",)),
    "median": _Home("quantiles", "Quantiles", _none, ("buckets",)),
    "top": _Home("top", "Top", _one(10, 1000), ("order", "tokens")),
    "distinct": _Home("distinct", "Distinct", _none, ("tokens",)),
    "histogram": _Home("histogram", "Histogram", _bounds, ("buckets",)),
    "sample": _Home("places", "Sample", _one(10, 10000), ("collect",)),
    "first": _Home("places", "End", _none, ("collect",), named=True),
    "last": _Home("places", "End", _none, ("collect",), named=True),
    "collect": _Home("collect", "Collect", _one(1000, 100000)),
}

#: What a query may name, without arguments; ``p50`` and the like besides.
AGGREGATES: Tuple[str, ...] = tuple(_HOMES)

_CALL = r"([a-z]+)(?:\((.*)\))?$"
_PERCENT = r"p([0-9]{1,2}(?:\.[0-9]{1,6})?|100)$"
_INT = r"[+-]?[0-9]{1,18}$"

_made: Dict[str, Aggregate] = {}


def chosen(names: List[str]) -> List[Aggregate]:
    """The aggregates of these names.

    Raises:
        AggregateError: there is none of a name, its arguments are wrong, or no name.
    """
    if not names:
        raise AggregateError("no aggregate was named")
    return [_made.get(name) or _make(name) for name in names]


def modules(names: Iterable[str]) -> FrozenSet[str]:
    """The modules, by their whole names, that these aggregates are in.

    Raises:
        AggregateError: as `chosen`.
    """
    homes = [_HOMES[_read(name)[0]] for name in names]
    return frozenset(_module(each) for home in homes for each in (home.module,) + home.helpers)


def _make(name: str) -> Aggregate:
    kind, given = _read(name)
    home = _HOMES[kind]
    maker = getattr(__import__(_module(home.module), None, None, [home.maker]), home.maker)
    made: Aggregate = maker(kind, *given) if home.named else maker(*given)
    made.name = name
    if len(_made) < 100:
        _made[name] = made
    return made


def _module(name: str) -> str:
    return "provider.runner.aggregates." + name


def _read(name: str) -> Tuple[str, Tuple[Any, ...]]:
    """An aggregate's kind, and what its maker is given."""
    if name in _HOMES:
        return _called(name, [])
    import re  # only here: it costs a host 4 ms

    text = name.replace(" ", "")
    percent = re.match(_PERCENT, text)
    if percent:
        return "quantiles", ((float(percent.group(1)) / 100,), (text,))
    call = re.match(_CALL, text)
    if not call or call.group(1) not in _HOMES:
        raise AggregateError(
            "there is no aggregate %.40r; there are %s, and p50, p99 and the like" % (name, ", ".join(AGGREGATES))
        )
    kind = call.group(1)
    return _called(kind, [_number(kind, each) for each in (call.group(2) or "").split(",") if each])


def _called(kind: str, given: Arguments) -> Tuple[str, Tuple[Any, ...]]:
    taken = _HOMES[kind].takes(kind, given)
    return kind, ((0.5,), ("median",)) if kind == "median" else taken


def _number(kind: str, text: str) -> Any:
    import re

    if re.match(_INT, text):
        return int(text)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if value - value != 0:
        raise AggregateError("%s(%.40s): its arguments are numbers" % (kind, text))
    return value
