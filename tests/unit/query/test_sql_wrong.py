"""Wrong questions in SQL: each gets its place in the text, the reason, and what to do."""

from __future__ import annotations

from typing import NamedTuple

import pytest

from backplane.query.oneline import OneLineError
from backplane.query.sql import sql


class Wrong(NamedTuple):
    """A question, the part of it that is pointed at, and what the sentence says."""

    text: str
    place: str
    says: str


WRONG = [
    Wrong(
        "", "", "nothing is asked: write SELECT status, count(*) FROM 'nginx:/var/log/nginx/access.log' GROUP BY status"
    ),
    Wrong(
        "   ",
        " ",
        "nothing is asked: write SELECT status, count(*) FROM 'nginx:/var/log/nginx/access.log' GROUP BY status",
    ),
    Wrong(
        "select * from nginx:a/access.log",
        "nginx:a/access.log",
        "a log is written in quotes: FROM 'nginx:a/access.log'",
    ),
    Wrong(
        "select path from /var/log/a.log limit 5", "/var/log/a.log", "a log is written in quotes: FROM '/var/log/a.log'"
    ),
    Wrong(
        "select count(*) from 'a/app.jsonl'",
        "'a/app.jsonl'",
        "which format has it? Write 'json:a/app.jsonl', or syslog:, raw: or",
    ),
    Wrong(
        "select count(*) from 'a/t.csv.gz'",
        "'a/t.csv.gz'",
        "which format has it? Write 'csv:a/t.csv.gz', or json:, syslog: or raw:",
    ),
    Wrong("select 1", "", "FROM is missing: say which log, as in SELECT status, count(*) FROM"),
    Wrong("select from nginx", "select", "nothing stands behind SELECT: name columns, or write *"),
    Wrong(
        "select path from nginx; select path from nginx", ";", "one SELECT at a time: leave what comes behind the ; out"
    ),
    Wrong(
        "explain select path from nginx",
        "explain",
        "there is no EXPLAIN here: write logreduce sql --explain 'SELECT ...'",
    ),
    Wrong(
        "with a as (select 1) select * from a",
        "a as (select 1)",
        "WITH names a subquery, and there are none: ask one SELECT of the log itself",
    ),
    Wrong("select path from ngnixx", "ngnixx", "there is no format 'ngnixx'; did you mean 'nginx'?"),
    Wrong(
        "select sttus from nginx",
        "sttus",
        "there is no field 'sttus' in the format nginx; did you mean 'status'? (a text is written in quotes)",
    ),
    Wrong("select lowr(path) from nginx", "lowr", "there is no function 'lowr'; did you mean 'lower' or 'floor'?"),
    Wrong("select foo(path) from nginx", "foo", "there is no function 'foo'; did you mean 'floor'?"),
    Wrong(
        "select mode(path) from nginx",
        "mode(path)",
        "there is no aggregate 'mode': there are count, sum, avg, min, max, stddev, median, approx_quantile,",
    ),
    Wrong(
        "select path from nginx order by path",
        "path",
        "ORDER BY needs rows that were folded, and lines come as they are: add GROUP BY, or sort the output",
    ),
    Wrong(
        "select path from nginx where count(*) > 1",
        "count(*)",
        "WHERE is asked of lines, before they are folded: put an aggregate into HAVING",
    ),
    Wrong("select bytes // 2 from nginx", "bytes // 2", "// is not known: write floor(a / b)"),
    Wrong("select 'abc from nginx", "'abc from nginx", "the text that begins here never ends: a ' is missing"),
    Wrong("select * from nginx where", "where", "something is missing behind 'where'"),
    Wrong(
        "select count(distinct path, client) from nginx",
        "count(distinct path, client)",
        "count(DISTINCT x) counts one column: GROUP BY several, and count the rows",
    ),
    Wrong(
        "select path from nginx union select path from nginx",
        "path from nginx",
        "UNION puts two questions together: ask each by itself, or both by one WHERE with OR",
    ),
    Wrong(
        "select path from nginx join apache using (path)",
        "apache",
        "JOIN needs rows of several logs in one place, and no machine has them: ask each log by itself, and",
    ),
    Wrong(
        "update nginx set path = 1",
        "update",
        "logs are only read: a question begins with SELECT, as in SELECT status, count(*) FROM",
    ),
    Wrong("sselect path from nginx", "sselect", "a question begins with SELECT; did you mean 'SELECT'?"),
    Wrong("select path form nginx", "form", "form means nothing here; did you mean 'FROM' or 'OR'?"),
    Wrong(
        "select path from nginx wherr status = 5", "wherr", "wherr means nothing here; did you mean 'WHERE' or 'WHEN'?"
    ),
    Wrong("select path from nginx group status", "group", "BY is missing behind GROUP"),
    Wrong(
        "select path from nginx where status in ()",
        "status",
        "behind IN come values in parentheses, as in status IN (500, 502)",
    ),
    Wrong("select path from nginx where status >", ">", "something is missing behind '>'"),
    Wrong("select count(* from nginx", "from", ") is missing before 'from'"),
    Wrong("select path from nginx where (status = 5", "5", ") is missing behind '5'"),
    Wrong(
        "select path from nginx right join apache on true",
        "apache",
        "JOIN needs rows of several logs in one place, and no machine has them: ask each log by itself, and",
    ),
    Wrong(
        "select path from nginx, apache",
        "apache",
        "one question reads one format, and here are nginx and apache: ask twice",
    ),
    Wrong(
        "select path from nginx where status in (select 1)",
        "1",
        "a subquery would need an answer before the question is asked: ask it first, and write its rows into",
    ),
    Wrong(
        "select a from (select path as a from nginx) t",
        "path as a from nginx) t",
        "a subquery would need an answer before the question is asked: ask it first, and write its rows into",
    ),
    Wrong(
        "select path from nginx intersect select path from nginx",
        "path from nginx",
        "INTERSECT puts two questions together: ask each by itself, or both by one WHERE with OR",
    ),
    Wrong(
        "select rank() over (order by path) from nginx",
        "rank() over (order by path)",
        "OVER goes by rows of all machines in order, and no machine has them: use GROUP BY, and tumble(time,",
    ),
    Wrong(
        "create table x (a int)",
        "create",
        "logs are only read: a question begins with SELECT, as in SELECT status, count(*) FROM",
    ),
    Wrong(
        "drop table nginx",
        "drop",
        "logs are only read: a question begins with SELECT, as in SELECT status, count(*) FROM",
    ),
    Wrong("select path from nginx offset 3", "3", "OFFSET is not known: ask for more rows by LIMIT"),
    Wrong(
        "select distinct on (path) path from nginx",
        "path",
        "DISTINCT ON is not known: GROUP BY these columns, and take first(x) of others",
    ),
    Wrong(
        "select path from nginx having status > 3",
        "status > 3",
        "HAVING needs rows that were folded, and lines come as they are: put it into WHERE",
    ),
    Wrong("select path from nginx limit 0", "0", "LIMIT takes how many, a whole number above 0"),
    Wrong("select path from nginx limit 10%", "10", "LIMIT takes how many, a whole number above 0"),
    Wrong("select path as a, status as a from nginx", "status", "two columns would be called 'a': name one by AS"),
    Wrong("select path, status as path from nginx", "status", "two columns would be called 'path': name one by AS"),
    Wrong(
        "select path, count(*) from nginx group by status",
        "path",
        "path is no one value of a group: put it into GROUP BY, or into an aggregate",
    ),
    Wrong(
        "select count(*) from nginx group by count(*)",
        "count(*)",
        "groups are made before anything is folded: GROUP BY takes no aggregate",
    ),
    Wrong(
        "select count(*) from nginx group by rollup(path)",
        "path",
        "GROUP BY takes expressions with commas between: ask other groups by themselves",
    ),
    Wrong("select count(*) from nginx order by 4", "4", "ORDER BY 4: there are 1 columns behind SELECT"),
    Wrong(
        "select sum(distinct bytes) from nginx",
        "sum(distinct bytes)",
        "DISTINCT is for count alone: leave it out of sum",
    ),
    Wrong("select sum(*) from nginx", "*", "* stands alone behind SELECT, or in count(*)"),
    Wrong("select sum() from nginx", ")", "something is missing between the parentheses"),
    Wrong(
        "select approx_quantile(bytes, 2) from nginx",
        "2",
        "a quantile takes one number from 0 to 1, as in approx_quantile(bytes, 0.99)",
    ),
    Wrong(
        "select approx_quantile(bytes, [0.5, 0.9]) from nginx",
        "0.5, 0.9",
        "a quantile takes one number from 0 to 1, as in approx_quantile(bytes, 0.99)",
    ),
    Wrong("select quantiles(bytes) from nginx", "quantiles(bytes)", "quantiles gives 3 columns: ask for one at a time"),
    Wrong(
        "select p101(bytes) from nginx",
        "p101(bytes)",
        "there is no aggregate 'p101'; there are count, sum, min, max, mean, var, stddev, quantiles, median,",
    ),
    Wrong(
        "select percentile_cont(0.5) from nginx",
        "percentile_cont(0.5)",
        "a quantile takes one number from 0 to 1, as in approx_quantile(bytes, 0.99)",
    ),
    Wrong(
        "select array_agg(path order by time) from nginx",
        "array_agg(path order by time)",
        "rows of many machines have no order: leave ORDER BY out of the aggregate",
    ),
    Wrong(
        "select path || 'x' from nginx",
        "path || 'x'",
        "texts cannot be put together in a question: SELECT both columns",
    ),
    Wrong(
        "select path::blob from nginx", "path", "there is no cast to BLOB: there are INTEGER, DOUBLE, VARCHAR and DATE"
    ),
    Wrong(
        "select cast(path as timestamp) from nginx",
        "cast(path as timestamp)",
        "path is no time that a format knows: a format whose field is of type time reads it, see",
    ),
    Wrong(
        "select date_trunc('month', time) from nginx",
        "date_trunc('month', time)",
        "date_trunc takes a part of a day: MINUTE, HOUR and DAY are of one length everywhere: take one of them",
    ),
    Wrong(
        "select extract(dow from time) from nginx",
        "time",
        "there is no DOW of a time: there are EPOCH, HOUR, MINUTE and SECOND, and date(time)",
    ),
    Wrong(
        "select count(*) from nginx group by tumble(path, '1 minute')",
        "tumble(path, '1 minute')",
        "tumble goes by a field that is a time, and path is none",
    ),
    Wrong(
        "select count(*) from nginx group by tumble(time)",
        "tumble(time)",
        "tumble takes a time and a length: tumble(time, '1 minute')",
    ),
    Wrong(
        "select tumble(time, '1 minute') as t, count(*) from nginx group by 1",
        "tumble(time, '1 minute')",
        "the column of windows is called window: leave AS out",
    ),
    Wrong(
        "select tumble(time, '1 minute') from nginx",
        "tumble(time, '1 minute')",
        "tumble and hop are for aggregates: add GROUP BY, and an aggregate behind SELECT",
    ),
    Wrong(
        "select time from nginx where time > 'yesterday'",
        "time",
        "time is a time, and 'yesterday' is not one: write '2026-11-20T09:00:00Z'",
    ),
    Wrong(
        "select path from nginx where status",
        "status",
        "here comes a condition, and status is a whole number: compare it, as in status >= 500",
    ),
    Wrong(
        "select path from nginx where not path",
        "path",
        "after `not` comes a condition, and path is a text: compare it, as in status >= 500",
    ),
    Wrong(
        "select path from nginx where status = '500'",
        "status = '500'",
        "status is a whole number, and '500' is a text: write 500",
    ),
    Wrong(
        "select path from nginx where path = 500",
        "path = 500",
        "path is a text, and 500 is a whole number: write '500', or number(path)",
    ),
    Wrong("select path from nginx where path like 5", "5", "LIKE takes a text in quotes here, and no field"),
    Wrong(
        "select path from nginx where path ~ '('",
        "'('",
        "this is no regular expression: missing ), unterminated subpattern at position 0",
    ),
    Wrong(
        'select path from nginx where "sttus" = 5',
        '"sttus"',
        "there is no field 'sttus' in the format nginx; did you mean 'status'? (a text is written in quotes)",
    ),
    Wrong(
        "select path from nginx where status = NULL", "status", "nothing equals null: write `is null` or `is not null`"
    ),
    Wrong("select lower(path, 1) from nginx", ")", "here stand more values than a function takes"),
    Wrong(
        "select case when status then 1 end from nginx",
        "status",
        "`if` takes a condition first, and status is a whole number: compare it, as in status >= 500",
    ),
    Wrong(
        "select case when status > 1 then 'a' else 2 end from nginx",
        "status > 1 then 'a' else 2",
        "if gives values of one type, and 2 is of type int, not string",
    ),
    Wrong("select path from nginx where status = ?", "status", "there are no parameters: write the value"),
    Wrong("select path from 'nginx:'", "'nginx:'", "a path is missing behind nginx: write 'nginx:/path'"),
    Wrong(
        "select path from 'app.log'",
        "'app.log'",
        "which format has it? Write 'nginx:app.log', or json:, syslog: or raw: before it",
    ),
    Wrong(
        "select path from json",
        "json",
        "nothing says which file to read, and json has no usual place: write FROM 'json:/path'",
    ),
    Wrong(
        "select path from nginx.log",
        "nginx.log",
        "behind FROM comes 'format:path': write FROM 'nginx:/var/log/nginx/access.log'",
    ),
    Wrong(
        "select path from read_csv('x')",
        "read_csv('x')",
        "behind FROM comes 'format:path': write FROM 'nginx:/var/log/nginx/access.log'",
    ),
    Wrong("select * exclude (path) from nginx", "* exclude (path)", "* stands alone: name the columns"),
    Wrong("select *, path from 'json:/x'", "*", "* is the whole line in the format json: write `line`"),
    Wrong(
        "select 99999999999999999999 from nginx",
        "99999999999999999999",
        "99999999999999999999 is too large for a number",
    ),
    Wrong(
        "select path from nginx qualify count(*) > 1",
        "count(*) > 1",
        "QUALIFY goes by window functions, and there are none: use GROUP BY with HAVING",
    ),
    Wrong(
        "select a.b from nginx",
        "a.b",
        "there is no field 'a.b' in the format nginx; there are agent, bytes, client, ident, line, method,",
    ),
    Wrong(
        "select path from nginx tablesample 10%", "nginx tablesample 10", "of a log all lines are read: leave this out"
    ),
    Wrong("select path from nginx for update", "path from nginx", "logs are only read: leave FOR UPDATE out"),
    Wrong(
        "select path into x from nginx",
        "x",
        "SELECT INTO stores what it finds, and logs are only read: send the output to a file with -o csv",
    ),
]


