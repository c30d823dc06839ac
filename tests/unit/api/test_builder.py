"""Questions put together by method calls."""

from __future__ import annotations

import re

import pytest

import backplane as lr
from backplane.query.oneline import OneLineError, one_line
from provider.runner.aggregates.names import AGGREGATES


def test_it_is_the_question_of_one_line() -> None:
    """What is put together is a line's text and a line's plan."""
    asked = (
        lr.logs("nginx", "/var/log/nginx/access.log")
        .where("status >= 500")
        .count()
        .p99("bytes", name="slow")
        .by("path", kb="bytes / 1024")
        .where("count > 5")
        .sort("-count", "path")
        .limit(10)
    )
    text = (
        "nginx /var/log/nginx/access.log | where status >= 500 | count, p99(bytes) as slow by path, bytes / 1024 as kb"
        " | where count > 5 | sort -count, path | limit 10"
    )
    assert str(asked) == text
    assert asked.understood() == one_line(text)


def test_every_stage_has_its_method() -> None:
    """Each method's text is read back as what it says."""
    begun = lr.logs("raw", "/a.log")
    asked = [
        begun.search("it's | 'x' \\n").let(n="length(line)").fields("n", half="n / 2"),
        begun.uniq("line").sort("line"),
        begun.parse("took * ms", "took").sum("took").tail(3),
        begun.json().count().by("status"),
        begun.logfmt("line").max("took").sort(),
        begun.parse(re.compile(r"(?P<verb>GET|POST) /(?P<rest>\S+)", re.IGNORECASE)).top(3, "verb"),
        lr.logs("nginx").timeslice("1m").count("bytes"),
        lr.logs("nginx").mean("bytes").var("bytes").stddev("bytes").median("bytes").p50("bytes").p90("bytes"),
        lr.logs("nginx").min("bytes").p95("bytes").distinct("path").first("path").last("path"),
        lr.logs("nginx").aggregate("histogram(bytes)", "sample(3, path)", all="collect(5, path)"),
    ]
    for each in asked:
        assert each.understood() == one_line(str(each), each.paths or None)


def test_a_question_never_changes() -> None:
    """A method gives a new one, so that one beginning serves many ends."""
    begun = lr.logs("nginx").where("status = 200")
    assert begun.count() != begun.max("bytes")
    assert str(begun) == "nginx | where status = 200"


@pytest.mark.parametrize(
    "path", ["/var/log/with blank.log", "count", "-", "it's.log", 'a"b\\c.log', "cmd:journalctl -f", "a|b", "*.log"]
)
def test_a_path_is_what_it_is(path: str) -> None:
    """Nothing in a path has a meaning, neither where it is asked nor where its line is read again."""
    asked = lr.logs("raw", path, "/b.log").search("x")
    assert asked.understood().paths == (path, "/b.log")
    assert one_line(str(asked)).paths == (path, "/b.log")


@pytest.mark.parametrize("value", ["it's", "a\\", "\\'", 'a"b', "", "a\nb", 7, -7, 1.5, 1e-9, True, None])
def test_a_value_is_what_it_is(value: str | int | float | bool | None) -> None:
    """A quoted value is read back as that value, whatever it holds."""
    (step,) = lr.logs("nginx").count().by("path").let(x=lr.quoted(value)).understood().steps
    assert step == ("let", "x", ["value", value])


@pytest.mark.parametrize(
    ("made", "said", "pointed"),
    [
        (lambda: lr.logs("nginx").where("status >= 500 | count"), "one condition", "|"),
        (lambda: lr.logs("nginx").where("status >= "), "a field or a value is missing", ""),
        (lambda: lr.logs("nginx").count("bytes) by path"), "one condition", ")"),
        (lambda: lr.logs("nginx").by("path;"), "means nothing here", ";"),
        (lambda: lr.logs("nginx").sort("-count | limit 1"), "columns stand here", "|"),
        (lambda: lr.logs("nginx").timeslice("1 apple"), "here comes a duration", "1"),
        (lambda: lr.logs("nginx").where("sttus > 4").count().understood(), "did you mean 'status'?", "sttus"),
    ],
)
def test_a_mistake_is_pointed_at(made: object, said: str, pointed: str) -> None:
    """The sentence stands above the part that was given, and carets below its place."""
    assert callable(made)
    with pytest.raises(OneLineError) as caught:
        made()
    sentence, text, carets = str(caught.value).split("\n")
    assert said in sentence
    assert text[carets.index("^") : carets.rindex("^") + 1].startswith(pointed[:1])


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: lr.logs("nginx").by("path").understood(), "add count()"),
        (lambda: lr.logs("nginx").count().sort().mean("bytes"), "side by side"),
        (lambda: lr.logs("nginx").limit(0), "takes how many"),
        (lambda: lr.logs("nginx").limit(True), "takes how many"),
        (lambda: lr.logs("nginx").aggregate(), "aggregate('count')"),
        (lambda: lr.logs("nginx | count"), "no format's name"),
        (lambda: lr.logs("nginx", ""), "no path"),
        (lambda: lr.logs("raw").parse("* x", "a b"), "no column's name"),
        (lambda: lr.logs("raw").parse(re.compile("(?P<a>.)"), "b"), "leave the names out"),
        (lambda: lr.quoted(float("nan")), "no number"),
    ],
)
def test_what_cannot_be_is_refused(made: object, said: str) -> None:
    """One sentence says what to do instead."""
    assert callable(made)
    with pytest.raises(lr.UsageError, match=re.escape(said)):
        made()


def test_every_aggregate_can_be_asked_for() -> None:
    """By its own method, or by `aggregate`."""
    for name in AGGREGATES:
        number = {"top": "3, ", "histogram": "10, 20, ", "quantiles": "0.5, "}.get(name, "")
        text = "count" if name == "count" else f"{name}({number}bytes)"
        assert lr.logs("nginx").aggregate(text).understood().plan["aggregates"]
