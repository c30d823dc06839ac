"""Which maps may begin again where they broke off. A wrong yes would be an answer that wrongly calls itself exact."""

from __future__ import annotations

from pathlib import Path

import pytest

from backplane.query.load import load

YES = {
    "bare": "def map(lines):\n    for line in lines:\n        yield line",
    "docstring": 'def map(lines):\n    "What it does."\n    for line in lines:\n        yield line',
    "locals": (
        "def map(lines):\n    for line in lines:\n        a, *b = line.split()\n        c = a\n        yield c, b"
    ),
    "condition": (
        "def map(lines):\n    for line in lines:\n        if 'x' in line:\n            n = 1\n"
        "        else:\n            n = 2\n        yield n"
    ),
    "continue": (
        "def map(lines):\n    for line in lines:\n        if 'x' not in line:\n            continue\n"
        "        else:\n            n = 1\n        yield n"
    ),
    "walrus": (
        "import re\nX = re.compile('x')\ndef map(lines):\n    for line in lines:\n"
        "        if (m := X.search(line)) and m[0]:\n            yield m"
    ),
    "and": "def map(lines):\n    for line in lines:\n        if line and (n := len(line)):\n            yield n",
    "pattern": (
        "import re\nX = re.compile('x')\ndef map(lines):\n    for line in lines:\n"
        "        if X.search(line):\n            yield line, 1"
    ),
    "helper": (
        "N = 3\ndef f(line, n=N):\n    out = []\n    out.append(line)\n    return out\n"
        "def map(lines):\n    for line in lines:\n        yield f(line)"
    ),
    "table": (
        "T = {'a': 1, 'b': (2, 'c')}\ndef map(lines):\n    for line in lines:\n"
        "        if line in T:\n            yield T[line], T.get(line), sorted(T)"
    ),
    "empty list": (
        "only = []\ndef map(lines):\n    for line in lines:\n        if not only or line in only:\n"
        "            yield line"
    ),
    "comprehension": "def map(lines):\n    for line in lines:\n        yield sum(int(x) for x in line.split() if x)",
    "lambda": "def map(lines):\n    for line in lines:\n        yield sorted(line.split(), key=lambda x: x[0])",
    "inner loop": (
        "def map(lines):\n    for line in lines:\n        n = 0\n        for word in line.split():\n"
        "            n += len(word)\n            if n > 9:\n                break\n        yield n"
    ),
    "try": (
        "def map(lines):\n    for line in lines:\n        try:\n            n = int(line)\n"
        "        except ValueError:\n            continue\n        yield n"
    ),
    "path": "def map(lines):\n    for line in lines:\n        yield lines.path, lines.provider",
    "cached helper": (
        "import functools\n@functools.lru_cache(maxsize=9)\ndef f(x):\n    return x\ndef map(lines):\n"
        "    for line in lines:\n        yield f(line)"
    ),
    "declared": (
        "replayable = True\nSEEN = set()\ndef map(lines):\n    for line in lines:\n"
        "        SEEN.add(line)\n        yield line"
    ),
}
NO = {
    "counter": (
        "def map(lines):\n    n = 0\n    for line in lines:\n        n += 1\n        yield n",
        "more than one `for`",
    ),
    "after the loop": ("def map(lines):\n    for line in lines:\n        yield 1\n    yield 2", "more than one `for`"),
    "else": (
        "def map(lines):\n    for line in lines:\n        yield 1\n    else:\n        yield 2",
        "more than one `for`",
    ),
    "enumerate": (
        "def map(lines):\n    for n, line in enumerate(lines):\n        yield n",
        "does not loop over its lines directly",
    ),
    "carried": (
        (
            "def map(lines):\n    for line in lines:\n        if 'x' in line:\n            last = line\n"
            "        yield last"
        ),
        "`last` is carried",
    ),
    "carried by try": (
        (
            "def map(lines):\n    for line in lines:\n        try:\n            n = int(line)\n"
            "        except ValueError:\n            pass\n        yield n"
        ),
        "`n` is carried",
    ),
    "carried by augmented": (
        "def map(lines):\n    for line in lines:\n        n += 1\n        yield n",
        "`n` is carried",
    ),
    "carried by or": (
        "def map(lines):\n    for line in lines:\n        if line or (n := 1):\n            yield n",
        "`n` is carried",
    ),
    "carried out of a loop": (
        ("def map(lines):\n    for line in lines:\n        for w in line.split():\n            n = w\n        yield n"),
        "`n` is carried",
    ),
    "carried by while": (
        (
            "def map(lines):\n    for line in lines:\n        while line:\n            n = line\n"
            "            break\n        yield n"
        ),
        "`n` is carried",
    ),
    "carried by with": (
        (
            "import contextlib\ndef map(lines):\n    for line in lines:\n"
            "        with contextlib.suppress(ValueError):\n            n = int(line)\n        yield n"
        ),
        "`n` is carried",
    ),
    "carried after del": (
        "def map(lines):\n    for line in lines:\n        n = 1\n        del n\n        yield n",
        "`n` is carried",
    ),
    "carried in a lambda": (
        ("def map(lines):\n    for line in lines:\n        yield sorted(line, key=lambda x: n)\n        n = 1"),
        "`n` is carried",
    ),
    "next": ("def map(lines):\n    for line in lines:\n        yield next(lines)", "uses `lines` within its loop"),
    "lines' attribute": ("def map(lines):\n    for line in lines:\n        yield lines.count", "uses `lines.count`"),
    "break": (
        ("def map(lines):\n    for line in lines:\n        if not line:\n            break\n        yield 1"),
        "leaves its loop early",
    ),
    "return": ("def map(lines):\n    for line in lines:\n        yield 1\n        return", "leaves its loop early"),
    "set": (
        (
            "SEEN = set()\ndef map(lines):\n    for line in lines:\n        if line not in SEEN:\n"
            "            SEEN.add(line)\n            yield line"
        ),
        "uses `SEEN`, which could be changed",
    ),
    "dict": (
        "T = {}\ndef map(lines):\n    for line in lines:\n        T[line] = 1\n        yield T[line]",
        "changes `T[line]`",
    ),
    "dict through a helper": (
        (
            "T = {}\ndef f(x):\n    T[x] = 1\n    return x\ndef map(lines):\n    for line in lines:\n"
            "        yield f(line)"
        ),
        "changes `T[x]`",
    ),
    "inner list": (
        (
            "T = {'a': []}\ndef map(lines):\n    for line in lines:\n        x = T['a']\n"
            "        x.append(line)\n        yield len(x)"
        ),
        "uses `T`, which could be changed",
    ),
    "another name": (
        ("T = [0]\ndef map(lines):\n    for line in lines:\n        t = T\n        t[0] += 1\n        yield t[0]"),
        "uses `T`",
    ),
    "passed on": (
        (
            "T = [0]\ndef f(t):\n    t[0] += 1\n    return t[0]\ndef map(lines):\n    for line in lines:\n"
            "        yield f(T)"
        ),
        "uses `T`",
    ),
    "iterator": (
        ("import itertools\nN = itertools.count()\ndef map(lines):\n    for line in lines:\n        yield next(N)"),
        "uses `N`",
    ),
    "global": (
        ("N = 0\ndef map(lines):\n    for line in lines:\n        global N\n        N = N + 1\n        yield N"),
        "not followed",
    ),
    "global in a helper": (
        (
            "N = 0\ndef f():\n    global N\n    N = N + 1\n    return N\ndef map(lines):\n"
            "    for line in lines:\n        yield f()"
        ),
        "binds N outside",
    ),
    "function attribute": (
        ("def f():\n    f.n += 1\n    return f.n\nf.n = 0\ndef map(lines):\n    for line in lines:\n        yield f()"),
        "changes `f.n`",
    ),
    "default": (
        (
            "def f(x, seen=[]):\n    seen.append(x)\n    return len(seen)\ndef map(lines):\n"
            "    for line in lines:\n        yield f(line)"
        ),
        "a default of `f`",
    ),
    "default by name": (
        (
            "T = []\ndef f(x, seen=T):\n    seen.append(x)\n    return len(seen)\ndef map(lines):\n"
            "    for line in lines:\n        yield f(line)"
        ),
        "a default of `f` is `T`",
    ),
    "decorated": (
        "def keep(f): return f\n@keep\ndef map(lines):\n    for line in lines:\n        yield 1",
        "is decorated",
    ),
    "class": ("class A:\n    n = 0\ndef map(lines):\n    for line in lines:\n        yield A.n", "uses `A`"),
    "module's attribute": (
        "import os\ndef map(lines):\n    for line in lines:\n        os.x = line\n        yield 1",
        "changes `os.x`",
    ),
    "nested function": (
        "def map(lines):\n    for line in lines:\n        def f(): return 1\n        yield f()",
        "not followed",
    ),
    "globals": ("def map(lines):\n    for line in lines:\n        yield globals()", "uses `globals`"),
    "no loop": ("def map(lines):\n    yield from lines", "more than one `for`"),
    "changed table": (
        "T = {'a': 1}\nT['b'] = []\ndef map(lines):\n    for line in lines:\n        yield T[line]",
        "uses `T`",
    ),
    "declared": ("replayable = False\ndef map(lines):\n    for line in lines:\n        yield line", "the file says so"),
    "no source": ("replayable = True\ndef map():\n    yield 1", "no position"),
    "tick": (
        ("replayable = True\nlogs = 'tick:5s'\ndef map(lines):\n    for line in lines:\n        yield 1"),
        "cannot be read again",
    ),
    "stdin": ("logs = '-'\ndef map(lines):\n    for line in lines:\n        yield 1", "cannot be read again"),
}


def _loaded(text: str, folder: Path) -> tuple[bool, str]:
    file = folder / "q.py"
    file.write_text(text if "logs =" in text or "def map():" in text else f"logs = '/x'\n{text}")
    query = load(str(file))
    return query.replayable, query.replayable_reason


@pytest.mark.parametrize("text", YES.values(), ids=YES)
def test_a_map_of_each_line_alone_is_replayable(text: str, tmp_path: Path) -> None:
    """One loop over the lines that carries nothing and changes nothing may begin again anywhere."""
    again, reason = _loaded(text, tmp_path)
    assert again, reason


@pytest.mark.parametrize(("text", "part"), NO.values(), ids=NO)
def test_anything_else_is_not_and_says_why(text: str, part: str, tmp_path: Path) -> None:
    """Whatever may carry state from one line to the next is not replayable, with the reason."""
    again, reason = _loaded(text, tmp_path)
    assert not again
    assert part in reason
