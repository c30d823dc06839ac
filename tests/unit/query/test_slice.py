"""What travels: all that filter and map reach, nothing else, with lines and columns kept."""

from __future__ import annotations

import opcode
import traceback
from pathlib import Path
from textwrap import dedent

import pytest

from backplane.query import scope
from backplane.query.load import load
from backplane.query.scope import module
from backplane.query.slice import cut
from tests.unit.query.running import namespace

KEPT = {
    "constant": "A = 1\ndef map(): yield A",
    "function": "def f(): return 1\ndef map(): yield f()",
    "through a function": "B = 1\ndef f(): return B\ndef map(): yield f()",
    "class": "class A:\n    x = 1\ndef map(): yield A.x",
    "base class": "class A:\n    x = 1\nclass B(A): pass\ndef map(): yield B.x",
    "class body": "X = 1\nclass A:\n    y = X\ndef map(): yield A.y",
    "method": "X = 1\nclass A:\n    def m(self): return X\ndef map(): yield A().m()",
    "decorator": "def twice(f): return f\n@twice\ndef map(): yield 1",
    "decorator with arguments": "N = 2\ndef times(n):\n    return lambda f: f\n@times(N)\ndef map(): yield 1",
    "default": "A = 1\ndef map(lines=A): yield lines",
    "keyword default": "A = 1\ndef map(*, a=A): yield a",
    "annotation": "T = int\ndef map(lines: T = 3): yield lines",
    "variable annotation": "T = int\nA: T = 3\ndef map(): yield A",
    "comprehension": "A = [1]\ndef map(): yield [a for a in A]",
    "generator": "A = [1]\nB = 2\ndef map(): yield from (a + B for a in A)",
    "lambda": "A = 1\nf = lambda: A\ndef map(): yield f()",
    "closure": "A = 1\ndef map():\n    def f():\n        def g(): return A\n        return g()\n    yield f()",
    "shadowed elsewhere": "A = 1\ndef f(A): return A\ndef map():\n    yield A + f(2)",
    "tuple target": "A, (B, *C) = 1, (2, 3)\ndef map(): yield B, C",
    "chained target": "A = B = []\ndef map(): yield B",
    "augmented": "A = 1\nA += 1\ndef map(): yield A",
    "item": 'T = {}\nT["a"] = 1\ndef map(): yield T',
    "attribute": "class A: pass\nA.x = 1\ndef map(): yield A.x",
    "function attribute": "def f(): return f.x\nf.x = 1\ndef map(): yield f()",
    "method call": "T = {}\nT.update(a=1)\ndef map(): yield T",
    "deep method call": "T = {'a': []}\nT['a'].append(1)\ndef map(): yield T",
    "method call for its value": "T = [1, 2]\nlast = T.pop()\ndef map(): yield T",
    "deleted item": "T = {1: 2}\ndel T[1]\ndef map(): yield T",
    "deleted name": "A = 1\ndel A\nA = 2\ndef map(): yield A",
    "filled by a function": "T = {}\ndef fill(t): t['a'] = 1\nfill(T)\ndef map(): yield T",
    "filled through global": "T = {}\ndef fill(): T['a'] = 1\nfill()\ndef map(): yield T",
    "rebound through global": "T = 1\ndef fill():\n    global T\n    T = 2\nfill()\ndef map(): yield T",
    "bound through global": "def fill():\n    global T\n    T = 2\nfill()\ndef map(): yield T",
    "filled by a library": "import heapq\nT = [3, 1]\nheapq.heapify(T)\ndef map(): yield T",
    "another name": "T = {}\nU = T\nU['a'] = 1\ndef map(): yield T",
    "held": "T = []\nU = {'t': T}\nU['t'].append(1)\ndef map(): yield T",
    "loop over tables": "T = {}\nU = {}\nfor t in (T, U):\n    t['a'] = 1\ndef map(): yield U",
    "loop": "T = {}\nfor i in range(3):\n    T[i] = i\ndef map(): yield T",
    "with": "import contextlib\nwith contextlib.nullcontext(3) as A: pass\ndef map(): yield A",
    "walrus": "(A := 3)\ndef map(): yield A",
    "walrus in a comprehension": "[A := i for i in (1, 2)]\ndef map(): yield A",
    "module state": "import random\nrandom.seed(4)\ndef map(): yield random.random()",
    "registered": dedent(
        """
        HANDLERS = {}
        def handles(name):
            def keep(f):
                HANDLERS[name] = f
                return f
            return keep
        @handles("a")
        def on_a(): return 1
        def map(): yield HANDLERS["a"]()
        """
    ),
    "registered by a base": dedent(
        """
        KINDS = []
        class Base:
            def __init_subclass__(cls): KINDS.append(cls.__name__)
        class One(Base): pass
        def map(): yield KINDS
        """
    ),
    "conditional": "import sys\nif sys.version_info > (3,):\n    A = 1\nelse:\n    A = 2\ndef map(): yield A",
    "conditional map": "if 1:\n    def map(): yield 1\nelse:\n    def map(): yield 2",
    "guarded import": "try: import no_such_re as re\nexcept ImportError: import re\ndef map(): yield re.escape('.')",
    "dotted import": "import os.path\ndef map(): yield os.path.sep",
    "from import": "from os import sep as S\ndef map(): yield S",
    "future": "from __future__ import annotations\ndef map(lines: Missing = 1): yield lines",
    "dynamic": "A = 1\ndef map(): yield globals()['A']",
    "recursion": "def f(n): return n and f(n - 1)\ndef map(): yield f(3)",
    "each other": "def f(n): return n and g(n - 1)\ndef g(n): return n and f(n - 1)\ndef map(): yield f(3)",
    "semicolons": "A = 1; B = 2; C = 3\ndef map(): yield B",
    "semicolons over lines": "A = [1,\n 2]; B = 2; C = (3,\n4)\ndef map(): yield B",
    "semicolon and backslash": "A = 1; \\\nB = 2\ndef map(): yield B",
    "not ASCII": "Ä = 'é€😀'; B = 'ü'\ndef map(): yield B",
    "form feed": "A = '''\x0c'''\n\x0c\nB = 1\ndef map(): yield A, B",
    "crowded decorator": "def d(f): return f\n@ \\\nd\ndef map(): yield 1",
}


