"""Slices of modules that nobody wrote: what a function gives in the slice is what it gives in the whole module."""

from __future__ import annotations

import traceback
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from backplane.query.scope import module
from backplane.query.slice import cut

#: Few names, so that statements meet: variables that begin as lists and dicts, and names of functions and classes.
variable = st.sampled_from(("a", "b", "c", "d"))
callee = st.sampled_from(("f", "g", "h"))
name = st.one_of(variable, callee)
number = st.integers(0, 9).map(str)


def _get(text: str) -> str:
    """A name that may not be bound yet, or be a function: a value all the same."""
    return f"got('{text}', lambda: {text})"


value = st.one_of(
    number,
    name.map(_get),
    st.builds("[{}, {}]".format, number, name.map(_get)),
    st.builds("{{'k': {}}}".format, name.map(_get)),
    st.builds("[{0} for i in (1, 2)]".format, name.map(_get)),
    st.builds("(lambda x: [x, {}])({})".format, name.map(_get), number),
    st.builds("call(lambda: {}({}))".format, callee, number),
)
change = st.one_of(
    st.builds("{} = {}".format, name, value),
    st.builds("{} = {}".format, variable, variable),
    st.builds("{} += [{}]".format, variable, number),
    st.builds("{}['k'] = {}".format, variable, number),
    st.builds("{}.append({})".format, variable, number),
    st.builds("{}.update(k={})".format, variable, number),
    st.builds("del {}['k']".format, variable),
    st.builds("{}.x = {}".format, callee, number),
    st.builds("{}({})".format, callee, number),
    st.builds("fill({})".format, variable),
)


def _tried(statement: str) -> str:
    """Module code that may fail goes on: the slice must fail alike, and go on alike."""
    return f"try:\n    {statement}\nexcept Exception: pass"


plain = st.builds("{} = {}".format, variable, value)
function = st.builds(
    "{0}def {1}(x={2}):\n    {3}\n    {4}\n    return [x, {5}]".format,
    st.sampled_from(("", "@f\n", "@keep\n")),
    callee,
    value,
    st.one_of(st.just("pass"), name.map("global {}".format)),
    change.map(lambda text: _tried(text).replace("\n", "\n    ")),
    name.map(_get),
)
klass = st.builds(
    "class {0}:\n    y = {1}\n    def __init__(self, x=0): self.v = {2}".format, callee, value, name.map(_get)
)
branch = st.builds("if {0}:\n    {1}\nelse:\n    {2}".format, number, plain, plain)
loop = st.builds(
    "for {0} in ({1}, {2}):\n    try: {0}['k'] = 1\n    except Exception: pass".format, variable, variable, variable
)
line = st.builds("{}; {}".format, plain, plain)
statement = st.one_of(plain, change.map(_tried), function, klass, branch, loop, line)
PRELUDE = """a = []; b = {}
c = [1, 2]; d = {'k': []}
kept = []
def keep(made):
    kept.append(made.__name__)
    return made
def fill(t):
    t.append(7)
def got(name, read):
    try: v = read()
    except NameError: return 'unbound'
    return getattr(v, '__name__', v)
def call(made):
    try: return made()
    except Exception as exc: return type(exc).__name__
"""
END = "def root():\n    return [len(kept), {}]\n"


def _said(value: Any, depth: int = 0) -> Any:
    """A value by its content: the two modules' functions and classes are not the same objects."""
    if depth > 4:
        return "..."
    if isinstance(value, (list, tuple)):
        return [_said(item, depth + 1) for item in value]
    if isinstance(value, dict):
        return {key: _said(item, depth + 1) for key, item in value.items()}
    if isinstance(value, (int, str)):
        return value
    return type(value).__name__


def _run(source: str) -> tuple[str, Any]:
    """What root gives, or how it fails: the kind and the line."""
    names: dict[str, Any] = {}
    try:
        exec(compile(source, "q.py", "exec", dont_inherit=True), names)
        return "gave", _said(names["root"]())
    except Exception as exc:
        lines = [frame.lineno for frame in traceback.extract_tb(exc.__traceback__) if frame.filename == "q.py"]
        return type(exc).__name__, lines


@settings(deadline=None, max_examples=400)
@given(st.lists(statement, max_size=9), st.lists(name, min_size=1, max_size=2, unique=True))
def test_a_slice_gives_what_the_module_gives(statements: list[str], roots: list[str]) -> None:
    """For any module that loads, what the root returns or raises is the same in its slice, at the same lines."""
    text = PRELUDE + "\n".join(statements) + "\n" + END.format(", ".join(map(_get, roots)))
    try:
        exec(compile(text, "q.py", "exec", dont_inherit=True), {})
    except Exception:
        return
    whole = _run(text)
    part = cut(module(text, "q.py"), ["root"]).text
    assert _run(part) == whole, part
    assert len(part) <= len(text) + 1


@settings(deadline=None, max_examples=200)
@given(st.lists(statement, max_size=9), name)
def test_kept_text_is_the_users_own(statements: list[str], root: str) -> None:
    """A slice has no character that did not stand there, but for blanks and the noughts that stand for statements."""
    text = PRELUDE + "\n".join(statements) + "\n" + END.format(_get(root))
    part = cut(module(text, "q.py"), ["root"]).text
    for ours, theirs in zip(part.split("\n"), text.split("\n"), strict=False):
        assert all(a in (b, " ", "0") for a, b in zip(ours, theirs, strict=False)), (ours, theirs)
