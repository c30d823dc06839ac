"""Queries that are folders: what each file may be, and what is said of those that are not."""

from __future__ import annotations

from pathlib import Path

import pytest

from backplane.query.load import examine, load
from backplane.query.starting import may_start
from backplane.wire.errors import UsageError

AWK = '#!/usr/bin/awk -f\n{ print $1 "\\t" 1 }\n'
CONSTANTS = (
    'title = "Errors"\nlogs = "/var/log/x"\nreduce = "sum"\nfloor = 500\nkinds = ["a", "b"]\nall = true\nunit = "x"\n'
)
MAP_PY = """floor = 0


def map(lines):
    for line in lines:
        if int(line) >= floor:
            yield unit, 1
"""


def write(tmp_path: Path, **files: str) -> str:
    """A folder with these files; ``_`` in a name stands for a dot."""
    folder = tmp_path / "errors"
    folder.mkdir(exist_ok=True)
    for name, text in files.items():
        (folder / name.replace("_", ".")).write_text(text)
    return str(folder)


def test_a_folder_is_a_query(tmp_path: Path) -> None:
    """Scripts travel as text with what runs them, constants as variables."""
    folder = write(tmp_path, map=AWK, filter="#!/usr/bin/env perl\nexit 0;\n", query_toml=CONSTANTS)
    query = load(folder + "/", {"floor": "400"})
    assert (query.title, query.name, query.file) == ("Errors", "errors", folder)
    assert query.programs == {"filter": ("perl",), "map": ("/usr/bin/awk", "-f")}
    assert query.environ == {"floor": "400", "kinds": "a\nb", "all": "true", "unit": "x"}
    assert (query.combine, query.replayable, query.guard, query.body) == (("sum",), False, True, "folder")
    payload = query.start_payload("a", {}, follow=False, every_s=1.0)
    assert (payload["map"], payload["programs"]["map"]) == (AWK, ["/usr/bin/awk", "-f"])


def test_python_files_get_the_constants(tmp_path: Path) -> None:
    """In the place of their own, or behind the last line, so that no line moves; such a map may be replayable."""
    filter_py = "def filter(provider):\n    return provider.readable(logs)\n"
    folder = write(tmp_path, map_py=MAP_PY, filter_py=filter_py, query_toml=CONSTANTS)
    query = load(folder, {"unit": "c"}, ["/other"])
    assert query.map_source.startswith("floor = 500\n\n\ndef map(lines):")
    assert "unit = 'c'" in query.map_source
    assert query.filter_source is not None
    assert "logs = '/other'" in query.filter_source
    assert (query.programs, query.replayable, query.guard, query.sources) == ({}, True, False, ("/other",))


def test_any_of_them_may_be_absent(tmp_path: Path) -> None:
    """Without a map the lines are the values, without a reduce values are shown, without a filter all are asked."""
    query = load(write(tmp_path, filter="#!/bin/sh\ntrue\n", query_toml='logs = "x"\n'))
    assert "yield line" in query.map_source
    assert query.reduction.kind == "stream"
    folder = tmp_path / "alone"
    folder.mkdir()
    (folder / "map").write_text("#!/bin/sh\nuptime\n")
    alone = load(str(folder))
    assert (alone.takes_lines, alone.sources, alone.endless) == (False, (), True)


@pytest.mark.parametrize("name", ["reduce", "reduce.py"])
def test_reduce_stays_at_home(tmp_path: Path, name: str) -> None:
    """As a program, which is run where it lies, or as Python."""
    folder = write(tmp_path, map=AWK, query_toml='logs = "x"\n')
    path = Path(folder) / name
    path.write_text("def reduce(a, b):\n    return a + b\n" if name == "reduce.py" else "#!/usr/bin/env bash\ncat\n")
    query = load(folder)
    if name == "reduce.py":
        assert query.reduction.kind == "function"
    else:
        assert query.reduction.argv == ("bash", str(path))
        path.chmod(0o755)
        assert load(folder).reduction.argv == (str(path),)
    assert query.combine is None


def test_a_query_file_may_name_a_program(tmp_path: Path) -> None:
    """Relative to itself."""
    (tmp_path / "sum.sh").write_text("#!/bin/sh\ncat\n")
    (tmp_path / "q.py").write_text('logs = "x"\ndef map(lines):\n    yield 1\nreduce = "./sum.sh"\n')
    query = load(str(tmp_path / "q.py"))
    assert (query.reduction.kind, query.reduction.argv) == ("program", ("/bin/sh", str(tmp_path / "sum.sh")))