@pytest.mark.parametrize("wrong", WRONG, ids=lambda wrong: wrong.text[:60])
def test_a_wrong_question_is_told_with_its_place(wrong: Wrong) -> None:
    """One sentence says what is wrong and what to do, and carets below the text stand at the place."""
    with pytest.raises(OneLineError) as caught:
        sql(wrong.text)
    reason, shown, carets = str(caught.value).split("\n")
    assert reason.startswith(wrong.says)
    assert not reason.endswith(".")
    start = carets.index("^")
    assert shown[start : start + carets.count("^")] == wrong.place
    assert len(reason) < 400


def test_control_characters_do_not_reach_a_terminal() -> None:
    """A question may be pasted from anywhere."""
    with pytest.raises(OneLineError) as caught:
        sql("SELECT path FROM nginx WHERE \x1b[2J\nsttatus > 5")
    assert "\x1b" not in str(caught.value)


def test_a_question_in_millions_is_refused() -> None:
    """What no person typed is not read at all."""
    with pytest.raises(OneLineError, match="at most"):
        sql("SELECT path FROM nginx WHERE " + "(" * 100_000)


def test_deep_parentheses_are_a_sentence() -> None:
    """No interpreter's stack is at risk."""
    with pytest.raises(OneLineError):
        sql("SELECT path FROM nginx WHERE " + "(" * 5000 + "status = 5" + ")" * 5000)
