"""Wrong questions of one line: each gets its place in the text, the reason, and what to do."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from backplane.query.oneline import OneLineError, one_line


class Wrong(NamedTuple):
    """A question, the part of it that is pointed at, and what the sentence says."""

    text: str
    place: str
    parts: tuple[str, ...]


WRONG = [
    # the format and the paths
    Wrong("", "", ("begins with the format of the log", "nginx access.log | count")),
    Wrong("| count", "|", ("begins with the format of the log",)),
    Wrong("ngnixx f | count", "ngnixx", ("there is no format 'ngnixx'", "did you mean 'nginx'?")),
    Wrong("NGINX f | count", "NGINX", ("there is no format 'NGINX'", "did you mean 'nginx'?")),
    Wrong("zzz f | count", "zzz", ("there is no format 'zzz'", "there are apache-error, client-trace")),
    Wrong("/var/log/x.log | count", "/var/log/x.log", ("begins with the format", "write raw /var/log/x.log")),
    Wrong("app.log | count", "app.log", ("begins with the format", "write raw app.log")),
    Wrong("./missing.toml f | count", "./missing.toml", ("cannot read the format missing.toml", "No such file")),
    Wrong("json | count", "json", ("nothing says which file to read", "json has no usual place", "write a path")),
    Wrong("nginx f where status = 5", "where", ("a | is missing before 'where'",)),
    Wrong("nginx f count by path", "count", ("a | is missing before 'count'",)),
    Wrong("nginx 'f | count", "'f | count", ("the text that begins here never ends", "a ' is missing")),
    Wrong("nginx '' | count", "''", ("this is no path: it is empty",)),
    # stages
    Wrong("nginx f | wherr status > 5", "wherr", ("there is no stage 'wherr'", "did you mean 'where'?", "in quotes")),
    Wrong("nginx f | cuont by path", "cuont", ("there is no stage 'cuont'", "did you mean 'count'?")),
    Wrong("nginx f | select path", "select", ("there is no stage 'select'", "it is `fields` here")),
    Wrong("nginx f | having count > 5", "having", ("there is no stage 'having'", "it is `where` here")),
    Wrong("nginx f | group by path", "group", ("there is no stage 'group'", "it is `count by` here")),
    Wrong("nginx f | | count", "|", ("there is no stage after this |",)),
    Wrong("nginx f | count |", "|", ("there is no stage after this |",)),
    Wrong("nginx f | count by path sort -count", "sort", ("a | is missing before 'sort'",)),
    Wrong("nginx f | where status = 5 count", "count", ("'count' is not expected here", "stages by |")),
    Wrong("nginx f | status=500", "status=500", ("looks like a condition", "begin the stage with `where`")),
    Wrong("nginx f | status >= 500", ">=", ("looks like a condition", "begin the stage with `where`")),
    Wrong("nginx f | count by path | top 3", "3", ("top(3, FIELD)", "the largest rows are sort | limit 3")),
    Wrong("nginx f | 'a' or", "", ("a word or a phrase in quotes is missing",)),
    Wrong("nginx f | (a or b", "(", ("a parenthesis is not closed",)),
    Wrong('nginx f | ""', '""', ("an empty text is in every line",)),
    # conditions
    Wrong("nginx f | where sttatus > 5", "sttatus", ("no field 'sttatus' in the format nginx", "mean 'status'?")),
    Wrong("nginx f | where STATUS > 5", "STATUS", ("no field 'STATUS'", "did you mean 'status'?")),
    Wrong("nginx f | where foo > 5", "foo", ("no field 'foo'", "there are agent, bytes, client", "in quotes")),
    Wrong("raw f | where status > 5", "status", ("the format raw, which has only `line`", 'parse "* ..." as status')),
    Wrong("nginx f | where path = login", "login", ("no field 'login'", "a text is written in quotes")),
    Wrong("nginx f | where status", "status", ("here comes a condition", "status is a whole number", "status >= 500")),
    Wrong("nginx f | where status >=", "", ("a field or a value is missing", "the end stands here")),
    Wrong("nginx f | where", "", ("a field or a value is missing",)),
    Wrong("nginx f | where status = '500'", "status = '500'", ("status is a whole number", "is a text", "write 500")),
    Wrong("nginx f | where path > 5", "path > 5", ("path is a text", "5 is a whole number", "write '5'")),
    Wrong("nginx f | where status = 500 or 502", "502", ("`or` joins conditions", "`in (...)`")),
    Wrong("nginx f | where not status", "status", ("after `not` comes a condition", "compare it")),
    Wrong("nginx f | where 200 < status < 300", "200 < status <", ("comparisons do not chain", "`and`")),
    Wrong("nginx f | where user = null", "user = null", ("nothing equals null", "`is null`")),
    Wrong("nginx f | where user is nothing", "nothing", ("after `is` comes null or not null",)),
    Wrong("nginx f | where path like '/a%'", "like", ("there is no `like`", "starts with", "~ /pattern/")),
    Wrong("nginx f | where path ~ '('", "'('", ("this is no regular expression", "unterminated subpattern")),
    Wrong("nginx f | where path ~ /a", "/a", ("the pattern that begins here never ends", "a / is missing")),
    Wrong("nginx f | where path ~ status", "status", ("here comes a text in quotes", "~ /^GET/")),
    Wrong("nginx f | where status contains '5'", "status", ("takes a text", "write string(status)")),
    Wrong("nginx f | where status in 500", "500", ("`in` takes values in parentheses", "(200, 304)")),
    Wrong("nginx f | where status in (bytes)", "bytes", ("`in` takes numbers and texts",)),
    Wrong("nginx f | where status in (500, 'x')", "status in (500, 'x')", ("status is a whole number", "is a text")),
    Wrong("nginx f | where (status = 5", "", ("a parenthesis is not closed", "the end stands here")),
    Wrong("nginx f | where status = 5)", ")", ("')' is not expected here",)),
    Wrong("nginx f | where a && b", "&&", ("&& is written `and`",)),
    Wrong("nginx f | where status = 5 && bytes > 1", "&&", ("&& is written `and`",)),
    Wrong("nginx f | where status = 5 || bytes > 1", "||", ("|| is written `or`",)),
    Wrong("nginx f | where !(status = 5)", "!", ("! is written `not`",)),
    Wrong("nginx f | where client = 10.0.0.1", "10.0.0.1", ("10.0.0.1 is no number", "write it in quotes")),
    Wrong("nginx f | where time > 2026-11-20", "2026-11-20", ("2026-11-20 is no number", "'2026-11-20'")),
    Wrong("nginx f | where time > 'noon'", "time", ("time is a time", "'noon' is not one", "2026-11-20T09:00:00Z")),
    Wrong("nginx f | where bytes > 5 parsecs", "parsecs", ("'parsecs' is not expected here",)),
    Wrong("nginx f | where bytes > 5mb", "5mb", ("'mb' is no unit", "KB MB GB")),
    Wrong("nginx f | where bytes > 99999999999999999999", "99999999999999999999", ("too large for a number",)),
    Wrong("nginx f | where status ? 5", "?", ("'?' means nothing here",)),
    Wrong("nginx f | where lowr(path) = 'a'", "lowr", ("there is no function 'lowr'", "did you mean 'lower'")),
    Wrong("nginx f | where zzz(path) = 'a'", "zzz", ("there is no function 'zzz'", "there are abs, bucket")),
    Wrong("nginx f | where substr(path) = 'a'", "substr(path)", ("substr takes 2 or 3 values", "and got 1")),
    Wrong("nginx f | where length(status) = 3", "status", ("length(...) takes a text", "write string(status)")),
    Wrong("nginx f | where path + 1 > 2", "path", ("`+` takes a number", "write number(path)")),
    Wrong("nginx f | where count > 5", "count", ("no field 'count' yet", "after its stage")),
    Wrong("nginx f | where sum(bytes) > 5", "sum(bytes)", ("sum is an aggregate", "a stage of its own")),
    Wrong("nginx f | where " + "(" * 30 + "status" + ")" * 30 + " = 5", "", ("nests deeper than 25",)),
    # aggregates
    Wrong("nginx f | count, cuont(path)", "cuont", ("there is no aggregate 'cuont'", "did you mean 'count'?")),
    Wrong("nginx f | zzz(path)", "zzz", ("there is no aggregate 'zzz'", "there are collect, count", "p50, p99")),
    Wrong("nginx f | p999(bytes)", "p999(bytes)", ("there is no aggregate 'p999'", "p50, p99 and the like")),
    Wrong("nginx f | p99", "p99", ("p99 takes what it folds", "write p99(bytes)")),
    Wrong("nginx f | p99 bytes", "bytes", ("after an aggregate comes a comma", "in parentheses: p99(bytes)")),
    Wrong("nginx f | p99(path)", "path", ("p99 takes a number", "path is a text", "write number(path)")),
    Wrong("nginx f | sum(bytes, status)", "status", ("sum folds one expression, and got 2",)),
    Wrong("nginx f | sum(*)", "*", ("* is for count alone",)),
    Wrong("nginx f | top(0, path)", "top(0, path)", ("top takes how many, from 1 to 1000",)),
    Wrong("nginx f | quantiles(bytes, 5)", "quantiles(bytes, 5)", ("numbers from 0 to 1",)),
    Wrong("nginx f | max('bytes')", "'bytes'", ("max takes a field", "leave the quotes out")),
    Wrong("nginx f | count(status = 500)", "status = 500", ("count(x) counts where x is there", "put `where status")),
    Wrong("nginx f | count by", "", ("after `by` come fields", "by path, status")),
    Wrong("nginx f | count by pth", "pth", ("no field 'pth'", "did you mean 'path'?")),
    Wrong("nginx f | count by path, path", "path", ("two columns would be called 'path'", "name one by `as`")),
    Wrong("nginx f | count, count", "count", ("two columns would be called 'count'", "name one by `as`")),
    Wrong("nginx f | count as", "", ("after `as` comes a name", "the end stands here")),
    Wrong("nginx f | quantiles(bytes) as q", "quantiles(bytes)", ("gives 3 columns", "leave `as` out")),
    Wrong("nginx f | count | count", "count", ("a second aggregate would need the answer of the first",)),
    # what else there is
    Wrong("nginx f | sort path", "sort path", ("`sort` needs all rows", "behind an aggregate", "count by path")),
    Wrong(
        "json f | fields id, ms | sort -ms | limit 5",
        "sort -ms",
        ("behind an aggregate, as in max(ms) as most by id | sort -most | limit 5",),
    ),
    Wrong("nginx f | sort -bytes", "sort -bytes", ("max(bytes) as most by path | sort -most",)),
    Wrong("nginx f | tail 5", "tail 5", ("`tail` needs all rows",)),
    Wrong("nginx f | count by path | sort -cuont", "cuont", ("there is no column 'cuont'", "did you mean 'count'?")),
    Wrong("nginx f | count by path | where status > 5", "status", ("there is no column 'status'", "count, path")),
    Wrong("nginx f | count by path | limit ten", "ten", ("`limit` takes how many", "limit 10", "'ten'")),
    Wrong("nginx f | count by path | limit 0", "0", ("`limit` takes how many",)),
    Wrong("nginx f | limit 5 | count", "count", ("`limit` ends a question without aggregates",)),
    Wrong("nginx f | fields path | where status = 5", "where status = 5", ("`fields` ends a question",)),
    Wrong("nginx f | count | parse 'a *' as b", "parse 'a *' as b", ("`parse` comes before the aggregates",)),
    Wrong("nginx f | count | 'error'", "'error'", ("looking for a text comes before the aggregates",)),
    Wrong("nginx f | parse", "", ("after `parse` comes a text or a pattern", 'parse "took * ms" as took')),
    Wrong("nginx f | parse 'a'", "'a'", ("the text has a * for each field",)),
    Wrong("nginx f | parse 'a * b *' as x", "'a * b *' as x", ("2 stars need 2 names", "there is 1")),
    Wrong("nginx f | parse '**' as x, y", "'**'", ("two stars need a text between them",)),
    Wrong("nginx f | parse 'a *' as line", "parse 'a *' as line", ("'line' has a meaning already", "another name")),
    Wrong("nginx f | parse /a(.*)/", "/a(.*)/", ("the pattern names no group", "(?<name>...)")),
    Wrong("nginx f | parse '*' from status as x", "status", ("`parse` takes a text apart", "status is none")),
    Wrong("nginx f | timeslice 5 | count", "5", ("here comes a duration", "timeslice 1m")),
    Wrong("nginx f | timeslice 1m", "timeslice 1m", ("`timeslice` is for aggregates", "| count")),
    Wrong("nginx f | timeslice 1m/5m | count", "timeslice 1m/5m", ("write 5m/1m, not 1m/5m",)),
    Wrong("raw f | timeslice 1m | count", "timeslice 1m", ("the format raw has none", "timeslice 1m on FIELD")),
    Wrong("nginx f | timeslice 1m on path | count", "path", ("a field that is a time", "path is none")),
    Wrong("nginx f | let x 5", "5", ("`let` takes a name and =",)),
    Wrong("nginx f | let host = 5", "let host = 5", ("'host' has a meaning already",)),
]


@pytest.mark.parametrize("wrong", WRONG, ids=[wrong.text[:60] or "nothing" for wrong in WRONG])
def test_a_wrong_line_is_told_with_its_place(wrong: Wrong) -> None:
    """One sentence says what is wrong and what to do, and carets below the text stand at the place."""
    with pytest.raises(OneLineError) as caught:
        one_line(wrong.text)
    reason, shown, carets = str(caught.value).split("\n")
    assert reason == caught.value.reason
    for part in wrong.parts:
        assert part in reason
    assert not reason.endswith(".")
    start = carets.index("^")
    if wrong.place:
        assert shown[start : start + carets.count("^")].startswith(wrong.place)
        assert carets.count("^") >= 1
    assert len(reason) < 400


def test_a_place_in_a_long_line_is_in_sight() -> None:
    """Only the part around the place is shown."""
    with pytest.raises(OneLineError) as caught:
        one_line("nginx f | where " + "status = 500 or " * 30 + "sttatus = 5 | count by path " + "| limit 3 " * 20)
    _, shown, carets = str(caught.value).split("\n")
    assert len(shown) < 120
    assert shown[carets.index("^") :].startswith("sttatus")


def test_control_characters_do_not_reach_a_terminal() -> None:
    """A question may be pasted from anywhere."""
    with pytest.raises(OneLineError) as caught:
        one_line("nginx f | where \x1b[2J\nsttatus > 5")
    assert "\x1b" not in str(caught.value)
