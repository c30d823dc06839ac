"""Sixty wrong inputs of all kinds, as users make them: each is told its place, the reason, and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from backplane.cli.main import main

FILES = {
    "q.py": 'logs = "/etc/hostname"\nfloor = 500\ndef map(lines):\n    for line in lines:\n        yield line, floor\n',
    "syntax.py": "def map(lines)\n    yield 1\n",
    "nomap.py": 'logs = "a"\ndef maps(lines):\n    yield 1\n',
    "reduce.py": 'logs = "a"\ndef map(lines):\n    yield 1\nreduce = "cuont"\n',
    "format.py": 'format = "nginks"\nlogs = "a"\ndef map(records):\n    yield 1\n',
    "needs.py": 'needs = ["modul:numpy"]\nlogs = "a"\ndef map(lines):\n    yield 1\n',
    "import.py": 'import numpy\nlogs = "a"\ndef map(lines):\n    yield numpy.pi\n',
    "builtin.py": 'logs = "a"\ndef map(lines):\n    yield list(map(int, lines))\n',
    "tick.py": 'logs = "tick:soon"\ndef map(lines):\n    yield 1\n',
    "encoding.py": 'encoding = "utf-99"\nlogs = "a"\ndef map(lines):\n    yield 1\n',
    "bad.json": '[{"targets": ["web1"]},\n {"target": ["web2"]}]\n',
    "broken.json": '[{"targets": ["web1"}]\n',
    "broken.ini": "[web\nweb1\n",
    "port.json": '[{"targets": ["web1"], "labels": {"ssh_port": "abc"}}]\n',
    "good.json": '[{"targets": ["web1"], "labels": {"role": "web"}}]\n',
    "sum/query.toml": 'logs = "a"\nreduce = "summ"\n',
    "sum/map": "#!/bin/sh\ncat\n",
    "toml/query.toml": 'logs = "a"\nreduce = count\n',
    "toml/map": "#!/bin/sh\ncat\n",
    "empty/readme": "",
    "kind.toml": "kind = 'regexp'\npattern = '(?P<a>.)'\n",
    "quote.toml": "kind = 'regex'\npattern = 'a\n",
    "part.toml": "kind = 'regex'\npatern = '(?P<a>.)'\n",
    "missing.toml": "kind = 'regex'\n",
    "type.toml": "kind = 'regex'\npattern = '(?P<took>.)'\n[fields]\ntook = 'integer'\nlevel = 'string'\n",
    "unit.toml": "kind = 'regex'\npattern = '(?P<took>.)'\n[fields]\ntook = { type = 'duration', unit = 'mss' }\n",
    "field.toml": "kind = 'regex'\npattern = '(?P<took>.)'\n[fields]\ntok = 'int'\n",
    "fieldpart.toml": "kind = 'json'\n[fields]\nat = { type = 'time', layuot = 'iso' }\n",
    "layout.toml": "kind = 'json'\n[fields]\nat = { type = 'time', layout = '%Q' }\n",
    "time.toml": "kind = 'json'\ntime = 'tme'\n[fields]\ntime = { type = 'time' }\n",
    "pattern.toml": "kind = 'regex'\npattern = '(?P<took>.'\n",
    "groups.toml": "kind = 'regex'\n\npattern = '(.*)'\n",
    "rest.toml": "kind = 'regex'\npattern = '(?P<message>.*)'\nstart = 'x'\nrest = 'mesage'\n",
    "braces.toml": "kind = 'template'\ntemplate = '{a}{b}'\n",
}


class Wrong(NamedTuple):
    """A command line, where it is wrong (how the sentence begins, or what carets stand below), why, and what to do."""

    words: str
    place: str
    reason: str
    instead: str


WRONG = [
    # verbs and options
    Wrong("rnu ./q.py", "there is no verb 'rnu'", "no verb", "did you mean `logreduce run`?"),
    Wrong("run", "missing: QUERY", "as in logreduce run ./errors.py", "see `logreduce run --help`"),
    Wrong("run ./q.py --folow", "there is no option --folow", "no option", "did you mean '--follow'"),
    Wrong("run ./q.py --every soon", "--every: 'soon'", "no duration", "write 500ms, 10s, 2m"),
    Wrong("run ./q.py -o jsn", "-o/--output: ", "invalid choice: 'jsn'", "did you mean 'json"),
    Wrong("run ./q.py --host-key strct", "--host-key: ", "invalid choice: 'strct'", "did you mean 'strict'?"),
    Wrong("run ./q.py --limit many", "--limit: 'many'", "is no limit", "write 500, 64MB"),
    Wrong("run ./q.py --parallel 0", "--parallel: '0'", "no number of processes", "write 1 to 64"),
    Wrong("run ./q.py --since noonish", "--since: 'noonish'", "is no time", "write 10m, today"),
    Wrong("run ./q.py -f --until 5m", "--until", "no meaning with --follow", "use --for"),
    Wrong("run ./q.py --set flor=1", "--set flor: ./q.py", "no parameter 'flor'", "did you mean 'floor'?"),
    Wrong("run ./q.py --set floor=abc", "--set floor: 'abc'", "not a whole number", "as its default 500 is"),
    Wrong("run ./q.py --set floor", "--set", "takes NAME=VALUE", "as in --set floor=400"),
    Wrong("run ./q.py --window 1m", "--window", "here `map` takes lines", "ask in one line, as in logreduce run"),
    Wrong("run ./q.py --coordinator nowhere", "'nowhere'", "no coordinator's address", "it is ipc:///path"),
    Wrong("attach nothere", "there is no named query 'nothere'", "no named query", "`logreduce ps` lists"),
    # hosts
    Wrong("run ./q.py -w web[1-", "'web[1-'", "no set of names: missing bracket", "write web[01-20],db1"),
    Wrong("run ./q.py -i bad.json", "bad.json: entry 2", 'must be a map with a list "targets"', '{"targets": ["web01'),
    Wrong("run ./q.py -i broken.json", "broken.json:1: ", "no JSON: Expecting ',' delimiter", "at column 21"),
    Wrong("run ./q.py -i broken.ini", "broken.ini:1: ", "no set of names: missing bracket", "write web[01-20],db1"),
    Wrong("run ./q.py -i port.json", "port.json: entry 1, target 1: ", "ssh_port 'abc' is no port", "1 to 65535"),
    Wrong(
        "run ./q.py -i good.json -l rol=web", "no provider has a label 'rol'", "no provider has", "did you mean role"
    ),
    Wrong("run ./q.py -i missing.json", "missing.json", "No such file", "missing.json"),
    # query files and folders
    Wrong("run ./p.py", "there is no query file ./p.py", "no query file", "did you mean 'q.py'"),
    Wrong("run http-statsu", "the library has no query 'http-statsu'", "no query", "did you mean 'http-status'?"),
    Wrong("run ./syntax.py", "./syntax.py:1: ", "expected ':'", "def map(lines)"),
    Wrong("run ./nomap.py", "./nomap.py: ", "there is no `map`", "did you mean 'maps'?"),
    Wrong("run ./reduce.py", "./reduce.py:4: ", "there is no aggregate 'cuont'", "did you mean 'count'?"),
    Wrong("run ./format.py", "./format.py:1: ", "there is no format 'nginks'", "did you mean 'nginx'?"),
    Wrong("run ./needs.py", "./needs.py:1: ", "nothing is known of 'modul:numpy'", "did you mean 'module'?"),
    Wrong("run ./import.py", "./import.py:1: ", "`numpy` is not in the standard library", "module:numpy"),
    Wrong("run ./builtin.py", "./builtin.py:3: ", "this file's own function", "use builtins.map"),
    Wrong("run ./tick.py", "./tick.py:1: ", "'tick:soon' is no rhythm", "tick:5s"),
    Wrong("run ./encoding.py", "./encoding.py:1: ", "no text encoding 'utf-99'", '"utf-8"'),
    Wrong("run ./sum", "sum/query.toml:2: ", "there is no aggregate 'summ'", "did you mean 'sum'?"),
    Wrong("run ./toml", "toml/query.toml:2", "Invalid value", "column 10"),
    Wrong("run ./empty", "./empty: ", "asks nothing", "neither `filter`, `map` nor `reduce`"),
    # formats of one's own
    Wrong("run ./kind.toml a | count", "kind.toml:1: ", "a format has a kind", "did you mean 'regex'?"),
    Wrong("run ./quote.toml a | count", "quote.toml:2: ", "the format is no TOML", 'Expected "\'"'),
    Wrong("run ./part.toml a | count", "part.toml:2: ", "kind regex has no part 'patern'", "did you mean 'pattern'?"),
    Wrong("run ./missing.toml a | count", "missing.toml: ", "a format of kind regex", "needs pattern"),
    Wrong("run ./type.toml a | count", "type.toml:4: ", "field took has the type 'integer'", "there are any, bool"),
    Wrong("run ./unit.toml a | count", "unit.toml:4: ", "field took has the unit 'mss'", "did you mean 'ms'"),
    Wrong("run ./field.toml a | count", "field.toml:4: ", "fields has 'tok'", "did you mean 'took'?"),
    Wrong("run ./fieldpart.toml a | count", "fieldpart.toml:3: ", "field 'at' has a type", "did you mean 'layout'?"),
    Wrong("run ./layout.toml a | count", "layout.toml:3: ", "%Q is no part of a time's layout", "there are % H M"),
    Wrong("run ./time.toml a | count", "time.toml:2: ", "'tme' is none", "did you mean 'time'?"),
    Wrong("run ./pattern.toml a | count", "pattern.toml:2: ", "is no regular expression", "missing )"),
    Wrong("run ./groups.toml a | count", "groups.toml:3: ", "groups have names", "(?P<name>...)"),
    Wrong("run ./rest.toml a | count", "rest.toml:4: ", "names a group that there is not", "did you mean 'message'?"),
    Wrong("run ./braces.toml a | count", "braces.toml:2: ", "needs a text between", "{a} and the next field"),
    # questions of one line, and in SQL
    Wrong("run ngnixx f | count", "^ngnixx", "there is no format 'ngnixx'", "did you mean 'nginx'?"),
    Wrong("run nginx f | cuont by path", "^cuont", "there is no stage 'cuont'", "did you mean 'count'?"),
    Wrong("run nginx f | where sttus = 5", "^sttus", "there is no field 'sttus'", "did you mean 'status'?"),
    Wrong("run nginx f | count, men(bytes)", "^men", "there is no aggregate 'men'", "did you mean 'mean'"),
    Wrong("run nginx f | where lowr(path) = 'a'", "^lowr", "there is no function 'lowr'", "did you mean 'lower'"),
    Wrong("run nginx f | count --set a=1", "--set", "has no parameters", "write the value into it"),
    Wrong("sql SELECT sttus FROM nginx", "^sttus", "there is no field 'sttus'", "did you mean 'status'?"),
    Wrong("sql SELECT path FROM ngnixx", "^ngnixx", "there is no format 'ngnixx'", "did you mean 'nginx'?"),
    Wrong("sql SELECT cuont(*) FROM nginx", "^cuont", "there is no aggregate 'cuont'", "did you mean 'count'"),
    Wrong("sql SELECT path FROM nginx JOIN b", "^b", "one question reads one format", "ask twice"),
]


def _argv(words: str) -> list[str]:
    """A question is one word, and options may stand behind it."""
    verb, _, rest = words.partition(" ")
    question, _, option = rest.partition(" --set ")
    if verb == "sql" or "|" in rest:
        return [verb, question, *(["--set", option] if option else [])]
    return words.split()


@pytest.mark.parametrize("wrong", WRONG, ids=[wrong.words for wrong in WRONG])
@pytest.mark.usefixtures("home")
def test_wrong_input_is_told(
    wrong: Wrong, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The place, the reason and what to do instead, in one sentence on stderr; nothing on stdout, and status 2."""
    monkeypatch.chdir(tmp_path)
    for name, text in FILES.items():
        Path(name).parent.mkdir(exist_ok=True)
        Path(name).write_text(text)
        Path(name).chmod(0o755 if name.endswith("/map") else 0o644)
    assert main(_argv(wrong.words)) == 2
    out, err = capsys.readouterr()
    assert out == ""
    said, *shown = [line for line in err.splitlines() if "no target given" not in line]
    assert said.startswith("logreduce: ")
    if wrong.place.startswith("^"):
        text, carets = shown
        assert text[carets.index("^") :].startswith(wrong.place[1:])
        assert carets.count("^") >= len(wrong.place[1:])
    else:
        assert wrong.place in said
    assert wrong.reason in said
    assert wrong.instead in said
    assert len(said) < 400


def test_there_are_sixty() -> None:
    """Each different."""
    assert len({wrong.words for wrong in WRONG}) == len(WRONG) >= 60
