"""A query file becomes a query: settings, parameters, sources, the forms of reduce, and what a start says."""

from __future__ import annotations

from pathlib import Path

import msgpack
import pytest

from backplane.query import library as shelf
from backplane.query.library import find, library
from backplane.query.load import load
from backplane.query.model import Query, Secret
from backplane.query.syntax import too_new_for
from tests.unit.query.running import emitted, namespace

#: The query file of the contract, word for word.
ERRORS = '''"""Server errors by path."""                     # the title, shown while it runs
logs = "/var/log/nginx/access.log"               # source
floor = 500                                      # any scalar or list constant is a parameter
encoding = "utf-8"                               # default
def filter(provider):                            # optional
    return provider.readable(logs)
def map(lines):                                  # a generator
    for line in lines:
        part = line.split()
        if int(part[8]) >= floor:
            yield part[6], 1                     # a 2-tuple is (key, value)
reduce = "sum"
'''
LINE = '1.2.3.4 - - [17/May/2015:10:05:03 +0000] "GET /a HTTP/1.1" {} 203023'


def write(folder: Path, text: str) -> str:
    """A query file's path."""
    file = folder / "q.py"
    file.write_text(text, encoding="utf-8")
    return str(file)


def test_reads_the_contracts_example(tmp_path: Path) -> None:
    """The file of the contract is a query with all its parts."""
    file = write(tmp_path, ERRORS)
    query = load(file, {"floor": "400"}, None)
    assert (query.title, query.name, query.file) == ("Server errors by path.", "q", file)
    assert (query.sources, query.takes_lines, query.encoding) == (("/var/log/nginx/access.log",), True, "utf-8")
    assert (query.reduction.kind, query.reduction.aggregates, query.combine) == ("aggregates", ("sum",), ("sum",))
    assert dict(query.params) == {"floor": 400}
    assert (query.endless, query.effects, query.replayable, query.warnings) == (False, False, True, ())
    assert emitted(query, [LINE.format(404), LINE.format(200)]) == [("/a", 1)]


def test_a_start_says_what_the_frames_contract_asks(tmp_path: Path) -> None:
    """The payload of a start has each field of the contract, and can travel."""
    query = load(write(tmp_path, ERRORS))
    payload = query.start_payload("web01", {"dc": "a"}, follow=True, every_s=1.0, positions=[("/x", b"\0p")])
    assert payload == {
        "file": query.file,
        "filter": query.filter_source,
        "map": query.map_source,
        "lines": True,
        "sources": ["/var/log/nginx/access.log"],
        "encoding": "utf-8",
        "follow": True,
        "combine": ["sum"],
        "every_s": 1.0,
        "provider": {"name": "web01", "labels": {"dc": "a"}},
        "positions": [["/x", b"\0p"]],
        "needs": [],
    }
    assert msgpack.unpackb(msgpack.packb(payload)) == payload


def test_files_replace_logs_wherever_they_are_used(tmp_path: Path) -> None:
    """A filter that asks about `logs` sees what is read: a text for one source, a list for several."""
    file = write(tmp_path, ERRORS)
    for sources, seen in ((["/a b.log"], "/a b.log"), (["/a", "/b"], ["/a", "/b"])):
        query = load(file, {}, sources)
        assert query.sources == tuple(sources)
        assert query.filter_source is not None
        assert namespace(query.filter_source)["logs"] == seen


def test_a_list_of_logs_stays_a_list(tmp_path: Path) -> None:
    """A file that loops over `logs` may go on doing so."""
    query = load(write(tmp_path, ERRORS.replace('"/var/log/nginx/access.log"  ', '["/a", "/b"]')), {}, ["/c"])
    assert query.filter_source is not None
    assert namespace(query.filter_source)["logs"] == ["/c"]


PARAMS = '''
whole = 500
part = .5
text = "a" \\
    "b"
long = """one
two"""
yes = True
names: list = [
    "a",
    "b",
]
ports = [1, 2]
mixed = [1, "a"]
empty = []
raw = b"x"
negative = -3
token = "secret-of-the-file"
secret = "token"
def map():
    yield whole, part, text, long, yes, names, ports, mixed, empty, raw, negative, token
'''


