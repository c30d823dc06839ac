"""Query files, `query.toml` and formats under random mistakes: each is read, or told in sentences with the file."""

from __future__ import annotations

import tempfile
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from backplane.query.formats import format_data
from backplane.query.load import examine
from backplane.wire.errors import UsageError
from tests.rigs.drawn import mutated

QUERIES = (
    """
logs = "/var/log/a"
floor = 500
def map(lines):
    for line in lines:
        yield line, floor
reduce = "sum"
""",
    """
format = "nginx"
logs = ["/a", "/b"]
def filter(provider):
    return provider.readable("/a")
def map(records):
    for record in records:
        yield record["path"], 1
reduce = ["count", "p99", "top(5)"]
""",
    """
needs = ["exec:ls"]
logs = "cmd:ls"
effects = True
encoding = None
def map(lines):
    yield from lines
""",
    """
import re
logs = "a"
floor = "x"
secret = ["floor"]
def map(lines):
    yield re.sub(floor, "", "y"), 1
def reduce(a, b):
    return a + b
""",
)
CONSTANTS = (
    """
title = "Errors"
logs = "access.log"
reduce = "sum"
floor = 500
""",
    """
logs = ["/a", "/b"]
reduce = ["count", "p50"]
encoding = "utf-8"
needs = ["exec:awk"]
names = ["a", "b"]
""",
)
FORMATS = (
    r"""
kind = 'regex'
pattern = '(?P<time>\S+) (?P<took>\d+): (?P<message>.*)'
start = '\d'
rest = 'message'
time = 'time'
[fields]
time = { type = 'time', layout = '%Y-%m-%dT%H:%M:%S' }
took = { type = 'duration', unit = 'ms' }
""",
    """
kind = 'template'
template = '{client} [{time}] "{request}" {status}'
[parts]
request = '{method} {path}'
[fields]
status = { type = 'int', range = [100, 599] }
client = { null = '-' }
""",
    """
kind = 'separated'
separator = ';'
quote = ''
columns = ['a', 'b']
[fields]
a = 'int'
""",
    """
kind = 'keyvalue'
separator = ', '
equals = ': '
prefix = '(?P<level>[A-Z]+) '
[fields]
bytes = 'size'
""",
    """
title = 'mine'
kind = 'json'
time = 'at'
[fields]
at = { type = 'time', layout = 'epoch_ms' }
ok = 'bool'
""",
)
PIECES = (
    *"()[]{}'\"=#.,:\\%?*+\n\t\0",
    "kind",
    "def ",
    "yield ",
    "lambda: 0",
    "import ",
    "[fields]",
    "1e999",
    "(?P<a>",
    "= 1\n",
    "{(",
    "-1",
    "nan",
    "\N{BYTE ORDER MARK}",
)


def _told(sentence: str, file: str) -> None:
    assert file in sentence
    assert len(sentence) < 2000


@settings(max_examples=150, deadline=None)
@given(st.one_of(mutated(QUERIES, PIECES), st.text(max_size=40)))
def test_any_query_file_is_read_or_told(text: str) -> None:
    """What is wrong is said with its file; nobody sees a traceback of ours."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "asked.py")
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        for error in examine(str(file), {}, None).errors:
            assert isinstance(error, UsageError)
            _told(str(error), "asked.py")


@settings(max_examples=100, deadline=None)
@given(st.one_of(mutated(CONSTANTS, PIECES), st.text(max_size=40)))
def test_any_constants_of_a_folder_are_read_or_told(text: str) -> None:
    """The same of `query.toml`."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "query.toml")
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        script = Path(place, "map")
        script.write_text("#!/bin/sh\ncat\n")
        script.chmod(0o755)
        for error in examine(place, {}, None).errors:
            assert isinstance(error, UsageError)
            _told(str(error), place)


@settings(max_examples=300, deadline=None)
@given(st.one_of(mutated(FORMATS, PIECES), st.text(max_size=40)))
def test_any_format_is_read_or_told(text: str) -> None:
    """The same of formats."""
    with tempfile.TemporaryDirectory() as place:
        file = Path(place, "mine.toml")
        file.write_text(text, encoding="utf-8", errors="surrogatepass")
        try:
            format_data(str(file))
        except UsageError as exc:
            _told(str(exc), "mine.toml")


def test_good_files_are_good(tmp_path: Path) -> None:
    """What is mutated above is good to begin with."""
    for number, text in enumerate(FORMATS):
        file = tmp_path / f"f{number}.toml"
        file.write_text(text)
        format_data(str(file))
    for number, text in enumerate(QUERIES):
        file = tmp_path / f"q{number}.py"
        file.write_text(text)
        assert not examine(str(file), {}, None).errors
