"""Types of an answer's columns: alike however it is asked, and unknown where nobody can know."""

from __future__ import annotations

import pytest

import backplane as lr
from backplane.query.oneline import OneLine, OneLineError, one_line
from backplane.query.sql import sql

TIMES = {
    "max(time) as a": "max(time)",
    "first(time) as a": "first(time)",
    "mean(time) as a": "avg(time)",
    "max(bin(time, 60)) as a": "date_trunc('minute', max(time))",
    "max(if(time is null, 0, time)) as a": "max(coalesce(time, TIMESTAMP '2015-05-17 10:00:00'))",
    "max(time + 3600) as a": "max(time + INTERVAL 1 HOUR)",
    "min(time - 60) as a": "min(time - INTERVAL 1 MINUTE)",
    "max(if(status >= 500, time, null)) as a": "max(time) FILTER (WHERE status >= 500)",
}
OTHERS = {
    "count as a": ("count(*)", "int"),
    "sum(bytes) as a": ("sum(bytes)", "int"),
    "p99(bytes) as a": ("approx_quantile(bytes, 0.99)", "float"),
    "p50(time) as a": ("median(time)", "float"),
    "min(path) as a": ("min(path)", "string"),
    "max(date(time)) as a": ("max(date(time))", "string"),
    "max(float(time)) as a": ("max(epoch(time))", "float"),
    "max(time * 2) as a": ("max(time * 2)", "float"),
    "max(time - bin(time, 1d)) as a": ("max(time - date_trunc('day', time))", "float"),
    "collect(path) as a": (None, None),
}


def line(text: str) -> dict[str, str]:
    return dict(one_line(f"nginx access.log | {text}").kinds)


def select(text: str, rest: str = "") -> dict[str, str]:
    return dict(sql(f"SELECT {text} FROM 'nginx:access.log' {rest}").kinds)


@pytest.mark.parametrize("folded", TIMES)
def test_an_aggregate_of_times_that_gives_one_is_a_time(folded: str) -> None:
    """In one line, in SQL and by a builder."""
    assert line(folded)["a"] == "time"
    assert select(f"{TIMES[folded]} AS a")["a"] == "time"
    assert dict(lr.logs("nginx", "access.log").aggregate(folded).understood().kinds)["a"] == "time"


@pytest.mark.parametrize("folded", OTHERS)
def test_whatever_else_it_gives_has_its_own_type(folded: str) -> None:
    """A percentile of times would look exact as a time; the double of a time is none."""
    text, kind = OTHERS[folded]
    assert line(folded).get("a") == kind
    assert text is None or select(f"{text} AS a").get("a") == kind


def test_keys_and_columns_have_types() -> None:
    """What groups, and what lines show; a provider's name is a text."""
    assert line("count by bin(time, 1m) as minute, host") == {"minute": "time", "host": "string", "count": "int"}
    assert line("uniq time, path") == {"time": "time", "path": "string"}
    assert line("fields time, status >= 500 as bad") == {
        "time": "time",
        "bad": "bool",
    }
    assert select("time, path") == {"time": "time", "path": "string"}
    assert select("date_trunc('hour', time) AS hour, count(*) AS n", "GROUP BY hour") == {"hour": "time", "n": "int"}
    assert select("DISTINCT time") == {"time": "time"}


def test_steps_give_types() -> None:
    """A column that is only shown keeps its type, a list too; one that is computed has that of what is computed."""
    text = "max(time) as to, min(time) as since, collect(time) as all, top(3, time) as often"
    assert line(text) == {"to": "time", "since": "time", "all": "times", "often": "counted times"}
    assert line(f"{text} | let took = to - since | fields took, to as until, all, bin(since, 1h) as hour") == {
        "took": "float",
        "until": "time",
        "all": "times",
        "hour": "time",
    }
    assert select("max(time) - min(time) AS took, max(time) AS til") == {"took": "float", "til": "time"}


def test_what_a_format_does_not_say_is_unknown() -> None:
    """JSON may hold anything under a name, and a text stays the text that it was."""
    assert dict(one_line("json x.log | max(time), first(time) as f, count by kind").kinds) == {"count": "int"}


def test_rows_are_asked_for_their_times() -> None:
    """After an aggregate a time is compared with a text, as before it."""
    text = "nginx access.log | max(time) as last by path | where last >= '2015-05-17T10:05:03Z'"
    (step,) = one_line(text).steps
    assert step == ("where", [">=", ["field", "last"], ["value", 1431857103.0]])
    for stage in (
        "let early = bin(last, 1h) | where early < '2015-05-17'",
        "fields last as z | where z = '2015-05-17'",
    ):
        assert isinstance(one_line(f"nginx a.log | max(time) as last by path | {stage}"), OneLine)
    with pytest.raises(OneLineError, match="last is a time, and 'noon' is not one"):
        one_line("nginx access.log | max(time) as last by path | where last > 'noon'")
    asked = sql("SELECT path, max(time) FILTER (WHERE status > 1) AS m FROM nginx GROUP BY 1 HAVING m > '2015-05-17'")
    assert asked.steps[0][1][2][0] == "value"
    assert type(asked.steps[0][1][2][1]) is float