def test_parameters_are_typed_by_their_defaults(tmp_path: Path) -> None:
    """Each text of ``--set`` becomes a value of the default's type, in the query and in what travels; lines stay."""
    file = write(tmp_path, PARAMS)
    (tmp_path / "token").write_text("of another file\n\n")
    query = load(
        file,
        {
            "whole": "0x10",
            "part": "3",
            "text": 'it\'s "1"',
            "long": "@@x",
            "yes": "No",
            "names": "c, d",
            "ports": "[3]",
            "mixed": '[true, "b", 2.5]',
            "empty": "x",
            "raw": "\udcff",
            "negative": "-4",
            "token": f"@{tmp_path}/token",
        },
    )
    assert emitted(query) == [
        (16, 3.0, 'it\'s "1"', "@x", False, ["c", "d"], [3], [True, "b", 2.5], ["x"], b"\xff", -4, "of another file\n")
    ]
    assert query.map_source.count("\n") == PARAMS.count("\n")
    assert query.params["token"] == Secret("of another file\n")
    unset = emitted(load(file))
    assert unset == emitted(load(file, {}))
    assert unset[0][2:4] == ("ab", "one\ntwo")


@pytest.mark.parametrize("settings", [{}, {"token": "swordfish"}])
def test_a_secret_is_in_no_repr_and_masked_in_sources(settings: dict[str, str], tmp_path: Path) -> None:
    """A secret travels in the source alone; whatever shows a query hides it, from the file or set."""
    query = load(write(tmp_path, PARAMS), settings)
    value = settings.get("token", "secret-of-the-file")
    assert value in query.map_source
    assert value not in repr(query)
    assert value not in query.masked(query.map_source)
    assert "token = '***'" in query.masked(query.map_source)
    assert query.secret == ("token",)


REDUCES = {
    "none": ("", "stream", None),
    "None": ("reduce = None", "stream", None),
    "text": ('reduce = "count"', "aggregates", ("count",)),
    "list": ('reduce = ["count", "mean"]', "aggregates", ("count", "mean")),
    "raw": ('combine = False\nreduce = "sum"', "aggregates", None),
    "function": ("def reduce(a, b): return a + b", "function", None),
    "lambda": ("reduce = lambda a, b: a + b", "function", None),
    "builtin": ("reduce = max", "function", None),
    "class": ("class Reduce:\n    def add(self, key, value): pass\n    def rows(self): return []", "class", None),
}


@pytest.mark.parametrize(("text", "kind", "combine"), REDUCES.values(), ids=REDUCES)
def test_reduce_has_four_kinds(text: str, kind: str, combine: tuple[str, ...] | None, tmp_path: Path) -> None:
    """An aggregate, several, a function or a class; only aggregates are folded on a provider."""
    query = load(write(tmp_path, f"logs = '/x'\ndef map(lines):\n    yield 1\n{text}\n"))
    assert (query.reduction.kind, query.combine) == (kind, combine)


def test_only_what_reduce_reaches_runs_at_home(tmp_path: Path) -> None:
    """Filter, map and what they need alone are not executed here; what reduce needs is, with the set parameters."""
    query = load(
        write(
            tmp_path,
            "import no_such_module_at_home as x\nraise_here = 1 / 1\nfactor = 2\nBAD = {}['x']\n"
            "needs = ['module:no_such_module_at_home']\n"
            "def twice(a): return a * factor\n"
            "def map():\n    yield x, BAD\ndef filter(provider): return BAD\n"
            "def reduce(a, b): return twice(a + b)\n",
        ),
        {"factor": "10"},
    )
    assert query.reduction.function is not None
    assert query.reduction.function(1, 2) == 30


def test_a_dataclass_may_reduce(tmp_path: Path) -> None:
    """The module of a reduce is a real one, as dataclasses ask."""
    query = load(
        write(
            tmp_path,
            "from __future__ import annotations\nimport dataclasses\nlogs = '/x'\ndef map(lines):\n    yield 1\n"
            "@dataclasses.dataclass\nclass Reduce:\n    total: int = 0\n"
            "    def add(self, key, value): self.total += value\n    def rows(self): return [{'total': self.total}]\n",
        )
    )
    assert query.reduction.factory is not None
    made = query.reduction.factory()
    made.add(None, 3)
    assert made.rows() == [{"total": 3}]


@pytest.mark.parametrize(
    ("text", "endless"),
    [
        ("logs = '/x'\ndef map(lines): yield 1", False),
        ("logs = 'tick:1s'\ndef map(ticks): yield 1", True),
        ("def map(): yield 1", True),
    ],
)
def test_ticks_and_maps_without_a_source_are_endless(text: str, endless: bool, tmp_path: Path) -> None:
    """They run until they end, or are ended, without a follow."""
    query = load(write(tmp_path, text))
    assert (query.endless, query.title) == (endless, "q")