WRONG = {
    "nothing": ({}, "neither `filter`, `map` nor `reduce`"),
    "near": ({"map_awk": AWK}, "did you mean map.awk to be map?"),
    "no shebang": ({"map": "print 1\n"}, "errors/map:1: does not say what runs it"),
    "binary": ({"map": "\x7fELF\0"}, "errors/map: is a binary"),
    "twice": ({"map": AWK, "map_py": MAP_PY}, "there are both `map` and `map.py`"),
    "no source": ({"map_py": MAP_PY}, "nothing says whose"),
    "broken python": ({"map_py": "def map(:\n"}, "errors/map.py:1: "),
    "foreign": (
        {"map_py": "import numpy\ndef map(lines):\n    yield numpy\n", "query_toml": 'logs = "x"'},
        "errors/map.py:1: `numpy` is not in the standard library",
    ),
    "no filter": ({"filter_py": "x = 1\n", "map": AWK}, "errors/filter.py: there is no `filter` in it"),
    "toml": ({"map": AWK, "query_toml": "a = = 1"}, "query.toml:1: is no TOML"),
    "table": ({"map": AWK, "query_toml": "[a]\nb = 1"}, "`a` is a number, a text, true or false"),
    "loud": ({"map": AWK, "query_toml": "\nPATH = 'x'"}, "query.toml:2: 'PATH' cannot be the name of a constant"),
    "title": ({"map": AWK, "query_toml": "title = 3"}, "query.toml:1: `title` is a text"),
    "needs": ({"map": AWK, "query_toml": 'x = 1\nneeds = ["exc:awk"]'}, "query.toml:2: `needs`: nothing is known of"),
    "aggregate": ({"map": AWK, "query_toml": 'reduce = "cuont"'}, "query.toml:1: `reduce`: there is no aggregate"),
    "two reduces": ({"map": AWK, "reduce": AWK, "query_toml": 'reduce = "sum"'}, "has `reduce` too: leave one out"),
    "empty reduce": ({"map": AWK, "reduce_py": "x = 1\n"}, "errors/reduce.py: there is no reduce in it"),
    "silent reduce": ({"map": AWK, "reduce": "cat\n"}, "errors/reduce: is not executable, and does not say"),
}


@pytest.mark.parametrize(("files", "part"), WRONG.values(), ids=WRONG)
def test_what_is_wrong_is_said_with_its_file(tmp_path: Path, files: dict[str, str], part: str) -> None:
    """Each file by its own name, with the line where there is one."""
    examined = examine(write(tmp_path, **files), {}, None)
    assert examined.query is None
    assert any(part in str(error) for error in examined.errors), list(map(str, examined.errors))


@pytest.mark.parametrize(
    ("settings", "part"),
    [({"flor": "1"}, "did you mean 'floor'?"), ({"floor": "x"}, "is not a whole number"), ({"logs": "x"}, "a setting")],
)
def test_only_its_constants_can_be_set(tmp_path: Path, settings: dict[str, str], part: str) -> None:
    """As those of a query file."""
    with pytest.raises(UsageError, match=part.replace("?", r"\?")):
        load(write(tmp_path, map=AWK, query_toml=CONSTANTS), settings)


def test_a_secret_is_masked(tmp_path: Path) -> None:
    """In what is shown of it; the script finds it."""
    folder = write(tmp_path, map=AWK, query_toml='token = "s3cret"\nsecret = ["token"]\n')
    query = load(folder)
    assert query.secret == ("token",)
    assert query.environ["token"] == "s3cret"
    assert "s3cret" not in repr(query)


@pytest.mark.parametrize(
    ("text", "starts"),
    [
        ("import re, json\n", False),
        ("import os.path\n", True),
        ("from concurrent.futures import ProcessPoolExecutor\n", True),
        ("provider.run(['id'])\n", True),
        ("__import__('os')\n", True),
        ("().__class__\n", True),
        ("line.split()\n", False),
    ],
)
def test_what_may_start_processes_is_guarded(text: str, starts: bool) -> None:
    """In doubt it may."""
    assert may_start(text) is starts