@pytest.mark.parametrize("text", KEPT.values(), ids=KEPT)
def test_a_slice_runs_as_the_whole_module_does(text: str) -> None:
    """Whatever map reaches, by whichever construct, is in the slice: it emits what it emits in the whole module."""
    whole = list(namespace(text)["map"]())
    assert list(namespace(cut(module(text, "q.py"), ["map"]).text)["map"]()) == whole


LEFT = {
    "constant": "HOME = 1\ndef map(): yield 1",
    "function": "def HOME(): return 1\ndef map(): yield 1",
    "import": "import HOME\ndef map(): yield 1",
    "shadowed": "HOME = 1\ndef map():\n    HOME = 2\n    yield HOME",
    "parameter": "HOME = 1\ndef map(HOME): yield HOME",
    "main guard": "def map(): yield 1\nif __name__ == '__main__':\n    HOME(map())",
    "print": "A = 1\nprint(A, 'HOME')\ndef map(): yield A",
    "array of a list": "import HOME\nA = [1]\nB = HOME.array(A)\ndef map(): yield A",
    "class of home": "import HOME\nclass Reduce:\n    def add(self, k, v): HOME.x\ndef map(): yield 1",
    "unevaluated annotation": "HOME = 1\ndef map():\n    x: HOME = 1\n    yield x",
    "docstring": '"""HOME"""\ndef map(): yield 1',
    "comment": "# HOME\ndef map(): yield 1  # HOME",
    "beside on its line": "A = 1; HOME = 2\ndef map(): yield A",
}


@pytest.mark.parametrize("text", LEFT.values(), ids=LEFT)
def test_what_is_not_reached_stays_home(text: str) -> None:
    """Nothing travels that filter and map do not need."""
    part = cut(module(text, "q.py"), ["map"])
    if "map(): yield 1  #" in text:
        text = text.replace("  # HOME", "")
    shipped = part.text
    assert "HOME" not in shipped.replace("def map(HOME): yield HOME", "").replace(
        "    HOME = 2\n    yield HOME", ""
    ).replace("x: HOME", "")
    compile(shipped, "q.py", "exec")


def test_lines_and_columns_stay() -> None:
    """Each kept character stands where it stood."""
    text = '"""Title."""\nA = 1; B = 22; C = 3\n\n# no\ndef unused():\n    pass\n\ndef map():\n    yield B\n'
    part = cut(module(text, "q.py"), ["map"]).text
    assert [line.rstrip() for line in part.split("\n")] == [
        "",
        "0    ; B = 22; 0",
        "",
        "",
        "",
        "",
        "",
        "def map():",
        "    yield B",
        "",
    ]


def test_a_traceback_names_the_users_line(tmp_path: Path) -> None:
    """What raises in a slice raises at the user's file and line, with what was set in place."""
    file = tmp_path / "q.py"
    file.write_text(
        '"""Title."""\npaths = [\n    "a",\n    "b",\n]\nHOME = 1\n\n\ndef map():\n    yield paths\n    1 / 0\n'
    )
    query = load(str(file), {"paths": "c,d,e"})
    run = namespace(query.map_source, query.file)["map"]()
    assert next(run) == ["c", "d", "e"]
    with pytest.raises(ZeroDivisionError) as caught:
        next(run)
    frame = traceback.extract_tb(caught.value.__traceback__)[-1]
    assert (frame.filename, frame.lineno, frame.line) == (str(file), 11, "1 / 0")


def test_filter_and_map_travel_apart(tmp_path: Path) -> None:
    """Each script's source holds what it reaches itself."""
    file = tmp_path / "q.py"
    file.write_text(
        "import os, re\nA = 1\nB = 2\nlogs = '/x'\ndef filter(provider):\n    return A\ndef map(lines):\n    yield B\n"
    )
    query = load(str(file))
    assert query.filter_source is not None
    assert query.filter_source.split() == ["A", "=", "1", "def", "filter(provider):", "return", "A"]
    assert query.map_source.split() == ["B", "=", "2", "def", "map(lines):", "yield", "B"]


def test_a_foreign_import_may_stay_home_be_guarded_or_be_declared(tmp_path: Path) -> None:
    """Only an import that travels, can fail and is not declared is refused."""
    file = tmp_path / "q.py"
    file.write_text(
        "try:\n    import ujson as json\nexcept (ValueError, ImportError):\n    import json\n"
        'import yaml\nimport unused_here\nneeds = ["module:yaml"]\nlogs = "/x"\n'
        "def map(lines):\n    yield json.dumps(yaml.load(1))\n"
    )
    query = load(str(file))
    assert "import ujson" in query.map_source
    assert "unused_here" not in query.map_source


def test_every_instruction_of_a_global_is_known() -> None:
    """A Python with new instructions for globals fails here, and not by leaving names out of slices."""
    known = scope._LOADS | scope._STORES | scope._GLOBAL_STORES
    globals_ = {name for name in opcode.opmap if "GLOBAL" in name or name.endswith("_NAME")}
    assert {name for name in globals_ if "IMPORT" not in name and opcode.opmap[name] < 256} <= known