def test_bytes_and_line_ends_of_a_file_are_taken_as_they_come(tmp_path: Path) -> None:
    """A mark at the beginning and line ends of Windows are no part of a query."""
    file = tmp_path / "q.py"
    file.write_bytes(b"\xef\xbb\xbf" + ERRORS.replace("\n", "\r\n").encode())
    assert "\r" not in load(str(file)).map_source


def test_a_path_with_blanks_is_a_path(tmp_path: Path) -> None:
    """What exists is no one-liner."""
    (tmp_path / "my queries").mkdir()
    assert load(write(tmp_path / "my queries", ERRORS)).name == "q"


def test_every_query_of_the_library_is_good_and_old_enough() -> None:
    """Each one loads by its name without a warning, says what it asks, and is known to Python 3.6."""
    assert {"http-status", "failed-ssh-logins", "levels-per-minute"} <= library().keys()
    for name in library():
        query = load(name)
        assert query.title != name
        assert not query.warnings
        assert too_new_for(find(name).text, (3, 6)) is None


def test_packaged_queries_come_before_what_stands_beside(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where LogReduce is installed, a package of someone else's named `queries` is not taken for the library."""
    for folder, name in (("backplane/_queries", "ours"), ("queries", "theirs")):
        (tmp_path / folder / "library").mkdir(parents=True)
        (tmp_path / folder / "library" / f"{name}.py").write_text(ERRORS)
    monkeypatch.setattr(shelf, "_PACKAGE", tmp_path / "backplane")
    assert library().keys() == {"ours"}


def _counted(query: Query, path: Path) -> dict[object, int]:
    with path.open(encoding="utf-8", errors="surrogateescape") as lines:
        found: dict[object, int] = {}
        for key, value in emitted(query, lines):
            found[key] = found.get(key, 0) + value
    return found


def test_http_status_of_a_real_log(data: Path) -> None:
    """The library's counts of a real access log are those that are known of it."""
    assert _counted(load("http-status"), data / "elastic" / "apache_logs") == {
        200: 9126,
        304: 445,
        404: 213,
        301: 164,
        206: 45,
        500: 3,
        403: 2,
        416: 2,
    }


def test_failed_logins_of_a_real_log(data: Path) -> None:
    """Repeated messages count as often as they were repeated, and addresses are those of sshd."""
    found = _counted(load("failed-ssh-logins"), data / "loghub" / "OpenSSH_2k.log")
    assert sum(found.values()) == 532
    assert found["183.62.140.253"] == 286


def test_an_address_in_a_users_name_is_not_counted() -> None:
    """Whoever logs in chooses the name, and must not choose the address that is blamed."""
    line = "Dec 10 06:55:48 h sshd[1]: Failed password for invalid user x from 9.9.9.9 port 1 from 1.2.3.4 port 2 ssh2"
    assert emitted(load("failed-ssh-logins"), [line]) == [("1.2.3.4", 1)]


def test_levels_per_minute() -> None:
    """A minute and a severity a line; lines without a date are none of it."""
    lines = [
        "2015-10-18 18:01:47,978 INFO [main] x",
        "[2015-10-18T18:01:48Z] WARNING y",
        "2015-10-18 18:02:48,963 z",
        "  at java.lang.Thread",
    ]
    assert emitted(load("levels-per-minute"), lines) == [
        (("2015-10-18 18:01", "info"), 1),
        (("2015-10-18 18:01", "warn"), 1),
        (("2015-10-18 18:02", "none"), 1),
    ]
    assert emitted(load("levels-per-minute", {"only": "warn"}), lines) == [(("2015-10-18 18:01", "warn"), 1)]


@pytest.mark.parametrize(
    ("text", "version", "line"),
    [
        ("x = 1\nif (n := 2): pass", (3, 7), 2),
        ("def f(a, /): pass", (3, 7), 1),
        ("x = 1\ny = f'{x=}'", (3, 6), 2),
        ("from __future__ import annotations", (3, 6), 1),
        ("def f():\n    return 1, *x", (3, 7), 2),
        ("@a[0]\ndef f(): pass", (3, 8), 2),
        ("x[1, *a]", (3, 10), 1),
        ("try: pass\nexcept* ValueError: pass", (3, 10), 2),
    ],
)
def test_syntax_too_new_for_a_provider_is_found(text: str, version: tuple[int, int], line: int) -> None:
    """The line is named, and the version that would do."""
    found = too_new_for(text, version)
    assert found is not None
    assert found[0] == line
    assert "3." in found[1]
    assert too_new_for(text, (3, 11)) is None
