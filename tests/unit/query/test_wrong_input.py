"""Wrong query files and wrong parameters: each gets one clear line with its place, its reason and what to do."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import pytest

from backplane.query.load import examine, load
from backplane.wire.errors import QueryError, UsageError

MAP = "def map(lines):\n    for line in lines:\n        yield line\n"
LOGS = 'logs = "/var/log/syslog"\n'
GOOD = LOGS + MAP


class Wrong(NamedTuple):
    """A file that is wrong at a line, and what its message says. Line 0: the file as a whole."""

    text: str
    line: int
    parts: tuple[str, ...]


WRONG = {
    "no python": Wrong(LOGS + "def map(lines)\n    pass\n", 2, ("expected ':'", "def map(lines)")),
    "unbalanced": Wrong(GOOD + "x = (1,\n", 5, ("was never closed", "x = (1,")),
    "return outside": Wrong(GOOD + "return 3\n", 5, ("'return' outside function", "return 3")),
    "nul": Wrong(GOOD + "x = '\0'\n", 5, ("NUL byte", "UTF-8")),
    "deep": Wrong(GOOD + "x = " + "(" * 5000 + ")" * 5000 + "\n", 5, ("too many nested parentheses",)),
    "no map": Wrong(LOGS, 0, ("there is no `map`", "def map(lines):")),
    "near map": Wrong(LOGS + "def maps(lines):\n    yield 1\n", 0, ("there is no `map`", "did you mean 'maps'?")),
    "map_lines": Wrong(LOGS + "def map_lines(lines):\n    yield 1\n", 0, ("did you mean 'map_lines'?",)),
    "Map": Wrong(LOGS + "class Map:\n    pass\n", 0, ("there is no `map`", "did you mean 'Map'?")),
    "two arguments": Wrong(
        LOGS + "def map(lines, floor):\n    yield 1\n", 2, ("needs 2 arguments", "make floor constants", "--set")
    ),
    "keyword argument": Wrong(LOGS + "def map(lines, *, floor):\n    yield 1\n", 2, ("needs 2 arguments", "floor")),
    "star arguments": Wrong(LOGS + "def map(*lines):\n    yield 1\n", 2, ("lines alone", "def map(lines):")),
    "async map": Wrong(LOGS + "async def map(lines):\n    yield 1\n", 2, ("`map` is async", "`def map`")),
    "class map": Wrong(LOGS + "class map:\n    pass\n", 2, ("`map` is a class here", "def map(lines):")),
    "lambda map": Wrong(LOGS + "map = lambda lines: lines\n", 2, ("`map` is a lambda here", "def map(lines):")),
    "imported map": Wrong(LOGS + "from builtins import map\n", 2, ("`map` is imported here",)),
    "map twice": Wrong(GOOD + "map = print(map)\n", 5, ("`map` is assigned here again",)),
    "maps differ": Wrong(
        LOGS + "if 1:\n    def map(lines): yield 1\nelse:\n    def map(): yield 2\n",
        5,
        ("takes lines and another one does not",),
    ),
    "no logs": Wrong(MAP, 1, ("`map` takes lines, and nothing says whose", "logs =", "name FILES")),
    "logs computed": Wrong('logs = "/var/" + "log"\n' + MAP, 1, ("`logs` is read without running", "write it out")),
    "logs twice": Wrong(LOGS + LOGS + MAP, 2, ("`logs` is read without running", "once")),
    "logs number": Wrong("logs = 3\n" + MAP, 1, ("`logs` is a text or a list of texts", "not 3")),
    "logs empty": Wrong("logs = []\n" + MAP, 1, ("an empty list reads nothing",)),
    "logs blank": Wrong('logs = " "\n' + MAP, 1, ("an empty text names no source",)),
    "logs nul": Wrong('logs = "/a\\0b"\n' + MAP, 1, ("NUL or a newline",)),
    "no command": Wrong('logs = "cmd: "\n' + MAP, 1, ("'cmd: ' names no command", "cmd:journalctl -f")),
    "command and file": Wrong('logs = ["cmd:ls", "/a"]\n' + MAP, 1, ("'cmd:ls' stands alone", "2 sources")),
    "no rhythm": Wrong('logs = "tick:soon"\n' + MAP, 1, ("'tick:soon' is no rhythm", "tick:5s")),
    "zero rhythm": Wrong('logs = "tick:0s"\n' + MAP, 1, ("is no rhythm",)),
    "tick and file": Wrong('logs = ["tick:5s", "/a"]\n' + MAP, 1, ("'tick:5s' stands alone", "2 sources")),
    "format": Wrong('format = "nginks"\n' + GOOD, 1, ("there is no format 'nginks'", "did you mean 'nginx'?")),
    "format number": Wrong("format = 3\n" + GOOD, 1, ("`format` is the name of a format", "not 3")),
    "format of ticks": Wrong('format = "nginx"\nlogs = "tick:5s"\n' + MAP, 1, ("`map` gets none here",)),
    "format of no file": Wrong('format = "csv"\nlogs = "cmd:ls"\n' + MAP, 1, ("named by the first line of a file",)),
    "encoding unknown": Wrong('encoding = "utf-99"\n' + GOOD, 1, ("there is no text encoding 'utf-99'", '"utf-8"')),
    "encoding of bytes": Wrong('encoding = "base64"\n' + GOOD, 1, ("there is no text encoding 'base64'",)),
    "encoding wide": Wrong('encoding = "utf-16"\n' + GOOD, 1, ("do not end in a newline byte", "None")),
    "encoding number": Wrong("encoding = 8\n" + GOOD, 1, ("name of an encoding, or None", "not 8")),
    "flag": Wrong('effects = "yes"\n' + GOOD, 1, ("`effects` is True or False, not 'yes'",)),
    "flag computed": Wrong("replayable = not 0\n" + GOOD, 1, ("`replayable` is read without running",)),
    "need unknown": Wrong(
        'needs = ["modul:numpy"]\n' + GOOD, 1, ("nothing is known of 'modul:numpy'", "did you mean 'module'?")
    ),
    "need alone": Wrong('needs = ["exec"]\n' + GOOD, 1, ("'exec' wants something behind a colon",)),
    "need not alone": Wrong('needs = ["ptrace:1"]\n' + GOOD, 1, ("'ptrace' stands alone",)),
    "needs number": Wrong("needs = [1]\n" + GOOD, 1, ("`needs` is a text or a list of texts",)),
    "foreign import": Wrong(
        "import numpy\n" + LOGS + "def map(lines):\n    yield numpy.pi\n",
        1,
        ("`numpy` is not in the standard library", "module:numpy"),
    ),
    "foreign inside": Wrong(
        LOGS + "def map(lines):\n    import numpy.linalg as la\n    yield la\n", 3, ("`numpy` is not in the standard",)
    ),
    "foreign helper": Wrong(
        "from requests import get\n" + LOGS + "def ask(): return get()\ndef map(lines):\n    yield ask()\n",
        1,
        ("`requests` is not",),
    ),
    "foreign annotation": Wrong(
        "import numpy as np\n" + LOGS + "def map(lines: np.ndarray):\n    yield 1\n", 1, ("`numpy` is not",)
    ),
    "foreign beside": Wrong(
        "import re, numpy\n" + LOGS + "def map(lines):\n    yield re\n", 1, ("on a line of its own",)
    ),
    "undefined": Wrong(
        LOGS + "def map(lines):\n    for line in lines:\n        yield TT, 1\n", 4, ("`TT` is nowhere defined: write",)
    ),
    "undefined near": Wrong(
        LOGS + "def map(lines):\n    for line in lines:\n        yield lien\n", 4, ("did you mean 'line' or 'lines'?",)
    ),
    "undefined module": Wrong(
        LOGS + "def map(lines):\n    yield json.dumps(1)\n", 3, ("`json` is nowhere", "`import json`")
    ),
    "undefined helper": Wrong(
        LOGS + "def ask(): return x + TT\nx = 1\ndef map(lines):\n    yield ask()\n", 2, ("`TT` is nowhere defined",)
    ),
    "undefined in filter": Wrong(GOOD + "def filter(provider):\n    return PATH\n", 6, ("`PATH` is nowhere",)),
    "undefined in reduce": Wrong(GOOD + "def reduce(a, b):\n    return a + TT\n", 6, ("`TT` is nowhere",)),
    "undefined caught": Wrong(
        LOGS + "def map(lines):\n    try:\n        yield TT\n    except Exception:\n        pass\n",
        4,
        ("`TT` is nowhere defined",),
    ),
    "foreign in filter": Wrong(
        "import psutil\n" + GOOD + "def filter(provider):\n    return psutil.boot_time()\n", 1, ("`psutil` is not",)
    ),
    "relative import": Wrong(
        "from . import helpers\n" + LOGS + "def map(lines):\n    yield helpers\n", 1, ("is relative", "travels alone")
    ),
    "star import": Wrong("from os.path import *\n" + GOOD, 1, ("hides which names", "import them by name")),
    "builtin map": Wrong(
        LOGS + "def map(lines):\n    for line in lines:\n        yield list(map(int, line))\n",
        4,
        ("use builtins.map", "import builtins"),
    ),
    "builtin filter": Wrong(
        LOGS
        + "def filter(provider):\n    return True\ndef pick(x): return list(filter(None, x))\n"
        + "def map(lines):\n    yield pick(lines)\n",
        4,
        ("`filter` is this file's own function", "use builtins.filter"),
    ),
    "builtin map at home": Wrong(
        GOOD + "def reduce(a, b):\n    return list(map(max, a, b))\n", 6, ("use builtins.map",)
    ),
    "async filter": Wrong(GOOD + "async def filter(provider):\n    return True\n", 5, ("`filter` is async",)),
    "filter without": Wrong(
        GOOD + "def filter():\n    return True\n", 5, ("called with the provider alone", "def filter(provider):")
    ),
    "filter with two": Wrong(
        GOOD + "def filter(provider, x):\n    return True\n", 5, ("called with the provider alone",)
    ),
    "filter yields": Wrong(
        GOOD + "def filter(provider):\n    yield True\n", 5, ("`filter` yields", "return True or False")
    ),
    "filter a lambda": Wrong(GOOD + "filter = lambda p: True\n", 5, ("`filter` is a lambda here",)),
    "aggregate unknown": Wrong(
        GOOD + 'reduce = "cuont"\n', 5, ("there is no aggregate 'cuont'", "did you mean 'count'?")
    ),
    "aggregate strange": Wrong(GOOD + 'reduce = "zzz"\n', 5, ("there is no aggregate 'zzz'", "there are count, sum")),
    "aggregates in one text": Wrong(GOOD + 'reduce = "count, sum"\n', 5, ("are a list: ['count', 'sum']",)),
    "aggregate argument": Wrong(GOOD + 'reduce = ["count", "top(0)"]\n', 5, ("top takes how many, from 1 to 1000",)),
    "aggregate near": Wrong(GOOD + 'reduce = "quantile(0.5)"\n', 5, ("did you mean 'quantiles'?",)),
    "aggregate columns": Wrong(GOOD + 'reduce = ["p50", "quantiles(0.5, 0.9)"]\n', 5, ("names p50 twice",)),
    "aggregate twice": Wrong(GOOD + 'reduce = ["sum", "sum"]\n', 5, ("names sum twice",)),
    "reduce executable": Wrong(
        GOOD + 'reduce = ["./sum.awk"]\n', 5, ("an executable ('./sum.awk') stands alone and not in a list",)
    ),
    "reduce not there": Wrong(GOOD + 'reduce = "./sum.awk"\n', 5, ("sum.awk: there is no such file",)),
    "reduce number": Wrong(GOOD + "reduce = 3\n", 5, ("`reduce` is the name of an aggregate", "not 3")),
    "reduce empty": Wrong(GOOD + "reduce = []\n", 5, ("`reduce` is the name of an aggregate",)),
    "reduce imported": Wrong("from functools import reduce\n" + GOOD, 1, ("`reduce` is imported here",)),
    "reduce of one": Wrong(GOOD + "def reduce(a):\n    return a\n", 5, ("called with two values", "def reduce(a, b):")),
    "reduce async": Wrong(GOOD + "async def reduce(a, b):\n    return a\n", 5, ("no `async`",)),
    "reduce yields": Wrong(GOOD + "def reduce(a, b):\n    yield a\n", 5, ("no `yield`",)),
    "reduce both": Wrong(GOOD + "def reduce(a, b): return a\nclass Reduce: pass\n", 6, ("both `reduce` and `Reduce`",)),
    "class without add": Wrong(
        GOOD + "class Reduce:\n    def rows(self): return []\n",
        5,
        ("class Reduce has no `add`", "def add(self, key, value):"),
    ),
    "class without rows": Wrong(GOOD + "class Reduce:\n    def add(self, key, value): pass\n", 5, ("has no `rows`",)),
    "class add of one": Wrong(
        GOOD + "class Reduce:\n    def add(self, key): pass\n    def rows(self): return []\n",
        5,
        ("`add` is called as add(self, key, value)",),
    ),
    "class with arguments": Wrong(
        GOOD
        + "class Reduce:\n    def __init__(self, n): pass\n"
        + "    def add(self, key, value): pass\n    def rows(self): return []\n",
        5,
        ("is made without arguments",),
    ),
    "reduce raises": Wrong(
        GOOD + "LIMIT = {}['x']\ndef reduce(a, b):\n    return min(a + b, LIMIT)\n",
        5,
        ("`reduce` cannot be loaded", "KeyError: 'x'"),
    ),
    "reduce imports nothing": Wrong(
        GOOD + "import no_such_module_here\ndef reduce(a, b):\n    return no_such_module_here\n",
        5,
        ("cannot be loaded", "No module named 'no_such_module_here'"),
    ),
    "secret unknown": Wrong(
        'token = ""\nsecret = ["tokn"]\n' + GOOD, 2, ("`secret` names 'tokn'", "did you mean 'token'?")
    ),
    "secret number": Wrong('pin = 4\nsecret = ["pin"]\n' + GOOD, 2, ("no parameter that holds a text",)),
}


@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_a_wrong_file_gets_one_clear_line(wrong: Wrong, tmp_path: Path) -> None:
    """The message begins with the file as the user named it and the line, and says what is wrong and what to do."""
    file = tmp_path / "q.py"
    file.write_text(wrong.text, encoding="utf-8")
    with pytest.raises(QueryError) as caught:
        load(str(file), {}, None)
    message = str(caught.value)
    assert message.startswith(f"{file}:{wrong.line}: " if wrong.line else f"{file}: "), message
    assert "\n" not in message
    for part in wrong.parts:
        assert part in message
    assert caught.value.exit_status == 2


PARAMS = (
    'floor = 500\nratio = 0.5\nname = "x"\nshow = True\npaths = ["a"]\nports = [1, 2]\nnothing = None\n'
    'twice = 1\ntwice = 2\ncomputed = 1 + len("x")\ntoken = "t"\nsecret = ["token"]\n' + GOOD
)
WRONG_SETTINGS = {
    "unknown": ({"flor": "1"}, "--set flor: {file} has no parameter 'flor'; did you mean 'floor'?"),
    "strange": ({"zzz": "1"}, "its parameters are floor, name, paths, ports, ratio, show, token"),
    "logs": ({"logs": "/x"}, "'logs' is a setting of {file} and no parameter; name FILES or --from SOURCE instead"),
    "encoding": ({"encoding": "latin-1"}, "change it in the file"),
    "not once": ({"twice": "3"}, "line 8 and 9 of {file} makes 'twice', but not once"),
    "computed": ({"computed": "3"}, "line 10 of {file} makes 'computed'"),
    "none": ({"nothing": "3"}, "line 7 of {file} makes 'nothing'"),
    "not whole": ({"floor": "4.5"}, "--set floor: '4.5' is not a whole number, as its default 500 is"),
    "not a number": ({"ratio": "half"}, "--set ratio: 'half' is not a number, as its default 0.5 is"),
    "not finite": ({"ratio": "inf"}, "'inf' is not a number"),
    "not yes": ({"show": "maybe"}, "--set show: 'maybe' is not yes or no"),
    "not items": ({"ports": "1,x"}, "--set ports: 'x' is not a whole number"),
    "broken JSON": ({"ports": "[1,"}, "'[1,' is no list in JSON"),
    "other items": ({"ports": '["a"]'}, "'a' in the list is not a whole number"),
    "nested": ({"paths": '[["a"]]'}, "holds what is neither a number, nor text"),
    "no such file": ({"token": "@/no/such/file"}, "--set token: cannot read /no/such/file: No such file or directory"),
}


@pytest.mark.parametrize(("settings", "part"), WRONG_SETTINGS.values(), ids=WRONG_SETTINGS)
def test_a_wrong_parameter_says_what_would_do(settings: dict[str, str], part: str, tmp_path: Path) -> None:
    """What is wrong with ``--set`` names the parameter, its type, and what it could have meant."""
    file = tmp_path / "q.py"
    file.write_text(PARAMS, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load(str(file), settings, None)
    assert part.format(file=file) in str(caught.value)


WRONG_NAMES = {
    "one line": ("nginx x.log | count", "is a question of one line, and a query file or a name is meant"),
    "no file": ("./no-such.py", "there is no query file ./no-such.py"),
    "no folder": ("no/such/q.py", "there is no folder no/such"),
    "folder": ("./folder/", "a folder with neither `filter`, `map` nor `reduce` asks nothing"),
    "no name": ("no-such", "the library has no query 'no-such'; it has "),
    "near name": ("http-statuses", "did you mean 'http-status'?"),
    "file without slash": ("plain", "a path is written with a slash: ./plain"),
    "near file": ("./error.py", "did you mean 'errors.py'?"),
    "near file, as a name": ("error", "the library has no query 'error'; did you mean './errors.py'?"),
    "log file": ("./huge.log", "is over 1 MiB: that is no query file"),
    "not text": ("./bytes.py", "./bytes.py:2: byte 0xff is not UTF-8"),
    "nul": ("./a\0.py", "cannot read the query file"),
}


@pytest.mark.parametrize(("query", "part"), WRONG_NAMES.values(), ids=WRONG_NAMES)
def test_a_query_that_is_not_there_is_said_plainly(
    query: str, part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A path or a name that leads to no query file says so, with near names."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder").mkdir()
    (tmp_path / "plain").write_text(GOOD)
    (tmp_path / "errors.py").write_text(GOOD)
    (tmp_path / "huge.log").write_bytes(b"x" * (2 << 20))
    (tmp_path / "bytes.py").write_bytes(b"x = 1\ny = '\xff'\n")
    with pytest.raises(UsageError) as caught:
        load(query)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    ("text", "sources", "part"),
    [
        ("def map():\n    yield 1\n", ["a.log"], "which takes no source: leave FILES and --from out"),
        (GOOD, ["cmd:"], "FILES and --from: 'cmd:' names no command"),
        (GOOD, ["-", "a.log"], "'-' stands alone"),
    ],
)
def test_wrong_sources_are_refused(text: str, sources: list[str], part: str, tmp_path: Path) -> None:
    """FILES and ``--from`` obey the rules of `logs`, and the message says that they are meant."""
    file = tmp_path / "q.py"
    file.write_text(text)
    with pytest.raises(UsageError) as caught:
        load(str(file), {}, sources)
    assert part in str(caught.value)


@pytest.mark.parametrize(
    "text",
    [
        "def map(lines):\n    globals()['TT'] = 1\n    yield TT\n",
        "def map(lines):\n    global TT\n    TT = 1\n    yield TT\n",
        "def map(lines):\n    exec('TT = 1', globals())\n    yield TT\n",
        "TT = 1\ndel TT\nTT = 2\ndef map(lines):\n    yield TT\n",
        (
            "class A:\n    one = 1\n    two = one + len(__qualname__)\n    __own = 3\n    own = __own\n"
            "def map(lines):\n    yield A.two\n"
        ),
        "def map(lines):\n    class A:\n        one = 1\n        two = one\n    yield A.two\n",
        "def map(lines):\n    yield [x for y in lines for x in y if (z := x)], __name__, __file__, z\n",
        "rows = [last := x for x in (1, 2)]\ndef map(lines):\n    yield last, rows\n",
        "try:\n    text = unicode\nexcept NameError:\n    text = str\ndef map(lines):\n    yield text(1)\n",
        "try:\n    import numpy\nexcept ImportError:\n    numpy = None\ndef map(lines):\n    yield numpy\n",
        "import sys\ndef map(lines):\n    sys.modules[__name__].TT = 1\n    yield TT\n",
        "if 1 > 2:\n    TT = 1\ndef map(lines):\n    yield TT\n",
        "def map(lines):\n    yield _('text')\n",
        "def map(lines):\n    match lines:\n        case [one, *rest]:\n            yield one, rest\n",
        "for i in range(3):\n    pass\nwith open('/dev/null') as file:\n    pass\ndef map(lines):\n    yield i, file\n",
        (
            "def made(f):\n    def inner(*args):\n        return f(*args)\n    return inner\n"
            "@made\ndef map(lines):\n    yield ExceptionGroup, __builtins__\n"
        ),
        "def map(lines):\n    yield 1\ndef unused():\n    return TT\n",
    ],
)
def test_no_name_is_called_undefined_that_may_be_there(text: str, tmp_path: Path) -> None:
    """Names of classes, comprehensions, branches and builtins, and those that are made while it runs, are let be."""
    file = tmp_path / "q.py"
    file.write_text(LOGS + text)
    found = examine(str(file), {}, None)
    assert not [str(error) for error in found.errors if "nowhere" in str(error)]


def test_all_that_is_wrong_is_said_in_the_order_of_lines(tmp_path: Path) -> None:
    """One look at a file finds every problem of it that does not hide another one."""
    file = tmp_path / "q.py"
    file.write_text('import numpy\nlogs = 3\neffects = "no"\ndef map(lines):\n    yield numpy\nreduce = "cuont"\n')
    found = examine(str(file), {"x": "1"}, None)
    assert found.query is None
    assert [getattr(error, "line", None) for error in found.errors] == [None, 1, 2, 3, 6]


def test_a_secret_stands_in_no_message(tmp_path: Path) -> None:
    """What is wrong elsewhere does not show a secret's value, be it in the file or set."""
    file = tmp_path / "q.py"
    file.write_text('token = "hunter2"\nsecret = ["token"]\n' + GOOD + 'reduce = "cuont"\n')
    found = examine(str(file), {"token": "hunter3", "tken": "hunter3"}, None)
    assert len(found.errors) == 2
    assert "hunter" not in repr(found)


@pytest.mark.parametrize(
    ("text", "part"),
    [
        (LOGS + "def map():\n    yield 1\n", ":1: `logs` is not read"),
        (LOGS + "def map(lines):\n    for line in lines:\n        print(line)\n", ":2: `map` never yields"),
        (GOOD + "def filter(provider):\n    provider.readable(logs)\n", ":5: `filter` never returns anything"),
        (GOOD + "combine = True\ndef reduce(a, b):\n    return a\n", ":5: `combine` is used for aggregates only"),
    ],
)
def test_what_runs_but_may_not_be_meant_is_a_warning(text: str, part: str, tmp_path: Path) -> None:
    """A file that runs though it looks like a mistake is loaded, and says so."""
    file = tmp_path / "q.py"
    file.write_text(text)
    (warning,) = load(str(file)).warnings
    assert f"{file}{part}" in warning
